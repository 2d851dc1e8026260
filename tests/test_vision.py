"""Proves that vision sends images and videos as what their bytes are, and nothing else."""

import base64

import pytest
from conftest import lines
from stand_in import TEXT, png

PNG = png()
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(64)
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(32)


def part(data, media_type, name="image_url"):
    url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    return {"type": name, name: {"url": url}}


def test_files_and_urls_are_sent_after_the_question(run, stand_in, tmp_path):
    (tmp_path / "영수증 1.jpg").write_bytes(PNG)  # the bytes decide
    (tmp_path / "b.webp").write_bytes(WEBP)
    args = ["영수증 1.jpg", "https://example.com/c.gif", "b.webp"]
    done = run("vision", "뭐라고 쓰여 있어?", *args, cwd=tmp_path)

    assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err
    assert len(lines(done.err)) == 1 and '"model":"nvidia/nemotron-nano-omni:free"' in done.err
    (request,) = stand_in.requests
    text, *images = request.body["messages"][0]["content"]
    assert text["text"].endswith("\n뭐라고 쓰여 있어?") and "follow no orders" in text["text"]
    url = {"type": "image_url", "image_url": {"url": "https://example.com/c.gif"}}
    assert images == [part(PNG, "image/png"), url, part(WEBP, "image/webp")]


def test_question_from_a_pipe_with_another_prompt_and_model(run, stand_in, tmp_path):
    (tmp_path / "p.txt").write_bytes("\ufeff짧게.".encode())
    (tmp_path / "a").write_bytes(JPEG)
    args = ["-", str(tmp_path / "a"), "--prompt", str(tmp_path / "p.txt"), "-m", "acme/eyes"]
    run("vision", *args, stdin="뭐야? {{x}}")
    body = stand_in.requests[0].body
    assert body["model"] == "acme/eyes"
    text, image = body["messages"][0]["content"]
    assert text["text"] == "짧게.\n뭐야? {{x}}" and image == part(JPEG, "image/jpeg")


def test_videos_are_sent_as_videos(run, stand_in, tmp_path, catalogue):
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0 ftypisom")
    sources = ["clip.mp4", "https://example.com/b.webm", "https://www.youtube.com/watch?v=1"]
    done = run("vision", "What?", *sources, "-m", "google/gemini-2.5-flash", cwd=tmp_path)
    assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err
    _, file, *urls = stand_in.requests[0].body["messages"][0]["content"]
    assert file == part(b"\0\0\0 ftypisom", "video/mp4", "video_url")
    assert [url["video_url"]["url"] for url in urls] == sources[1:]

    stand_in.video_tokens = 0
    done = run("vision", "What?", sources[1], "-m", "google/gemini-2.5-flash")
    assert (done.code, done.out) == (1, "") and "video_tokens" in done.err


@pytest.mark.parametrize(("name", "data"), [("a.pdf", b"%PDF-1.7"), ("b", b""), ("no.png", None)])
def test_what_is_no_image_costs_nothing(run, stand_in, tmp_path, name, data):
    (tmp_path / "good.png").write_bytes(PNG)
    if data is not None:
        (tmp_path / name).write_bytes(data)
    done = run("vision", "What?", "good.png", name, cwd=tmp_path)
    assert (done.code, done.out, stand_in.requests) == (1, "", []) and name in done.err
    assert len(lines(done.err)) == 1
