"""Proves that free_models tells what each free model says now, within the free limits."""

import re
import signal
import time

import pytest
from conftest import lines, posix, wait_until
from stand_in import listing

FAST = {"SECONDS_BETWEEN = 3.1": "SECONDS_BETWEEN = 0.0"}


@pytest.fixture
def offer(catalogue):
    """offer(id, …): the only models there are."""

    def offer(*models):
        catalogue[:] = [
            listing(model, model, "text", "text", "0", "0", (), 8192) for model in models
        ]

    return offer


def probes(stand_in):
    return [call.body["model"] for call in stand_in.requests if call.method == "POST"]


def test_each_free_model_gets_a_request_and_a_line(run, stand_in, offer):
    offer("acme/able:free", "acme/next:free", "openrouter/free", "acme/paid", "acme/x:free:batch")
    stand_in.fail("502", "/chat/completions", 1)
    done = run("free_models", edit=FAST)

    assert done.code == 0, done.err
    assert stand_in.requests[0].query["sort"] == "most-popular"
    assert probes(stand_in) == ["acme/able:free", "acme/next:free"]
    broken, able = sorted(lines(done.out), reverse=True)
    assert re.fullmatch(r"fails +acme/able:free  502: .*out of memory on node 7.*", broken)
    assert re.fullmatch(r"answers +\d+\.\d s  acme/next:free", able)


def test_limit_is_kept_and_none_that_answers_is_exit_code_1(run, stand_in, offer):
    offer("acme/1:free", "acme/2:free", "acme/3:free")
    stand_in.fail("length", "/chat/completions")
    done = run("free_models", "acme", "--limit", "2", edit=FAST)
    assert done.code == 1
    assert len(probes(stand_in)) == len(lines(done.out)) == 2
    assert "length" in done.out and stand_in.requests[0].query["q"] == "acme"


@pytest.mark.parametrize("fault", ["401", "429_day"])
def test_what_concerns_all_models_ends_it(run, stand_in, offer, fault):
    offer("acme/1:free", "acme/2:free", "acme/3:free")
    stand_in.fail(fault, "/chat/completions")
    done = run("free_models", edit=FAST)
    assert (done.code, done.out, len(probes(stand_in))) == (1, "", 1)
    assert len(lines(done.err)) == 1 and fault[:3] in done.err


@posix
def test_probes_are_paced_and_control_c_keeps_what_came(begin, stand_in, offer):
    offer("acme/1:free", "acme/2:free")
    process = begin("free_models")
    assert wait_until(lambda: probes(stand_in))
    time.sleep(1.5)
    assert len(probes(stand_in)) == 1, "20 a minute are allowed"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130 and b"acme/1:free" in out and err == b""
