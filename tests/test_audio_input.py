"""Proves that audio_input.py sends whole sounds, in their true format, to a model that is free."""

import base64
import io
import wave

import pytest
import stand_in as stand_in_module
from conftest import ROOT
from stand_in import MP3, TEXT

MP3_FILE = ROOT / "tests" / "data" / "hello.mp3"
FREE = "nvidia/nemotron-nano-omni:free"
BEGINNINGS = {  # of files as programs write them
    "wav": b"RIFF\x24\x08\0\0WAVEfmt ",
    "mp3": b"ID3\x04\0\0\0\0\0\x23TSSE",
    "flac": b"fLaC\0\0\0\x22",
    "ogg": b"OggS\0\x02\0\0",
    "m4a": b"\0\0\0\x1cftypM4A \0\0\x02\0",
    "aac": b"\xff\xf1\x5c\x40",
    "aiff": b"FORM\0\x01\x54\xc4AIFFCOMM",
}


def tone() -> bytes:
    """A fifth of a second of a real WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(range(256)) * 12 + bytes(128))
    return file.getvalue()


def sounds(stand_in) -> list[dict]:
    """The sounds of the last request; their data has to be plain base64."""
    content = stand_in.requests[-1].body["messages"][1]["content"]
    assert [part["type"] for part in content] == ["text"] + ["input_audio"] * (len(content) - 1)
    return [part["input_audio"] for part in content[1:]]


def test_a_question_reaches_a_free_model_with_the_whole_sound(run, stand_in, tmp_path):
    file = tmp_path / "녹음.wav"
    file.write_bytes(tone())
    done = run("audio_input", "무엇이 들리나요?", str(file))
    assert (done.code, done.out) == (0, TEXT + "\n")
    assert FREE in done.err and "$0.000000" in done.err

    catalogue, request = stand_in.requests
    assert (catalogue.method, catalogue.route) == ("GET", "/models")
    assert catalogue.query["input_modalities"] == "audio"
    assert "authorization" not in catalogue.headers
    assert set(request.body) == {"model", "messages"}
    assert request.body["model"] == FREE
    system, user = request.body["messages"]
    prompt = (ROOT / "prompts" / "audio_input.txt").read_text(encoding="utf-8").strip()
    assert system == {"role": "system", "content": prompt}
    assert user["content"][0] == {"type": "text", "text": "무엇이 들리나요?"}
    [sound] = sounds(stand_in)
    assert sound["format"] == "wav"
    with wave.open(io.BytesIO(base64.b64decode(sound["data"], validate=True))) as opened:
        assert (opened.getframerate(), opened.getnframes()) == (8000, 1600)


def test_the_format_is_that_of_the_bytes_whatever_the_name_says(run, stand_in, tmp_path):
    files = [tmp_path / f"{kind}.txt" for kind in BEGINNINGS]
    for file, start in zip(files, BEGINNINGS.values(), strict=True):
        file.write_bytes(start + bytes(40))
    assert run("audio_input", "What?", *map(str, files)).code == 0
    assert [sound["format"] for sound in sounds(stand_in)] == list(BEGINNINGS)


@pytest.mark.parametrize("start", [MP3, b"\xff\xf3\x40\xc4", b"\xff\xe3\x38\xc0"])
def test_an_mp3_without_a_tag_is_one_too(run, stand_in, tmp_path, start):
    file = tmp_path / "sound"
    file.write_bytes(start + bytes(40))
    assert run("audio_input", "What?", str(file), str(MP3_FILE)).code == 0
    assert [sound["format"] for sound in sounds(stand_in)] == ["mp3", "mp3"]


@pytest.mark.parametrize(
    ("arguments", "variable", "model"),
    [
        (["-m", "google/gemini-2.5-flash"], "acme/other", "google/gemini-2.5-flash"),
        ([], "openrouter/free", "openrouter/free"),
    ],
)
def test_a_model_that_was_named_is_used(run, stand_in, arguments, variable, model):
    env = {"OPENROUTER_MODEL": variable}
    assert run("audio_input", "What?", str(MP3_FILE), *arguments, env=env).code == 0
    [request] = stand_in.requests  # nothing to look up
    assert request.body["model"] == model


def test_free_means_sound_too(run, stand_in, monkeypatch):
    """A price for sound alone is a price; then the message names models that cost."""
    entries = [dict(entry) for entry in stand_in_module.CATALOGUE]
    for entry in entries:
        if entry["id"] == FREE:
            entry["pricing"] = {**entry["pricing"], "audio": "0.000001"}
    monkeypatch.setattr(stand_in_module, "CATALOGUE", entries)
    done = run("audio_input", "What?", str(MP3_FILE))
    assert (done.code, done.out) == (2, "")
    assert "-m" in done.err and "google/gemini-2.5-flash" in done.err
    assert [request.method for request in stand_in.requests] == ["GET"]


def test_a_model_that_cannot_hear_says_so(run, stand_in):
    done = run("audio_input", "What?", str(MP3_FILE), "-m", "deepseek/deepseek-r1")
    assert (done.code, done.out) == (1, "")
    assert "audio input" in done.err


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("글.mp3", "ÿþ 소리가 아닙니다".encode("utf-16"), "none of wav, mp3"),
        ("empty.wav", b"", "none of wav, mp3"),
        ("picture.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "none of wav, mp3"),
        ("film.webm", b"\x1a\x45\xdf\xa3" + bytes(40), "none of wav, mp3"),
        ("long.mp3", MP3 + bytes(1_100_000), "1 MB"),
    ],
)
def test_what_is_no_sound_or_too_large_is_not_sent(run, stand_in, tmp_path, name, data, says):
    file = tmp_path / name
    file.write_bytes(data)
    edit = {"MAX_MEGABYTES = 20": "MAX_MEGABYTES = 1"}
    done = run("audio_input", "What?", str(MP3_FILE), str(file), edit=edit)
    assert (done.code, done.out, stand_in.requests) == (2, "", [])
    assert name in done.err and says in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["What?", "https://example.com/a.mp3"], "download https://example.com/a.mp3"),
        (["What?", "없는.mp3"], "없는.mp3"),
        (["What?"], "required"),
    ],
)
def test_wrong_usage_costs_nothing(run, stand_in, arguments, says):
    done = run("audio_input", *arguments)
    assert (done.code, done.out, stand_in.requests) == (2, "", [])
    assert says in done.err
