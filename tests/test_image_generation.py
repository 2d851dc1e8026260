"""Proves that image_generation asks rightly, keeps each image that came, and pays only once."""

import base64

import pytest
from conftest import lines
from PIL import Image
from stand_in import data_url, picture, png, reply

HANG = {"Timeout(REPLY_SECONDS, connect=10)": "Timeout(1, connect=1)"}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


@pytest.fixture
def send(stand_in, monkeypatch):
    """Have the stand-in send these images, and nothing else, whatever it is asked for."""

    def send(*images, **more):
        whole = {"created": 1, "data": list(images), **more}
        monkeypatch.setattr(stand_in, "images", lambda call: reply(whole))

    return send


def image(data: bytes, media_type: str | None = None) -> dict:
    whole = {"b64_json": base64.b64encode(data).decode()}
    return whole | ({"media_type": media_type} if media_type else {})


def generations(stand_in):
    return [call.body for call in stand_in.requests if call.method == "POST"]


def size(file):
    with Image.open(file) as picture:
        picture.load()
        return picture.size


def test_text_to_an_image_file(run, stand_in, folder):
    done = run("image_generation", "우주의 레서판다", "-o", str(folder / "판다"))

    assert done.code == 0, done.err
    assert done.out == f"{folder / '판다.png'}\n"
    assert size(folder / "판다.png") == (8, 8)
    assert [call.route for call in stand_in.requests] == ["/images"]
    assert generations(stand_in) == [
        {"model": "bytedance-seed/seedream-4.5", "prompt": "우주의 레서판다"}
    ]
    assert len(lines(done.err)) == 1
    assert "seedream-4.5" in done.err
    assert "$0.040000" in done.err


def test_options_reach_openrouter_by_their_names(run, stand_in, folder):
    options = ["--resolution", "2K", "--aspect", "16:9", "--quality", "low", "--number", "2"]
    options += ["-m", "acme/paint", "-o", str(folder / "cat")]
    done = run("image_generation", "A cat", *options)

    assert done.code == 0, done.err
    assert generations(stand_in) == [
        {
            "model": "acme/paint",
            "prompt": "A cat",
            "n": 2,
            "resolution": "2K",
            "aspect_ratio": "16:9",
            "quality": "low",
        }
    ]


def test_size_that_contradicts_is_told_with_the_servers_reason(run, stand_in, folder):
    options = ["--size", "64x64", "--aspect", "1:1"]
    done = run("image_generation", "A cat", "-o", str(folder / "cat"), *options)

    assert done.code == 1
    assert "size contradicts" in done.err
    assert list(folder.iterdir()) == []


def test_reference_images_go_by_their_bytes_not_their_names(run, stand_in, folder):
    jpeg = picture("jpeg")[0]
    (folder / "사진.png").write_bytes(jpeg)
    (folder / "drawing.jpg").write_bytes(png())
    url = "https://example.com/a.webp"
    sources = [str(folder / "사진.png"), str(folder / "drawing.jpg"), url]
    # The references may also come after options.
    done = run("image_generation", "Mix them", "-o", str(folder / "mix"), *sources)

    assert done.code == 0, done.err
    references = [one["image_url"]["url"] for one in generations(stand_in)[0]["input_references"]]
    assert [one.partition(";")[0] for one in references[:2]] == [
        "data:image/jpeg",
        "data:image/png",
    ]
    assert [data_url(one, "image") for one in references[:2]] == [jpeg, png()]
    assert references[2] == url


@pytest.mark.parametrize("name", ["missing.png", "text.png"])
def test_reference_that_is_no_image_costs_nothing(run, stand_in, folder, name):
    (folder / "text.png").write_text("그림이 아니다", encoding="utf-8")
    done = run("image_generation", "A cat", str(folder / name), "-o", str(folder / "cat"))

    assert done.code == 2
    assert len(lines(done.err)) == 1
    assert name in done.err
    assert stand_in.requests == []


def test_prompt_from_a_pipe(run, stand_in, folder):
    done = run("image_generation", "-", "-o", str(folder / "cat"), stdin="\ufeff고양이 한 마리\r\n")

    assert done.code == 0, done.err
    assert generations(stand_in)[0]["prompt"] == "고양이 한 마리"


def test_several_images_are_numbered(run, folder):
    done = run("image_generation", "A cat", "-o", str(folder / "cat.png"), "-n", "3")

    assert done.code == 0, done.err
    files = [folder / f"cat-{number}.png" for number in (1, 2, 3)]
    assert done.out.splitlines() == list(map(str, files))
    assert sorted(folder.iterdir()) == files
    assert {size(file) for file in files} == {(8, 8)}
    assert "$0.120000" in done.err


@pytest.mark.parametrize("format", ["jpeg", "webp", "gif"])
@pytest.mark.parametrize("told", [True, False])
def test_suffix_is_that_of_the_image_that_came(run, send, folder, format, told):
    data, media_type = picture(format)
    send(image(data, media_type if told else None))
    done = run("image_generation", "A cat", "-o", str(folder / "cat.png"))

    file = folder / ("cat.jpg" if format == "jpeg" else f"cat.{format}")
    assert done.code == 0, done.err
    assert done.out == f"{file}\n"
    assert [*folder.iterdir()] == [file]
    assert size(file) == (8, 8)
    assert "cost unknown" in done.err


