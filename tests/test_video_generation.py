"""Proves that video_generation waits, downloads, survives passing errors, and can be resumed."""

import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import lines
from stand_in import FAULTS, MP4, data_url, png, reply

SHORT = {"POLL_SECONDS = 30": "POLL_SECONDS = 0.2", "Timeout(120, ": "Timeout(2, "}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    return folder


@pytest.fixture
def make(run, folder):
    """Run the script with short waits; the video goes to boat.mp4."""

    def make(*args, **options):
        edit = {**SHORT, **options.pop("edit", {})}
        return run("video_generation", *args, "-o", str(folder / "boat.mp4"), edit=edit, **options)

    return make


def routes(stand_in, method="GET"):
    return [call.route for call in stand_in.requests if call.method == method]


def submitted(stand_in):
    return [call.body for call in stand_in.requests if call.method == "POST"]


def resume_command(err: str) -> list[str]:
    """The arguments of the command that the script shows, quotes taken away."""
    match = re.search(r"--resume (\S+) -o \"([^\"]+)\"", err)
    assert match, err
    return ["--resume", match[1], "-o", match[2]]


def test_text_to_a_video_file(make, stand_in, folder):
    stand_in.video_states = ["pending", "in_progress", "completed"]
    done = make("시냇물 위의 종이배", "-m", "google/veo-3.1")

    assert done.code == 0, done.err
    assert done.out == f"{folder / 'boat.mp4'}\n"
    assert (folder / "boat.mp4").read_bytes() == MP4
    assert [*folder.iterdir()] == [folder / "boat.mp4"]
    assert submitted(stand_in) == [{"model": "google/veo-3.1", "prompt": "시냇물 위의 종이배"}]
    job = routes(stand_in)[1].removeprefix("/videos/")
    assert routes(stand_in) == ["/videos/models", *[f"/videos/{job}"] * 3, f"/videos/{job}/content"]
    price, *progress, cost = lines(done.err)
    assert "duration_seconds $0.40" in price
    assert [re.search(r": (\w+),", line)[1] for line in progress] == [
        "pending",
        "in_progress",
        "completed",
    ]
    assert all(job in line for line in progress)
    assert "$0.250000" in cost


def test_options_and_the_first_frame_reach_openrouter(make, stand_in, folder):
    (folder / "첫 장면.jpg").write_bytes(png())
    options = ["--duration", "4", "--resolution", "720p", "--aspect", "9:16"]
    done = make("It rains", *options, "--image", str(folder / "첫 장면.jpg"))

    assert done.code == 0, done.err
    (body,) = submitted(stand_in)
    (frame,) = body.pop("frame_images")
    assert body == {
        "model": "google/veo-3.1-lite",
        "prompt": "It rains",
        "duration": 4,
        "resolution": "720p",
        "aspect_ratio": "9:16",
    }
    assert frame["frame_type"] == "first_frame"
    assert frame["image_url"]["url"].startswith("data:image/png;")
    assert data_url(frame["image_url"]["url"], "image") == png()


def test_prompt_from_a_pipe(make, stand_in):
    assert make(stdin="종이배\n").code == 0
    assert submitted(stand_in)[0]["prompt"] == "종이배"


@pytest.mark.parametrize("state", ["failed", "cancelled", "expired"])
def test_each_end_without_a_video_is_told_with_its_reason(make, stand_in, folder, state):
    stand_in.video_states = ["in_progress", state]
    stand_in.video_error = "Content policy violation"
    done = make("A boat")

    assert done.code == 1
    assert done.out == ""
    assert state in lines(done.err)[-1]
    assert "Content policy violation" in lines(done.err)[-1]
    assert "--resume" not in done.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("fault", ["500", "502", "503", "html_502", "drop_headers", "429_minute"])
def test_polling_survives_what_passes(make, stand_in, folder, fault):
    stand_in.fail(fault, "/videos/video-*", times=3)
    done = make("A boat")

    assert done.code == 0, done.err
    assert (folder / "boat.mp4").read_bytes() == MP4
    assert done.err.count("no answer") == 3
    assert len(submitted(stand_in)) == 1


def test_polling_survives_silence(make, stand_in, folder):
    stand_in.fail("hang", "/videos/video-*", times=1)
    assert make("A boat").code == 0
    assert (folder / "boat.mp4").read_bytes() == MP4


def test_polling_gives_up_in_the_end_and_can_be_resumed(make, run, stand_in, folder):
    stand_in.fail("503", "/videos/video-*")
    done = make("A boat", edit={"PATIENCE_SECONDS = 600": "PATIENCE_SECONDS = 0.5"})

    assert done.code == 1
    assert "503" in lines(done.err)[-1]
    assert 2 <= len(routes(stand_in)) <= 10
    stand_in._faults.clear()
    again = run("video_generation", *resume_command(done.err))
    assert again.code == 0, again.err
    assert (folder / "boat.mp4").read_bytes() == MP4
    assert len(submitted(stand_in)) == 1


