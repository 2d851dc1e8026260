"""Proves that doctor names what is wrong, goes on to its other checks, and shows no secret."""

from datetime import date, timedelta

import pytest
from conftest import SCRIPTS, copied, dead_port, lines
from stand_in import KEY, listing

CHAT = "/chat/completions"
NO_PROXY = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"))


def problems(done):
    """The problem lines, after a look at the rest: every line is one of two kinds."""
    assert all(line.startswith(("ok       ", "problem  ")) for line in lines(done.out)), done.out
    found = [line for line in lines(done.out) if line.startswith("problem")]
    assert done.code == (1 if found else 0), done.err
    return found


@pytest.fixture
def run_there(run, tmp_path):
    """run_there(text of .env, …): a copy of doctor, in a folder in which a .env is read."""
    script = copied(SCRIPTS / "doctor.py", tmp_path / "place")

    def start(dotenv, *args, **options):
        (tmp_path / "place" / ".env").write_bytes(dotenv)
        return run("doctor", *args, script_path=script, **options)

    return start


def test_all_is_well_with_one_free_request(run, stand_in):
    done = run("doctor")
    assert problems(done) == [] and done.err == ""
    assert "Python 3." in done.out and "openai " in done.out and "988" in done.out
    assert [c.body["model"] for c in stand_in.requests if c.route == CHAT] == ["openrouter/free"]

    stand_in.requests.clear()
    assert problems(run("doctor", "--no-request", "-m", "openai/gpt-5-mini")) == []
    assert {call.method for call in stand_in.requests} == {"GET"}
    run("doctor", "-m", "openai/gpt-5-mini")
    assert stand_in.requests[-1].body["model"] == "openrouter/free", "a paid one is not asked"


@pytest.mark.parametrize(
    ("fault", "path", "words"),
    [
        ("401", "/key", "User not found"),
        ("429_day", CHAT, "free-models-per-day"),
        ("404_policy", CHAT, "data policy"),
        ("html", CHAT, "not whole"),
        ("502", "/models/user", "502"),
        ("drop_headers", "/key", "APIConnectionError"),
    ],
)
def test_what_the_server_says_is_told_and_the_other_checks_go_on(run, stand_in, fault, path, words):
    stand_in.fail(fault, path)
    done = run("doctor")
    (problem,) = problems(done)
    assert words in problem and len(lines(done.out)) > 7


def test_what_is_used_up_or_not_permitted(run, stand_in):
    stand_in.key_info = {"limit": 5, "limit_remaining": 0}
    stand_in.reply("/models/user", {"data": [{"id": "acme/paid"}]})
    limit, policy = problems(run("doctor", "--no-request"))
    assert "limit" in limit and "settings/privacy" in policy
    stand_in.key_info = {"free_model_daily_requests": {"limit": 50, "remaining": 0}}
    assert "00:00 UTC" in problems(run("doctor", "--no-request"))[0]


def test_model_that_is_not_there_or_not_for_long(run, catalogue):
    soon, later = (str(date.today() + timedelta(days)) for days in (30, 90))
    names = ["acme/muse-2", "acme/muse-3", "acme/muse-4:free", "acme/muse-3:batch"]
    catalogue[:] = [listing(name, name, "text", "text", "0", "0") for name in names]
    catalogue[0]["expiration_date"], catalogue[1]["expiration_date"] = soon, later
    for model, words in [
        ("acme/muse-2", [soon, "acme/muse-3"]),
        ("acme/mus-3", ["acme/mus-3", "acme/muse-3"]),
        ("acme/muse-3:batch", ["batch", "use acme/muse-3"]),
    ]:
        (problem,) = problems(run("doctor", "--no-request", "-m", model))
        assert all(word in problem for word in words) and ":batch or" not in problem
    for model in ("acme/muse-3", "acme/muse-3:nitro", "@preset/mine"):
        assert problems(run("doctor", "--no-request", "-m", model)) == []


@pytest.mark.parametrize(
    ("dotenv", "words"),
    [
        (f"OPENROUTER_API_KEY={KEY}".encode("utf-16"), "UTF-8"),
        (b"OTHER=1", "no line OPENROUTER_API_KEY"),
        (b"OPENROUTER_API_KEY='sk or'", "OPENROUTER_API_KEY"),
        ("OPENROUTER_API_KEY=열쇠".encode(), "OPENROUTER_API_KEY"),
    ],
)
def test_env_files(run_there, dotenv, words):
    found = problems(run_there(dotenv, key=None))
    assert words in found[0] and "sk or" not in found[0] and "열쇠" not in found[0]


def test_variable_that_hides_the_file(run_there):
    file = f"OPENROUTER_API_KEY={KEY}-of-the-file".encode()
    assert "overrides" in problems(run_there(file, key=""))[0]
    done = run_there(file, key=KEY)
    assert problems(done) == [] and "overridden" in done.out and "-of-the-file" not in done.out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: f"{url}/chat/completions", "/chat/completions"),
        (lambda url: url.removeprefix("http://"), "write https://"),
        (lambda url: url.replace("/v1", " /v1"), "OPENROUTER_BASE_URL"),
    ],
)
def test_base_urls_are_named_and_mended(run, stand_in, change, words):
    found = problems(run("doctor", "--no-request", base_url=change(stand_in.url)))
    assert "OPENROUTER_BASE_URL" in found[0] and words in found[0]


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({"SSL_CERT_FILE": "/no/such.pem"}, "SSL_CERT_FILE"),
        ({"HTTPS_PROXY": "nonsense://x", "https_proxy": None}, "HTTPS_PROXY"),
        ({"NO_PROXY": "a;b|c"}, "NO_PROXY"),
    ],
)
def test_settings_that_can_not_be_used_are_named_and_left_out(run, env, name):
    (problem,) = problems(run("doctor", env=env))
    assert name in problem and env[name] in problem


def test_dead_proxy_is_named_without_its_password(run):
    proxy = f"http://me:secret@127.0.0.1:{dead_port()}"
    env = {**NO_PROXY, "HTTPS_PROXY": proxy, "NO_PROXY": "", "no_proxy": ""}
    done = run("doctor", "--no-request", base_url="https://openrouter.invalid/api/v1", env=env)
    assert any("HTTPS_PROXY" in line for line in problems(done)) and "secret" not in done.out


def test_another_server_is_tried_with_its_own_model(run, stand_in):
    stand_in.reply("/models", {"data": [{"id": "local/small-model"}]})
    done = run("doctor", "-m", "local/small-model")
    assert problems(done) == []
    assert [call.route for call in stand_in.requests] == ["/models", CHAT]
    assert stand_in.requests[1].body["model"] == "local/small-model"
