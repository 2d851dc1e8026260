"""Proves that orchestrate plans, works in order, checks, redoes once, and keeps its budget."""

import json

import pytest
from conftest import lines
from stand_in import TEXT

GOOD = '{"critique": "", "accepted": true}'
BAD = '{"critique": "너무 짧다", "accepted": false}'


def plan(**needs):
    """A plan with these steps and what each needs."""
    names = {name: needed.split() for name, needed in needs.items()}
    rows = [
        {"name": name, "task": f"do {name}", "needs": names[name], "model": "openrouter/free"}
        for name in names
    ]
    return json.dumps({"steps": rows}, ensure_ascii=False)


@pytest.fixture
def crew(stand_in):
    """crew(plan=…, work=…, check=…, final=…): each stage's reply, a text or one of the prompt."""

    def start(**replies):
        def reply(body):
            prompt = body["messages"][0]["content"]
            form = body.get("response_format", {}).get("json_schema", {}).get("name")
            stage = form or ("final" if prompt.startswith("Put the results") else "work")
            answer = replies.get(stage, {"check": GOOD}.get(stage, stage))
            return answer(body) if callable(answer) else answer

        stand_in.say(reply)

    return start


def prompts(stand_in, text):
    """The prompts of all requests that have a text in them."""
    found = [call.body["messages"][0]["content"] for call in stand_in.requests]
    return [prompt for prompt in found if text in prompt]


def test_steps_are_worked_on_in_order_checked_and_put_together(run, stand_in, crew):
    def work(body):
        prompt = body["messages"][0]["content"]
        return f"result of {prompt.rstrip().splitlines()[-1].removeprefix('do ')}"

    crew(plan=plan(하나="", two="", three="하나 two"), work=work, final=TEXT)
    done = run("orchestrate", "할 일 {{results}}", "-m", "acme/chief", stdin="더")

    assert done.code == 1, "the plan names a model that nobody offered"
    crew(plan=plan(하나="", two="", three="하나 two"), work=work, final=TEXT)
    stand_in.requests.clear()
    args = ["-m", "acme/chief", "--worker", "openrouter/free"]
    done = run("orchestrate", "할 일 {{results}}", *args, stdin="더")
    assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err
    assert len(stand_in.requests) == 8 and len(lines(done.err)) >= 8
    assert all("할 일 {{results}}\n\n더" in text for text in prompts(stand_in, ""))
    (three,) = [text for text in prompts(stand_in, "do three") if "Your step" in text]
    assert "result of 하나" in three and "result of two" in three
    models = [call.body["model"] for call in stand_in.requests]
    assert models.count("openrouter/free") == 3 and models.count("acme/chief") == 5
    assert stand_in.requests[0].body["provider"] == {"require_parameters": True}


def test_refused_result_is_redone_once_and_named_in_the_end(run, stand_in, crew):
    crew(plan=plan(a=""), check=BAD, final=TEXT)
    done = run("orchestrate", "Hello")

    assert done.code == 0 and done.out.startswith(f"{TEXT}\n")
    assert "Uncertain:\n- a: 너무 짧다" in done.out
    assert len(stand_in.requests) == 6, "plan, two works, two checks, final"
    redo = stand_in.requests[3].body["messages"]
    assert redo[1:] == [
        {"role": "assistant", "content": "work"},
        {"role": "user", "content": "너무 짧다"},
    ]
    assert "UNCERTAIN" in stand_in.requests[-1].body["messages"][0]["content"]


def test_failed_step_does_not_stop_the_others(run, stand_in, crew):
    def work(body):
        bad = "do bad" in body["messages"][0]["content"]
        return {"content": "half", "finish_reason": "length"} if bad else "fine"

    crew(plan=plan(bad="", good=""), work=work, final=TEXT)
    done = run("orchestrate", "Hello")
    assert done.code == 1 and done.out.startswith(f"{TEXT}\n")
    assert "- bad: not done" in done.out and "length" in done.out and "- good" not in done.out


@pytest.mark.parametrize(
    "text", [plan(a="b"), plan(a="b", b="a"), plan(), '{"steps": [{}]}', "no JSON"]
)
def test_plan_without_sense_is_asked_for_once_more(run, stand_in, crew, text):
    crew(plan=text)
    done = run("orchestrate", "Hello")
    assert (done.code, done.out) == (1, "") and len(stand_in.requests) == 2
    assert stand_in.requests[1].body["messages"][1] == {"role": "assistant", "content": text}
    assert "plan makes no sense" in lines(done.err)[-1]


def test_results_are_printed_when_the_final_answer_fails(run, crew):
    crew(plan=plan(a=""), work="값진 결과", final={"content": "cut", "finish_reason": "length"})
    done = run("orchestrate", "Hello")
    assert done.code == 1 and "값진 결과" in done.out and "length" in lines(done.err)[-1]


@pytest.mark.parametrize(
    ("usage", "args", "requests"),
    [
        ({"cost": 0.0}, ["--requests", "3"], 3),
        ({"cost": 0.03}, [], 2),
        ({"cost": 0.0, "is_byok": True, "cost_details": {"upstream_inference_cost": 1}}, [], 1),
        ({"cost": "N/A"}, [], 1),
        ({"cost": "N/A"}, ["--cost", "inf"], 4),
    ],
)
def test_budget_is_kept(run, stand_in, crew, usage, args, requests):
    stages = {"plan": plan(a=""), "work": "결과", "check": GOOD, "final": TEXT}
    crew(**{stage: {"content": text, "usage": usage} for stage, text in stages.items()})
    done = run("orchestrate", "Hello", *args)
    assert len(stand_in.requests) == requests
    assert done.code == (0 if "--requests" in args or "inf" in args else 1)
    if usage["cost"] == "N/A":
        assert "unknown" in done.err and "$0.0" not in done.err


def test_prompts_are_files(run, stand_in, crew, tmp_path):
    for stage in ("plan", "work", "check", "final"):
        (tmp_path / f"orchestrate_{stage}.txt").write_text(f"{stage}: {{{{task}}}}", "utf-8-sig")
    crew(plan=plan(a=""))
    run("orchestrate", "글", "--prompt", str(tmp_path))
    assert stand_in.requests[0].body["messages"][0]["content"] == "plan: 글"
    (tmp_path / "orchestrate_final.txt").unlink()
    done = run("orchestrate", "글", "--prompt", str(tmp_path))
    assert done.code == 1 and "orchestrate_final.txt" in done.err
    assert run("orchestrate", stdin=" ").code == 1
