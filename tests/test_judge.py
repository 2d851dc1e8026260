"""Proves that judge is blind to names, asks in both orders, and calls a changed mind a tie."""

import json
import re

import pytest
from conftest import lines

QUESTION = "하늘은 왜 파래? {{x}}"
NAMES = {"good": "acme/muse-2", "bad": "other/dull-1", "fair": "third/plain:free"}


def answers(*texts):
    """What compare.py --json writes, of answers with these texts; one that failed besides."""
    rows = [{"asked": NAMES[text.split()[0]], "answer": text, "error": ""} for text in texts]
    rows.append({"asked": "acme/failed", "answer": "half", "error": "502: broken"})
    rows = [row | {"model": "real/name", "provider": "Chutes"} for row in rows]
    return json.dumps({"prompt": QUESTION, "answers": rows}, ensure_ascii=False)


def prefers(*order):
    """A judge that finds the answer that comes earliest in an order, wherever it stands."""

    def reply(body):
        text = body["messages"][0]["content"]
        found = sorted((word for word in order if f"{word} answer" in text), key=order.index)
        first = text.index(f"{found[0]} answer") < text.index(f"{found[1]} answer")
        return f"One of them is right.\n**Verdict: {'A' if first else 'B'}**"

    return reply


def test_each_pair_is_judged_in_both_orders_without_names(run, stand_in, tmp_path):
    (tmp_path / "answers.json").write_text(
        answers("bad answer", "good answer", "fair answer"), encoding="utf-8-sig"
    )
    stand_in.say(prefers("good", "fair", "bad"))
    done = run("judge", str(tmp_path / "answers.json"), "-m", "acme/judge")

    assert done.code == 0, done.err
    ranked = [(float(line.split()[0]), line.split()[1]) for line in lines(done.out)]
    assert ranked == [(2, NAMES["good"]), (1, NAMES["fair"]), (0, NAMES["bad"])]
    prompts = [call.body["messages"][0]["content"] for call in stand_in.requests]
    orders = [tuple(re.findall("(good|bad|fair) answer", prompt)) for prompt in prompts]
    assert len({*orders}) == len(orders) == 6 and orders[0] == orders[1][::-1]
    assert all(QUESTION in prompt for prompt in prompts)
    for name in (*NAMES.values(), "Chutes", "real/name", "half"):
        assert name not in "".join(prompts)
    assert {call.body["model"] for call in stand_in.requests} == {"acme/judge"}
    assert "One of them is right." in done.err, "the judge's reasons"


@pytest.mark.parametrize(
    "replies", [["Verdict: A", "Verdict: A"], ["Verdict: A", "verdict: tie"], ["B!", "A!"]]
)
def test_disagreement_or_no_verdict_is_a_tie(run, stand_in, replies):
    stand_in.say(replies)
    done = run("judge", "--json", stdin=answers("good answer", "bad answer"))

    found = json.loads(done.out)
    assert {row["points"] for row in found["ranking"]} == {0.5}
    assert found["pairs"][0]["winner"] == "tie" and found["pairs"][0]["texts"] == replies


def test_text_of_an_answer_is_no_template(run, stand_in):
    stand_in.say("Verdict: tie")
    run("judge", stdin=answers("good {{second}} {{question}}", "bad answer"))
    assert "good {{second}} {{question}}" in stand_in.requests[0].body["messages"][0]["content"]


@pytest.mark.parametrize("text", ["no JSON", '{"answers": []}', '{"a": 1}', "[]", answers("good")])
def test_input_that_is_no_comparison_costs_nothing(run, stand_in, text):
    done = run("judge", stdin=text)
    assert (done.code, done.out, stand_in.requests) == (1, "", [])
    assert len(lines(done.err)) == 1