@pytest.mark.parametrize("fault", ["error_200", "html", "null_200", "bad_json", "401", "402"])
def test_what_does_not_pass_ends_the_wait_and_shows_how_to_go_on(make, stand_in, folder, fault):
    stand_in.fail(fault, "/videos/video-*")
    done = make("A boat")

    assert done.code == 1
    assert re.search(FAULTS[fault].says, lines(done.err)[-1], re.IGNORECASE)
    assert resume_command(done.err)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("fault", ["502", "drop_headers", "error_200", "html", "empty", "hang"])
def test_download_that_fails_leaves_no_file_and_can_be_resumed(make, run, stand_in, folder, fault):
    stand_in.fail(fault, "/videos/*/content", times=1)
    done = make("A boat")

    assert done.code == 1
    assert done.out == ""
    assert list(folder.iterdir()) == []
    again = run("video_generation", *resume_command(done.err))
    assert again.code == 0, again.err
    assert again.out == f"{folder / 'boat.mp4'}\n"
    assert "$0.250000" in again.err
    assert len(submitted(stand_in)) == 1


def test_video_cut_short_is_no_video(make, stand_in, monkeypatch, folder):
    from aiohttp import web

    def short(call, id):
        return web.Response(body=b"", content_type="video/mp4")

    monkeypatch.setattr(stand_in, "video_content", short)
    assert make("A boat").code == 1
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process alone")
def test_ctrl_c_shows_how_to_go_on(command, run, stand_in, folder):
    stand_in.video_states = ["in_progress"]
    file = folder / "boat.mp4"
    arguments, environment, cwd = command("video_generation", "A boat", "-o", str(file))
    process = subprocess.Popen(
        arguments,
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    until = time.monotonic() + 20
    while len(stand_in.requests) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err
    for job in stand_in._jobs.values():
        job["states"] = ["completed"]
    again = run("video_generation", *resume_command(err.decode()))
    assert again.code == 0, again.err
    assert file.read_bytes() == MP4
    assert len(submitted(stand_in)) == 1


def test_resume_starts_no_job_and_says_when_there_is_none(make, stand_in):
    done = make("--resume", "video-없음/../1")

    assert done.code == 1
    assert "Job not found" in done.err
    assert routes(stand_in) == ["/videos/video-%EC%97%86%EC%9D%8C%2F..%2F1"]
    assert submitted(stand_in) == []


@pytest.mark.parametrize("fault", ["hang", "drop_headers"])
def test_lost_submission_is_not_repeated_and_may_be_billed(make, stand_in, fault):
    stand_in.fail(fault, "/videos")
    done = make("A boat")

    assert done.code == 1
    assert "billed" in done.err
    assert "https://openrouter.ai/activity" in done.err
    assert len(submitted(stand_in)) == 1


@pytest.mark.parametrize("fault", ["502", "429_upstream", "408"])
def test_refused_submission_is_not_repeated(make, stand_in, fault):
    stand_in.fail(fault, "/videos", times=1)
    assert make("A boat").code == 1
    assert len(submitted(stand_in)) == 1


def test_existing_file_costs_nothing_and_force_overwrites(make, stand_in, folder):
    (folder / "boat.mp4").write_bytes(b"mine")
    done = make("A boat")

    assert done.code == 2
    assert "--force" in done.err
    assert stand_in.requests == []
    assert (folder / "boat.mp4").read_bytes() == b"mine"
    assert make("A boat", "--force").code == 0
    assert (folder / "boat.mp4").read_bytes() == MP4


@pytest.mark.parametrize("frame", ["missing.png", "text.png"])
def test_first_frame_that_is_no_image_costs_nothing(make, stand_in, folder, frame):
    (folder / "text.png").write_text("그림이 아니다", encoding="utf-8")
    done = make("A boat", "--image", str(folder / frame))

    assert done.code == 2
    assert frame in lines(done.err)[-1]
    assert submitted(stand_in) == []


@pytest.mark.parametrize(
    "args", [["A boat"], ["-o", "boat.mp4"], ["A boat", "-o", "no/boat.mp4"]],
    ids=["no name", "no prompt", "no folder"],
)  # fmt: skip
def test_wrong_usage_costs_nothing(run, stand_in, args):
    done = run("video_generation", *args)

    assert done.code == 2
    assert len(lines(done.err)) == 1
    assert stand_in.requests == []


def test_models_tells_what_each_can_do_and_costs(run, stand_in):
    done = run("video_generation", "--models")

    assert done.code == 0, done.err
    (line,) = lines(done.out)
    for fact in ("google/veo-3.1:", "duration_seconds $0.40", "durations 4 6 8", "720p", "9:16"):
        assert fact in line
    assert routes(stand_in) == ["/videos/models"]
    assert submitted(stand_in) == []


def test_replies_that_say_little(make, run, stand_in, monkeypatch, folder):
    monkeypatch.setattr(stand_in, "video_models", lambda call: reply({"data": [{"id": "a/b"}, {}]}))
    assert len(lines(run("video_generation", "--models").out)) == 2
    monkeypatch.setattr(stand_in, "video_status", lambda call, id: reply({"status": "completed"}))
    monkeypatch.setattr(
        stand_in, "_job", lambda id: {"status": "completed"}
    )  # what the download looks at
    done = make("A boat")

    assert done.code == 0, done.err
    assert "cost unknown" in done.err
