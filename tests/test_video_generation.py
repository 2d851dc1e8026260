"""Proves that video_generation waits, downloads, pays only once, and can be resumed."""

import re
import signal
from functools import partial

import pytest
from conftest import lines, posix, wait_until
from stand_in import MP4, png

FAST = {"POLL_SECONDS = 30": "POLL_SECONDS = 0.1"}


@pytest.fixture
def make(run, tmp_path):
    """Run the script with short waits; the video goes to boat.mp4."""
    return partial(run, "video_generation", "-o", "boat.mp4", edit=FAST, cwd=tmp_path)


def routes(stand_in):
    return [call.route for call in stand_in.requests if call.method == "GET"]


def submitted(stand_in):
    return [call.body for call in stand_in.requests if call.method == "POST"]


def files(tmp_path):
    return [file.name for file in tmp_path.iterdir() if file.name.startswith("boat")]


def test_text_to_a_video_file_by_the_cheapest_model(make, stand_in, tmp_path):
    stand_in.video_states = ["pending", "in_progress", "completed"]
    done = make(stdin="시냇물 위의 종이배")

    assert (done.code, done.out, files(tmp_path)) == (0, "boat.mp4\n", ["boat.mp4"]), done.err
    assert (tmp_path / "boat.mp4").read_bytes() == MP4
    (body,) = submitted(stand_in)
    assert body == {"model": body["model"], "prompt": "시냇물 위의 종이배"}
    price, resume, *progress, cost = lines(done.err)
    assert body["model"] in price and "duration_seconds" in price, "named before it costs"
    job = re.search(r"--resume (\S+)\]", resume)[1]
    assert routes(stand_in)[2:] == [f"/videos/{job}"] * 3 + [f"/videos/{job}/content"]
    assert [re.match(r"\[(\w+),", line)[1] for line in progress] == stand_in.video_states
    assert "0.25" in cost


def test_options_and_the_first_frame_reach_openrouter(make, stand_in, tmp_path):
    (tmp_path / "첫 장면.png").write_bytes(png())
    options = ["--duration", "4", "--resolution", "720p", "--aspect", "9:16"]
    make("It rains", *options, "--image", "첫 장면.png", "-m", "google/veo-3.1")
    (body,) = submitted(stand_in)
    (frame,) = body.pop("frame_images")
    assert body == {
        "model": "google/veo-3.1",
        "prompt": "It rains",
        "duration": 4,
        "resolution": "720p",
        "aspect_ratio": "9:16",
    }
    assert frame["frame_type"] == "first_frame"
    assert frame["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("state", ["failed", "cancelled", "expired"])
def test_each_end_without_a_video_is_told_with_its_reason(make, stand_in, tmp_path, state):
    stand_in.video_states = ["in_progress", state]
    done = make("A boat")
    assert (done.code, done.out, files(tmp_path)) == (1, "", [])
    assert state in lines(done.err)[-1] and stand_in.video_error in lines(done.err)[-1]


@pytest.mark.parametrize("path", ["/videos/video-*", "/videos/*/content"])
@pytest.mark.parametrize("fault", ["502", "html", "drop_headers"])
def test_what_was_paid_for_can_be_resumed(make, stand_in, tmp_path, path, fault):
    stand_in.fail(fault, path, times=1)
    done = make("A boat")
    assert (done.code, done.out, files(tmp_path)) == (1, "", [])
    job = re.search(r"--resume (\S+)\]", done.err)[1]
    done = make("--resume", job)
    assert (done.code, done.out) == (0, "boat.mp4\n") and len(submitted(stand_in)) == 1


@posix
def test_ctrl_c_shows_how_to_go_on(begin, stand_in, tmp_path):
    stand_in.video_states = ["in_progress"]
    process = begin("video_generation", "A boat", "-o", "boat.mp4", cwd=tmp_path)
    assert wait_until(lambda: any("/videos/video-" in route for route in routes(stand_in)))
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=10)[1]
    assert process.returncode == 130 and b"--resume" in err and files(tmp_path) == []


def test_existing_file_or_missing_folder_costs_nothing(make, run, stand_in, tmp_path):
    (tmp_path / "boat.mp4").write_text("mine")
    assert make("A boat").code == 1
    assert run("video_generation", "A boat", "-o", "missing/a.mp4", cwd=tmp_path).code == 1
    assert stand_in.requests == []
    assert make("A boat", "--force").code == 0 and (tmp_path / "boat.mp4").read_bytes() == MP4
