"""Proves that image_generation asks rightly, keeps each image that came, and pays only once."""

import base64

import pytest
from conftest import lines
from stand_in import png

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(64)
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'


def posts(stand_in):
    return [call.body for call in stand_in.requests if call.method == "POST"]


def images(*data):
    found = [{"b64_json": base64.b64encode(one).decode()} for one in data]
    return {"created": 1, "data": found, "usage": {"cost": 0.25}}


def names(folder):
    return sorted(file.name for file in folder.iterdir() if file.is_file())


def test_text_to_an_image_file_by_the_cheapest_model(run, stand_in, tmp_path):
    done = run("image_generation", "-", "-o", "판다.jpg", stdin="우주의 레서판다", cwd=tmp_path)

    assert (done.code, done.out) == (0, "판다.png\n"), done.err
    assert names(tmp_path) == ["판다.png"], "its suffix is that of the image that came"
    assert (tmp_path / "판다.png").read_bytes().startswith(b"\x89PNG")
    (body,) = posts(stand_in)
    assert body == {"model": body["model"], "prompt": "우주의 레서판다"}
    choice, facts = lines(done.err)
    assert body["model"] in choice and "pricing" in choice and "'cost'" in facts


def test_options_and_images_to_begin_with(run, stand_in, tmp_path):
    (tmp_path / "old.webp").write_bytes(png())
    options = ["--resolution", "2K", "--aspect", "16:9", "--quality", "low", "-n", "2"]
    sources = ["old.webp", "https://example.com/b.png"]
    args = ["A cat", *options, "-m", "acme/paint", *sources, "-o", "cat"]
    stand_in.reply("/images", images(JPEG, SVG))
    done = run("image_generation", *args, cwd=tmp_path)

    assert (done.code, done.out) == (0, "cat-1.jpg\ncat-2.svg\n"), done.err
    (body,) = posts(stand_in)
    first, second = body.pop("input_references")
    assert first["image_url"]["url"].startswith("data:image/png;base64,")
    assert second["image_url"]["url"] == sources[1]
    more = {"resolution": "2K", "aspect_ratio": "16:9", "quality": "low", "n": 2}
    assert body == {"model": "acme/paint", "prompt": "A cat", **more}


@pytest.mark.parametrize("bad", [{"b64_json": "%%"}, {"b64_json": "PGh0bWw+"}, {}, None, "text"])
def test_what_came_is_kept_if_one_of_several_is_bad(run, stand_in, tmp_path, bad):
    reply = images(png(), png())
    reply["data"].insert(1, bad)
    stand_in.reply("/images", reply)
    done = run("image_generation", "A cat", "-o", "cat", "-m", "acme/paint", cwd=tmp_path)
    assert (done.code, done.out) == (1, "cat-1.png\ncat-3.png\n")
    assert names(tmp_path) == ["cat-1.png", "cat-3.png"]
    assert "image 2 of 3" in lines(done.err)[-1]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["-o", "cat"], "cat.png"),
        (["-o", "missing/cat"], "missing"),
        (["photo.txt", "-o", "new"], "photo.txt"),
        (["no.png", "-o", "new"], "no.png"),
    ],
)
def test_what_can_not_succeed_costs_nothing(run, stand_in, tmp_path, args, words):
    (tmp_path / "cat.png").write_bytes(b"mine")
    (tmp_path / "photo.txt").write_bytes(b"text")
    done = run("image_generation", "A cat", *args, cwd=tmp_path)
    assert (done.code, done.out, posts(stand_in)) == (1, "", []) and words in done.err
    assert names(tmp_path) == ["cat.png", "photo.txt"]
    assert run("image_generation", "A cat", "-o", "cat", "--force", cwd=tmp_path).code == 0
    assert (tmp_path / "cat.png").read_bytes() != b"mine"


def test_reply_without_images_is_an_error(run, stand_in, tmp_path):
    for reply in (images(), {"data": None}, {"error": {"message": "Not today"}}):
        stand_in.reply("/images", reply, times=1)
        done = run("image_generation", "A cat", "-o", "cat", "-m", "acme/paint", cwd=tmp_path)
        assert (done.code, done.out, names(tmp_path)) == (1, "", [])
    assert "Not today" in done.err
