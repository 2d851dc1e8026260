"""Proves that bulk answers every item of a file once, and keeps its limits and what it has."""

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest
from conftest import lines, wait_until
from stand_in import PARTIAL, TEXT

FAST = {"PAUSE = 1.0": "PAUSE = 0.05", "Timeout(120, connect=10)": "Timeout(1, connect=1)"}
MODEL = "openai/gpt-5-mini"
MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def bulk(run, tmp_path):
    """bulk(items, *options) -> Result: a run on prompts.jsonl, or on text given as it is."""

    def start(items, *args, name="prompts.jsonl", output="answers.jsonl", model=MODEL, **options):
        text = items if isinstance(items, (str, bytes)) else "".join(map(as_line, items))
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(data)
        options.setdefault("edit", FAST)
        args = ["-m", model, *args] if model else args
        return run("bulk", name, "-o", output, *args, cwd=tmp_path, **options)

    return start


@pytest.fixture
def answers(tmp_path):
    """answers() -> the lines of the output by id; every one has to be whole and there once."""

    def read(name="answers.jsonl"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text == "" or text.endswith("\n")
        found = [json.loads(line) for line in text.splitlines()]
        assert len({line["id"] for line in found}) == len(found), "an id comes twice"
        return {line["id"]: line for line in found}

    return read


def as_line(item: dict) -> str:
    return json.dumps(item, ensure_ascii=False) + "\n"


def numbered(count: int, first: int = 1) -> list[dict]:
    return [{"id": n, "input": f"Question {n}"} for n in range(first, first + count)]


def broken(stand_in, fault: str, times: int | None = None) -> None:
    """Let some completions fail, or all."""
    stand_in.fail(fault, "/chat/completions", times)


def asked(stand_in) -> list[str]:
    """The questions that reached the stand-in, in order."""
    calls = [call for call in stand_in.requests if call.route == "/chat/completions"]
    return [call.body["messages"][-1]["content"] for call in calls]


# --------------------------------------------------------------------------------------- the task


def test_every_item_becomes_a_line(bulk, answers, stand_in):
    items = [
        {"id": "가", "input": "하늘은 왜 파란가요? 🙂"},
        {"id": 2, "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5},
        {"custom_id": "c", "body": {"messages": [{"role": "user", "content": "Yo"}], "model": "a"}},
        {"input": 'Text with {{input}}, {"a": 1} and $5'},
    ]
    items[1] |= {"provider": {"sort": "price"}, "stream": True}
    items[2]["body"]["model"] = "openai/gpt-4o-mini"
    stand_in.say(lambda body: f"Re: {body['messages'][0]['content']}")
    done = bulk(items)
    assert (done.code, done.out) == (0, ""), done.err
    assert "[4 answered, 0 failed, 0 left, $0.0" in done.err
    found = answers()
    assert {id: line["answer"] for id, line in found.items()} == {
        "가": "Re: 하늘은 왜 파란가요? 🙂",
        2: "Re: Hi",
        "c": "Re: Yo",
        4: 'Re: Text with {{input}}, {"a": 1} and $5',
    }
    names = {"id", "answer", "model", "provider", "finish_reason", "usage", "cost", "seconds"}
    for line in found.values():
        assert line.keys() == names | {"input_hash"}
        assert line["usage"]["cost"] == line["cost"] > 0
        assert 0 < line["seconds"] < 10
    bodies = {call.body["messages"][0]["content"]: call.body for call in stand_in.requests[-4:]}
    message = {"role": "user", "content": "Hi"}
    more = {"temperature": 0.5, "provider": {"sort": "price"}}
    assert bodies["Hi"] == {"model": MODEL, "messages": [message], **more}
    assert bodies["Yo"]["model"] == "openai/gpt-4o-mini"


def test_the_output_reads_as_utf8(bulk, tmp_path, stand_in):
    stand_in.say("한국어 답")
    bulk(numbered(1))
    assert "한국어 답".encode() in (tmp_path / "answers.jsonl").read_bytes()


def test_half_an_emoji_is_kept(bulk, answers, stand_in):
    stand_in.say("cut \ud83d")
    assert bulk(numbered(1)).code == 0
    assert answers()[1]["answer"] == "cut \ud83d"


def test_lines_of_text(bulk, answers, stand_in):
    done = bulk("\ufeff첫째 줄\r\n\r\n{not json\r\n".encode(), name="lines.txt")
    assert done.code == 0, done.err
    assert answers().keys() == {1, 3}
    assert sorted(asked(stand_in)) == sorted(["첫째 줄", "{not json"])


def test_a_prompt_file_is_filled_with_each_line(bulk, answers, stand_in, tmp_path):
    (tmp_path / "to.txt").write_text("To {{language}}: {{input}}", encoding="utf-8")
    items = [{"id": 1, "input": "a"}, {"id": 2, "input": "b", "language": "Thai"}]
    done = bulk(items, "--prompt", "to.txt", "--set", "language=Korean")
    assert done.code == 0, done.err
    assert sorted(asked(stand_in)) == ["To Korean: a", "To Thai: b"]
    done = bulk(
        [*items, {"id": 3, "messages": [{"role": "user", "content": "x"}]}], "--prompt", "to.txt"
    )
    assert done.code == 2
    assert "line 1: " in done.err and "language has no value" in done.err
    assert "line 3: " in done.err
    assert len(asked(stand_in)) == 2


def test_a_pipe(run, tmp_path, answers):
    text = "".join(map(as_line, numbered(3)))
    args = ["-", "-o", "answers.jsonl", "-m", MODEL]
    assert run("bulk", *args, stdin=text, cwd=tmp_path).code == 0
    assert len(answers()) == 3
    assert run("bulk", *args, stdin=text, cwd=tmp_path).code == 0


def test_tool_calls_are_an_answer(bulk, answers, stand_in):
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    stand_in.say({"content": None, "tool_calls": [call], "finish_reason": "tool_calls"})
    assert bulk(numbered(1)).code == 0
    assert answers()[1]["tool_calls"][0]["function"] == call["function"]


# ------------------------------------------------------------------------------------- going on


def test_a_second_run_sends_only_what_is_missing(bulk, answers, stand_in):
    assert bulk(numbered(3)).code == 0
    before = answers()
    assert bulk(numbered(5)).code == 0
    assert sorted(asked(stand_in)[3:]) == ["Question 4", "Question 5"]
    assert answers().items() > before.items()
    assert bulk(numbered(5)).code == 0
    assert len(asked(stand_in)) == 5


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_a_half_written_line_is_repaired(bulk, answers, stand_in, tmp_path, cut):
    bulk(numbered(2), "--concurrency", "1")
    whole = (tmp_path / "answers.jsonl").read_bytes()
    last = whole.index(b"\n") + 1
    (tmp_path / "answers.jsonl").write_bytes(whole[: last + cut if cut > 0 else cut])
    assert bulk(numbered(2)).code == 0
    assert answers().keys() == {1, 2}
    # Only the end of the line was missing: the answer is there, and is not paid for again.
    assert len(asked(stand_in)) == (2 if cut == -1 else 3)


def test_what_failed_for_now_is_sent_again_and_what_failed_for_good_is_not(bulk, answers, stand_in):
    items = numbered(3)
    items[1]["input"] = "bad"
    stand_in.say(lambda body: {"content": TEXT})
    bulk(items[:1])
    broken(stand_in, "403", 1)
    assert bulk(items[:2]).code == 1
    broken(stand_in, "502")
    assert bulk(items).code == 1
    found = answers()
    assert found[2]["error"]["retry"] is False
    assert found[2]["error"]["code"] == "403"
    assert "violence" in found[2]["error"]["message"]
    assert found[3]["error"]["retry"] is True
    assert asked(stand_in).count("Question 3") == 6
    stand_in.reset()
    assert bulk(items).code == 1
    assert asked(stand_in) == ["Question 3"]
    assert answers()[3]["answer"] == TEXT
    items[1]["input"] = "good"  # its line has changed, so it is another request
    assert bulk(items).code == 0
    assert asked(stand_in) == ["Question 3", "good"]


# -------------------------------------------------------------------------------------- refusing


def test_bad_lines_are_named_all_at_once(bulk, answers, stand_in):
    text = b'{"id": 1, "input": "a"}\nno json\n\n{"id": 1, "input": "b"}\n\xff\xfe\n[1]\n'
    text += b'{"id": true, "input": "x"}\n{"id": "n", "messages": 5}\n{"input": "\\ud800"}\n'
    text += b'{"messages": [], "temperature": NaN}\n{"id": "last", "input": "c"}'
    done = bulk(text)
    assert done.code == 2
    assert [line.split(":")[0] for line in lines(done.err)[:-1]] == [
        f"line {n}" for n in (2, 4, 5, 6, 7, 8, 9, 10)
    ]
    assert "id 1 again" in done.err
    assert "--skip-bad" in lines(done.err)[-1]
    assert stand_in.requests == []
    assert bulk(text, "--skip-bad").code == 0
    assert answers().keys() == {1, "last"}


def test_the_output_of_another_input_is_refused(bulk, stand_in, tmp_path):
    bulk("one\ntwo\n", name="a.txt")
    before = (tmp_path / "answers.jsonl").read_bytes()
    for text in ("uno\ndos\ntres\n", "one\n"):
        done = bulk(text, name="a.txt")
        assert done.code == 2
        assert "another input" in done.err
    assert (tmp_path / "answers.jsonl").read_bytes() == before
    assert len(asked(stand_in)) == 2


@pytest.mark.parametrize("text", ["notes", "notes\n", '{"a": 1}\n', "[]\n", '{"id": 1}\nx'])
def test_a_file_that_is_no_output_stays_as_it_is(bulk, stand_in, tmp_path, text):
    (tmp_path / "answers.jsonl").write_text(text)
    done = bulk(numbered(1))
    assert done.code == 2
    assert len(lines(done.err)) == 1
    assert (tmp_path / "answers.jsonl").read_text() == text
    assert stand_in.requests == []


def test_the_input_is_not_taken_for_the_output(bulk, tmp_path):
    assert bulk(numbered(2), output="prompts.jsonl").code == 2
    assert (tmp_path / "prompts.jsonl").read_text() == "".join(map(as_line, numbered(2)))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["missing.jsonl", "-o", "a.jsonl"], "missing.jsonl"),
        (["prompts.jsonl", "-o", "."], "no file"),
        (["prompts.jsonl", "-o", "no/such/folder/a.jsonl"], "a.jsonl"),
        (["prompts.jsonl", "-o", "a.jsonl", "--prompt", "none"], "none"),
        (["prompts.jsonl"], "--output"),
    ],
)
def test_wrong_usage(run, tmp_path, stand_in, args, says):
    (tmp_path / "prompts.jsonl").write_text(as_line(numbered(1)[0]))
    done = run("bulk", *args, "-m", MODEL, cwd=tmp_path)
    assert done.code == 2
    assert says in lines(done.err)[-1]
    assert stand_in.requests == []


