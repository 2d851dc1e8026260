"""Proves that transcription.py uploads sounds so that their format is known, and prints words."""

import json

import pytest
from conftest import ROOT
from stand_in import MP3, UPLOAD_LIMIT

SOUND = ROOT / "tests" / "data" / "hello.mp3"
TRANSCRIPT = "안녕하세요. This is a recording."


def test_the_words_are_all_that_is_on_stdout(run, stand_in, tmp_path):
    file = tmp_path / "회의 녹음"  # neither ASCII nor with an ending
    file.write_bytes(SOUND.read_bytes())
    done = run("transcription", str(file))
    assert (done.code, done.out) == (0, TRANSCRIPT + "\n")
    [report] = done.err.splitlines()
    assert "openai/whisper-large-v3" in report
    assert "0.1 s of sound" in report and "$0.000010" in report

    [request] = stand_in.requests
    assert (request.method, request.route, request.form) == ("POST", "/audio/transcriptions", True)
    assert set(request.body) == {"model", "file"}
    assert request.body["model"] == "openai/whisper-large-v3"
    sent = request.body["file"]
    assert (sent["filename"], sent["content_type"]) == ("sound.mp3", "audio/mpeg")
    assert sent["data"] == SOUND.read_bytes()


@pytest.mark.parametrize(
    ("start", "ending"),
    [
        (b"RIFF\x24\x08\0\0WAVEfmt ", "wav"),
        (b"fLaC\0\0\0\x22", "flac"),
        (b"OggS\0\x02\0\0", "ogg"),
        (b"\0\0\0\x1cftypM4A \0\0\x02\0", "m4a"),
        (b"\0\0\0\x1cftypisom\0\0\x02\0", "m4a"),
        (b"\xff\xf1\x5c\x40", "aac"),
        (b"\x1a\x45\xdf\xa3\x9f\x42", "webm"),
    ],
)
def test_the_ending_is_that_of_the_bytes(run, stand_in, tmp_path, start, ending):
    file = tmp_path / "wrong.mp3"
    file.write_bytes(start + bytes(40))
    assert run("transcription", str(file)).code == 0
    assert stand_in.requests[0].body["file"]["filename"] == f"sound.{ending}"


def test_language_and_timestamps(run, stand_in):
    stand_in.segments = [(0.0, 4.6, " 안녕하세요."), (65.9, 70.0, " This is"), (4500, 4501, " it.")]
    done = run("transcription", str(SOUND), "--language", "ko", "--timestamps")
    assert done.code == 0
    assert done.out == "[00:00] 안녕하세요.\n[01:05] This is\n[75:00] it.\n"
    body = stand_in.requests[0].body
    assert (body["language"], body["response_format"]) == ("ko", "verbose_json")


def test_a_model_without_timestamps_still_gives_its_words(run, stand_in):
    stand_in.segments = []
    done = run("transcription", str(SOUND), "--timestamps")
    assert (done.code, done.out) == (0, TRANSCRIPT + "\n")
    assert "no timestamps" in done.err


def test_json_is_everything_that_came(run, stand_in):
    done = run("transcription", str(SOUND), "--json", "--timestamps")
    data = json.loads(done.out)
    assert (done.code, data["text"], data["language"]) == (0, TRANSCRIPT, "ko")
    assert data["segments"][0]["text"] == TRANSCRIPT
    assert data["usage"]["cost"] > 0
    assert "안녕" in done.out  # readable, not escaped


@pytest.mark.parametrize("transcript", ["", " \n"])
def test_silence_is_no_answer(run, stand_in, transcript):
    stand_in.transcript = transcript
    done = run("transcription", str(SOUND))
    assert (done.code, done.out) == (1, "")
    assert "no words" in done.err


def test_another_model_but_none_for_chat(run, stand_in):
    env = {"OPENROUTER_MODEL": "openai/gpt-5-mini"}
    assert run("transcription", str(SOUND), env=env).code == 0
    done = run("transcription", str(SOUND), "-m", "openai/gpt-5-mini")
    assert done.code == 1
    assert "transcription output" in done.err


def test_25_megabytes_go_and_one_byte_more_does_not(run, stand_in, tmp_path):
    file = tmp_path / "long.mp3"
    file.write_bytes(MP3 + bytes(UPLOAD_LIMIT - len(MP3)))
    assert run("transcription", str(file)).code == 0
    file.write_bytes(MP3 + bytes(UPLOAD_LIMIT - len(MP3) + 1))
    stand_in.requests.clear()
    done = run("transcription", str(file))
    assert (done.code, done.out, stand_in.requests) == (2, "", [])
    assert "more than 25" in done.err


@pytest.mark.parametrize("data", [b"", b"%PDF-1.4", "글입니다".encode()])
def test_what_is_no_sound_is_not_sent(run, stand_in, tmp_path, data):
    file = tmp_path / "소리.mp3"
    file.write_bytes(data)
    done = run("transcription", str(file))
    assert (done.code, done.out, stand_in.requests) == (2, "", [])
    assert "소리.mp3 is none of wav" in done.err


def test_a_missing_file_or_key_is_one_sentence(run, stand_in):
    done = run("transcription", "없는.mp3")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    done = run("transcription", str(SOUND), key=None)
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "OPENROUTER_API_KEY" in done.err
    assert stand_in.requests == []
