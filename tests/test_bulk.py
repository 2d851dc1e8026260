"""Proves that bulk answers every item of a file once, and keeps its limits and what it has."""

import json
import signal
import time

import pytest
from conftest import lines, posix, wait_until
from stand_in import PARTIAL, TEXT

FAST = {"2**attempt": "0.02", "timeout=120": "timeout=1"}
MODEL = "openai/gpt-5-mini"
MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def bulk(run, tmp_path):
    """bulk(items, *options) -> Result: a run on prompts.jsonl, or on bytes given as they are."""

    def start(items, *args, name="prompts.jsonl", edit=FAST):
        (tmp_path / name).write_bytes(items if isinstance(items, bytes) else encoded(items))
        args = args if "-m" in args else ("-m", MODEL, *args)
        return run("bulk", name, "-o", "answers.jsonl", *args, cwd=tmp_path, edit=edit)

    return start


@pytest.fixture
def answers(tmp_path):
    """answers() -> the lines of the output by id; each has to be whole and there once."""

    def read():
        text = (tmp_path / "answers.jsonl").read_text(encoding="utf-8")
        assert text == "" or text.endswith("\n")
        found = [json.loads(line) for line in text.splitlines()]
        assert len({line["id"] for line in found}) == len(found), "an id comes twice"
        return {line["id"]: line for line in found}

    return read


def encoded(items: list[dict]) -> bytes:
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items).encode()


def numbered(count: int) -> list[dict]:
    return [{"id": n, "input": f"Question {n}"} for n in range(1, count + 1)]


def asked(stand_in) -> list[str]:
    """The questions that reached the stand-in, in order."""
    return [call.body["messages"][-1]["content"] for call in stand_in.requests]


def test_every_item_becomes_a_line(bulk, answers, stand_in):
    items = [
        {"id": "가", "input": "하늘은 왜 파란가요? 🙂"},
        {"id": 2, "messages": MESSAGES, "temperature": 0.5, "stream": True},
        {"custom_id": "c", "body": {"messages": [{"role": "user", "content": "Yo"}]}},
        {"input": 'Text with {{input}}, {"a": 1} and $5'},
    ]
    items[2]["body"]["model"] = "openai/gpt-4o-mini"
    stand_in.say(lambda body: f"Re: {body['messages'][0]['content']} \ud83d")
    done = bulk(items, "-o", "seed=7", "-o", 'provider={"sort": "price"}')

    assert (done.code, done.out) == (0, ""), done.err
    assert "[4 answered, 0 failed, 0 left, $0.0" in done.err
    assert {item_id: line["answer"] for item_id, line in answers().items()} == {
        "가": "Re: 하늘은 왜 파란가요? 🙂 \ud83d",
        2: "Re: Hi \ud83d",
        "c": "Re: Yo \ud83d",
        4: 'Re: Text with {{input}}, {"a": 1} and $5 \ud83d',
    }
    for line in answers().values():
        assert line["usage"]["cost"] == line["cost"] > 0 and 0 < line["seconds"] < 10
    bodies = {call.body["messages"][0]["content"]: call.body for call in stand_in.requests}
    more = {"seed": 7, "provider": {"sort": "price"}, "temperature": 0.5}
    assert bodies["Hi"] == {"model": MODEL, "messages": MESSAGES, **more}
    assert bodies["Yo"]["model"] == "openai/gpt-4o-mini"


