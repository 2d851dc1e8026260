"""Proves that reasoning streams thoughts and answer apart, and gives the tokens of each."""

import os
import time

import pytest
from conftest import lines, posix
from stand_in import PARTIAL, TEXT, THOUGHT

KOREAN = '1001은 소수인가? 🙂 "{{x}}" $5'


def test_thoughts_and_answer_go_apart(run, stand_in):
    done = run("reasoning", KOREAN)

    assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err
    body = dict(stand_in.requests[0].body)
    system, user = body.pop("messages")
    assert system["role"] == "system" and user == {"role": "user", "content": KOREAN}
    assert body == {"model": "openrouter/free", "stream": True, "reasoning": {"enabled": True}}
    assert lines(done.err)[0] == THOUGHT
    assert len(lines(done.err)) == 2 and "\x1b" not in done.err


def test_effort_is_sent(run, stand_in):
    for effort in ("high", "none"):
        run("reasoning", "Hello", "--effort", effort)
        assert stand_in.requests[-1].body["reasoning"] == {"effort": effort}


@pytest.mark.parametrize("thoughts", [293, 321, 0], ids=["as-many", "counted-apart", "none"])
def test_tokens_of_each_are_as_the_reply_has_them(run, stand_in, thoughts):
    usage = {"completion_tokens": 293, "completion_tokens_details": {"reasoning_tokens": thoughts}}
    stand_in.say({"content": "Yes", "reasoning": "", "usage": usage})
    done = run("reasoning", "Hello")

    assert (done.code, done.out) == (0, "Yes\n")
    (facts,) = lines(done.err)
    assert f'"reasoning_tokens":{thoughts}' in facts and '"completion_tokens":293' in facts


def test_answer_eaten_or_cut_by_the_limit_is_a_failure(run, stand_in):
    stand_in.say({"reasoning": THOUGHT, "finish_reason": "length"})
    done = run("reasoning", "Hello")
    assert (done.code, done.out) == (1, "")
    assert lines(done.err)[0] == THOUGHT and "length" in lines(done.err)[1]

    stand_in.fail("length", "/chat/completions")
    done = run("reasoning", "Hello")
    assert (done.code, done.out) == (1, f"{PARTIAL}\n")


def test_thoughts_come_as_they_are_thought(begin, stand_in):
    stand_in.pace = 0.4
    process = begin("reasoning", "Hello")
    came = []
    while os.read(process.stderr.fileno(), 1000):
        came.append(time.monotonic())

    assert process.wait(30) == 0
    assert came[-1] - came[0] > 1.5, "two pieces of thoughts, four of the answer, then the tokens"


@posix
def test_thoughts_are_dim_on_a_terminal_and_the_answer_is_not(command, stand_in):
    pexpect = pytest.importorskip("pexpect", reason="needs a terminal: pexpect")
    (program, *arguments), environment, folder = command("reasoning", "Hello")
    child = pexpect.spawn(
        program, arguments, env=environment, cwd=str(folder), encoding="utf-8", timeout=30
    )
    child.expect(pexpect.EOF)
    child.close()
    dim = [part.partition("\x1b[0m") for part in child.before.split("\x1b[2m")[1:]]

    assert child.exitstatus == 0
    assert "".join(thought for thought, _, _ in dim) == THOUGHT
    assert TEXT in "".join(rest for _, _, rest in dim)
