"""Proves that key shows what a key may do and has used, and of which account it can tell."""

from conftest import lines
from stand_in import MANAGEMENT_KEY


def shown(done) -> dict[str, str]:
    assert done.code == 0, done.err
    return {line[:32].strip(): line[32:] for line in lines(done.out)}


def test_limits_and_usage(run, stand_in):
    stand_in.key_info = {"limit": 10, "limit_remaining": 0.25, "label": "내 키"}
    facts = shown(run("key"))
    assert [call.route for call in stand_in.requests] == ["/key"]
    assert facts["limit"] == "10" and facts["limit_remaining"] == "0.25"
    assert facts["label"] == "내 키" and "usage_daily" in facts
    assert '"remaining": 988' in facts["free_model_daily_requests"]


def test_key_without_a_limit_and_a_management_key(run, stand_in):
    stand_in.key_info = {"limit": None}
    assert shown(run("key"))["limit"] == "null"
    facts = shown(run("key", key=MANAGEMENT_KEY))
    assert (facts["total_credits"], facts["total_usage"]) == ("25.0", "4.5")