def test_two_runs_do_not_share_an_output(bulk, begin, stand_in, tmp_path, answers):
    stand_in.delay = 3
    (tmp_path / "prompts.jsonl").write_text("".join(map(as_line, numbered(2))))
    first = begin("bulk", "prompts.jsonl", "-o", "answers.jsonl", "-m", MODEL, cwd=tmp_path)
    assert wait_until(lambda: asked(stand_in))
    done = bulk(numbered(2))
    assert done.code == 2
    assert "another run" in done.err
    assert first.wait(20) == 0
    assert len(asked(stand_in)) == 2
    assert len(answers()) == 2


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output(bulk, stand_in, tmp_path):
    (tmp_path / "answers.jsonl").touch(mode=0o444)
    done = bulk(numbered(1))
    assert done.code == 2
    assert "answers.jsonl" in done.err
    assert asked(stand_in) == []


# ---------------------------------------------------------------------------------------- limits


def gaps(stand_in, count: int) -> float:
    """The seconds from the first of some requests to the last."""
    assert wait_until(lambda: len(asked(stand_in)) >= 1)
    start = time.monotonic()
    assert wait_until(lambda: len(asked(stand_in)) >= count, 20)
    return time.monotonic() - start


def test_the_pace(begin, stand_in, tmp_path):
    (tmp_path / "prompts.jsonl").write_text("".join(map(as_line, numbered(5))))
    begin("bulk", "prompts.jsonl", "-o", "a.jsonl", "-m", MODEL, "--rpm", "240", cwd=tmp_path)
    assert 0.9 < gaps(stand_in, 5) < 3