def test_lines_of_text_and_tool_calls(bulk, run, answers, stand_in, tmp_path):
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    stand_in.say({"content": None, "tool_calls": [call], "finish_reason": "tool_calls"})
    (tmp_path / "to.txt").write_text("한국어로: {{input}} {{x}}", encoding="utf-8")
    text = "\ufeff첫째 줄\r\n\r\n{not json\r\n".encode()
    assert bulk(text, "--prompt", "to.txt", name="lines.txt").code == 0
    assert answers().keys() == {1, 3}
    assert set(asked(stand_in)) == {"한국어로: 첫째 줄 {{x}}", "한국어로: {not json {{x}}"}
    assert answers()[1]["tool_calls"][0]["function"] == call["function"]

    piped = run("bulk", "-", "-o", "p", "-m", MODEL, stdin=encoded(numbered(2)), cwd=tmp_path)
    assert piped.code == 0 and len((tmp_path / "p").read_bytes().splitlines()) == 2


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_a_second_run_sends_only_what_is_missing(bulk, answers, stand_in, tmp_path, cut):
    assert bulk(numbered(2), "--concurrency", "1").code == 0
    whole = (tmp_path / "answers.jsonl").read_bytes()
    last = whole.index(b"\n") + 1  # the second line is written by half
    (tmp_path / "answers.jsonl").write_bytes(whole[: last + cut if cut > 0 else cut])
    assert bulk(numbered(4)).code == 0
    assert answers().keys() == {1, 2, 3, 4}
    missing = ["Question 2", "Question 3", "Question 4"]
    assert sorted(asked(stand_in)[2:]) == missing[cut == -1 :], "only the line's end was missing"


def test_an_output_of_before_goes_on(bulk, answers, stand_in, tmp_path):
    old = {"answer": None, "model": None, "usage": None, "cost": 0.5, "seconds": 1}
    retry = {"id": 1, "input_hash": "x", **old, "error": {"code": "502", "retry": True}}
    final = {"id": 2, "input_hash": "x", **old, "error": {"code": "403", "retry": False}}
    (tmp_path / "answers.jsonl").write_bytes(encoded([retry, final]))
    done = bulk(numbered(2))
    assert done.code == 1 and "[1 answered, 1 failed, 0 left, $1.0" in done.err
    assert asked(stand_in) == ["Question 1"]


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (b'{"input": "a"}\n{"id": 2}\n', "line 2 of the input"),
        (b'{"id": "b", "input": "a"}\n{"id": "b", "input": "c"}\n', "The id b comes twice"),
        (b'{"input": "a"}\n\xff\n', "line 2 of the input"),
        (b'{"input": 5}\n', "line 1 of the input"),
        (b"[1]\n", "line 1 of the input"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_sent(bulk, stand_in, items, says):
    done = bulk(items)
    assert done.code == 1 and says in done.err and stand_in.requests == []


def test_what_is_no_output_is_left_alone(run, stand_in, tmp_path):
    (tmp_path / "prompts.jsonl").write_bytes(encoded(numbered(2)))
    done = run("bulk", "prompts.jsonl", "-o", "prompts.jsonl", cwd=tmp_path)
    assert done.code == 1 and "prompts.jsonl has a line of something else" in done.err
    assert (tmp_path / "prompts.jsonl").read_bytes() == encoded(numbered(2))
    assert run("bulk", "prompts.jsonl", cwd=tmp_path).code == 2


def test_what_can_not_succeed_is_sent_once_and_what_may_is_tried_again(bulk, answers, stand_in):
    final = ["400", "403", "404_constraint", "413", "filtered", "length", "reasoning_ate_it"]
    items = [{"id": name, "model": f"fault/{name}", "messages": MESSAGES} for name in final]
    passing = ["error_200", "cut", "finish_error", "empty", "html", "html_502", "408", "500"]
    passing += ["502", "503", "429_upstream", "429_retry_after", "bad_json", "empty_body"]
    passing += ["hang", "drop", "drop_headers", "null_200"]
    assert bulk(numbered(1)).code == 0
    stand_in.retry_after = 0.2
    for fault in passing:
        stand_in.fail(fault, "/chat/completions", 1)
    assert bulk(numbered(30)).code == 0
    assert len(asked(stand_in)) == 30 + len(passing)
    assert {line["answer"] for line in answers().values()} == {TEXT}

    done = bulk([*numbered(30), *items])
    assert "[30 answered, 7 failed, 0 left" in done.err and done.code == 1
    assert len(asked(stand_in)) == 30 + len(passing) + len(final)
    assert answers()["length"]["answer"] == PARTIAL
    assert "violence" in answers()["403"]["error"]["message"]


def test_retry_after_holds_one_item_and_a_limit_for_a_minute_all(bulk, answers, stand_in):
    stand_in.retry_after = 1.5
    stand_in.fail("429_retry_after", "/chat/completions", 1)
    done = bulk(numbered(2), edit=None)
    assert asked(stand_in)[-1] == asked(stand_in)[0] and done.seconds > 1.5
    stand_in.fail("429_minute", "/chat/completions", 1)
    begun = time.monotonic()
    done = bulk(numbered(6), "--concurrency", "1", edit={"pause or 60, 60": "1, 1"})
    assert done.code == 0 and time.monotonic() - begun > 1
    assert len(asked(stand_in)) == 8


@pytest.mark.parametrize("fault", ["429_day", "402", "401", "404_dead"])
def test_what_concerns_every_item_ends_the_run(bulk, answers, stand_in, fault):
    stand_in.fail(fault, "/chat/completions")
    done = bulk(numbered(20), "--concurrency", "2")
    assert done.code == 1 and fault[:3] in lines(done.err)[-1]
    assert len(asked(stand_in)) <= 2 and answers() == {}
    assert ("[until " in done.err) == (fault == "429_day")


def test_the_cost_limit_counts_what_a_provider_charges(bulk, answers, stand_in):
    byok = {"cost": 0.002, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.008}}
    stand_in.say(lambda body: {"content": TEXT, "usage": byok})
    for limit, count in (("0.125", 12), ("0.125", 12), ("0.155", 15)):
        done = bulk(numbered(50), "--max-cost", limit)
        assert done.code == 1 and limit in lines(done.err)[-1]
        assert len(asked(stand_in)) == len(answers()) == count
    stand_in.say(lambda body: {"content": TEXT, "usage": {"cost": "much"}})
    done = bulk(numbered(50), "--max-cost", "9")
    assert done.code == 1 and "no cost" in lines(done.err)[-1]
    assert None in [line["cost"] for line in answers().values()]


