"""Install what the tests need into .venv-tests, then run them.

  python tests/run.py                 (everything; extra arguments go to pytest)
  python tests/run.py -k chat

Needs Python 3.10 or newer and pip; nothing outside this folder is changed. With a key of yours in
TEST_LIVE_KEY, tests/test_live.py also asks OpenRouter itself: a handful of free requests.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv-tests"
PYTHON = HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OLDEST = "3.0.0"  # release of openai that is supported; the newest is installed


def pip(*arguments: str) -> None:
    """Run pip in the test environment; a failure ends the program."""
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--no-compile"]
    subprocess.run([*command, *arguments], cwd=ROOT, check=True)


def main() -> int:
    """Install, then return pytest's exit code."""
    if not PYTHON.exists():
        venv.create(HOME, with_pip=True)
        pip("--upgrade", "pip")  # an old one takes a minute for what follows, a new one seconds
    pip("-r", "tests/requirements.txt")
    pip("--no-deps", "-r", "requirements-offline.txt")
    target = HOME / f"openai-{OLDEST}"
    if not target.exists():
        pip("--target", str(target), f"openai=={OLDEST}", "-r", "requirements.txt")
    workers = str(2 * (os.cpu_count() or 1))  # tests wait for most of their time
    command = [PYTHON, "-m", "pytest", "tests", "-q", "-n", workers, *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"TEST_INSTALL": "1"}).returncode


if __name__ == "__main__":
    sys.exit(main())
