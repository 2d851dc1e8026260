"""Proves that routing sends the preferences that were asked for, and tells who answered."""

import pytest
from conftest import lines
from stand_in import TEXT

CASES = [
    ([], {}),
    (["--sort", "throughput", "--zdr"], {"sort": "throughput", "zdr": True}),
    (["--only", "deepinfra/fp8", "--only", "groq"], {"only": ["deepinfra/fp8", "groq"]}),
    (["--max-price", "0.5", "2"], {"max_price": {"prompt": "0.5", "completion": "2"}}),
    (["--no-collection"], {"data_collection": "deny"}),
    (["-o", 'provider={"quantizations": ["fp8"]}'], {"quantizations": ["fp8"]}),
]


@pytest.mark.parametrize(("args", "preferences"), CASES)
def test_preferences_are_sent(run, stand_in, args, preferences):
    done = run("routing", "강 세 개", *args)

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    body = dict(stand_in.requests[0].body)
    assert body.pop("messages")[1] == {"role": "user", "content": "강 세 개"}
    assert body == {"model": "openrouter/free", "provider": preferences}
    (facts,) = lines(done.err)
    assert '"provider":"' in facts and '"cost":0.0' in facts


def test_service_tier_is_sent_and_told(run, stand_in):
    done = run("routing", "Hello", "-m", "openai/gpt-5-mini", "-o", "service_tier=flex")
    assert stand_in.requests[0].body["service_tier"] == "flex"
    assert done.code == 0 and '"service_tier":"flex"' in done.err


@pytest.mark.parametrize(
    ("fault", "says"), [("404_policy", "data policy"), ("404_constraint", "max_price")]
)
def test_impossible_preferences_are_told_in_the_routers_words(run, stand_in, fault, says):
    done = run("routing", "Hello", "-m", f"fault/{fault}")
    assert (done.code, done.out) == (1, "")
    assert len(lines(done.err)) == 1 and says in done.err
    assert run("routing", "Hello", "--sort", "size").code == 2
