"""Proves that batch submits a file once, and brings back what bulk would have written."""

import json

import pytest
from conftest import lines
from stand_in import TEXT

MODEL = "openai/gpt-5-mini"
SHORT = {"Timeout(120, connect=10)": "Timeout(1, connect=1)"}


@pytest.fixture
def batch(run, tmp_path):
    """batch(action, items, *options) -> Result: an action on prompts.jsonl and answers.jsonl."""

    def start(action, items, *args, script="batch", **options):
        text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
        (tmp_path / "prompts.jsonl").write_text(text, encoding="utf-8")
        first = [action] if action else []
        args = [*first, "prompts.jsonl", "-o", "answers.jsonl", "-m", MODEL, *args]
        return run(script, *args, cwd=tmp_path, edit=SHORT | options.pop("edit", {}), **options)

    return start


@pytest.fixture
def answers(tmp_path):
    """answers() -> the lines of the output by id, each there once."""

    def read():
        text = (tmp_path / "answers.jsonl").read_text(encoding="utf-8")
        found = [json.loads(line) for line in text.splitlines()]
        assert len({line["id"] for line in found}) == len(found), "an id comes twice"
        return {line["id"]: line for line in found}

    return read


def numbered(count: int) -> list[dict]:
    return [{"id": n, "input": f"질문 {n}"} for n in range(1, count + 1)]


def submitted(stand_in) -> list[dict]:
    calls = [call for call in stand_in.requests if call.method == "POST"]
    assert {call.path for call in calls} <= {"/api/beta/batches"}
    return [call.body for call in calls]


def finish(stand_in) -> None:
    stand_in.batch_states = ["completed"]


def test_a_file_is_submitted_watched_and_fetched(batch, answers, stand_in, tmp_path):
    items = [*numbered(2), {"id": "c", "messages": [{"role": "user", "content": "Hi"}]}]
    items[2] |= {"temperature": 0, "stream": True}
    done = batch("submit", items)
    assert done.code == 0, done.err
    id = done.out.split()[0]
    assert done.out == f"{id}  {MODEL}  3 requests\n"
    (body,) = submitted(stand_in)
    assert list(body) == ["endpoint", "model", "requests"]
    assert body["endpoint"] == "/v1/chat/completions"
    assert body["requests"][1:] == [
        {"custom_id": "2", "body": {"messages": [{"role": "user", "content": "질문 2"}]}},
        {"custom_id": "c", "body": {"messages": items[2]["messages"], "temperature": 0}},
    ]
    done = batch("submit", items)
    assert done.code == 2 and "fetch them first" in done.err
    done = batch("status", items)
    assert done.code == 0 and f"{id}  in_progress  3 total" in done.out
    done = batch("fetch", items)
    assert done.code == 1 and f"{id}  finalizing" in done.out
    done = batch("fetch", items)
    assert done.code == 0 and f"{id}  completed" in done.out and "  $0.0" in done.out
    assert "[3 answered, 0 failed, 0 left]" in done.err
    found = answers()
    assert found.keys() == {1, 2, "c"}
    before = (tmp_path / "answers.jsonl").read_bytes()
    for action in ("fetch", "submit", "status"):
        assert batch(action, items).code == 0
    assert (tmp_path / "answers.jsonl").read_bytes() == before
    assert len(submitted(stand_in)) == 1
    assert {path.name for path in tmp_path.glob("*.jsonl*")} == {"prompts.jsonl", "answers.jsonl"}


def test_bulk_and_batch_write_the_same(batch, answers, stand_in, tmp_path):
    finish(stand_in)
    stand_in.say(lambda body: f"Re: {body['messages'][0]['content']}")
    items = [*numbered(3), {"input": "no id"}]
    batch("submit", items)
    assert batch("fetch", items).code == 0
    by_batch = answers()
    (tmp_path / "answers.jsonl").unlink()
    assert batch("", items, script="bulk").code == 0
    by_bulk = answers()
    assert by_batch.keys() == by_bulk.keys() == {1, 2, 3, 4}
    for id, line in by_bulk.items():
        assert list(by_batch[id]) == list(line)
        for name in ("id", "answer", "model", "finish_reason", "input_hash"):
            assert by_batch[id][name] == line[name]
    # Each goes on where the other stopped.
    assert batch("submit", items).code == 0
    assert len([call for call in stand_in.requests if call.route == "/batches"]) == 1


def test_failures_are_told_per_item(batch, answers, stand_in):
    finish(stand_in)
    stand_in.item_errors = {"2": "The provider broke down"}
    batch("submit", numbered(3))
    done = batch("fetch", numbered(3))
    assert done.code == 1 and "[2 answered, 1 failed, 0 left]" in done.err
    line = answers()[2]
    assert line["answer"] is None
    assert "The provider broke down" in line["error"]["message"]
    assert line["error"]["retry"] is True
    assert batch("fetch", numbered(3)).code == 1
    assert answers()[2] == line
    stand_in.item_errors = {}
    assert batch("submit", numbered(3)).code == 0
    assert [item["custom_id"] for item in submitted(stand_in)[1]["requests"]] == ["2"]
    assert batch("fetch", numbered(3)).code == 0
    assert answers()[2]["answer"] == TEXT


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_a_batch_that_came_to_nothing_is_submitted_again(batch, answers, stand_in, status):
    stand_in.batch_states = [status]
    batch("submit", numbered(2))
    done = batch("fetch", numbered(2))
    assert done.code == 1
    assert f"{status}  2 total" in done.out and stand_in.batch_error in done.out
    finish(stand_in)
    assert batch("submit", numbered(2)).code == 0
    assert batch("fetch", numbered(2)).code == 0
    assert answers().keys() == {1, 2}


