"""Proves that free_models tells what each free model says now, within the free limits."""

import ast
import json
import re
import signal
import threading

import pytest
from conftest import SCRIPTS, lines, named, posix
from stand_in import CHAT_PARAMETERS, FAULTS, JSON_OUT, PARTIAL, REASONING, THOUGHT, TOOLS, listing

FAST = {"SECONDS_BETWEEN = 3.0": "SECONDS_BETWEEN = 0.0"}


def free(model, inputs="text", parameters=(), context=8192, price="0"):
    return listing(model, model, inputs, "text", price, price, parameters, context)


@pytest.fixture
def offer(catalogue):
    """offer(id, …): the only free models there are."""

    def offer(*models):
        catalogue[:] = [free(model) if isinstance(model, str) else model for model in models]

    return offer


def probes(stand_in):
    return [call.body["model"] for call in stand_in.requests if call.method == "POST"]


def results(done):
    return {result["model"]: result for result in json.loads(done.out)}


def test_each_model_gets_a_tiny_request_and_a_line(run, stand_in, offer):
    offer(
        free("acme/able:free", "text,image", CHAT_PARAMETERS + TOOLS + JSON_OUT + REASONING, 65536),
        free("fault/502", context=None),
    )
    done = run("free_models", edit=FAST)

    assert done.code == 0, done.err
    assert probes(stand_in) == ["acme/able:free", "fault/502"]
    body = stand_in.requests[1].body
    assert body["max_tokens"] <= 16 and len(body["messages"]) == 1
    assert "authorization" not in stand_in.requests[0].headers, "the catalogue needs no key"
    able, broken = lines(done.out)
    assert re.fullmatch(
        r"answers +\d+\.\d s +65,536  acme/able:free  image tools json reasoning", able
    )
    assert re.match(r"fails +\d+\.\d s +0  fault/502  502: .*out of memory on node 7", broken)
    assert "[1 of 2 answer]" in lines(done.err)[-1]


def test_progress_is_on_stderr(run, offer):
    offer("acme/one", "acme/two")
    done = run("free_models", edit=FAST)

    assert "[1/2] acme/one" in done.err and "[2/2] acme/two" in done.err
    assert "[1/2]" not in done.out


def test_status_of_models_that_do_not_answer(run, stand_in, offer):
    statuses = {
        "429_upstream": "busy",
        "429_retry_after": r"busy until \d\d:\d\d",
        "429_minute": r"busy until \d\d:\d\d",
        "404_dead": "gone",
        "400": "gone",
        "404_policy": "not allowed",
        "403": "not allowed",
        "402": "not allowed",
        "502": "fails",
        "error_200": "fails",
        "null_200": "fails",
        "empty": "fails",
        "cut": "fails",
        "bad_json": "fails",
    }
    offer(*(f"fault/{fault}" for fault in statuses), "acme/after")
    done = run("free_models", "--limit", "20", "--json", edit=FAST)

    assert done.code == 0, done.err
    found = results(done)
    assert len(found) == len(statuses) + 1, "one that fails must not stop the others"
    for fault, status in statuses.items():
        assert re.fullmatch(status, found[f"fault/{fault}"]["status"]), fault
        assert named(FAULTS[fault].says, found[f"fault/{fault}"]["detail"]), fault
    assert found["acme/after"]["status"] == "answers"


@pytest.mark.parametrize("content", [PARTIAL, None], ids=["cut-text", "only-thoughts"])
def test_answer_cut_by_its_tiny_limit_is_an_answer(run, stand_in, offer, content):
    offer("acme/one")
    stand_in.say({"content": content, "reasoning": THOUGHT, "finish_reason": "length"})
    done = run("free_models", "--json", edit=FAST)

    assert results(done)["acme/one"]["status"] == "answers"


def test_silent_model_does_not_stop_the_others(run, offer):
    offer("fault/hang", "acme/after")
    edit = {**FAST, "ANSWER_SECONDS = 60": "ANSWER_SECONDS = 1"}
    done = run("free_models", "--json", edit=edit)

    assert results(done)["fault/hang"]["status"] == "silent"
    assert results(done)["fault/hang"]["seconds"] >= 1
    assert results(done)["acme/after"]["status"] == "answers"


