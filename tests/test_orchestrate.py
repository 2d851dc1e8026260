"""Proves that orchestrate plans, hands results on, checks, keeps to its budget, tells failures."""

import json

import pytest
from conftest import lines

TASK = "세 도시의 인구를 비교해 줘. Keep {{this}} as it is."


def step(name, *needs, model="openrouter/free"):
    return {"name": name, "task": f"Yield {name}.", "needs": list(needs), "model": model}


def stage_of(body):
    """Which stage a request belongs to: its schema's name, else what its prompt is like."""
    kind = body.get("response_format", {}).get("json_schema", {}).get("name")
    text = body["messages"][0]["content"]
    return kind or ("work" if "Your step:" in text else "final")


def step_of(body):
    """The step a request to work or check is about."""
    return body["messages"][0]["content"].split("Yield ")[1].split(".")[0]


class Brain:
    """Replies like models in their roles, and remembers who was asked what."""

    def __init__(self, *plans, **replies):
        self.plans, self.replies, self.asked = list(plans), replies, []

    def __call__(self, body):
        stage = stage_of(body)
        self.asked.append((stage, body))
        if stage == "plan":
            plan = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
            return plan if isinstance(plan, str) else json.dumps({"steps": plan})
        if stage == "final":
            return self.replies.get("final", "서울이 가장 크다.")
        reply = self.replies.get(f"{stage}_{step_of(body)}")
        if isinstance(reply, list):
            reply = reply.pop(0)
        if stage == "work":
            return reply or f"result of {step_of(body)}"
        return reply or json.dumps({"critique": "", "accepted": True})

    def stages(self):
        return [stage for stage, _ in self.asked]

    def prompts(self, stage):
        return [body["messages"][0]["content"] for one, body in self.asked if one == stage]


REFUSED = json.dumps({"critique": "출처가 없다.", "accepted": False})


def test_plan_work_check_and_final_with_the_results_handed_on(run, stand_in):
    brain = Brain([step("cities"), step("table", "cities")])
    stand_in.say(brain)
    done = run("orchestrate", TASK)

    assert (done.code, done.out) == (0, "서울이 가장 크다.\n")
    assert brain.stages() == ["plan", "work", "check", "work", "check", "final"]
    first, second = brain.prompts("work")
    assert TASK in first and "result of cities" not in first
    assert TASK in second and "result of cities" in second and "Yield table." in second
    assert "result of table" in brain.prompts("check")[1]
    assert all(f"result of {name}" in brain.prompts("final")[0] for name in ("cities", "table"))
    for stage in ("plan", "work cities", "check cities", "work table", "check table", "final"):
        assert f"[{stage}: " in done.err
    assert "$0.000000" in done.err


def test_steps_that_need_nothing_of_each_other_run_at_once(run, stand_in, tmp_path):
    stand_in.say(Brain([step("a"), step("b"), step("c"), step("d", "a")]))
    stand_in.delay = 1.5
    trace = tmp_path / "trace.jsonl"
    assert run("orchestrate", TASK, "--trace", str(trace)).code == 0

    events = [json.loads(line) for line in trace.read_text("utf-8").splitlines()]
    done = {e["step"]: e["time"] for e in events if e["stage"] == "work"}
    together = [done[name] for name in "abc"]
    assert max(together) - min(together) < 2 * stand_in.delay  # one after the other: four times
    assert done["d"] - done["a"] > 2 * stand_in.delay - 0.5  # after the check of a


