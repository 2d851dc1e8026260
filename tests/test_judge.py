"""Proves that judge is blind to names, asks in both orders, and says when it can't be trusted."""

import json
import re

import pytest
from conftest import lines, named

QUESTION = "하늘은 왜 파래? {{x}}"
NAMES = {"good": "acme/muse-2", "bad": "other/dull-1", "fair": "third/plain:free"}


def answers(*texts, **more):
    """What compare.py --json writes, of answers with these texts."""
    rows = [
        {"asked": "a", "model": NAMES[text.split()[0]], "answer": text, "error": ""} | more
        for text in texts
    ]
    return json.dumps({"prompt": QUESTION, "answers": rows}, ensure_ascii=False)


def prompt(body):
    (message,) = body["messages"]
    assert message["role"] == "user"
    return message["content"]


def prefers(*order):
    """A judge that finds the answer that comes earliest in an order, wherever it stands."""

    def reply(body):
        text = prompt(body)
        found = sorted((word for word in order if f"{word} answer" in text), key=order.index)
        first = text.index(f"{found[0]} answer") < text.index(f"{found[1]} answer")
        return f"One of them is right.\nVerdict: {'A' if first else 'B'}"

    return reply


def ranked(done):
    """[(points, model)] as printed."""
    assert done.code == 0, done.err
    return [(float(line.split()[0]), line.split()[1]) for line in lines(done.out)]


def test_each_pair_is_judged_in_both_orders(run, stand_in):
    stand_in.say(prefers("good", "fair", "bad"))
    done = run("judge", stdin=answers("bad answer", "good answer", "fair answer"))

    assert ranked(done) == [(2, NAMES["good"]), (1, NAMES["fair"]), (0, NAMES["bad"])]
    assert len(stand_in.requests) == 6
    orders = [re.findall("(good|bad|fair) answer", prompt(c.body)) for c in stand_in.requests]
    assert orders[0] == orders[1][::-1]
    assert len({tuple(order) for order in orders}) == 6
    assert all(QUESTION in prompt(call.body) for call in stand_in.requests)
    assert {call.body["model"] for call in stand_in.requests} == {"openrouter/free"}


def test_no_name_reaches_the_judge(run, stand_in):
    stand_in.say(prefers("good", "bad"))
    run("judge", stdin=answers("good answer", "bad answer", provider="Chutes", asked="asked/one"))

    for call in stand_in.requests:
        for name in (*NAMES.values(), "Chutes", "asked/one", "acme", "muse"):
            assert name not in json.dumps(call.body)


@pytest.mark.parametrize(
    "replies",
    [
        ["Verdict: A", "Verdict: A"],
        ["Verdict: tie", "Verdict: tie"],
        ["Verdict: A", "Verdict: tie"],
        ["Verdict: B", "Verdict: a tie"],
    ],
    ids=["first-twice", "tie-twice", "tie-once", "a-tie-once"],
)
def test_disagreement_is_a_tie(run, stand_in, replies):
    stand_in.say(replies)
    done = run("judge", stdin=answers("good answer", "bad answer"))

    assert [points for points, _ in ranked(done)] == [0.5, 0.5]
    assert named("tie", lines(done.err)[0])


@pytest.mark.parametrize(
    "form",
    [
        "**Verdict: {}**",
        "verdict: **{}**.",
        "First, Verdict: tie? No.\nVerdict: {}",
    ],
)
def test_verdict_in_other_clothes_is_understood(run, stand_in, form):
    stand_in.say([form.format("B"), form.format("A")])
    done = run("judge", stdin=answers("bad answer", "good answer"))

    assert ranked(done) == [(1, NAMES["good"]), (0, NAMES["bad"])]


def test_missing_verdict_is_told_and_a_tie(run, stand_in):
    stand_in.say(["I like both.", "Verdict: A"])
    done = run("judge", stdin=answers("good answer", "bad answer"))

    assert [points for points, _ in ranked(done)] == [0.5, 0.5]
    assert "I like both.\n(no verdict" in done.err


def test_judges_own_text_is_shown(run, stand_in):
    stand_in.say(["둘째가 더 정확하다.\nVerdict: B", "The first is right.\nVerdict: A"])
    done = run("judge", stdin=answers("bad answer", "good answer"))

    assert lines(done.err) == [
        f"[{NAMES['bad']} or {NAMES['good']}: {NAMES['good']}]",
        "둘째가 더 정확하다.",
        "Verdict: B",
        "The first is right.",
        "Verdict: A",
    ]


@pytest.mark.parametrize("more", [["-m", NAMES["good"]], []], ids=["named", "chosen-by-a-router"])
def test_judge_of_its_own_answer_is_a_warning(run, stand_in, more):
    stand_in.say({"content": "Verdict: A", "model": NAMES["good"]})
    done = run("judge", *more, stdin=answers("good answer", "bad answer", "fair answer"))

    assert done.code == 0
    warnings = [line for line in lines(done.err) if "Warning" in line]
    assert len(warnings) == 2, "one for each pair that has its answer"
    assert all(NAMES["good"] in line for line in warnings)