@pytest.mark.parametrize("default", [None, "upstage/solar-pro-3:free", "acme/muse-2"])
def test_free_models_are_paced_without_asking(begin, stand_in, tmp_path, default):
    items = [{"messages": [{"role": "user", "content": f"Question {n}"}]} for n in range(2)]
    if default == "acme/muse-2":  # which is not free, but the model of each item is
        items = [item | {"model": "upstage/solar-pro-3:free"} for item in items]
    (tmp_path / "prompts.jsonl").write_text("".join(map(as_line, items)))
    args = ["-m", default] if default else []
    begin("bulk", "prompts.jsonl", "-o", "a.jsonl", *args, cwd=tmp_path)
    assert gaps(stand_in, 2) > 2.5


def test_retry_after_holds_one_item_and_no_other(bulk, answers, stand_in):
    stand_in.retry_after = 1.5
    broken(stand_in, "429_retry_after", 1)
    done = bulk(numbered(3), "--concurrency", "1")
    assert done.code == 0, done.err
    order = asked(stand_in)
    assert order[0] == order[-1] == "Question 1"
    assert order[1:3] == ["Question 2", "Question 3"]
    assert done.seconds > 1.5


def test_the_limit_for_a_minute_holds_all(bulk, answers, stand_in):
    edit = FAST | {"max(reset - now, 1), 60)": "max(reset - now, 1), 2)"}
    broken(stand_in, "429_minute", 1)
    done = bulk(numbered(4), "--concurrency", "1", edit=edit)
    assert done.code == 0, done.err
    assert len(asked(stand_in)) == 5
    assert done.seconds > 2