def test_each_step_goes_to_the_model_it_was_planned_for(run, stand_in):
    brain = Brain([step("a", model="acme/one"), step("b", model="acme/two")])
    stand_in.say(brain)
    args = ("-m", "acme/chief", "--worker", "acme/one", "--worker", "acme/two")
    assert run("orchestrate", TASK, *args, "--cost", "1").code == 0

    models = {stage: set() for stage in ("plan", "work", "check", "final")}
    for stage, body in brain.asked:
        models[stage].add(body["model"])
    chief = {"acme/chief"}
    assert models == {
        "plan": chief, "work": {"acme/one", "acme/two"}, "check": chief, "final": chief,
    }  # fmt: skip
    assert "acme/one, acme/two" in brain.prompts("plan")[0]


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ([step("a", "b"), step("b", "a")], "cycle"),
        ([step("a", "a")], "cycle"),
        ([step("a", "nobody")], "nobody"),
        ([step("a", "openrouter/free")], "no openrouter/free"),
        ([step("a", model="b"), step("b")], "no b"),
        ([step("a", model="acme/unheard-of")], "acme/unheard-of"),
        ([step(f"s{n}") for n in range(50)], "1 to 6 steps"),
        ([step("a"), step("a")], "a name of its own"),
        ([], "1 to 6 steps"),
        ([{"name": "a"}], "required"),
        ("Certainly! First we should", "JSON"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_and_asked_for_once_more(run, stand_in, plan, why):
    brain = Brain(plan, [step("good")])
    stand_in.say(brain)
    done = run("orchestrate", TASK)

    assert done.code == 0
    assert brain.stages()[:3] == ["plan", "plan", "work"]
    assert why in done.err
    again = brain.asked[1][1]["messages"]
    assert [message["role"] for message in again] == ["user", "assistant", "user"]
    assert why in again[2]["content"]

    stand_in.reset()
    brain = Brain(plan)
    stand_in.say(brain)
    done = run("orchestrate", TASK)
    assert (done.code, done.out) == (1, "")
    assert brain.stages() == ["plan", "plan"]
    assert why in lines(done.err)[-1]


def test_a_critique_is_handed_back_once_and_a_good_second_try_leaves_no_doubt(run, stand_in):
    brain = Brain([step("a")], work_a=["first", "second"], check_a=[REFUSED, None])
    stand_in.say(brain)
    done = run("orchestrate", TASK)

    assert (done.code, done.out) == (0, "서울이 가장 크다.\n")
    assert brain.stages() == ["plan", "work", "check", "work", "check", "final"]
    redo = [body for stage, body in brain.asked if stage == "work"][1]["messages"]
    assert redo[1:] == [
        {"role": "assistant", "content": "first"},
        {"role": "user", "content": "출처가 없다."},
    ]
    assert "second" in brain.prompts("final")[0] and "first" not in brain.prompts("final")[0]


def test_what_stays_refused_is_named_as_uncertain(run, stand_in):
    brain = Brain([step("a"), step("b")], check_a=REFUSED)
    stand_in.say(brain)
    done = run("orchestrate", TASK)

    assert done.code == 0
    assert done.out == "서울이 가장 크다.\n\nUncertain:\n- a: not accepted: 출처가 없다.\n"
    assert brain.stages().count("work") == 3
    final = brain.prompts("final")[0]
    assert "# UNCERTAIN: a" in final and "# b" in final


def test_a_failed_step_is_told_and_the_rest_goes_on(run, stand_in):
    plan = [step("a", model="fault/429_day"), step("b", "a"), step("c")]
    brain = Brain(plan)
    stand_in.say(brain)
    workers = ("--worker", "fault/429_day", "--worker", "openrouter/free")
    done = run("orchestrate", TASK, *workers)

    assert done.code == 1  # a part of the work is missing
    answer, uncertain = done.out.split("\n\nUncertain:\n")
    assert answer == "서울이 가장 크다."
    assert "- a: not done (429: Rate limit exceeded: free-models-per-day" in uncertain
    assert "- b: not done (no result of a)" in uncertain
    assert "- c" not in uncertain
    assert "free-models-per-day" in done.err
    assert "result of c" in brain.prompts("final")[0]


def test_a_check_that_fails_leaves_the_result_and_a_doubt(run, stand_in):
    stand_in.say(Brain([step("a")], check_a="Looks good to me!"))
    done = run("orchestrate", TASK)
    assert done.code == 0
    assert "Uncertain:\n- a: not checked (" in done.out


def test_no_step_done_is_a_failure(run, stand_in):
    stand_in.say(Brain([step("a", model="fault/502"), step("b", model="fault/empty")]))
    done = run("orchestrate", TASK, "--worker", "fault/502", "--worker", "fault/empty")
    assert done.code == 1
    assert "CUDA out of memory on node 7" in done.err
    assert "No step was done" in lines(done.err)[-1]


def test_results_are_not_lost_when_the_final_answer_fails(run, stand_in):
    stand_in.say(Brain([step("a")], final={"content": None, "finish_reason": "length"}))
    done = run("orchestrate", TASK)
    assert done.code == 1
    assert "result of a" in done.out
    assert "token limit" in lines(done.err)[-1]


@pytest.mark.parametrize("requests", [2, 3, 4, 5, 6, 9, 14])
def test_the_budget_of_requests_is_never_passed_and_kept_for_the_final_answer(
    run, stand_in, requests
):
    brain = Brain([step("a"), step("b"), step("c")], check_a=REFUSED, check_b=REFUSED)
    stand_in.say(brain)
    done = run("orchestrate", TASK, "--requests", str(requests))

    assert len(stand_in.requests) <= requests
    if requests > 2:  # fewer leave no room for any step
        assert brain.stages()[-1] == "final"
        assert done.out.startswith("서울이 가장 크다.")
    else:
        assert done.code == 1
    if requests < 12:
        assert "the budget is used up" in done.err


def test_no_request_at_all_without_a_budget_for_it(run, stand_in):
    for option in (("--requests", "1"), ("--cost", "-1")):
        done = run("orchestrate", TASK, *option)
        assert (done.code, done.out) == (2, "")
        assert "the budget is used up" in done.err
    assert stand_in.requests == []


@pytest.mark.parametrize("cost", ["0.0001", "0.05", "3"])
def test_the_price_caps_keep_even_the_dearest_replies_within_the_cost(run, stand_in, cost):
    """Every reply costs what the cap allows for the most tokens the request can make."""
    spent = []

    def dear(body):
        reply = brain(body)
        prices = body["provider"]["max_price"]
        assert set(prices) == {"prompt", "completion", "request"}
        assert float(prices["request"]) == 0
        tokens = len(json.dumps(body["messages"], ensure_ascii=False).encode())
        most = tokens * float(prices["prompt"]) + body["max_tokens"] * float(prices["completion"])
        spent.append(most / 1_000_000)
        return {"content": reply, "usage": {"cost": spent[-1]}}

    brain = Brain([step("a"), step("b"), step("c", "a", "b")], check_a=REFUSED, check_c=REFUSED)
    stand_in.say(dear)
    run("orchestrate", TASK, "--cost", cost)
    assert len(spent) == 12
    assert float(cost) / 4 < sum(spent) <= float(cost)


def test_money_that_was_not_spent_is_there_for_later_requests(run, stand_in):
    caps = []

    def free(body):
        caps.append(float(body["provider"]["max_price"]["prompt"]) * body["max_tokens"])
        return brain(body)

    brain = Brain([step("a")])
    stand_in.say(free)
    assert run("orchestrate", TASK, "--requests", "4").code == 0
    assert caps[-1] > 2 * caps[0]


def test_the_trace_holds_every_request_as_json_lines(run, stand_in, tmp_path):
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"kept": true}\n', encoding="utf-8")
    stand_in.say(Brain([step("a", model="fault/429_upstream"), step("b")]))
    workers = ("--worker", "fault/429_upstream", "--worker", "openrouter/free")
    run("orchestrate", TASK, *workers, "--trace", str(trace))

    kept, *events = [json.loads(line) for line in trace.read_text("utf-8").splitlines()]
    assert kept == {"kept": True}
    answers = [(e["stage"], e["step"]) for e in events if "answer" in e]
    assert answers == [("plan", None), ("work", "b"), ("check", "b"), ("final", None)]
    assert any(TASK in e["messages"][0]["content"] for e in events if "messages" in e)
    assert any("temporarily rate-limited" in e["note"] for e in events)
    assert "test-key" not in trace.read_text("utf-8")


def test_the_four_prompt_files_can_be_swapped_together(run, stand_in, tmp_path):
    fields = {
        "plan": "{{task}} {{steps}} {{models}}",
        "work": "{{task}} {{step}} {{results}} Your step:",
        "check": "{{task}} {{step}} {{results}} {{answer}}",
        "final": "{{task}} {{results}}",
    }
    for stage, text in fields.items():
        (tmp_path / f"mine_{stage}").write_text(f"\ufeffMINE {text}", encoding="utf-8")
    brain = Brain([step("a")])
    stand_in.say(brain)
    assert run("orchestrate", TASK, "--prompt", str(tmp_path / "mine")).code == 0
    assert {prompt[:5] for stage in fields for prompt in brain.prompts(stage)} == {"MINE "}


def test_wrong_use(run):
    assert run("orchestrate").code == 2
    assert run("orchestrate", TASK, "--prompt", "no-such").code == 2
    assert run("orchestrate", TASK, key="").code == 2
    assert run("orchestrate", TASK, "--steps", "many").code == 2
