"""Proves that every script works with the oldest supported openai, the last 2.x and the newest."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment, named
from stand_in import FAULTS
from test_faults import CASES, told

OLDER = sorted((ROOT / ".venv-tests").glob("openai-*"))  # tests/run.py puts them there
TELLING = ("drop", "error_200", "429_day")  # what releases of the client tell in different ways

pytestmark = pytest.mark.skipif(not OLDER, reason="older clients: run tests/run.py")


@pytest.mark.parametrize("folder", OLDER, ids=lambda folder: folder.name)
def test_the_older_client_is_the_one_that_runs(folder):
    code = "import json, openai; print(json.dumps([openai.__version__, openai.__file__]))"
    environment = clean_environment() | {"PYTHONPATH": str(folder)}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    version, file = json.loads(out.stdout)
    assert folder.name == f"openai-{version}"
    assert Path(file).is_relative_to(folder)


def edits(case: dict) -> dict:
    """What the copy for a test replaces; a release that waits is caught by the time limit."""
    return case.get("edit") or {}


@pytest.mark.parametrize("folder", OLDER, ids=lambda folder: folder.name)
@pytest.mark.parametrize("script", CASES)
def test_script_does_its_task(run, stand_in, monkeypatch, folder, script):
    monkeypatch.setenv("TEST_PYTHONPATH", str(folder))
    case = CASES[script]
    if "says" in case:
        stand_in.say(case["says"])
    done = run(script, *case["args"], stdin=case.get("stdin"), edit=edits(case))
    assert done.code == 0, done.err
    assert done.out.strip() or script in ("image_generation", "speech", "video_generation", "bulk")


@pytest.mark.parametrize("folder", OLDER, ids=lambda folder: folder.name)
@pytest.mark.parametrize("fault", TELLING)
@pytest.mark.parametrize("script", CASES)
def test_fault_is_named(run, stand_in, monkeypatch, folder, script, fault):
    case = CASES[script]
    if fault in case.get("skip", ()):
        pytest.skip("can't happen to this script")
    monkeypatch.setenv("TEST_PYTHONPATH", str(folder))
    stand_in.fail(fault, case.get("path"))
    done = run(script, *case["args"], stdin=case.get("stdin"), edit=edits(case))
    assert done.code == 1, done.err
    says = FAULTS[fault].says_in_stream if case.get("streams") else ""
    assert named(says or FAULTS[fault].says, told(case, done)), done.err


def test_oldest_named_release_is_among_them():
    named_release = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()[0]
    assert named_release == "openai>=2"
    assert any(folder.name.startswith("openai-2.0.") for folder in OLDER)
