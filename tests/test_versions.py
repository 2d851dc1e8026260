"""Proves that every script works with the newest openai and with the oldest that is supported."""

import os
import subprocess
import sys

import openai
import pytest
from conftest import ROOT, lines, named
from run import HOME, OLDEST
from stand_in import FAULTS, TEXT
from test_faults import CASES, FIVE, FOUR, begin_case, errors, result

FOLDER = HOME / f"openai-{OLDEST}"  # run.py puts it there
IS_OLDEST = os.environ.get("TEST_PYTHONPATH") == str(FOLDER)


@pytest.mark.skipif(IS_OLDEST or not FOLDER.exists(), reason="the oldest client: tests/run.py")
def test_all_of_this_holds_with_the_oldest_client_too():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment |= dict.fromkeys(("PYTHONPATH", "TEST_PYTHONPATH"), str(FOLDER))
    done = subprocess.run([*command, __file__], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_client_is_the_one_that_is_meant(run, stand_in, tmp_path):
    (tmp_path / "which.py").write_text("import openai; print(openai.__version__, openai.__file__)")
    version, _, file = run("which", script_path=tmp_path / "which.py").out.partition(" ")
    assert version == openai.__version__ and file.strip() == openai.__file__
    promised = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()[0]
    assert f"{promised}.0.0" == f"openai>={OLDEST}"
    assert IS_OLDEST == (version == OLDEST) == file.startswith(str(FOLDER))


@pytest.mark.parametrize("script", CASES)
def test_script_does_its_task(run, stand_in, tmp_path, script):
    case, folder = CASES[script], tmp_path / "here"
    done = run(script, *case["args"], **begin_case(stand_in, case, folder))
    assert done.code == 0 and errors(case, done.err) == [], done.err
    answer = result(case, done.out, folder)
    assert all(text in answer for text in case.get("prints", [TEXT]))


@pytest.mark.parametrize("fault", FOUR if IS_OLDEST else FOUR[:1])  # more in test_faults.py
@pytest.mark.parametrize("script", FIVE)
def test_fault_is_one_line(run, stand_in, tmp_path, script, fault):
    case = CASES[script]
    stand_in.fail(fault, case.get("path"))
    done = run(script, *case["args"], **begin_case(stand_in, case, tmp_path / "here"))
    if script == "speech" and fault == "cut":
        return  # where a sound ends, nobody can tell
    assert done.code == 1 and len(errors(case, done.err)) == 1, done.err
    is_hidden = case.get("stream") and FAULTS[fault].hidden
    assert is_hidden or named(FAULTS[fault].says, lines(done.err)[-1]), done.err
