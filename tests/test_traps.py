"""Proves that the scripts don't fall into traps: odd names, options, replies."""

import json
import subprocess
from pathlib import Path
from time import time

import pytest
from conftest import KEY, ROOT, SCRIPTS, copied, lines
from stand_in import TEXT, png
from test_bulk import FAST, asked, encoded, numbered
from test_image_generation import images
from test_mutants import CHAT

NO_MODEL = {"error": {"message": "No endpoints found", "code": 404}}
FLAGGED = {"message": "Your input was flagged", "metadata": {"flagged_input": "pills per-day"}}
IN_AN_HOUR = str(int((time() + 3600) * 1000))
REFUSALS = {  # status, body and headers of the first reply
    "its own words are no limit": (403, {"error": {"code": 403, **FLAGGED}}, {}),
    "a limit elsewhere": (400, {"error": {"message": "No"}}, {"X-RateLimit-Reset": IN_AN_HOUR}),
    "no date": (400, {}, {"Retry-After": "Wed, 25 Nov 2026 10:00:00 +99999999999999"}),
}


@pytest.fixture
def bulk(run, tmp_path):
    def start(*args, items=3):
        (tmp_path / "in.jsonl").write_bytes(encoded(numbered(items)))
        command = ["bulk", "in.jsonl", "-o", "out.jsonl", "-m", "acme/one", "--concurrency", "1"]
        return run(*command, *args, cwd=tmp_path, edit=FAST)

    return start


@pytest.mark.parametrize("refusal", REFUSALS)
def test_one_items_refusal_stops_no_run(bulk, stand_in, tmp_path, refusal):
    status, body, headers = REFUSALS[refusal]
    stand_in.reply(CHAT, body, status=status, headers=headers, times=1)
    done = bulk()
    assert "[2 answered, 1 failed, 0 left" in done.err and len(asked(stand_in)) == 3


def test_error_without_a_cost_is_no_answer_without_a_cost(bulk, stand_in):
    stand_in.fail("error_200", CHAT, times=1)
    assert "[3 answered, 0 failed, 0 left" in bulk("--max-cost", "5").err


def test_a_budget_of_nothing_lets_free_answers_through(bulk, stand_in):
    stand_in.say(lambda body: {"content": TEXT, "usage": {"cost": 0}})
    done = bulk("--max-cost", "0", "--concurrency", "4", items=9)
    assert done.code == 0 and "[9 answered" in done.err


@pytest.mark.parametrize("text", [b'{"id": 1, "input": "precious"}', b'{"id": 1}\n', b"Dear diary"])
def test_output_that_is_something_else_is_not_touched(run, stand_in, tmp_path, text):
    (tmp_path / "one.jsonl").write_bytes(text)
    done = run("bulk", "one.jsonl", "-o", "one.jsonl", "-m", "acme/one", cwd=tmp_path)
    assert (done.code, stand_in.requests) == (1, [])
    assert (tmp_path / "one.jsonl").read_bytes() == text


@pytest.mark.parametrize("script", ["bulk", "tool_calling"])
def test_calls_that_were_forced_end_with_stop(run, stand_in, tmp_path, script):
    call = {"name": "current_time", "arguments": '{"utc_offset": 9}'}
    answers = iter([{"content": None, "tool_calls": [call], "finish_reason": "stop"}, TEXT])
    stand_in.say(lambda body: next(answers))
    (tmp_path / "in.jsonl").write_bytes(encoded(numbered(1)))
    args = ["in.jsonl", "-o", "out.jsonl"] if script == "bulk" else ["What time is it?"]
    done = run(script, *args, "-m", "acme/one", cwd=tmp_path)
    assert done.code == 0, done.err
    assert len(stand_in.requests) == (1 if script == "bulk" else 2)


@pytest.mark.parametrize("script", ["chat", "vision"])
def test_white_space_is_no_answer(run, stand_in, script):
    stand_in.say(" \n\t")
    done = run(script, "Hi", *(["https://example.com/a.png"] if script == "vision" else []))
    assert done.code == 1 and not done.out.strip()


@pytest.mark.parametrize("script", ["chat", "prompt", "fallback", "routing"])
def test_parameter_may_have_the_name_of_anything_here(run, stand_in, script):
    args = ["summarize", "Hi"] if script == "prompt" else ["Hi"]
    assert run(script, *args, "-o", "model=acme/other").code == 0
    assert stand_in.requests[0].body["model"] == "acme/other"


def test_privacy_flags_are_not_dropped_for_a_parameter(run, stand_in):
    run(
        "routing", "Hi", "--zdr", "--no-collection", "-o", 'provider={"order": ["x"], "zdr": false}'
    )
    sent = stand_in.requests[0].body["provider"]
    assert sent == {"order": ["x"], "zdr": True, "data_collection": "deny"}


@pytest.mark.parametrize(("name", "there"), [("pic[1]", "pic[1].png"), ("cat", "cat-2.png")])
def test_name_of_an_image_is_no_pattern(run, stand_in, tmp_path, name, there):
    (tmp_path / there).write_bytes(b"mine")
    done = run("image_generation", "x", "-o", name, "-n", "2", cwd=tmp_path)
    assert (done.code, stand_in.requests) == (1, []) and there in done.err
    assert (tmp_path / there).read_bytes() == b"mine"


