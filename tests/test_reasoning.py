"""Proves that reasoning streams thoughts and answer apart, and knows who can't or must think."""

import os
import time

import pytest
from conftest import lines, posix
from stand_in import BY_ID, TEXT, THOUGHT

KOREAN = '1001은 소수인가? 🙂 "{{x}}" $5'


def asked(stand_in):
    """The body of the one completion that was asked for."""
    (call,) = (call for call in stand_in.requests if call.route == "/chat/completions")
    return call.body


def test_thoughts_and_answer_go_apart(run, stand_in):
    done = run("reasoning", KOREAN)

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    assert asked(stand_in) == {
        "model": "openrouter/free",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": KOREAN},
        ],
        "stream": True,
        "reasoning": {"enabled": True},
    }
    assert lines(done.err)[0] == THOUGHT
    assert "\x1b" not in done.err


def test_tokens_of_each_and_the_cost_are_told(run, stand_in):
    usage = {"completion_tokens": 100, "cost": 0.00123}
    usage |= {"completion_tokens_details": {"reasoning_tokens": 70}}
    stand_in.say({"content": "Yes", "reasoning": "Hm.", "usage": usage})
    done = run("reasoning", "Hello")

    assert lines(done.err)[1] == "[70 tokens of thoughts, 30 of answer]"
    assert " + 100 tokens, $0.001230, " in lines(done.err)[2]


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        (["--effort", "high"], {"reasoning": {"effort": "high"}}),
        (["--effort", "none"], {"reasoning": {"effort": "none"}}),
        (["--budget", "2000"], {"reasoning": {"max_tokens": 2000}}),
        (["--max-tokens", "500"], {"reasoning": {"enabled": True}, "max_tokens": 500}),
        (["--budget", "20", "--max-tokens", "21"],
         {"reasoning": {"max_tokens": 20}, "max_tokens": 21}),
    ],
)  # fmt: skip
def test_how_hard_is_sent(run, stand_in, args, sent):
    done = run("reasoning", "Hello", *args)

    assert done.code == 0, done.err
    body = asked(stand_in)
    assert {name: body[name] for name in ("reasoning", "max_tokens") if name in body} == sent


def test_answer_of_a_model_that_hides_its_thoughts(run, stand_in):
    usage = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}
    stand_in.say({"content": "Yes", "reasoning": "", "usage": usage})
    done = run("reasoning", "Hello")

    assert done.out == "Yes\n"
    assert lines(done.err)[0] == "[7 tokens of thoughts, 2 of answer]"


@pytest.mark.parametrize(
    ("model", "effort", "said"),
    [
        ("meta-llama/llama-3.2-3b-instruct:free", [], "can't reason"),
        ("meta-llama/llama-3.2-3b-instruct:free", ["--effort", "low"], "can't reason"),
        ("deepseek/deepseek-r1", ["--effort", "none"], "can't answer without reasoning"),
        ("openai/gpt-5-mini", ["--effort", "none"], "can't answer without reasoning"),
        ("openai/gpt-5-mini", ["--effort", "xhigh"], "high, medium, low, minimal"),
    ],
)
def test_model_that_cannot_is_told_before_anything_is_asked(run, stand_in, model, effort, said):
    done = run("reasoning", "Hello", "-m", model, *effort)

    assert done.code == 2
    assert len(lines(done.err)) == 1
    assert model in done.err and said in done.err
    assert [call.route for call in stand_in.requests] == [f"/model/{model}"]


@pytest.mark.parametrize(
    ("model", "effort"),
    [
        ("meta-llama/llama-3.2-3b-instruct:free", "none"),
        ("deepseek/deepseek-r1", "max"),
        ("upstage/solar-pro-3:free", "low"),
        ("openrouter/free", "low"),
        ("acme/unlisted", "low"),
    ],
)
def test_model_that_can_or_is_unknown_is_asked(run, stand_in, model, effort):
    done = run("reasoning", "Hello", "-m", model, "--effort", effort)

    assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err


def test_router_may_choose_a_model_that_can(run, stand_in, monkeypatch):
    monkeypatch.setitem(BY_ID["openrouter/free"], "supported_parameters", ["max_tokens"])
    done = run("reasoning", "Hello")

    assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err


@pytest.mark.parametrize("thoughts", [THOUGHT, ""], ids=["shown", "hidden"])
def test_answer_eaten_by_reasoning_is_named(run, stand_in, thoughts):
    usage = {"completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 50}}
    stand_in.say({"reasoning": thoughts, "finish_reason": "length", "usage": usage})
    done = run("reasoning", "Hello", "--max-tokens", "50")

    assert (done.code, done.out) == (1, "")
    assert "the reasoning used up all tokens" in lines(done.err)[-1]


def test_answer_cut_by_the_limit_is_not_blamed_on_reasoning_alone(run, stand_in):
    stand_in.fail("length", "/chat/completions")
    done = run("reasoning", "Hello")

    assert done.code == 1
    assert "used up" not in done.err
    assert "incomplete" in lines(done.err)[-1]


@pytest.mark.parametrize(
    "args",
    [
        ["--effort", "huge"],
        ["--effort", "low", "--budget", "100"],
        ["--budget", "many"],
        ["--budget", "100", "--max-tokens", "100"],
    ],
)
def test_wrong_usage_sends_nothing(run, stand_in, args):
    done = run("reasoning", "Hello", *args)

    assert done.code == 2
    assert stand_in.requests == []


def test_thoughts_come_as_they_are_thought(begin, stand_in):
    stand_in.pace = 0.4
    process = begin("reasoning", "Hello")
    came = []
    while os.read(process.stderr.fileno(), 1000):
        came.append(time.monotonic())
    assert process.wait(30) == 0

    # Two pieces of thoughts, four of the answer, then the tokens: the stand-in waits in between.
    assert came[-1] - came[0] > 1.5


@posix
def test_thoughts_are_dim_on_a_terminal_and_the_answer_is_not(command, stand_in):
    pexpect = pytest.importorskip("pexpect", reason="needs a terminal: pexpect")
    (program, *arguments), environment, folder = command("reasoning", "Hello")
    child = pexpect.spawn(
        program, arguments, env=environment, cwd=str(folder), encoding="utf-8", timeout=30
    )
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    dim = [part.partition("\x1b[0m") for part in child.before.split("\x1b[2m")[1:]]

    assert child.exitstatus == 0
    assert "".join(thought for thought, _, _ in dim) == THOUGHT
    assert TEXT in "".join(rest for _, _, rest in dim)


@posix
def test_interrupted_thought_ends_at_once(begin, stand_in):
    stand_in.pace = 2.0
    process = begin("reasoning", "Hello")
    os.read(process.stderr.fileno(), 1000)
    process.send_signal(2)
    _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert b"Traceback" not in err
