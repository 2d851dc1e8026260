"""Proves that transcription uploads sounds so that their format is known, and prints words."""

import pytest
from conftest import ROOT, lines

SOUND = ROOT / "tests" / "data" / "hello.mp3"
TRANSCRIPT = "안녕하세요. This is a recording."


def test_words_are_all_that_is_on_stdout(run, stand_in, tmp_path):
    file = tmp_path / "회의 녹음.MP3"
    file.write_bytes(SOUND.read_bytes())
    done = run("transcription", str(file))

    assert (done.code, done.out) == (0, TRANSCRIPT + "\n"), done.err
    catalogue, request = stand_in.requests
    assert catalogue.query["output_modalities"] == "transcription"
    model, facts = lines(done.err)
    assert request.body["model"] in model and "pricing" in model
    assert '"usage":' in facts and '"cost":' in facts
    assert (request.route, request.form) == ("/audio/transcriptions", True)
    assert request.body["file"]["filename"] == "sound.mp3"
    assert request.body["file"]["data"] == SOUND.read_bytes()


def test_language_model_and_file(run, stand_in, tmp_path):
    output = tmp_path / "글.txt"
    args = ["--language", "ko", "-m", "acme/ears", "-o", str(output)]
    assert run("transcription", str(SOUND), *args).out == f"{TRANSCRIPT}\n"
    assert output.read_text(encoding="utf-8") == f"{TRANSCRIPT}\n"
    (request,) = stand_in.requests
    assert (request.body["language"], request.body["model"]) == ("ko", "acme/ears")


@pytest.mark.parametrize("transcript", ["", " \n"])
def test_no_words_are_no_answer(run, stand_in, tmp_path, transcript):
    stand_in.transcript = transcript
    done = run("transcription", str(SOUND), "-o", str(tmp_path / "a.txt"))
    assert (done.code, done.out) == (1, "") and not (tmp_path / "a.txt").exists()
    assert run("transcription", "missing.mp3").code == 1
