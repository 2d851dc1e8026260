"""Proves against OpenRouter itself, when TEST_LIVE_KEY holds a key, that the scripts work: free."""

import os
import subprocess
import sys

import pytest
from conftest import KEPT, SCRIPTS, check_manners

KEY = os.environ.get("TEST_LIVE_KEY", "")
COMMANDS = [
    ["chat", "Say hello in Korean."],
    ["prompt", "translate", "Good morning", "--set", "language=Korean"],
    ["models", "--free", "--limit", "3"],
    ["structured_output", "-"],
    ["key"],
    ["doctor", "--no-request"],
]

pytestmark = pytest.mark.skipif(not KEY, reason="asks OpenRouter; set TEST_LIVE_KEY")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_script_works_with_openrouter(command):
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    script, *arguments = command
    done = subprocess.run(
        [sys.executable, SCRIPTS / f"{script}.py", *arguments],
        env=environment | {"OPENROUTER_API_KEY": KEY, "PYTHON_DOTENV_DISABLED": "1"},
        input=b"Minji sends the offer by Friday." if "-" in arguments else b"",
        capture_output=True,
        timeout=180,
        check=False,
    )
    check_manners(done.returncode, done.stdout.decode(), done.stderr.decode(), KEY)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.strip()
