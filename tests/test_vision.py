"""Proves that vision sends images as what their bytes are, and nothing that is no image."""

import base64

import pytest
from conftest import lines, named
from stand_in import TEXT, png

PNG = png()
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(64)
GIF = b"GIF89a\x01\x00\x01\x00" + bytes(32)
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(32)


def sent(stand_in):
    """The parts of the user's message."""
    return stand_in.requests[-1].body["messages"][1]["content"]


def image(data, kind):
    url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.fixture
def file(tmp_path):
    """file(name, data) -> its path, as text."""

    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return write


def refused(done, stand_in, *words):
    assert done.code == 2, done.err
    assert len(lines(done.err)) == 1, done.err
    assert done.out == ""
    for word in words:
        assert named(word, done.err), done.err
    assert stand_in.requests == [], "it was sent"


def test_question_and_image_are_sent(run, stand_in, file):
    done = run("vision", "뭐라고 쓰여 있어?", file("영수증 1.png", PNG))

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    assert len(lines(done.err)) == 1
    assert done.err.startswith("[nvidia/nemotron-nano-omni:free, "), "a free model that can see"
    (request,) = stand_in.requests
    assert request.body["model"] == "openrouter/free"
    assert request.body["messages"][0]["role"] == "system"
    assert sent(stand_in) == [
        {"type": "text", "text": "뭐라고 쓰여 있어?"},
        image(PNG, "image/png"),
    ]


def test_type_comes_from_the_bytes_and_not_from_the_name(run, stand_in, file):
    files = [
        file("photo.jpg", PNG),
        file("photo.png", JPEG),
        file("photo.txt", GIF),
        file("photo", WEBP),
        file("photo.pdf", GIF.replace(b"89a", b"87a")),
    ]
    done = run("vision", "What?", *files)

    assert done.code == 0, done.err
    kinds = [part["image_url"]["url"].split(";")[0] for part in sent(stand_in)[1:]]
    assert kinds == [f"data:image/{kind}" for kind in ("png", "jpeg", "gif", "webp", "gif")]


def test_urls_pass_as_they_are_among_files(run, stand_in, file):
    urls = ["https://example.com/a b.png?x=1", "http://example.com/한글.jpg"]
    done = run("vision", "What changed?", urls[0], file("a.png", PNG), urls[1])

    assert done.code == 0, done.err
    assert sent(stand_in)[1:] == [
        {"type": "image_url", "image_url": {"url": urls[0]}},
        image(PNG, "image/png"),
        {"type": "image_url", "image_url": {"url": urls[1]}},
    ]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("report.pdf", b"%PDF-1.7\n" + bytes(64)),
        ("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("photo.jpg", b""),
        ("sound.webp", b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(32)),
        ("photo.heic", b"\x00\x00\x00\x18ftypheic" + bytes(32)),
    ],
)
def test_what_is_no_image_is_refused(run, stand_in, file, name, data):
    refused(run("vision", "What?", file(name, data)), stand_in, name, "PNG")


def test_large_image_is_refused_before_anything_is_read(run, stand_in, tmp_path):
    path = tmp_path / "huge.png"
    with path.open("wb") as huge:
        huge.write(PNG)
        huge.truncate(30_000_000)
    refused(run("vision", "What?", str(path)), stand_in, "huge.png", "30 MB", "20")


def test_image_below_the_limit_passes(run, stand_in, file):
    data = PNG + bytes(19_000_000)
    done = run("vision", "What?", file("large.png", data))

    assert done.code == 0, done.err
    assert sent(stand_in)[1] == image(data, "image/png")


def test_directory_is_refused(run, stand_in, tmp_path):
    (tmp_path / "photos").mkdir()
    refused(run("vision", "What?", str(tmp_path / "photos")), stand_in, "photos")


def test_missing_file_is_refused(run, stand_in):
    refused(run("vision", "What?", "no-such.png"), stand_in, "no-such.png")


def test_one_bad_file_stops_the_good_ones(run, stand_in, file):
    arguments = [file("a.png", PNG), "https://example.com/b.png", file("c.png", b"no image")]
    refused(run("vision", "What?", *arguments), stand_in, "c.png")


def test_no_image_at_all_is_wrong_usage(run, stand_in):
    done = run("vision", "What?")

    assert done.code == 2
    assert "image" in done.err
    assert stand_in.requests == []


def test_empty_question_is_refused(run, stand_in, file):
    refused(run("vision", "", file("a.png", PNG)), stand_in, "no text")


@pytest.mark.parametrize(
    ("question", "text"), [("-", "piped {{x}}"), ("Is this so?", "Is this so?\n\npiped {{x}}")]
)
def test_question_from_a_pipe(run, stand_in, file, question, text):
    run("vision", question, file("a.png", PNG), stdin="piped {{x}}\n")

    assert sent(stand_in)[0] == {"type": "text", "text": text}


def test_model_and_prompt_can_be_named(run, stand_in, file):
    more = ["-m", "google/gemini-2.5-flash", "--prompt", file("mine.txt", "한 줄로.".encode())]
    done = run("vision", "What?", file("a.png", PNG), *more)

    assert done.code == 0, done.err
    assert stand_in.requests[0].body["model"] == "google/gemini-2.5-flash"
    assert stand_in.requests[0].body["messages"][0]["content"] == "한 줄로."


def test_model_that_sees_nothing_is_told(run, stand_in, file):
    done = run("vision", "What?", file("a.png", PNG), "-m", "deepseek/deepseek-r1")

    assert (done.code, done.out) == (1, "")
    assert len(lines(done.err)) == 1
    assert named("404.*image input", done.err)
