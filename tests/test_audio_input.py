"""Proves that audio_input sends sounds to a model that hears, the cheapest by default."""

import base64

from conftest import ROOT, lines
from stand_in import TEXT, listing

SOUND = ROOT / "tests" / "data" / "hello.mp3"


def test_sounds_are_sent_after_the_question(run, stand_in, tmp_path):
    file = tmp_path / "회의.WAV"
    file.write_bytes(b"RIFF0000WAVE")
    model = "google/gemini-2.5-flash"
    done = run("audio_input", "무슨 말이야?", str(SOUND), str(file), "-m", model)

    assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err
    (request,) = stand_in.requests
    text, first, second = request.body["messages"][0]["content"]
    assert text["text"].endswith("무슨 말이야?") and request.body["model"] == model
    data = base64.b64encode(SOUND.read_bytes()).decode()
    assert first == {"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}}
    assert second["input_audio"]["format"] == "wav"


def test_cheapest_model_that_hears_is_named_with_its_price_before_it_costs(
    run, stand_in, catalogue
):
    catalogue[:] = [
        listing("acme/router", "r", "text,audio", "text", "-1", "-1", (), 9),
        listing("acme/ears:batch", "b", "text,audio", "text", "0.0000001", "0", (), 9),
        listing("acme/ears", "e", "text,audio", "text", "0.0000002", "0.000001", (), 9),
        listing("acme/dear", "d", "text,audio", "text", "0.0000003", "0.000001", (), 9),
    ]
    done = run("audio_input", "What?", str(SOUND))
    assert done.code == 0 and stand_in.requests[0].query["input_modalities"] == "audio"
    assert stand_in.requests[1].body["model"] == "acme/ears"
    assert "acme/ears" in lines(done.err)[0] and "0.0000002" in lines(done.err)[0]

    run("audio_input", "What?", str(SOUND), env={"OPENROUTER_MODEL": "acme/dear"})
    assert stand_in.requests[-1].body["model"] == "acme/dear" and len(stand_in.requests) == 3


def test_file_that_is_missing_costs_nothing(run, stand_in):
    done = run("audio_input", "What?", "missing.mp3", "-m", "acme/ears")
    assert (done.code, stand_in.requests) == (1, []) and "missing.mp3" in done.err
