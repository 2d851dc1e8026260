"""Proves that batch submits each item once, fetches what has ended, and forgets nothing."""

import json
import time

import pytest
from conftest import lines
from stand_in import TEXT

ITEMS = [
    {"id": "하나", "input": "First {{x}}"},
    {"id": 2, "messages": [{"role": "user", "content": "Second"}], "max_tokens": 9},
    {"input": "Third", "model": "acme/other"},
]
STATE = "out.jsonl.batches.json"


@pytest.fixture
def batch(run, tmp_path):
    """batch(action, …) -> Result, in a folder with in.jsonl."""
    write(tmp_path / "in.jsonl", ITEMS)

    def start(action, *args, **options):
        name = ["in.jsonl"] if action == "submit" else []
        return run("batch", action, *name, "-o", "out.jsonl", *args, cwd=tmp_path, **options)

    return start


def write(path, items):
    text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
    path.write_text(text, encoding="utf-8")


def output(tmp_path):
    text = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    return {line["id"]: line for line in map(json.loads, text.splitlines())}


def state(tmp_path):
    return json.loads((tmp_path / STATE).read_text(encoding="utf-8"))


def posts(stand_in):
    return [call.body for call in stand_in.requests if call.method == "POST"]


def test_items_go_out_by_model_and_come_back_as_lines_of_bulk(batch, run, stand_in, tmp_path):
    stand_in.batch_states = ["in_progress", "completed"]
    stand_in.say(lambda body: f"Re: {body['messages'][0]['content']}")
    done = batch("submit")
    assert done.code == 0, done.err
    first, second = posts(stand_in)
    assert list(first) == ["endpoint", "model", "requests"], "the requests come last"
    assert first["model"] == "openai/gpt-5-mini" and second["model"] == "acme/other"
    assert "openai/gpt-5-mini:batch" in lines(done.err)[0] and "pricing" in lines(done.err)[0]
    bodies = [request["body"] for request in first["requests"]]
    assert bodies == [
        {"messages": [{"role": "user", "content": "First {{x}}"}]},
        {"messages": [{"role": "user", "content": "Second"}], "max_tokens": 9},
    ]
    assert batch("submit").code == 0 and len(posts(stand_in)) == 2, "they are under way"

    assert "in_progress" in batch("status").out and output(tmp_path) == {}
    listed = lines(run("batch", "list").out)
    assert len(listed) == 2 and all("in_progress" in line for line in listed)
    done = batch("fetch")
    assert done.code == 0 and "completed" in done.out and state(tmp_path) == []
    assert output(tmp_path).keys() == {"하나", 2, 3}
    answers = {item_id: line["answer"] for item_id, line in output(tmp_path).items()}
    assert answers == {"하나": "Re: First {{x}}", 2: "Re: Second", 3: "Re: Third"}
    line = output(tmp_path)["하나"]
    assert line["finish_reason"] == "stop" and line["cost"] is None
    assert run("bulk", "in.jsonl", "-o", "out.jsonl", cwd=tmp_path).code == 0
    assert batch("submit").code == 0 and len(posts(stand_in)) == 2, "all is done"


def test_failed_items_are_lines_with_errors_and_are_sent_again(batch, stand_in, tmp_path):
    stand_in.batch_states, stand_in.item_errors = ["completed"], {"1": "no such tool"}
    batch("submit", "-m", "acme/one")
    done = batch("fetch")
    assert done.code == 1 and "2 failed" in lines(done.err)[-1]
    assert "no such tool" in output(tmp_path)[2]["error"]["message"]
    assert batch("fetch").code == 0
    batch("submit", "-m", "acme/one")
    (request,) = posts(stand_in)[-1]["requests"]
    assert request["body"]["messages"][0]["content"] == "Second"


def test_failed_batch_says_why_and_its_items_are_sent_again(batch, stand_in, tmp_path):
    stand_in.batch_states = ["failed"]
    batch("submit", "-m", "acme/one")
    done = batch("fetch")
    assert done.code == 1 and stand_in.batch_error in done.out and "no result" in done.err
    assert batch("submit").code == 0 and len(posts(stand_in)) == 4


def test_one_batch_that_can_not_be_read_does_not_hide_the_other(batch, stand_in, tmp_path):
    stand_in.batch_states = ["completed"]
    batch("submit")
    stand_in.fail("502", "/batches/batch_*", times=1)
    done = batch("fetch")
    assert done.code == 1 and "502" in done.err
    assert len(state(tmp_path)) == 1 and len(output(tmp_path)) == 1
    assert batch("fetch").code == 0 and len(output(tmp_path)) == 3