def test_svg_and_unknown_kinds_are_kept(run, send, folder):
    drawing, kind = picture("svg")
    send(image(drawing, kind), image(b"odd", "../../image/odd"), image(b"odder"))
    done = run("image_generation", "A cat", "-o", str(folder / "cat"), "-n", "3")

    assert done.code == 0, done.err
    assert (folder / "cat-1.svg").read_bytes() == drawing
    assert (folder / "cat-2.bin").read_bytes() == b"odd"
    assert (folder / "cat-3.bin").read_bytes() == b"odder"
    assert len([*folder.iterdir()]) == 3


@pytest.mark.parametrize(
    "bad", [{"b64_json": "not base64!"}, {"b64_json": ""}, {"b64_json": None}, {}, {"url": "x"}]
)
def test_what_came_is_kept_if_one_of_several_is_bad(run, send, folder, bad):
    send(image(png()), bad, image(png()), usage={"cost": 0.12})
    done = run("image_generation", "A cat", "-o", str(folder / "cat"), "-n", "3")

    assert done.code == 1
    assert done.out.splitlines() == [str(folder / "cat-1.png"), str(folder / "cat-3.png")]
    assert {size(file) for file in folder.iterdir()} == {(8, 8)}
    assert "$0.120000" in done.err
    assert "Image 2 of 3" in lines(done.err)[-1]


@pytest.mark.parametrize("data", [[], ["text"], [None], "text", {"b64_json": "x"}])
def test_reply_without_images_is_one_sentence(run, stand_in, monkeypatch, folder, data):
    monkeypatch.setattr(stand_in, "images", lambda call: reply({"data": data}))
    done = run("image_generation", "A cat", "-o", str(folder / "cat"))

    assert done.code == 1
    assert len(lines(done.err)) == 1
    assert done.out == ""
    assert list(folder.iterdir()) == []


def test_more_or_fewer_images_than_asked_for_are_kept(run, send, folder):
    send(image(png()), image(png()))
    assert run("image_generation", "A cat", "-o", str(folder / "one")).code == 0
    send(image(png()))
    assert run("image_generation", "A cat", "-o", str(folder / "four"), "-n", "4").code == 0

    assert sorted(file.name for file in folder.iterdir()) == [
        "four-1.png",
        "one-1.png",
        "one-2.png",
    ]


@pytest.mark.parametrize(
    ("taken", "options"),
    [("cat.png", []), ("cat.webp", []), ("cat-2.jpg", ["-n", "2"])],
)
def test_an_image_of_the_name_is_found_before_anything_is_paid(
    run, stand_in, folder, taken, options
):
    (folder / taken).write_bytes(b"mine")
    done = run("image_generation", "A cat", "-o", str(folder / "cat.png"), *options)

    assert done.code == 2
    assert taken in done.err
    assert "--force" in done.err
    assert stand_in.requests == []
    assert (folder / taken).read_bytes() == b"mine"


def test_force_overwrites(run, folder):
    (folder / "cat.png").write_bytes(b"mine")
    assert run("image_generation", "A cat", "-o", str(folder / "cat"), "--force").code == 0
    assert size(folder / "cat.png") == (8, 8)
    assert [*folder.iterdir()] == [folder / "cat.png"]


def test_name_with_dots_and_a_folder_as_name(run, folder):
    done = run("image_generation", "A cat", "-o", str(folder / "v1.5 final"))
    assert done.out == f"{folder / 'v1.5 final.png'}\n"
    done = run("image_generation", "A cat", "-o", str(folder))
    assert done.out == f"{folder / 'image.png'}\n"


@pytest.mark.parametrize(
    "args",
    [["A cat"], ["-o", "cat"], ["A cat", "-o", "no/cat"], ["A cat", "-o", "cat", "-n", "11"]],
    ids=["no name", "no prompt", "no folder", "too many"],
)
def test_wrong_usage_costs_nothing(run, stand_in, args):
    done = run("image_generation", *args)

    assert done.code == 2
    assert stand_in.requests == []


@pytest.mark.parametrize("fault", ["hang", "drop_headers", "drop"])
def test_lost_reply_says_that_it_may_have_been_billed_and_is_not_retried(
    run, stand_in, folder, fault
):
    stand_in.fail(fault)
    done = run("image_generation", "A cat", "-o", str(folder / "cat"), edit=HANG)

    assert done.code == 1
    assert "may have been billed" in done.err
    assert "https://openrouter.ai/activity" in done.err
    assert len(stand_in.requests) == 1
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("fault", ["502", "503", "429_upstream", "408"])
def test_refusals_are_not_retried(run, stand_in, folder, fault):
    stand_in.fail(fault, times=1)
    assert run("image_generation", "A cat", "-o", str(folder / "cat")).code == 1
    assert len(stand_in.requests) == 1


def test_models_tells_what_each_can_do_without_making_one(run, stand_in):
    done = run("image_generation", "--models")

    assert done.code == 0, done.err
    assert generations(stand_in) == []
    line = next(line for line in done.out.splitlines() if line.startswith("bytedance-seed/"))
    assert "text image" in line
    assert "resolution 1K 2K 4K" in line
    assert "n 1 4" in line


def test_models_that_say_little_are_listed(run, stand_in, monkeypatch):
    sparse = [{"id": "a/b"}, {"id": "a/c", "architecture": None, "supported_parameters": None}, {}]
    monkeypatch.setattr(stand_in, "image_models", lambda call: reply({"data": sparse}))
    done = run("image_generation", "--models")

    assert done.code == 0, done.err
    assert len(lines(done.out)) == 3
