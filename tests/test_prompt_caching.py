"""Proves that prompt_caching repeats text, mark and provider, and shows what the cache did."""

import re

from conftest import lines
from stand_in import TEXT

LONG = "긴 글의 한 문장입니다. {{x}} $5 \n" * 300
CLAUDE = "anthropic/claude-sonnet-4.5"


def number(name, line):
    return float(re.search(rf'"{name}":([\d.e-]+)', line)[1])


def test_questions_are_answered_over_the_same_marked_text(run, stand_in, tmp_path):
    (tmp_path / "긴 글.txt").write_bytes("\ufeff".encode() + LONG.encode())
    stand_in.say(["첫째 답", "Second answer", "Third"])
    done = run("prompt_caching", "누가?", "Why?", "When?", str(tmp_path / "긴 글.txt"))

    assert (done.code, done.out) == (0, "첫째 답\nSecond answer\nThird\n"), done.err
    bodies = [request.body for request in stand_in.requests]
    system = bodies[0]["messages"][0]
    (part,) = system["content"]
    assert part["cache_control"] == {"type": "ephemeral"} and part["text"].endswith(f"\n{LONG}")
    for body, question in zip(bodies, ["누가?", "Why?", "When?"], strict=True):
        assert body["messages"] == [system, {"role": "user", "content": question}]
        assert body["model"] == "~openai/gpt-luna-latest"
        assert 0 < len(body["session_id"]) <= 256
    assert len({body["session_id"] for body in bodies}) == 1, "one provider"
    run("prompt_caching", "Who?", "-", stdin=LONG)
    assert stand_in.requests[-1].body["messages"][0] == system, "from a pipe, too"
    assert stand_in.requests[-1].body["session_id"] != bodies[0]["session_id"]


def test_cached_tokens_and_cost_are_as_the_reply_has_them(run, stand_in):
    usages = [
        {"prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 2180}, "cost": 0.0083},
        {"prompt_tokens_details": {"cached_tokens": 2180, "cache_write_tokens": 0}, "cost": 0.0007},
    ]
    stand_in.say([{"content": TEXT, "usage": usage} for usage in usages])
    done = run("prompt_caching", "Who?", "Why?", "-", "-m", CLAUDE, stdin=LONG)

    assert (done.code, done.out) == (0, f"{TEXT}\n" * 2), done.err
    for line, usage in zip(lines(done.err), usages, strict=True):
        for name, value in usage["prompt_tokens_details"].items():
            assert number(name, line) == value
        assert number("cost", line) == usage["cost"]


def test_first_answer_stays_when_the_second_fails(run, stand_in):
    stand_in.say([{"content": "첫째 답"}, {"content": None}])
    done = run("prompt_caching", "Who?", "Why?", "-", stdin="글")

    assert (done.code, done.out) == (1, "첫째 답\n")
    assert len(lines(done.err)) == 2


def test_nothing_to_ask_about_sends_nothing(run, stand_in, tmp_path):
    (tmp_path / "empty.txt").write_text(" \n")
    for file, words in (("missing.txt", "missing.txt"), (str(tmp_path / "empty.txt"), "no text")):
        done = run("prompt_caching", "Who?", "Why?", file)
        assert (done.code, done.out, len(lines(done.err))) == (1, "", 1)
        assert words in done.err
    assert run("prompt_caching", "Who?").code == 2, "a question and a file"
    assert stand_in.requests == []
