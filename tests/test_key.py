"""Proves that key tells what the key may do and has used, and shows no key."""

import json

from conftest import lines, named
from stand_in import KEY, MANAGEMENT_KEY


def facts(done):
    """The lines of the answer by their first words."""
    assert done.code == 0, done.err
    assert done.err == ""
    return {line[:13].strip(): line[13:] for line in lines(done.out)}


def test_limits_spending_and_free_requests(run, stand_in):
    told = facts(run("key"))

    assert [call.route for call in stand_in.requests] == ["/key"]
    assert stand_in.requests[0].key == KEY
    assert told["key"] == "sk-or-v1-abc...xyz"
    assert told["used"] == "$1.2500 in all, $0.0500 daily, $0.3000 weekly, $0.9000 monthly"
    assert told["limit"] == "$10.00, $8.7500 left, resets monthly"
    assert told["free today"].startswith("988 of 1000 requests left")
    assert told["free tier"] == "no"
    assert "credits" not in told


def test_key_of_the_free_tier(run, stand_in):
    stand_in.key_info = {
        "limit": None,
        "limit_remaining": None,
        "limit_reset": None,
        "is_free_tier": True,
        "usage": 0,
        "free_model_daily_requests": {"limit": 50, "used": 50, "remaining": 0},
        "expires_at": "2027-01-01T00:00:00Z",
    }
    told = facts(run("key"))

    assert told["limit"] == "none"
    assert told["free tier"] == "yes"
    assert told["free today"].startswith("0 of 50 requests left")
    assert told["used"].startswith("$0.0000 in all")
    assert told["expires"] == "2027-01-01T00:00:00Z"


def test_limit_that_is_used_up(run, stand_in):
    stand_in.key_info = {"limit": 5, "limit_remaining": 0, "limit_reset": None}

    assert facts(run("key"))["limit"] == "$5.00, $0.0000 left"


def test_management_key_brings_the_credits(run, stand_in):
    stand_in.credits = {"total_credits": 25.0, "total_usage": 4.5}
    done = run("key", key=MANAGEMENT_KEY)

    assert facts(done)["credits"] == "$20.5000 left"
    assert [call.route for call in stand_in.requests] == ["/key", "/credits"]
    data = json.loads(run("key", "--json", key=MANAGEMENT_KEY).out)
    assert data["credits"] == stand_in.credits


def test_json_is_what_the_api_says(run, stand_in):
    stand_in.key_info = {"label": "한국어 열쇠"}
    done = run("key", "--json")

    assert (done.code, done.err) == (0, "")
    data = json.loads(done.out)
    assert data["label"] == "한국어 열쇠" and "한국어 열쇠" in done.out
    assert (data["limit"], data["usage_monthly"]) == (10.0, 0.9)
    assert data["free_model_daily_requests"]["remaining"] == 988
    assert "credits" not in data


def test_fields_that_are_missing_do_not_matter(run, stand_in):
    names = ("usage", "usage_daily", "limit_remaining", "free_model_daily_requests", "label")
    stand_in.key_info = dict.fromkeys(names)
    told = facts(run("key"))

    assert told["used"].startswith("$0.0000 in all, $0.0000 daily, $0.3000 weekly")
    assert "free today" not in told


def test_parts_that_are_missing_do_not_matter(run, stand_in):
    stand_in.key_info = {"free_model_daily_requests": {"limit": 50}}
    stand_in.credits = {"total_credits": 5.0}
    told = facts(run("key", key=MANAGEMENT_KEY))

    assert told["limit"] == "$10.00, $8.7500 left, resets monthly"
    assert "credits" not in told and "free today" not in told


def test_unknown_key_is_told(run, stand_in):
    done = run("key", key="sk-or-v1-unknown")

    assert (done.code, done.out) == (1, "")
    assert len(lines(done.err)) == 1
    assert named("401.*user not found.*OPENROUTER_API_KEY", done.err)


def test_credits_that_fail_are_told(run, stand_in):
    stand_in.fail("500", path="/credits")
    done = run("key", key=MANAGEMENT_KEY)

    assert (done.code, done.out) == (1, "")
    assert len(lines(done.err)) == 1
    assert "500" in done.err