ODD = [None, 5, "text", [], {}, {"a": 1}, [None], True]


@pytest.mark.parametrize("path", [(), ("custom_id",), ("response",), ("response", "body"),
                                  ("response", "body", "choices")])  # fmt: skip
def test_result_of_another_form_does_not_touch_the_others(batch, stand_in, tmp_path, path):
    write(tmp_path / "in.jsonl", ITEMS[:2])
    for odd in ODD:
        (tmp_path / "out.jsonl").unlink(missing_ok=True)
        stand_in.reset()
        stand_in.batch_states = ["completed"]

        def change(data, odd=odd):
            whole = json.loads(data)
            place, keys = whole["results"], (0, *path)  # the first result is the last item's
            for key in keys[:-1]:
                place = place[key]
            place[keys[-1]] = odd
            return json.dumps(whole).encode()

        batch("submit", "-m", "acme/one")
        stand_in.reply("/batches/batch_*", change)
        done = batch("fetch")
        assert done.code == 1 and len(lines(done.err)) == 1, f"{odd!r}: {done.err}"
        assert output(tmp_path)["하나"]["answer"] == TEXT and state(tmp_path) == [], f"{odd!r}"


def test_look_up_that_fails_sends_nothing(batch, stand_in, tmp_path):
    stand_in.fail("502", "/batches", times=1)
    assert batch("submit", "-m", "acme/one").code == 1 and state(tmp_path)[0]["id"] is None
    sent = len(posts(stand_in))
    stand_in.fail("502", "/batches", times=1)
    done = batch("submit", "-m", "acme/one")
    assert done.code == 1 and "502" in done.err and len(posts(stand_in)) == sent
    assert state(tmp_path)[0]["id"] is None, "what was not found out is kept"


@pytest.mark.parametrize("arrived", [True, False])
def test_submission_of_unknown_fate_is_looked_up_and_not_sent_twice(
    batch, stand_in, tmp_path, arrived
):
    write(tmp_path / "in.jsonl", ITEMS[:2])
    if arrived:
        stand_in.reply("/batches", lambda data: data[:20], times=1, method="POST")
    else:
        stand_in.fail("drop_headers", "/batches", times=1)
    assert batch("submit").code == 1
    (lost,) = state(tmp_path)
    assert lost["id"] is None and lost["ids"] == ["하나", 2] and lost["time"] > time.time() - 60
    sent = len(posts(stand_in))
    assert batch("submit").code == 0
    assert len(posts(stand_in)) == sent + (0 if arrived else 1)
    assert [found["ids"] for found in state(tmp_path)] == [["하나", 2]]
    assert state(tmp_path)[0]["id"].startswith("batch_")


def test_refused_submission_leaves_nothing_under_way(batch, stand_in, tmp_path):
    stand_in.fail("402", "/batches", times=1)
    done = batch("submit")
    assert done.code == 1 and "402" in lines(done.err)[-1] and state(tmp_path) == []


def test_batches_have_no_more_requests_than_the_limit(batch, stand_in, tmp_path):
    write(tmp_path / "in.jsonl", [{"input": f"글 {number}"} for number in range(5)])
    assert batch("submit", edit={"REQUESTS = 5000": "REQUESTS = 2"}).code == 0
    assert [len(body["requests"]) for body in posts(stand_in)] == [2, 2, 1]
    write(tmp_path / "in.jsonl", [{"id": 9, "input": "x"}, {"id": 10, "input": "y"}])
    assert batch("submit", edit={"BYTES = 150_000_000": "BYTES = 1"}).code == 0
    assert [len(body["requests"]) for body in posts(stand_in)[3:]] == [1, 1]


def test_wrong_use_and_a_broken_input_send_nothing(batch, run, stand_in, tmp_path):
    twice = [{"id": 1, "input": "a"}, {"id": "1", "input": "b"}]
    for items, says in (([{"id": 1}], "line 1 of the input"), (twice, "The id 1 comes twice")):
        write(tmp_path / "in.jsonl", items)
        done = batch("submit")
        assert done.code == 1 and posts(stand_in) == [] and says in done.err
    for args in (["submit", "in.jsonl"], ["fetch"], ["cancel"]):
        assert run("batch", *args, cwd=tmp_path).code == 2
