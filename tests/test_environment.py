"""Proves that no variable, key, .env file, encoding, pipe or Ctrl-C makes a script misbehave.

What is the same in all scripts is tried on few of them: test_structure.py holds it together.
"""

import signal
import subprocess

import pytest
from conftest import SCRIPTS, copied, lines, posix, wait_until
from stand_in import KEY, TEXT
from test_faults import CASES, FIVE, begin_case, errors, result

POISON = {
    "OPENAI_API_KEY": "sk-stolen",
    "OPENAI_ADMIN_KEY": "sk-admin-stolen",
    "OPENAI_ORG_ID": "org-poison",
    "OPENAI_PROJECT_ID": "proj-poison",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_CUSTOM_HEADERS": "x-poison: 1\nAuthorization: Bearer stolen",
}
WITHOUT_KEY = ("doctor", "login", "models")  # they ask what needs none
TWO = pytest.mark.parametrize("script", ["chat", "rerank"])


@pytest.fixture
def start(run, stand_in, tmp_path):
    """start(script, …) -> Result: a script's own command, with its files and scripted replies."""

    def start(script, folder="here", **options):
        case = CASES[script]
        return run(script, *case["args"], **begin_case(stand_in, case, tmp_path / folder) | options)

    return start


def one_line(done) -> str:
    """The line that says what is wrong; there is nothing else."""
    assert (done.code, done.out, len(lines(done.err))) == (1, "", 1), done
    return done.err


@pytest.mark.parametrize("script", CASES)
def test_variables_of_openai_stay_here(start, stand_in, tmp_path, script):
    done = start(script, env=POISON)
    assert done.code == 0, done.err
    assert {call.key for call in stand_in.requests if "authorization" in call.headers} <= {KEY}
    answer = result(CASES[script], done.out, tmp_path / "here")
    assert all(text in answer for text in CASES[script].get("prints", [TEXT]))
    if script not in WITHOUT_KEY:
        asked = len(stand_in.requests)
        assert "OPENROUTER_API_KEY" in one_line(start(script, "there", key="", env=POISON))
        assert len(stand_in.requests) == asked, "another's key stood in for the missing one"


BAD_KEYS = ["", " \n", "열쇠", "\ufefftest-key", "test-key\nmore", "test-key more", '"test-key"']


@TWO
@pytest.mark.parametrize("key", BAD_KEYS)
def test_unusable_key_is_named_and_not_shown(start, stand_in, script, key):
    assert "OPENROUTER_API_KEY" in one_line(start(script, key=key))
    assert stand_in.requests == []


@TWO
def test_env_file_brings_the_key_unless_a_variable_does(start, stand_in, tmp_path, script):
    path, env_file = copied(SCRIPTS / f"{script}.py", tmp_path / "alone"), tmp_path / "alone/.env"
    text = "# 열쇠\r\nexport OPENROUTER_API_KEY= 'test-key' # 내 것\r\n"
    env_file.write_bytes(text.encode("utf-8-sig"))
    assert start(script, key=None, script_path=path, env=POISON).code == 0
    assert stand_in.requests[-1].key == KEY
    env_file.write_bytes(text.replace("test", "other").encode())
    assert start(script, key=f" {KEY}\r\n", script_path=path).code == 0
    assert stand_in.requests[-1].key == KEY
    stand_in.requests.clear()
    for encoding in ("utf-16", "cp949"):
        env_file.write_bytes(text.encode(encoding))
        assert ".env" in one_line(start(script, key=None, script_path=path))
    assert stand_in.requests == []


SETTINGS = {
    "a space": ("OPENROUTER_BASE_URL", "{url} /x"),
    "no scheme": ("OPENROUTER_BASE_URL", "openrouter.ai/api/v1"),
    "an endpoint": ("OPENROUTER_BASE_URL", "{url}/chat/completions"),
    "a web page": ("OPENROUTER_BASE_URL", "{url}/../.."),
    "gone": ("SSL_CERT_FILE", "/gone/열쇠.pem"),
    "dead": ("HTTPS_PROXY", "http://user:hidden@127.0.0.1:9"),
    "no proxy": ("HTTPS_PROXY", "nonsense://x"),
    "odd": ("NO_PROXY", "127.0.0.1;localhost"),
}


@TWO
@pytest.mark.parametrize("setting", SETTINGS)
def test_setting_that_is_at_fault_is_named(start, stand_in, script, setting):
    name, value = SETTINGS[setting]
    value = value.format(url=stand_in.url)
    url = "https://openrouter.ai/api/v1" if name == "HTTPS_PROXY" else f" {stand_in.url}/\n"
    env = {"OPENROUTER_BASE_URL": url, name.lower(): None, name: value}
    err = one_line(start(script, env=env))
    shown = value.rpartition("@")[2]  # without a password
    assert f"{name}=" in err and shown in err and "hidden" not in err
    stand_in.violations.clear()  # there is no such endpoint


@pytest.mark.parametrize("script", ["chat", "prompt", "rerank", "models"])
def test_output_is_utf8_on_any_terminal(start, script):
    plain_c = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for env in ({"PYTHONIOENCODING": "cp949", "PYTHONUTF8": "0"}, plain_c):
        done = start(script, env=env)
        assert done.code == 0, done.err
        assert all(text in done.out for text in CASES[script].get("prints", [TEXT]))


@posix
@pytest.mark.parametrize("script", [*FIVE, "compare", "doctor", "free_models", "models"])
def test_reader_that_leaves_is_no_error(command, stand_in, tmp_path, script):
    options = begin_case(stand_in, CASES[script], tmp_path / "here")
    stand_in.say("한 줄\n" * 5000)
    given = (options.pop("stdin") or "").encode()
    arguments, environment, folder = command(script, *CASES[script]["args"], **options)
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(arguments, env=environment, cwd=folder, **pipes) as process:
        process.stdout.close()  # as the reader in `| head -1` does, at once
        err = process.communicate(given)[1].decode()
    assert process.returncode == 0 and errors(CASES[script], err) == [], err


@posix
@pytest.mark.parametrize("script", ["chat", "vision", "speech", "responses"])
def test_ctrl_c_is_130_and_no_word(begin, stand_in, script):
    stand_in.fail("hang", CASES[script].get("path"))
    process = begin(script, *CASES[script]["args"])
    assert wait_until(lambda: stand_in.requests)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, errors(CASES[script], err.decode())) == (130, b"", [])


@TWO
def test_developers_see_the_traceback(command, stand_in, script):
    stand_in.fail("402")
    (python, *rest), environment, folder = command(script, *CASES[script]["args"])
    rest = [python, "-X", "dev", *rest]
    done = subprocess.run(rest, env=environment, cwd=folder, input=b"a\nb", capture_output=True)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"Traceback" in done.stderr and b"402" in done.stderr


def test_no_part_of_a_key_or_a_password_is_in_an_error(run, stand_in):
    stand_in.reply("/chat/completions", {"error": {"message": "x" * 595 + KEY}}, status=400)
    done = run("chat", "Hello")
    assert done.code == 1 and KEY[:4] not in done.err, "it is taken out before the text is cut"

    proxies = {"HTTP_PROXY": "me:secret@127.0.0.1:9", "http_proxy": None, "NO_PROXY": "x"}
    done = run("chat", "Hello", base_url="http://openrouter.invalid/v1", env=proxies)
    assert done.code == 1 and "HTTP_PROXY=127.0.0.1:9" in done.err and "secret" not in done.err