def test_large_inputs_are_split_and_each_model_has_its_own(batch, answers, stand_in):
    finish(stand_in)
    items = numbered(5)
    items[3] = {"id": 4, "messages": [{"role": "user", "content": "x"}], "model": "openai/gpt-4o"}
    done = batch("submit", items, edit={"REQUESTS = 10_000": "REQUESTS = 2"})
    assert done.code == 0, done.err
    assert sorted((body["model"], len(body["requests"])) for body in submitted(stand_in)) == [
        ("openai/gpt-4o", 1), (MODEL, 2), (MODEL, 2),
    ]  # fmt: skip
    assert batch("fetch", items).code == 0
    assert answers().keys() == {1, 2, 3, 4, 5}
    assert answers()[4]["model"] == "openai/gpt-4o"


def test_size_splits_too(batch, stand_in):
    batch("submit", numbered(3), edit={"BYTES = 50_000_000": "BYTES = 100"})
    assert [len(body["requests"]) for body in submitted(stand_in)] == [2, 1]


def test_nothing_is_submitted_unless_every_line_is_good(batch, stand_in):
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    image = [{"role": "user", "content": [part]}]
    items = [
        *numbered(1),
        {"id": "i", "messages": image},
        {"id": "a", "messages": [], "modalities": ["text", "audio"]},
        {"id": 1, "input": "again"},
        {"id": "t", "input": 'The text "type": "image_url" is only text'},
    ]
    done = batch("submit", items)
    assert done.code == 2
    assert [line.split(":")[0] for line in lines(done.err)[:-1]] == ["line 2", "line 3", "line 4"]
    assert submitted(stand_in) == []
    assert batch("submit", items, "--skip-bad").code == 0
    assert [one["custom_id"] for one in submitted(stand_in)[0]["requests"]] == ["1", "t"]


def test_a_refused_batch_is_not_under_way(batch, stand_in, tmp_path):
    stand_in.fail("402", "/batches", 1)
    done = batch("submit", numbered(2))
    assert done.code == 1 and "more credits" in done.err
    assert not (tmp_path / "answers.jsonl.batches").exists()
    assert batch("submit", numbered(2)).code == 0


def test_a_submission_that_broke_off_is_found_again(batch, answers, stand_in, tmp_path):
    """What no reply came to may have arrived: it is looked for, and is not submitted twice."""
    finish(stand_in)
    kept = tmp_path / "answers.jsonl.batches"
    batch("submit", numbered(2))
    batches = json.loads(kept.read_text())
    kept.write_text(json.dumps([batches[0] | {"id": None}]))
    done = batch("submit", numbered(2))
    assert done.code == 2 and "fetch them first" in done.err
    assert json.loads(kept.read_text()) == batches
    assert batch("fetch", numbered(2)).code == 0
    assert answers().keys() == {1, 2}


def test_a_submission_that_broke_off_and_cannot_be_found_is_not_repeated(batch, stand_in, tmp_path):
    kept = tmp_path / "answers.jsonl.batches"
    batch("submit", numbered(2))
    batches = json.loads(kept.read_text())
    kept.write_text(json.dumps([batches[0] | {"id": None}]))
    stand_in.fail("404_dead", "/batches", 1)
    done = batch("submit", numbered(2))
    assert done.code == 2 and "delete the .batches file" in done.err
    assert len(submitted(stand_in)) == 1
    assert kept.exists()


def test_a_submission_that_did_not_arrive_is_repeated(batch, answers, stand_in, tmp_path):
    finish(stand_in)
    stand_in.fail("hang", "/batches", 1)
    done = batch("submit", numbered(2))
    assert done.code == 1 and "timed out" in done.err
    assert (tmp_path / "answers.jsonl.batches").exists()
    assert batch("submit", numbered(2)).code == 0
    assert batch("fetch", numbered(2)).code == 0
    assert answers().keys() == {1, 2}


def test_bulk_leaves_alone_what_is_under_way(batch, stand_in):
    batch("submit", numbered(2))
    done = batch("", numbered(2), script="bulk")
    assert done.code == 2 and "under way" in done.err
    assert len(submitted(stand_in)) == 1


@pytest.mark.parametrize("fault", ["500", "html", "bad_json", "empty_body", "drop"])
def test_a_fetch_that_fails_can_be_repeated(batch, answers, stand_in, fault):
    finish(stand_in)
    batch("submit", numbered(2))
    stand_in.fail(fault, "/batches/*", 1)
    done = batch("fetch", numbered(2))
    assert done.code == 1
    assert len(lines(done.err)) == 1
    assert batch("fetch", numbered(2)).code == 0
    assert answers().keys() == {1, 2}