def test_day_that_is_over_stops(run, stand_in, offer):
    offer("acme/one", "fault/429_day", "acme/never")
    done = run("free_models", edit=FAST)

    assert probes(stand_in) == ["acme/one", "fault/429_day"]
    first, last = lines(done.out)
    assert first.startswith("answers ")
    assert re.match(r"day over until \d\d:\d\d ", last)
    assert named("free-models-per-day", last)
    assert done.code == 0


def test_only_models_that_cost_nothing_are_asked(run, stand_in, offer):
    offer(
        "openrouter/free",
        free("acme/lure:free", price="0.000001"),
        "acme/gift",
        free("openrouter/auto", price="-1"),
    )
    run("free_models", edit=FAST)

    assert probes(stand_in) == ["acme/gift"]


def test_few_are_asked_unless_told_otherwise(run, stand_in, offer):
    offer(*(f"acme/{number}" for number in range(30)))
    done = run("free_models", "--json", edit=FAST)
    assert 1 <= len(json.loads(done.out)) == len(probes(stand_in)) <= 10

    stand_in.reset()
    done = run("free_models", "--limit", "12", "--json", edit=FAST)
    assert len(json.loads(done.out)) == len(probes(stand_in)) == 12


def test_search_reaches_the_server(run, stand_in, offer):
    offer("acme/one", "other/two")
    run("free_models", "acme", edit=FAST)

    assert stand_in.requests[0].query["q"] == "acme"
    assert probes(stand_in) == ["acme/one"]


def test_probes_are_paced(run, offer):
    text = (SCRIPTS / "free_models.py").read_text(encoding="utf-8")
    (pause,) = re.findall(r"^SECONDS_BETWEEN = (.+?)\s*#", text, re.MULTILINE)
    assert 60 / ast.literal_eval(pause) <= 20, "more than 20 requests a minute"

    offer("acme/one", "acme/two", "acme/three")
    fast = run("free_models", edit=FAST).seconds
    slow = run("free_models", edit={"SECONDS_BETWEEN = 3.0": "SECONDS_BETWEEN = 3.5"}).seconds
    assert slow > fast + 4, "two pauses between three probes"


def test_json_has_all_the_facts(run, offer):
    offer(free("acme/one", "text,audio", TOOLS, 4096))
    done = run("free_models", "--json", edit=FAST)

    (result,) = json.loads(done.out)
    assert result.pop("seconds") >= 0
    assert result == {
        "model": "acme/one",
        "status": "answers",
        "detail": "",
        "context": 4096,
        "abilities": ["audio", "tools"],
    }


@pytest.mark.parametrize("fault", ["401", "drop_headers", "html"])
def test_failure_that_no_model_is_to_blame_for_ends_it(run, stand_in, offer, fault):
    offer("acme/one", "acme/two")
    stand_in.fail(fault, path="/models" if fault == "html" else "/chat/completions")
    done = run("free_models", edit=FAST)

    assert (done.code, done.out) == (1, "")
    assert len(probes(stand_in)) <= 1
    assert "OPENROUTER" in done.err or "network" in done.err


def test_failure_later_keeps_what_came(run, stand_in, offer):
    offer("acme/one", "fault/401", "acme/three")
    done = run("free_models", "--json", edit=FAST)

    assert done.code == 1
    assert [result["model"] for result in json.loads(done.out)] == ["acme/one"]
    assert "401" in lines(done.err)[-1]


def test_none_that_answers_is_exit_code_1(run, offer):
    offer("fault/502", "fault/404_dead")
    done = run("free_models", edit=FAST)

    assert done.code == 1
    assert len(lines(done.out)) == 2
    assert lines(done.err)[-1] == "[0 of 2 answer]"


@posix
@pytest.mark.parametrize("more", [[], ["--json"]], ids=["lines", "json"])
def test_control_c_keeps_what_came(begin, stand_in, offer, more):
    offer("acme/one", "fault/hang", "acme/three")
    process = begin("free_models", *more, edit=FAST)
    err, asked = b"", threading.Timer(60, process.kill)
    asked.start()
    while b"[2/3]" not in err and (piece := process.stderr.read(1)):
        err += piece
    asked.cancel()
    assert b"[2/3]" in err
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=30)

    assert process.returncode == 130
    assert b"Traceback" not in err + rest
    found = [r["model"] for r in json.loads(out)] if more else re.findall(r"acme/\w+", out.decode())
    assert found == ["acme/one"]
