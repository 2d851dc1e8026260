"""Proves that every command and every piece of code in both READMEs works as it stands there."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, check_manners, clean_environment
from stand_in import KEY
from test_faults import CASES

ENGLISH, KOREAN = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md")
)
SHORTER = {  # constants that only wait, replaced in the copy that the commands run in
    "free_models": {"SECONDS_BETWEEN = 3.0": "SECONDS_BETWEEN = 0.1"},
    "video_generation": {"POLL_SECONDS = 30": "POLL_SECONDS = 0.1"},
    "bulk": {"FREE_RPM = 20": "FREE_RPM = 2000"},
}
IGNORED = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".env")
shell = pytest.mark.skipif(os.name != "posix", reason="the commands are those of a POSIX shell")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """The commands of a README: the lines of its shell blocks and the scripts in its tables."""
    in_blocks = [line for block in blocks(text, "sh") for line in block.splitlines()]
    in_tables = re.findall(r"\| `(.*?scripts/.*?)` \|", text)
    return list(dict.fromkeys(line.replace("\\|", "|") for line in in_blocks + in_tables))


COMMANDS = commands(ENGLISH)
INSTALLS = [line for line in COMMANDS if "venv" in line]
TESTS = [line for line in COMMANDS if line.startswith("python3 tests/")]
OTHERS = [line for line in COMMANDS if line not in INSTALLS + TESTS]


@pytest.fixture
def clone(tmp_path):
    """A copy of the project, as a clone has it, with `python` on the path."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT, folder, ignore=IGNORED)
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    for script, edits in SHORTER.items():
        path = folder / "scripts" / f"{script}.py"
        text = path.read_text(encoding="utf-8")
        for old, new in edits.items():
            assert old in text, f"{script}.py has no {old!r}"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    for text in blocks(ENGLISH, "text")[:1]:  # the prompt that the reader is told to save
        (folder / "prompts" / "haiku.txt").write_text(text, encoding="utf-8")
    return folder


def paste(
    command: str, folder, environment: dict, timeout: float = 120
) -> subprocess.CompletedProcess:
    environment = environment | {
        "PATH": f"{folder.parent / 'bin'}{os.pathsep}{environment['PATH']}"
    }
    shell_command = ["sh", "-c", command]
    done = subprocess.run(
        shell_command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    check_manners(done.returncode, done.stdout.decode(), done.stderr.decode(), KEY)
    return done


@shell
@pytest.mark.parametrize("command", OTHERS)
def test_command_works_when_pasted(clone, stand_in, command):
    settings = {"OPENROUTER_BASE_URL": stand_in.url, "OPENROUTER_API_KEY": KEY}
    if "offline.py" in command:
        pytest.importorskip("xllamacpp", reason="the local model is not installed")
    if "orchestrate.py" in command:  # what makes sense as a plan, the stand-in can't know
        stand_in.say(CASES["orchestrate"]["says"])
    done = paste(command, clone, clean_environment() | settings)
    assert done.returncode == 0, done.stderr.decode()


@shell
@pytest.mark.skipif("TEST_INSTALL" not in os.environ, reason="downloads; set TEST_INSTALL=1")
@pytest.mark.parametrize("command", INSTALLS)
def test_first_command_installs_and_answers(clone, command):
    (clone.parent / "bin" / "python").unlink()  # only what the command makes
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = paste(command, clone, environment, timeout=600)
    assert "Paris" in done.stdout.decode(), done.stderr.decode()


def test_both_readmes_have_the_same_commands():
    assert commands(KOREAN) == COMMANDS


def test_both_readmes_have_the_same_code():
    for language in ("python", "diff", "text", "powershell"):
        assert len(blocks(KOREAN, language)) == len(blocks(ENGLISH, language)), language


@pytest.mark.parametrize("code", blocks(ENGLISH, "python") + blocks(KOREAN, "python"))
def test_python_block_runs(stand_in, tmp_path, code):
    file = tmp_path / "block.py"
    file.write_text(code.replace("https://openrouter.ai/api/v1", stand_in.url), encoding="utf-8")
    environment = clean_environment() | {"OPENROUTER_API_KEY": KEY}
    done = subprocess.run([sys.executable, file], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("readme", [ENGLISH, KOREAN], ids=["en", "ko"])
def test_what_replaces_requests_runs(stand_in, tmp_path, readme):
    (block,) = [block for block in blocks(readme, "diff") if "-import requests" in block]
    before, after = ("", "")
    for line in block.splitlines():
        before += "" if line.startswith("+") else f"{line[1:]}\n"
        after += "" if line.startswith("-") else f"{line[1:]}\n"
    compile(before, "before", "exec")
    values = f'key, model, messages = {KEY!r}, "a/b", [{{"role": "user", "content": "Hi"}}]\n'
    file = tmp_path / "after.py"
    file.write_text(values + after.replace("https://openrouter.ai/api/v1", stand_in.url))
    done = subprocess.run([sys.executable, file], env=clean_environment(), capture_output=True)
    assert done.stdout.strip(), done.stderr.decode()


def test_doctor_explains_in_the_same_words():
    doctor = [sys.executable, ROOT / "scripts" / "doctor.py", "--explain"]
    done = subprocess.run(doctor, env=clean_environment(), capture_output=True, check=True)
    explained = done.stdout.decode().strip()
    assert explained in ENGLISH
    headings = [line for line in explained.splitlines() if line.startswith("### ")]
    assert [line for line in KOREAN.splitlines() if line.startswith("### ")] == headings


@pytest.mark.parametrize("readme", [ENGLISH, KOREAN], ids=["en", "ko"])
def test_migration_lines_are_what_migrate_prints(readme):
    diffs = [block.strip() for block in blocks(readme, "diff")]
    migrate = [sys.executable, ROOT / "scripts" / "migrate.py"]
    environment = clean_environment()
    rows = subprocess.run([*migrate, "--json"], env=environment, capture_output=True, check=True)
    for name in json.loads(rows.stdout.decode()):
        done = subprocess.run([*migrate, name], env=environment, capture_output=True, check=True)
        assert done.stdout.decode().strip() in diffs, name


def test_links_lead_to_files_that_exist():
    for text in (ENGLISH, KOREAN):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (ROOT / target).exists(), target