def test_other_judge_is_no_warning(run, stand_in):
    stand_in.say({"content": "Verdict: A", "model": "judge/wise"})
    done = run("judge", "-m", "judge/wise", stdin=answers("good answer", "bad answer"))

    assert "arning" not in done.err
    assert stand_in.requests[0].body["model"] == "judge/wise"


def test_json_has_ranking_and_pairs(run, stand_in):
    stand_in.say({"content": "이유.\nVerdict: A", "model": "judge/wise"})
    done = run("judge", "--json", stdin=answers("good answer", "bad answer"))

    assert done.code == 0
    assert "이유" in done.out
    data = json.loads(done.out)
    assert [item["points"] for item in data["ranking"]] == [0.5, 0.5]
    assert data["pairs"] == [
        {
            "models": [NAMES["good"], NAMES["bad"]],
            "winner": None,
            "texts": ["이유.\nVerdict: A"] * 2,
            "judges": ["judge/wise"] * 2,
        }
    ]


def test_answers_from_a_file(run, stand_in, tmp_path):
    stand_in.say(prefers("good", "bad"))
    file = tmp_path / "답.json"
    file.write_bytes(b"\xef\xbb\xbf" + answers("good answer", "bad answer").encode())
    done = run("judge", str(file))

    assert ranked(done)[0] == (1, NAMES["good"])


def test_text_of_an_answer_is_not_a_template(run, stand_in):
    stand_in.say("Verdict: tie")
    done = run("judge", stdin=answers("good {{second}} {{question}} $5", 'bad {"a": 1} {{first}}'))

    assert done.code == 0, done.err
    assert "good {{second}} {{question}} $5" in prompt(stand_in.requests[0].body)
    assert 'bad {"a": 1} {{first}}' in prompt(stand_in.requests[0].body)


def test_prompt_is_a_file(run, stand_in, tmp_path):
    (tmp_path / "mine.txt").write_text("{{question}}|{{first}}|{{second}}", encoding="utf-8")
    stand_in.say("Verdict: A")
    run("judge", "--prompt", str(tmp_path / "mine.txt"), stdin=answers("good 1", "bad 2"))

    prompts = [prompt(call.body) for call in stand_in.requests]
    assert prompts == [f"{QUESTION}|good 1|bad 2", f"{QUESTION}|bad 2|good 1"]


def test_failed_answers_take_no_part(run, stand_in):
    stand_in.say(prefers("good", "bad"))
    data = json.loads(answers("good answer", "fair answer", "bad answer"))
    data["answers"][1]["error"] = "The answer is incomplete"
    data["answers"].append({"asked": "x", "model": "x/y", "answer": "", "error": "502"})
    done = run("judge", stdin=json.dumps(data))

    assert ranked(done) == [(1, NAMES["good"]), (0, NAMES["bad"])]


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        "{}",
        '{"prompt": "x", "answers": ["text"]}',
        '{"prompt": "x", "answers": [{"model": "a"}]}',
        answers("good answer"),
        "",
    ],
    ids=["no-json", "no-answers", "text", "no-text", "one", "nothing"],
)
def test_input_that_is_no_comparison_is_one_sentence(run, stand_in, text):
    done = run("judge", stdin=text)

    assert (done.code, done.out) == (2, "")
    assert len(lines(done.err)) == 1
    assert stand_in.requests == []


@pytest.mark.parametrize("part", ["prompt", "answer", "model"])
def test_parts_that_are_no_text_are_one_sentence(run, stand_in, part):
    data = json.loads(answers("good answer", "bad answer"))
    if part == "prompt":
        data["prompt"] = 5
    else:
        data["answers"][0][part] = {"text": 5}
    done = run("judge", stdin=json.dumps(data))

    assert (done.code, done.out) == (2, "")
    assert len(lines(done.err)) == 1


def test_missing_file_is_one_sentence(run, stand_in):
    done = run("judge", "no-such.json")

    assert (done.code, done.out) == (2, "")
    assert len(lines(done.err)) == 1 and "no-such.json" in done.err


def test_failure_keeps_what_was_judged(run, stand_in):
    replies = iter(["Verdict: A", "Verdict: B"])

    def reply(body):
        return next(replies, {"content": "half", "finish_reason": "length"})

    stand_in.say(reply)
    done = run("judge", stdin=answers("good answer", "bad answer", "fair answer"))

    assert done.code == 1
    assert named("token limit", lines(done.err)[-1])
    assert [line.split()[0] for line in lines(done.out)] == ["1.0", "0.0", "0.0"]
