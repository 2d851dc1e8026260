"""Proves that login brings a key into .env by way of a browser, and into no other place."""

import shutil
import signal
import socket
import sys
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import SCRIPTS, copied, lines, posix
from stand_in import NEW_KEY

BROWSER = """
import pathlib, sys, urllib.error, urllib.parse, urllib.request
page, file, *answer = sys.argv[1:]
callback = urllib.parse.parse_qs(urllib.parse.urlsplit(page).query)["callback_url"][0]
try:
    urllib.request.urlopen(callback.replace("/callback", "/favicon.ico"))
except urllib.error.HTTPError as error:
    assert error.code == 404
address = f"{callback}?{answer[0]}" if answer else page
pathlib.Path(file).write_bytes(urllib.request.urlopen(address).read())
"""


@pytest.fixture
def place(tmp_path):
    """place(answer) -> (.env, options of run): a copy of login, and a browser that answers so."""

    def prepare(*answer, edit=None):
        script = copied(SCRIPTS / "login.py", tmp_path / "place", edit)
        (tmp_path / "browser.py").write_text(BROWSER)
        browser = [sys.executable, tmp_path / "browser.py", "%s", tmp_path / "page", *answer]
        env = {"BROWSER": " ".join(map(str, browser)), "OPENAI_ORG_ID": "stolen"}
        return script.parent.parent / ".env", {"script_path": script, "key": None, "env": env}

    return prepare


def test_key_replaces_the_old_one_and_every_other_line_stays(run, stand_in, place, tmp_path):
    env, options = place()
    before = "\ufeff# 열쇠\r\nA=1\r\nexport OPENROUTER_API_KEY='sk-former' # mine\r\nB=2\r\n"
    env.write_bytes(before.encode())
    done = run("login", **options, stdin="y\n")

    assert done.code == 0, done.err
    text = before.replace("'sk-former'", NEW_KEY)
    assert env.read_bytes().decode() == text
    assert done.out == f"OPENROUTER_API_KEY is in {env}.\n"
    assert NEW_KEY not in done.err and "sk-former" not in done.err
    assert "close this tab" in (tmp_path / "page").read_text()
    verifier = stand_in.requests[-1].body["code_verifier"]
    assert len(verifier) >= 43, "it is as long as RFC 7636 wants it"
    assert sys.platform == "win32" or env.stat().st_mode & 0o777 == 0o600

    assert run("login", **options, stdin="n\n").code == 1
    assert env.read_bytes().decode() == text
    env.unlink()
    assert run("login", **options).code == 0
    assert env.read_text() == f"OPENROUTER_API_KEY={NEW_KEY}\n"
    exchanges = [call for call in stand_in.requests if call.route == "/auth/keys"]
    assert len(exchanges) == 2 and exchanges[1].body["code_verifier"] != verifier


ANSWERS = {
    "error=access_denied": "access_denied",
    "a=b": "no code",
    "code=": "no code",
    "code=x": "403: Invalid code",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_the_browser_may_bring_instead(run, place, answer):
    env, options = place(answer)
    done = run("login", **options)
    assert (done.code, done.out, env.exists()) == (1, "", False)
    assert ANSWERS[answer] in lines(done.err)[-1] and len(lines(done.err)) == 2


def test_without_a_browser_the_code_is_pasted(run, stand_in, place):
    _, options = place()
    done = run("login", "--no-browser", **options, stdin="c0de\n")
    address = urlsplit(lines(done.err)[0].removeprefix("Log in at "))
    assert address.path == "/auth" and "callback_url" not in parse_qs(address.query)
    assert stand_in.requests[-1].body["code"] == "c0de"
    assert done.code == 1 and "403" in done.err, "it is not the code of this login"


def test_nobody_comes_back_or_the_port_is_taken_or_env_is_utf_16(run, place):
    env, options = place(edit={"WAIT_SECONDS = 300": "WAIT_SECONDS = 1"})
    options["env"]["BROWSER"] = "true"
    done = run("login", **options)
    assert done.code == 1 and "1 seconds" in lines(done.err)[-1]
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = run("login", "--port", str(other.getsockname()[1]), **options)
    assert done.code == 1 and "in use" in done.err and len(lines(done.err)) == 1
    env.write_bytes("A=1\n".encode("utf-16"))
    done = run("login", **options)
    assert done.code == 1 and str(env) in done.err and len(lines(done.err)) == 1


@posix
def test_ctrl_c_while_waiting(begin, place):
    env, options = place()
    process = begin("login", **options | {"env": {"BROWSER": "true"}})
    assert process.stderr.readline().startswith(b"Log in at http://127.0.0.1")
    time.sleep(0.5)  # the browser is being started
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err, env.exists()) == (130, b"", b"", False)


def test_a_real_browser_comes_back(run, place, tmp_path):
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if program is None:
        pytest.skip("no Chromium or Chrome found")
    switches = "--headless=new --no-sandbox --disable-gpu --no-first-run --dump-dom"
    switches += f" --disable-background-networking --user-data-dir={tmp_path / 'profile'}"
    env, options = place()
    options["env"]["BROWSER"] = f"{program} {switches} %s"
    done = run("login", **options, timeout=120, fork=False)
    assert done.code == 0, done.err
    assert NEW_KEY in env.read_text() and "close this tab" in done.out
