"""Proves that speech.py writes files that play, whole or not at all, and tells what they cost."""

import wave

import pytest
from stand_in import MP3, PCM

MODEL = "mistralai/voxtral-mini-tts-2603"
SOON = {"(0.5, 1, 2)": "(0, 0, 0)"}  # asks for the price without waiting


@pytest.fixture
def folder(tmp_path):
    """Where the script runs."""
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def posts(stand_in) -> list:
    return [request for request in stand_in.requests if request.method == "POST"]


def test_a_text_becomes_an_mp3(run, stand_in, folder):
    done = run("speech", "안녕하세요.", "Good morning.", "-o", "인사.mp3")
    assert (done.code, done.out) == (0, "인사.mp3\n")
    assert (folder / "인사.mp3").read_bytes() == MP3
    assert [file.name for file in folder.iterdir()] == ["인사.mp3"]
    [request] = posts(stand_in)
    assert request.body == {
        "model": MODEL,
        "input": "안녕하세요. Good morning.",
        "voice": "en_paul_neutral",
        "response_format": "mp3",
    }
    [report] = done.err.splitlines()
    assert MODEL in report and "en_paul_neutral" in report
    assert "$0.000320" in report  # 20 characters


@pytest.mark.parametrize(
    ("kind", "rate", "channels"),
    [
        ("audio/pcm;rate=24000;channels=1", 24000, 1),
        ("audio/pcm; channels=2; rate=16000", 16000, 2),
        ("audio/pcm", 24000, 1),
        ("audio/pcm;rate=0;channels=0", 24000, 1),
    ],
)
def test_a_wav_opens_and_has_the_rate_that_the_reply_names(
    run, stand_in, folder, kind, rate, channels
):
    stand_in.pcm_type = kind
    assert run("speech", "Hello", "-o", "a.WAV").code == 0
    with wave.open(str(folder / "a.WAV")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (
            rate,
            channels,
            2,
        )
        assert sound.readframes(sound.getnframes()) == PCM
    assert posts(stand_in)[0].body["response_format"] == "pcm"


def test_what_came_in_another_form_is_kept_and_named(run, stand_in, folder):
    stand_in.pcm_type = "audio/mpeg"
    done = run("speech", "Hello", "-o", "a.wav")
    assert (done.code, done.out) == (0, "a.wav\n")
    assert (folder / "a.wav").read_bytes() == PCM
    assert "audio/mpeg" in done.err


def test_the_price_is_asked_for_again_until_it_is_there(run, stand_in):
    stand_in.generation_misses = 2
    done = run("speech", "Hello", "-o", "a.mp3", edit=SOON)
    assert (done.code, "$0.000080" in done.err) == (0, True)
    assert len([one for one in stand_in.requests if one.route == "/generation"]) == 3


@pytest.mark.parametrize("fault", ["404_dead", "500", "error_200", "html", "bad_json", None])
def test_a_price_that_never_comes_is_said_to_be_unknown(run, stand_in, folder, fault):
    if fault:
        stand_in.fail(fault, "/generation")
    else:
        stand_in.generation_misses = 10
    done = run("speech", "Hello", "-o", "a.mp3", edit=SOON)
    assert (done.code, done.out) == (0, "a.mp3\n")
    assert "cost unknown" in done.err and "$" not in done.err
    assert (folder / "a.mp3").read_bytes() == MP3
    assert len(posts(stand_in)) == 1


def test_a_file_is_not_overwritten_without_force(run, stand_in, folder):
    (folder / "a.mp3").write_bytes(b"mine")
    done = run("speech", "Hello", "-o", "a.mp3")
    assert (done.code, done.out, stand_in.requests) == (2, "", [])
    assert "--force" in done.err
    assert (folder / "a.mp3").read_bytes() == b"mine"
    assert run("speech", "Hello", "-o", "a.mp3", "--force").code == 0
    assert (folder / "a.mp3").read_bytes() == MP3


@pytest.mark.parametrize("fault", ["drop", "error_200", "html", "402"])
def test_a_failure_leaves_the_old_file_and_no_other(run, stand_in, folder, fault):
    (folder / "a.mp3").write_bytes(b"mine")
    stand_in.fail(fault, "/audio/speech")
    done = run("speech", "Hello", "-o", "a.mp3", "--force")
    assert (done.code, done.out) == (1, "")
    assert (folder / "a.mp3").read_bytes() == b"mine"
    assert [file.name for file in folder.iterdir()] == ["a.mp3"]
    assert len(stand_in.requests) == 1  # no second try, it costs


def test_voices_cost_nothing_and_need_no_key(run, stand_in):
    done = run("speech", "--voices", key=None)
    assert (done.code, done.out) == (0, "en_paul_happy\nen_paul_neutral\n")
    [request] = stand_in.requests
    assert (request.method, request.route) == ("GET", "/models")
    assert request.query == {"output_modalities": "speech"}
    assert "authorization" not in request.headers


def test_another_model_speaks_with_its_first_voice_or_the_one_named(run, stand_in):
    other = "openai/gpt-4o-mini-tts-2025-12-15"
    done = run("speech", "Hello", "-o", "a.mp3", "-m", other)
    assert (done.code, "alloy" in done.err) == (0, True)
    assert run("speech", "Hello", "-o", "b.mp3", "-m", other, "--voice", "nova").code == 0
    assert [request.body["voice"] for request in posts(stand_in)] == ["alloy", "nova"]


def test_a_voice_or_model_that_is_none(run, stand_in, folder):
    done = run("speech", "Hello", "-o", "a.mp3", "--voice", "bella")
    assert done.code == 1
    assert "en_paul_happy, en_paul_neutral" in done.err  # the server names them
    stand_in.requests.clear()
    done = run("speech", "Hello", "-o", "a.mp3", "-m", "openai/gpt-5-mini")
    assert done.code == 2
    assert "no speech model" in done.err and MODEL in done.err
    assert posts(stand_in) == []
    assert list(folder.iterdir()) == []


def test_a_chat_model_in_the_settings_is_not_asked_to_speak(run, stand_in):
    env = {"OPENROUTER_MODEL": "openai/gpt-5-mini"}
    assert run("speech", "Hello", "-o", "a.mp3", env=env).code == 0
    assert posts(stand_in)[0].body["model"] == MODEL


@pytest.mark.parametrize(
    ("arguments", "piped", "text"),
    [
        ([], "\ufeff파이프로 온 글\r\n", "파이프로 온 글"),
        (["먼저", "-"], "그다음", "먼저 \n\n그다음"),
        (["--file", "story.txt"], None, "옛날 옛적에"),
    ],
)
def test_the_text_may_come_from_a_pipe_or_a_file(run, stand_in, folder, arguments, piped, text):
    (folder / "story.txt").write_text("옛날 옛적에\n", encoding="utf-8-sig")
    assert run("speech", *arguments, "-o", "a.mp3", stdin=piped).code == 0
    assert posts(stand_in)[0].body["input"].split() == text.split()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["Hello"], "-o NAME"),
        (["Hello", "-o", "a.ogg"], "NAME.wav"),
        (["Hello", "-o", "없는 폴더/a.mp3"], "없는 폴더"),
        (["-o", "a.mp3"], "no text"),
        (["-o", "a.mp3", "--file", "missing.txt"], "missing.txt"),
    ],
)
def test_wrong_usage_costs_nothing(run, stand_in, folder, arguments, says):
    done = run("speech", *arguments)
    assert (done.code, done.out, stand_in.requests) == (2, "", [])
    assert says in done.err
    assert list(folder.iterdir()) == []


def test_no_key_is_one_sentence(run, stand_in):
    done = run("speech", "Hello", "-o", "a.mp3", key=None)
    assert (done.code, len(done.err.splitlines()), stand_in.requests) == (2, 1, [])
    assert "OPENROUTER_API_KEY" in done.err