def test_a_dot_in_a_name_is_kept(run, stand_in, tmp_path):
    stand_in.reply("/images", images(png()))
    done = run("image_generation", "x", "-o", "logo.v2", "-m", "acme/i", cwd=tmp_path)
    assert done.out == "logo.v2.png\n"


def test_batch_of_somebody_else_is_never_taken_for_ours(run, stand_in, tmp_path):
    stand_in.batch_states = ["completed"]
    for name in "ab":
        items = [{"id": f"{name}{n}", "input": f"{name} {n}"} for n in range(2)]
        (tmp_path / f"{name}.jsonl").write_bytes(encoded(items))
    run("batch", "submit", "a.jsonl", "-o", "a.out", "-m", "acme/one", cwd=tmp_path)
    stand_in.fail("502", "/batches", times=1)
    run("batch", "submit", "-o", "b.out", "-m", "acme/two", "b.jsonl", cwd=tmp_path)
    done = run("batch", "fetch", "-o", "b.out", cwd=tmp_path)
    assert done.code == 1 and (tmp_path / "b.out").read_bytes() == b""
    (tmp_path / "a.out").unlink()
    assert run("batch", "fetch", "-o", "a.out", cwd=tmp_path).code == 0
    assert len((tmp_path / "a.out").read_bytes().splitlines()) == 2


def test_batches_that_cannot_be_listed_or_have_no_results_yet(run, stand_in, tmp_path):
    stand_in.reply("/batches", {"error": {"message": "Listing is down", "code": 500}}, times=1)
    done = run("batch", "list")
    assert (done.code, done.out) == (1, "") and "Listing is down" in done.err
    (tmp_path / "in.jsonl").write_bytes(encoded(numbered(1)))
    run("batch", "submit", "in.jsonl", "-o", "out", "-m", "acme/one", cwd=tmp_path)
    before = (tmp_path / "out.batches.json").read_text()
    stand_in.reply("/batches/batch_*", {"id": "x", "status": "completed", "results": None})
    done = run("batch", "fetch", "-o", "out", cwd=tmp_path)
    assert done.code == 1 and "without results" in done.err
    assert (tmp_path / "out.batches.json").read_text() == before


def test_half_a_character_or_an_endless_number_does_not_cost_a_page(run, stand_in, tmp_path):
    stand_in.say({"content": "half \ud83d", "usage": {"completion_tokens": 10**400}})
    args = ["Hi", "-m", "acme/one", "-m", "acme/two", "--html", "page.html"]
    done = run("compare", *args, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "half" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_prompt_without_text_or_in_another_encoding_is_listed_too(run, tmp_path):
    script = copied(SCRIPTS / "prompt.py", tmp_path / "copy")
    folder = script.parent.parent / "prompts"
    (folder / "aa_empty.txt").write_bytes(b"")
    (folder / "ab_cp949.txt").write_bytes("안녕".encode("cp949"))
    done = run("prompt", script_path=script)
    assert len(lines(done.out)) == 2 + len([*(ROOT / "prompts").glob("*.txt")])


def test_odd_entry_of_the_catalogue_hides_no_free_model(run, stand_in):
    stand_in.reply("/models", {"data": [None, {}, "x", {"id": "acme/a:free"}]})
    assert "acme/a:free" in run("free_models").out


def test_secret_in_an_odd_place_is_not_printed(run, stand_in):
    done = run("migrate", "groq", "Hi", env={"GROQ_API_KEY": "gsk_abc\ngsk_def"})
    assert done.code == 1 and "gsk_" not in done.out + done.err
    for proxy in ("http://user:p/ss@127.0.0.1:9", "user:secret@127.0.0.1:9"):
        done = run("doctor", "--no-request", env={"HTTPS_PROXY": proxy})
        assert "127.0.0.1:9" in done.out and "ss@" not in done.out and "secret" not in done.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_stdout_that_fails_is_one_line(command, stand_in):
    stand_in.say({"content": "half", "finish_reason": "length"})
    arguments, environment, folder = command("vision", "Hi", "https://example.com/a.png", key=KEY)
    start = {"args": arguments, "env": environment, "cwd": folder, "stderr": subprocess.PIPE}
    with Path("/dev/full").open("wb") as full:
        for stdout in (full, subprocess.PIPE):
            with subprocess.Popen(stdout=stdout, **start) as process:
                (process.stdout or full).close()  # a reader that leaves at once
                err = process.stderr.read().decode()
            assert process.returncode == 1 and len(lines(err)) == 1, err


def test_key_that_a_server_repeats_is_not_printed_with_the_steps(run, stand_in):
    step = {"name": "a", "task": "Do it.", "needs": [], "model": "acme/one"}
    plan = {"content": json.dumps({"steps": [step]})}
    stand_in.say(lambda body: plan if "response_format" in body else TEXT)
    stand_in.reply(CHAT, {"error": {"message": f"Bad key {KEY}"}}, status=403, skip=1)
    done = run("orchestrate", "Why?", "-m", "acme/one")
    assert done.code == 1 and "Bad key [key]" in done.err