@pytest.mark.parametrize("args", [["--rpm", "20"], ["-m", "upstage/solar-pro-3:free"]])
def test_the_pace(begin, stand_in, tmp_path, args):
    (tmp_path / "prompts.jsonl").write_bytes(encoded(numbered(3)))
    begin("bulk", "prompts.jsonl", "-o", "a", "-m", MODEL, *args, cwd=tmp_path)
    assert wait_until(lambda: stand_in.requests)
    time.sleep(1.5)
    assert len(stand_in.requests) == 1
    assert wait_until(lambda: len(stand_in.requests) == 2, 10)


@posix
def test_ctrl_c_loses_nothing_that_came(begin, bulk, stand_in, tmp_path, answers):
    stand_in.delay = 0.2
    (tmp_path / "prompts.jsonl").write_bytes(encoded(numbered(500)))
    process = begin("bulk", "prompts.jsonl", "-o", "answers.jsonl", "-m", MODEL, cwd=tmp_path)
    assert wait_until(lambda: len(stand_in.requests) >= 100)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=20)[1].decode()
    came = answers()
    assert process.returncode == 130 and len(lines(err)) == 1
    assert f"[{len(came)} answered, 0 failed, {500 - len(came)} left" in err and len(came) >= 50
    stand_in.delay = 0
    assert bulk(numbered(500)).code == 0
    assert answers().items() >= came.items() and len(answers()) == 500


@posix
def test_progress_is_shown_to_a_terminal(command, stand_in, tmp_path):
    pexpect = pytest.importorskip("pexpect", reason="needs a terminal: pexpect")
    (tmp_path / "prompts.jsonl").write_bytes(encoded(numbered(3)))
    args = ["prompts.jsonl", "-o", "a", "-m", MODEL, "--concurrency", "1"]
    (program, *arguments), environment, folder = command("bulk", *args, cwd=tmp_path)
    child = pexpect.spawn(program, arguments, env=environment, cwd=str(folder), timeout=30)
    child.expect(pexpect.EOF)
    assert b"\r[1 answered, 0 failed, 2 left" in child.before
