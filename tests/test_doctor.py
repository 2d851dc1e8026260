"""Proves that doctor names the cause of what users meet, and what to do, and shows no secret."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from conftest import SCRIPTS, copied, dead_port, lines
from stand_in import KEY

CHAT = "/chat/completions"
NO_PROXY = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"))


def problems(done):
    """The problem lines, after a look at the rest: every line is one of two kinds."""
    assert all(line.startswith(("ok       ", "problem  ")) for line in lines(done.out)), done.out
    found = [line for line in lines(done.out) if line.startswith("problem")]
    assert done.code == (1 if found else 0)
    return found


@pytest.fixture
def place(tmp_path):
    """A folder with a copy of doctor and the prompts, in which a .env would be read."""
    copied(SCRIPTS / "doctor.py", tmp_path / "place")
    return tmp_path / "place"


@pytest.fixture
def run_there(run, place):
    def start(dotenv=None, *args, **options):
        if dotenv is not None:
            data = dotenv if isinstance(dotenv, bytes) else dotenv.encode()
            (place / ".env").write_bytes(data)
        return run("doctor", *args, script_path=place / "scripts" / "doctor.py", **options)

    return start


def test_all_is_well_with_one_free_request(run, stand_in):
    done = run("doctor")
    assert problems(done) == []
    assert done.err == "[all is well]\n"
    assert "Python 3." in done.out and "openai " in done.out
    assert "$8.75 left, 988 of 1000 free requests left today" in done.out
    asked = [call.body["model"] for call in stand_in.requests if call.route == CHAT]
    assert asked == ["openrouter/free"]


def test_no_request_asks_no_model(run, stand_in):
    assert problems(run("doctor", "--no-request")) == []
    assert {call.method for call in stand_in.requests} == {"GET"}


def test_a_model_that_costs_is_not_asked(run, stand_in):
    assert problems(run("doctor", env={"OPENROUTER_MODEL": "openai/gpt-5-mini"})) == []
    asked = [call.body["model"] for call in stand_in.requests if call.route == CHAT]
    assert asked == ["openrouter/free"]


@pytest.mark.parametrize(
    ("fault", "path", "cause"),
    [
        ("401", "/key", "doesn't know the key"),
        ("html", "/key", "the base URL is wrong"),
        ("error_200", "/key", "idle timeout"),
        ("html", "/models", "the base URL is wrong"),
        ("html_502", "/models", "502"),
        ("402", CHAT, "negative balance"),
        ("403", CHAT, "guardrail"),
        ("404_policy", CHAT, "settings/privacy or use a paid model"),
        ("429_day", CHAT, "used up; failed ones count"),
        ("429_minute", CHAT, "20 free requests in a minute"),
        ("429_upstream", CHAT, "busy with everybody's requests"),
        ("500", CHAT, "in trouble"),
        ("502", CHAT, "The provider failed, not OpenRouter"),
        ("503", CHAT, "in trouble"),
        ("reasoning_ate_it", CHAT, "all its tokens on thinking"),
        ("cut", CHAT, "stopped in the middle"),
        ("empty_body", CHAT, "empty or cut off"),
        ("html", CHAT, "the base URL is wrong"),
    ],
)
def test_what_the_server_does_is_explained(run, stand_in, fault, path, cause):
    stand_in.fail(fault, path)
    found = problems(run("doctor"))
    assert len(found) == 1
    assert cause in found[0]


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"limit_remaining": 0}, "key's limit"),
        ({"free_model_daily_requests": {"limit": 50, "used": 50, "remaining": 0}}, "00:00 UTC"),
        ({"is_management_key": True}, "administers an account"),
    ],
)
def test_what_the_key_may_not_do(run, stand_in, facts, cause):
    stand_in.key_info = facts
    found = problems(run("doctor", "--no-request"))
    assert len(found) == 1
    assert cause in found[0]


def test_a_key_without_limits_or_facts(run, stand_in):
    nulls = ("limit", "limit_remaining", "free_model_daily_requests")
    stand_in.key_info = dict.fromkeys(nulls)
    done = run("doctor", "--no-request")
    assert problems(done) == []
    assert "the key works: no limit\n" in done.out


def test_a_policy_that_leaves_no_free_model_is_seen_without_a_request(run, stand_in, monkeypatch):
    import stand_in as module

    paid = [entry for entry in module.CATALOGUE if not entry["id"].endswith(":free")]
    everything = module.select

    def select(query):
        return everything(query) if query else [e for e in everything(query) if e in paid]

    monkeypatch.setattr(module, "select", select)
    found = problems(run("doctor", "--no-request"))
    assert len(found) == 1
    assert "settings/privacy" in found[0]


def test_a_policy_that_is_not_told_is_no_problem(run, stand_in):
    stand_in.fail("403", "/models/user")
    assert problems(run("doctor", "--no-request")) == []


def test_a_dead_model_and_what_is_near_it(run, stand_in):
    found = problems(run("doctor", "--no-request", env={"OPENROUTER_MODEL": "openai/gpt5-mini"}))
    assert len(found) == 1
    assert "openai/gpt5-mini (OPENROUTER_MODEL) is gone, use openai/gpt-5-mini" in found[0]


def test_a_free_variant_that_ended_and_the_fallback_that_the_server_names(run, stand_in):
    stand_in.fail("404_dead", CHAT)
    found = problems(run("doctor", env={"OPENROUTER_MODEL": "acme/muse-2:free"}))
    assert "acme/muse-2:free (OPENROUTER_MODEL) is gone" in found[0]
    assert "use acme/muse-2)" in found[1] and "free ones go within months" in found[1]


@pytest.mark.parametrize("model", ["openai/gpt-5-mini:nitro", "@preset/mine"])
def test_variants_and_presets_are_not_dead(run, model):
    assert problems(run("doctor", "--no-request", env={"OPENROUTER_MODEL": model})) == []


def test_models_that_prompts_name(run_there, place):
    text = "Answer as openai/gpt-4-vintage would, not as openai/gpt-5-mini. and/or 가/나 http://a/b"
    (place / "prompts" / "mine.txt").write_text(text, encoding="utf-8")
    done = run_there(None, "--no-request")
    assert "model openai/gpt-5-mini (mine.txt)" in done.out
    assert [line.split(" is gone")[0] for line in problems(done)] == [
        "problem  model openai/gpt-4-vintage (mine.txt)"
    ]


def line_of(key):
    return f"OPENROUTER_API_KEY={key}\n"


@pytest.mark.parametrize(
    ("dotenv", "cause"),
    [
        (line_of(KEY), None),
        ("\ufeff# 열쇠\r\n" + line_of(KEY) + "\r\n", None),
        (f'OPENROUTER_API_KEY = "{KEY}"  # mine\n', None),
        (f"export {line_of(KEY)}", None),
        (line_of(KEY).encode("utf-16"), "Save it as UTF-8"),
        ("# 열쇠\n".encode("cp949") + line_of(KEY).encode(), "Save it as UTF-8"),
        (f"OPENROUTER_API_KEY: {KEY}\n", "can't be read"),
        (f'OPENROUTER_API_KEY="{KEY}\n', "can't be read"),
        (line_of(""), "There is no key"),
        (line_of(f"“{KEY}”"), "quotes or odd characters"),
        (line_of("Bearer sk"), "odd characters"),
    ],
)
def test_env_files(run_there, dotenv, cause):
    done = run_there(dotenv, "--no-request", key=None)
    found = problems(done)
    if cause is None:
        assert found == []
        assert "key from .env" in done.out
    else:
        assert found and cause in found[0]
        assert KEY not in done.out + done.err


def test_an_empty_variable_hides_the_key_of_the_file(run_there):
    done = run_there(line_of(KEY), "--no-request", key="")
    assert "an empty variable OPENROUTER_API_KEY goes before it" in problems(done)[0]


def test_another_key_in_the_environment_is_said(run_there):
    done = run_there(line_of("sk-or-old"), "--no-request")
    assert problems(done) == []
    assert "another key, in the environment, goes before the one in it" in done.out
    assert "sk-or-old" not in done.out


def test_an_env_file_in_the_wrong_place(run, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / ".env").write_text(line_of(KEY))
    done = run("doctor", "--no-request", key="", cwd=folder)
    assert f"{folder / '.env'} isn't read" in problems(done)[0]


@pytest.mark.parametrize(
    ("key", "cause"),
    [
        ("", "There is no key"),
        ("wrong", "doesn't know the key"),
        ('"quoted"', "quotes"),
        ("qqq zzz", "odd characters"),
        ("열쇠", "odd characters"),
    ],
)
def test_keys(run, key, cause):
    assert cause in problems(run("doctor", "--no-request", key=key))[0]


def test_white_space_around_the_key_does_no_harm(run):
    done = run("doctor", "--no-request", key=f" {KEY}\n")
    assert problems(done) == []
    assert "without the space around it" in done.out


def test_a_key_of_another_provider(run):
    done = run("doctor", key="sk-proj-abc", env={"OPENROUTER_BASE_URL": None})
    assert "doesn't begin with sk-or-" in problems(done)[0]


def test_variables_that_could_leak_are_named_and_not_shown(run):
    poison = {"OPENAI_API_KEY": "stolen-1", "OPENAI_ORG_ID": "stolen-2", "OPENAI_LOG": "info"}
    done = run("doctor", env=poison)
    assert problems(done) == []
    assert "OPENAI_API_KEY, OPENAI_ORG_ID: never sent" in done.out.replace(
        "OPENAI_ORG_ID, OPENAI_API_KEY", "OPENAI_API_KEY, OPENAI_ORG_ID"
    )
    assert "stolen" not in done.out + done.err


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda url: url.replace("/api/v1", "/api"), "It ends in `/api/v1`"),
        (lambda url: url.replace("/api/v1", ""), "It ends in `/api/v1`"),
        (lambda url: url + CHAT, "It ends in `/api/v1`"),
        (lambda url: url.replace("http://", ""), "missing an 'http://' or 'https://' protocol"),
        (lambda url: f"http://127.0.0.1:{dead_port()}/v1", "Nobody listens there"),
        (lambda url: f"{url}\n", "white space"),
    ],
)
def test_base_urls(run, stand_in, change, cause):
    found = problems(run("doctor", base_url=change(stand_in.url)))
    stand_in.violations.clear()
    assert len(found) == 1
    assert cause in found[0]


def test_a_host_that_is_not_there(run):
    found = problems(run("doctor", base_url="https://nowhere.invalid/api/v1", env=NO_PROXY))
    assert "no host of that name" in found[0]


def test_a_proxy_that_is_not_there_is_named_without_its_password(run):
    proxy = f"http://me:hidden@127.0.0.1:{dead_port()}"
    env = {**NO_PROXY, "HTTPS_PROXY": proxy}
    done = run("doctor", base_url="https://openrouter.invalid/api/v1", env=env)
    (found,) = problems(done)
    assert "`HTTPS_PROXY` is wrong" in found and "(through the proxy 127.0.0.1)" in found
    assert "hidden" not in done.out + done.err


def test_a_proxy_that_wants_a_login(run):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

        threading.Thread(target=refuse, daemon=True).start()
        env = {**NO_PROXY, "HTTPS_PROXY": f"http://127.0.0.1:{server.getsockname()[1]}"}
        done = run("doctor", base_url="https://openrouter.invalid/api/v1", env=env)
    assert "wants a login" in problems(done)[0]


def test_a_socks_proxy_without_its_package(run):
    env = {**NO_PROXY, "ALL_PROXY": "socks5://127.0.0.1:9"}
    done = run("doctor", base_url="https://openrouter.invalid/api/v1", env=env)
    assert "pip install socksio" in problems(done)[0]


class Another(BaseHTTPRequestHandler):
    """A server that speaks the same protocol and isn't OpenRouter."""

    def do_GET(self):
        self.answer({"data": [{"id": "small-model"}]})

    def do_POST(self):
        size = int(self.headers["Content-Length"])
        self.server.asked.append(json.loads(self.rfile.read(size))["model"])
        message = {"role": "assistant", "content": "OK"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.answer({"model": "small-model", "choices": [choice]})

    def answer(self, data):
        self.server.paths.append(self.path.partition("?")[0])
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def another():
    with HTTPServer(("127.0.0.1", 0), Another) as server:
        server.asked, server.paths = [], []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_another_server_is_tried_with_its_own_model(run, another):
    url = f"http://127.0.0.1:{another.server_port}/v1"
    done = run("doctor", base_url=url, env={"OPENROUTER_MODEL": "small-model"})
    assert problems(done) == []
    assert another.asked == ["small-model"]
    assert another.paths == ["/v1/models", "/v1/chat/completions"]


def test_a_certificate_that_nobody_vouches_for_and_its_cure(run, another, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    names = ["-keyout", "key.pem", "-out", "certificate.pem", "-subj", "/CN=localhost"]
    names += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    another.socket = context.wrap_socket(another.socket, server_side=True)
    url = f"https://127.0.0.1:{another.server_port}/v1"

    found = problems(run("doctor", base_url=url))
    assert "CERTIFICATE_VERIFY_FAILED" in found[0] and "`SSL_CERT_FILE`" in found[0]
    cure = {"SSL_CERT_FILE": str(tmp_path / "certificate.pem")}
    assert problems(run("doctor", base_url=url, env=cure)) == []


def test_missing_packages_are_named(run, place, tmp_path):
    (place / "scripts" / "openai.py").write_text("raise ImportError('No module named openai')")
    done = run("doctor", script_path=place / "scripts" / "doctor.py", fork=False)
    assert done.code == 1
    assert "No module named openai: pip install -U openai python-dotenv" in done.err


# What people wrote in issues and forums, and what the cause was.
SEEN = [
    ("TypeError: 'NoneType' object is not subscriptable", "an error came with HTTP 200"),
    ("TypeError: 'NoneType' object is not iterable", "an error came with HTTP 200"),
    (
        "Error code: 429 - {'error': {'message': 'Rate limit exceeded: free-models-per-day. Add 10 "
        "credits to unlock 1000 free model requests per day', 'code': 429, 'metadata': ...}}",
        "don't retry",
    ),
    ("openai.RateLimitError: Rate limit exceeded: free-models-per-min.", "20 free requests"),
    (
        "Error code: 429 - {'error': {'message': 'Provider returned error', 'metadata': {'raw': "
        "'google/gemma-3-27b-it is temporarily rate-limited upstream. Please retry shortly'}}}",
        "everybody's requests",
    ),
    (
        "No endpoints found matching your data policy (Free model publication). Configure: "
        "https://openrouter.ai/settings/privacy",
        "logs or trains",
    ),
    ("404 No endpoints found for qwen/qwen3-coder", "no longer"),
    ("openai/gpt-4o-minni is not a valid model ID", "no such model"),
    ("openrouter/anthropic/claude-sonnet-4-6 is not a valid model ID", "without `openrouter/`"),
    ("Provider returned error", "The provider failed"),
    ("The answer is incomplete: it broke off (retry, or change the model)", "Ask again"),
    ("The answer is empty: token limit, reasoning included", "on thinking"),
    ("AttributeError: 'ChoiceDelta' object has no attribute 'reasoning_content'", "in `reasoning`"),
    ("AttributeError: 'CompletionUsage' object has no attribute 'cost'", "only OpenRouter has"),
    ("400 Function call is missing a thought_signature in functionCall parts.", "message` itself"),
    ("No endpoints found that support tool use. To learn more, visit ...", "--tools"),
    ("404 No endpoints found that support image input", "--vision"),
    ("json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)", "json.loads"),
    (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for Notes\n  Invalid "
        "JSON: expected value at line 1 column 1",
        "require_parameters",
    ),
    (
        "402 This request requires more credits, or fewer max_tokens. You requested up to 65536 "
        "tokens, but can only afford 1",
        "`max_tokens`",
    ),
    ("Error code: 402 - Insufficient credits. Add more using https://...", "negative balance"),
    ("ValueError: No embedding data received", "--output embeddings"),
    ('POST https://openrouter.ai/api/v1/images/generations "HTTP/1.1 404 Not Found"', "/images"),
    ("Error code: 401 - {'error': {'message': 'User not found.', 'code': 401}}", "cut off"),
    ("Error code: 401 - No auth credentials found", "cut off"),
    ("openai.OpenAIError: Missing credentials. Please pass an `api_key`", "sent to OpenRouter"),
    ("AttributeError: 'str' object has no attribute 'choices'", "/api/v1"),
    ("UnicodeDecodeError: 'cp949' codec can't decode byte 0xec in position 3", "PYTHONUTF8=1"),
    ("UnicodeEncodeError: 'cp949' codec can't encode character '\\u2014'", "PYTHONUTF8=1"),
    ("UnicodeEncodeError: 'ascii' codec can't encode characters in position 0-3", "Headers"),
    ("UnicodeEncodeError: 'ascii' codec can't encode character '\\ufeff' in position 0", "Headers"),
    ("UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0", "PowerShell"),
    ("ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED]", "virus scanner"),
    ("openai.APIConnectionError: Connection error.", "__cause__"),
    ("httpx.ProxyError: 407 Proxy Authentication Required", "wants a login"),
    ("openai.APITimeoutError: Request timed out.", "No answer in time"),
    ("usage.cost is not 0", "mistral-ocr"),
    ("the same model answers differently each time", "completion.provider"),
    ("remote: - Push cannot contain secrets", ".gitignore"),
    ("This endpoint's maximum context length is 131072 tokens.", "too long"),
]


@pytest.mark.parametrize(("message", "cause"), SEEN)
def test_explain_finds_what_people_saw(message, cause, explained):
    assert cause.lower() in explained(message).lower()


@pytest.fixture(scope="module")
def explained():
    """The script's own function, read from it once; the command line has its own test."""
    namespace = {"__name__": "doctor", "__file__": str(SCRIPTS / "doctor.py")}
    exec((SCRIPTS / "doctor.py").read_text("utf-8"), namespace)
    return namespace["advise"]


def test_explain_on_the_command_line(run, stand_in):
    done = run("doctor", "--explain", "'NoneType' object is not subscriptable", key="")
    assert done.code == 0
    assert "no choices" in done.out
    done = run("doctor", "--explain", "바나나")
    assert (done.code, done.out) == (2, "")
    assert stand_in.requests == []


def test_explain_prints_the_whole_table_as_markdown(run):
    done = run("doctor", "--explain", key="")
    assert (done.code, done.err) == (0, "")
    entries = done.out.strip().split("\n\n")
    assert len(entries) > 30
    messages = []
    for entry in entries:
        title, *text = entry.splitlines()
        assert re.fullmatch(r"### `[^`]+`( or `[^`]+`)*", title)
        assert text and " ".join(text).endswith(".")
        messages += re.findall("`(.+?)`", title)
    assert len(set(messages)) == len(messages)


def test_every_script_that_the_table_names_exists(run):
    table = run("doctor", "--explain").out
    for name in set(re.findall(r"scripts/(\w+\.py)", table)):
        assert (SCRIPTS / name).is_file(), name