@pytest.mark.parametrize("fault", ["429_day", "402"])
def test_what_concerns_every_item_ends_the_run(bulk, answers, stand_in, fault):
    bulk(numbered(1))
    broken(stand_in, fault)
    done = bulk(numbered(20), "--concurrency", "2")
    assert done.code == 1
    assert "[1 answered, 0 failed, 19 left" in done.err
    assert len(asked(stand_in)) <= 3
    assert answers().keys() == {1}
    if fault == "429_day":
        assert "The limit ends at " in lines(done.err)[-1]
    stand_in.reset()
    assert bulk(numbered(20)).code == 0
    assert len(asked(stand_in)) == 19


def test_a_dead_model_ends_a_run_that_has_no_answer_yet(bulk, answers, stand_in):
    broken(stand_in, "404_dead")
    done = bulk(numbered(20), "--concurrency", "2")
    assert done.code == 1
    assert "acme/muse-2" in done.err
    assert len(asked(stand_in)) <= 2
    assert answers() == {}


def test_what_can_not_succeed_is_sent_once(bulk, answers, stand_in):
    faults = ["400", "403", "404_constraint", "413", "filtered", "length", "reasoning_ate_it"]
    items = numbered(1)
    for fault in faults:
        items += [{"id": fault, "model": f"fault/{fault}", "messages": MESSAGES}]
    done = bulk(items, "--concurrency", "1")
    assert done.code == 1
    assert "[1 answered, 7 failed, 0 left" in done.err
    assert len(asked(stand_in)) == len(items)
    found = answers()
    assert {found[fault]["error"]["retry"] for fault in faults} == {False}
    assert [found[fault]["error"]["code"] for fault in faults[:4]] == ["400", "403", "404", "413"]
    assert found["length"]["answer"] == PARTIAL
    assert "token limit" in found["length"]["error"]["message"]


def test_what_may_pass_is_tried_again(bulk, answers, stand_in):
    faults = ["error_200", "null_200", "cut", "finish_error", "empty", "html", "html_502", "408"]
    faults += ["500", "502", "503", "429_upstream", "429_retry_after", "bad_json", "empty_body"]
    faults += ["hang", "drop", "drop_headers"]
    stand_in.retry_after = 0.2
    for fault in faults:
        broken(stand_in, fault, 2)
    done = bulk(numbered(30))
    assert done.code == 0, done.err
    assert len(asked(stand_in)) == 30 + 2 * len(faults)
    assert {line["answer"] for line in answers().values()} == {TEXT}


def test_the_cost_limit(bulk, answers, stand_in):
    stand_in.say(lambda body: {"content": TEXT, "usage": {"cost": 0.01}})
    done = bulk(numbered(50), "--max-cost", "0.125")
    assert done.code == 1
    assert "0.125" in lines(done.err)[-1]
    assert len(asked(stand_in)) == len(answers()) == 12
    assert bulk(numbered(50), "--max-cost", "0.125").code == 1
    assert len(asked(stand_in)) == 12
    assert bulk(numbered(50), "--max-cost", "0.15").code == 1
    assert len(answers()) == 15


# ---------------------------------------------------------------------------------- interruption


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a child alone on Windows")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c(begin, stand_in, tmp_path, answers, times):
    stand_in.delay = 1.5
    (tmp_path / "prompts.jsonl").write_text("".join(map(as_line, numbered(50))))
    args = ["prompts.jsonl", "-o", "answers.jsonl", "-m", MODEL, "--concurrency", "5"]
    process = begin("bulk", *args, cwd=tmp_path)
    assert wait_until(lambda: len(asked(stand_in)) == 10)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    err = process.communicate(timeout=20)[1]
    assert process.returncode == 130, err
    assert b"Traceback" not in err, err.decode()
    assert len(asked(stand_in)) == 10
    assert len(answers()) == (10 if times == 1 else 5)
    assert f"[{len(answers())} answered, 0 failed".encode() in err


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_progress_is_shown_to_a_terminal(command, stand_in, tmp_path):
    import pty

    stand_in.delay = 0.4
    (tmp_path / "prompts.jsonl").write_text("".join(map(as_line, numbered(6))))
    args, environment, folder = command(
        "bulk", "prompts.jsonl", "-o", "a.jsonl", "-m", MODEL, "--concurrency", "2", cwd=tmp_path
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        args, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    text = b""
    with contextlib.suppress(OSError):  # which is how it ends
        while piece := os.read(ours, 10000):
            text += piece
    assert process.wait(20) == 0
    assert b"4/6" in text and b"/s" in text and b"min left" in text, text
    assert b"[6 answered, 0 failed, 0 left" in text
