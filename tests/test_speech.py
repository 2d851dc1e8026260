"""Proves that speech writes a sound file, whole or not at all, with a voice of its model."""

import pytest
from conftest import lines
from stand_in import MP3, PCM


def posts(stand_in):
    return [call.body for call in stand_in.requests if call.method == "POST"]


def test_text_becomes_an_mp3_by_the_cheapest_model(run, stand_in, tmp_path):
    done = run("speech", "안녕하세요.", "-o", "인사.mp3", cwd=tmp_path)

    assert (done.code, done.out) == (0, "인사.mp3\n"), done.err
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["인사.mp3"]
    assert (tmp_path / "인사.mp3").read_bytes() == MP3
    assert stand_in.requests[0].query["sort"] == "pricing-low-to-high"
    (body,) = posts(stand_in)
    assert body["input"] == "안녕하세요." and body["response_format"] == "mp3"
    assert body["model"] in lines(done.err)[0] and "pricing" in lines(done.err)[0]
    assert body["voice"] in lines(done.err)[1], "the model's first voice"


def test_pipe_voice_model_and_pcm(run, stand_in, tmp_path):
    args = ["-o", "a.PCM", "--voice", "anna", "-m", "acme/speaker"]
    done = run("speech", *args, stdin="\ufeff긴 글", cwd=tmp_path)
    assert done.code == 0 and (tmp_path / "a.PCM").read_bytes() == PCM
    assert posts(stand_in) == [
        {"model": "acme/speaker", "input": "긴 글", "voice": "anna", "response_format": "pcm"}
    ]


def test_voices_are_listed(run, stand_in):
    done = run("speech", "--voices")
    assert done.code == 0 and len(lines(done.out)) > 1 and posts(stand_in) == []
    none = run("speech", "--voices", "-m", "acme/speaker")
    assert none.code == 1 and "acme/speaker" in lines(none.err)[-1]


def test_existing_file_costs_nothing_and_force_overwrites(run, stand_in, tmp_path):
    (tmp_path / "a.mp3").write_text("mine")
    done = run("speech", "Hello", "-o", "a.mp3", cwd=tmp_path)
    assert (done.code, stand_in.requests) == (1, []) and "a.mp3" in done.err
    assert run("speech", "Hello", "-o", "a.mp3", "--force", cwd=tmp_path).code == 0
    assert (tmp_path / "a.mp3").read_bytes() == MP3


@pytest.mark.parametrize("body", [b'{"error": {"message": "no voice"}}', b""])
def test_something_else_than_sound_is_no_file(run, stand_in, tmp_path, body):
    stand_in.reply("/audio/speech", body)
    done = run("speech", "Hello", "-o", "a.mp3", cwd=tmp_path)
    assert done.code == 1 and not [*tmp_path.glob("a.mp3*")]
    assert body.decode() in done.err and "application/json" in done.err


def test_place_that_can_not_be_written_to_costs_nothing(run, stand_in, tmp_path):
    done = run("speech", "Hello", "-o", "missing/a.mp3", cwd=tmp_path)
    assert done.code == 1 and posts(stand_in) == [] and "missing" in done.err
