"""What the tests share: a stand-in for OpenRouter, and a way to run a script as a user does."""

import multiprocessing
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import stand_in as stand_in_module
from forked import become_script
from stand_in import KEY, StandIn

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"
KEPT = ("PATH", "HOME", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP", "USERPROFILE", "PATHEXT", "COMSPEC")
posix = pytest.mark.skipif(os.name != "posix", reason="needs the signals and terminals of POSIX")


class Result(NamedTuple):
    """A finished script: its exit code, its output as text, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float


def pytest_configure(config):
    # Tests that call the client here, in this process, must not see a developer's settings.
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "OPENROUTER_")):
            del os.environ[name]
    os.environ.update(loopback_only(dead_port()))


def pytest_collection_modifyitems(items):
    """Begin with the slowest, so that no worker is left alone with them at the end."""
    slow = ("test_first_command_installs", "test_all_of_this_holds_with_the_oldest")
    items.sort(key=lambda item: not item.name.startswith(slow))


def pytest_terminal_summary(terminalreporter):
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    if any(
        "test_budgets_hold_or_are_known_to_be_missed" in getattr(report, "nodeid", "")
        for report in reports
    ):
        from test_structure import budgets

        terminalreporter.section("sizes of the scripts")
        for what, (figure, most) in budgets().items():
            terminalreporter.line(f"{figure:>8g} of {most:>6}  {what}")


def dead_port() -> int:
    """A port that refuses: bound, so that nobody else gets it, and not listening."""
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))
    RESERVED.append(reserved)
    return reserved.getsockname()[1]


RESERVED: list[socket.socket] = []


def loopback_only(port: int) -> dict[str, str]:
    """Settings with which nothing but this machine can be reached: a proxy that refuses."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    proxy = dict.fromkeys((*names, *map(str.lower, names)), f"http://127.0.0.1:{port}")
    return {**proxy, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def clean_environment() -> dict[str, str]:
    """What a script gets of the environment: nothing that a developer has set for it."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    environment |= {name: os.environ[name] for name in (*proxies, *map(str.lower, proxies))}
    if "TEST_PYTHONPATH" in os.environ:  # another release of the client, for example
        environment["PYTHONPATH"] = os.environ["TEST_PYTHONPATH"]
    return environment


@pytest.fixture(scope="session")
def server():
    with StandIn() as server:
        yield server


@pytest.fixture
def stand_in(server):
    """The stand-in, fresh. A test that means to break the contract clears .violations itself."""
    server.reset()
    yield server
    assert server.violations == []


@pytest.fixture
def catalogue(monkeypatch):
    """The stand-in's list of models, for this test to change."""
    models = list(stand_in_module.CATALOGUE)
    monkeypatch.setattr(stand_in_module, "CATALOGUE", models)
    return models


@pytest.fixture
def command(stand_in, tmp_path):
    """command(script, …) -> (arguments, environment, folder): how run() starts a script."""

    def prepare(
        script: str,
        *args: str,
        env: dict[str, str | None] | None = None,
        cwd: Path | None = None,
        key: str | None = KEY,
        base_url: str | None = None,
        script_path: Path | None = None,
        edit: dict[str, str] | None = None,
    ) -> tuple[list[str], dict[str, str], Path]:
        path = script_path or SCRIPTS / f"{script}.py"
        if edit:
            path = copied(path, tmp_path / "edited", edit)
        folder = cwd or tmp_path / "empty"
        folder.mkdir(exist_ok=True)
        environment = clean_environment()
        # A .env in the repository can't override what is set, even to nothing; and isn't read at
        # all where python-dotenv knows this switch. A copy elsewhere reads the .env beside it.
        environment["OPENROUTER_BASE_URL"] = base_url or stand_in.url
        environment["OPENROUTER_MODEL"] = ""
        # Nothing here speaks TLS: reading all certificates would take half of a script's time.
        environment["SSL_CERT_DIR"] = str(folder)
        if path.is_relative_to(ROOT):
            environment["PYTHON_DOTENV_DISABLED"] = "1"
        if key is not None:
            environment["OPENROUTER_API_KEY"] = key
        elif path.is_relative_to(ROOT):
            environment["OPENROUTER_API_KEY"] = ""
        for name, value in (env or {}).items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        return [sys.executable, str(path), *args], environment, folder

    return prepare


@pytest.fixture
def run(command):
    """run(script, *args, …) -> Result: a script as a process, and what no script may ever do.

    fork: from a process that has imported the client already, in a tenth of the time; what only
    a start of Python itself reads makes it a start.
    stdin: text or bytes, None for nothing to read. env: variables to add, None to take away.
    key: None for no variable at all. edit: text to replace in a copy, to shorten waits.
    """

    def start(
        script: str,
        *args: str,
        stdin: str | bytes | None = None,
        timeout: float = 60,
        key: str | None = KEY,
        fork: bool = True,
        **options,
    ) -> Result:
        arguments, environment, folder = command(script, *args, key=key, **options)
        begin = time.monotonic()
        needs = NEED_A_START & environment.keys()
        same = all(environment[name] == os.environ.get(name) for name in needs)
        if fork and FORKS and script != "offline" and same:
            code, out, err = run_forked(arguments[1:], environment, folder, stdin, timeout)
            check_manners(code, out, err, key)
            return Result(code, out, err, time.monotonic() - begin)
        done = subprocess.run(
            arguments,
            env=environment,
            cwd=folder,
            capture_output=True,
            timeout=timeout,
            check=False,
            **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": encoded(stdin)}),
        )
        seconds = time.monotonic() - begin
        out, err = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
        check_manners(done.returncode, out, err, key)
        return Result(done.returncode, out, err, seconds)

    return start


NEED_A_START = {"PYTHONIOENCODING", "PYTHONPATH", "PYTHONUTF8", "LANG", "LC_ALL"}
PRELOADED = ["argparse", "asyncio", "dotenv", "forked", "html", "openai", "openai.types.chat"]
PRELOADED += ["httpx2", "httpcore2", "httpx2._transports.default"]
PRELOADED += [f"openai.resources.{name}" for name in ("chat.completions", "responses", "audio")]
FORKS = multiprocessing.get_context("forkserver") if os.name == "posix" else None
if FORKS:
    FORKS.set_forkserver_preload(PRELOADED)


def run_forked(argv, environment, folder, stdin, timeout) -> tuple[int, str, str]:
    """Run a script in a fork; return its exit code and what it wrote."""
    files = [folder.parent / f"{name}.{time.monotonic_ns()}" for name in ("in", "out", "err")]
    files[0].write_bytes(encoded(stdin or b""))
    arguments = (argv, environment, str(folder), [str(file) for file in files])
    process = FORKS.Process(target=become_script, args=arguments)
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        raise subprocess.TimeoutExpired(argv, timeout, files[1].read_bytes(), files[2].read_bytes())
    return process.exitcode, files[1].read_text("utf-8"), files[2].read_text("utf-8")


@pytest.fixture
def begin(command):
    """begin(script, …) -> Popen: a script to watch or to interrupt while it runs."""
    running = []

    def start(script: str, *args: str, **options) -> subprocess.Popen:
        arguments, environment, folder = command(script, *args, **options)
        process = subprocess.Popen(
            arguments,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def wait_until(true: Callable[[], object], seconds: float = 10) -> bool:
    """Tell whether something becomes true in time."""
    end = time.monotonic() + seconds
    while not (found := bool(true())) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def check_manners(code: int, out: str, err: str, key: str | None) -> None:
    """What holds for every script, whatever happens to it."""
    assert "Traceback" not in err, err
    assert code in (0, 1, 2, 130), f"exit code {code}: {err}"
    for secret in filter(None, (key or "").split()):
        assert secret not in out, "the key is on stdout"
        assert secret not in err, "the key is on stderr"


def copied(script: Path, folder: Path, edit: dict[str, str] | None = None) -> Path:
    """Copy a script and the prompts beside it; every text to replace has to be there."""
    text = script.read_text(encoding="utf-8")
    for old, new in (edit or {}).items():
        assert old in text, f"{script.name} has no {old!r} to replace"
        text = text.replace(old, new)
    place = folder / "scripts" / script.name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / "prompts", folder / "prompts", dirs_exist_ok=True)
    return place


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def named(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None
