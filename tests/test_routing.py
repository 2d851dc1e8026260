"""Proves that routing lists providers, sends each wish, and explains an impossible one."""

import pytest
from conftest import lines
from stand_in import TEXT

KOREAN = '강 이름 세 개 🙂 "{{x}}" $5'
PROVIDER = "/models/openai/gpt-5-mini/endpoints"


def asked(stand_in):
    """The one completion that was asked for."""
    (call,) = (call for call in stand_in.requests if call.route == "/chat/completions")
    return call


def test_question_is_answered_and_its_way_told(run, stand_in):
    done = run("routing", KOREAN, "-m", "openai/gpt-5-mini")

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    assert [call.route for call in stand_in.requests] == [PROVIDER, "/chat/completions"]
    assert asked(stand_in).body == {
        "model": "openai/gpt-5-mini",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": KOREAN},
        ],
        "provider": {},
    }
    assert asked(stand_in).headers["x-openrouter-metadata"] == "enabled"
    assert "[tried Chutes: 200]" in done.err
    assert "[available=1, selected=Chutes]" in done.err
    assert lines(done.err)[-1].startswith("[openai/gpt-5-mini, Chutes, ")


def test_providers_are_listed_with_what_they_cost_and_how_fast_they_are(run, stand_in):
    done = run("routing", "Hello", "-m", "openai/gpt-5-mini")
    head, first, second = lines(done.err)[:3]

    assert head.split()[0] == "provider"
    told = ["deepinfra/fp8", "0.25", "2", "400,000", "99.5%", "0.40", "s", "80/s", "fp8"]
    assert first.split() == told
    assert second.split()[:3] == ["together", "0.5", "4"]
    assert head.index("latency") + len("latency") == first.index("0.40 s") + len("0.40 s")


@pytest.mark.parametrize(
    ("args", "wish"),
    [
        (
            ["--sort", "throughput", "--zdr", "--no-collection", "--require-parameters"],
            {
                "sort": "throughput",
                "zdr": True,
                "data_collection": "deny",
                "require_parameters": True,
            },
        ),
        (["--order", "groq", "--order", "together"], {"order": ["groq", "together"]}),
        (
            ["--only", "deepinfra/fp8", "--ignore", "groq", "--ignore", "azure", "--no-fallbacks"],
            {"only": ["deepinfra/fp8"], "ignore": ["groq", "azure"], "allow_fallbacks": False},
        ),
        (
            ["--max-price", "0.5", "2", "--quantization", "fp8", "--quantization", "bf16"],
            {
                "max_price": {"prompt": "0.5", "completion": "2.0"},
                "quantizations": ["fp8", "bf16"],
            },
        ),
        (["--max-price", "0", "0"], {"max_price": {"prompt": "0.0", "completion": "0.0"}}),
    ],
    ids=" ".join,
)
def test_wish_is_sent(run, stand_in, args, wish):
    done = run("routing", "Hello", *args)

    assert done.code == 0, done.err
    assert asked(stand_in).body["provider"] == wish


def test_parameter_that_providers_may_lack_is_sent(run, stand_in):
    run("routing", "Hello", "--seed", "0", "--require-parameters")

    assert asked(stand_in).body["seed"] == 0


@pytest.mark.parametrize("model", ["openrouter/free", "acme/unlisted"])
def test_model_without_a_list_of_providers_is_asked_all_the_same(run, stand_in, model):
    done = run("routing", "Hello", "-m", model)

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    assert lines(done.err)[0].startswith(f"[{model} has no providers of its own")


def test_providers_without_numbers_are_listed(run, stand_in, monkeypatch):
    bare = {"provider_name": "Acme", "pricing": {"prompt": "0"}, "uptime_last_30m": None}
    monkeypatch.setattr("stand_in.endpoint", lambda *_: bare)
    done = run("routing", "Hello", "-m", "openai/gpt-5-mini")

    assert done.code == 0, done.err
    assert lines(done.err)[1].split() == ["Acme", "free", "?", "0", "?", "?", "?"]


def test_attempts_are_told_in_their_order(run, stand_in):
    tries = [{"provider": "Groq", "model": "m", "status": 429}, {"provider": "Azure"}]
    metadata = {"attempts": tries, "summary": "available=2, selected=Azure"}
    stand_in.say({"content": "Hi", "openrouter_metadata": metadata})
    done = run("routing", "Hello")

    assert "[tried Groq: 429]\n[tried Azure: None]\n[available=2, selected=Azure]\n" in done.err


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("404_policy", "data_policy:training"),
        ("404_constraint", "max_price; The cheapest endpoint costs $0.25 per M."),
    ],
)
def test_impossible_wish_is_explained(run, stand_in, fault, said):
    stand_in.fail(fault, "/chat/completions")
    done = run("routing", "Hello", "-m", "openai/gpt-5-mini")

    assert (done.code, done.out) == (1, "")
    assert lines(done.err)[-3] == f"[every provider ruled out by {said}]"
    assert "settings/privacy" in lines(done.err)[-2]
    assert lines(done.err)[-1].startswith("404: No endpoints")


def test_not_found_for_another_reason_blames_no_wish(run, stand_in):
    stand_in.fail("404_dead", "/chat/completions")
    done = run("routing", "Hello", "-m", "openai/gpt-5-mini")

    assert done.code == 1
    assert "ruled out" not in done.err
    assert "acme/muse-2" in lines(done.err)[-1]


@pytest.mark.parametrize(
    "args",
    [
        ["--sort", "fame"],
        ["--sort", "price", "--order", "groq"],
        ["--max-price", "0.5"],
        ["--max-price", "cheap", "1"],
        ["--seed", "x"],
    ],
    ids=" ".join,
)
def test_wrong_wish_sends_nothing(run, stand_in, args):
    done = run("routing", *args, "--", "Hello")

    assert done.code == 2
    assert stand_in.requests == []


def test_wrong_address_is_noticed_before_anything_is_asked(run, stand_in):
    stand_in.fail("html", PROVIDER)
    done = run("routing", "Hello", "-m", "openai/gpt-5-mini")

    assert done.code == 1
    assert "OPENROUTER_BASE_URL" in done.err
    assert [call.route for call in stand_in.requests] == [PROVIDER]
