"""Proves that every command and every piece of code in both READMEs works as it stands there."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, clean_environment, dead_port
from openai import OpenAI, OpenAIError
from stand_in import KEY
from test_faults import CASES

ENGLISH, KOREAN = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md")
)
BOTH = pytest.mark.parametrize("readme", [ENGLISH, KOREAN], ids=["en", "ko"])
LINE = "# --- The command line. Leave out what follows when you copy. ---"
HOME = "https://openrouter.ai/api/v1"
WAITS = r"(?m)^(SECONDS_BETWEEN|POLL_SECONDS) = .*$"  # constants that only wait


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """A README's commands: in shell blocks and, unless a name stands for another, in its text."""
    found = [line for block in blocks(text, "sh") for line in block.splitlines()]
    found += re.findall(r"`(python (?:-X dev )?scripts/.*?)`", re.sub(r"```.*?```", "", text))
    found = [line for line in found if not re.search(r"\b(NAME|FILE)\b|[가-힣]|…", line)]
    return sorted({line.replace("\\|", "|") for line in found})


def cells(text: str, head: str) -> list[list[str]]:
    """The rows of the table whose first line begins with this."""
    table = text[text.index(head) :].partition("\n\n")[0]
    return [re.split(r" (?<!\\)\| ", row.strip("| ")) for row in table.splitlines()[2:]]


LITERALS = [
    literal for row in cells(ENGLISH, "| message |") for literal in re.findall("`(.*?)`", row[0])
]
ELSEWHERE = {  # seen in public reports; nothing here can print them
    "404: No endpoints found that support tool use",
    "maximum context length is",
    "Function call is missing a thought_signature",
    "CERTIFICATE_VERIFY_FAILED",
}
RUNS = [line for line in commands(ENGLISH) if not re.search("venv|login|offline.py$", line)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the project, as a clone has it."""
    folder = tmp_path_factory.mktemp("clone") / "project"
    ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".env")
    shutil.copytree(ROOT, folder, ignore=ignored)
    for script in (folder / "scripts").glob("*.py"):
        text = script.read_text(encoding="utf-8")
        script.write_text(re.sub(WAITS, r"\1 = 0.05", text), encoding="utf-8")
    (folder / "prompts" / "haiku.txt").write_text(blocks(ENGLISH, "text")[0], encoding="utf-8")
    return folder


@pytest.mark.parametrize("line", RUNS)
def test_command_works_when_pasted(run, clone, stand_in, line):
    if "offline.py" in line:
        pytest.importorskip("xllamacpp", reason="the local model is not installed")
    if "orchestrate.py" in line:  # what makes sense as a plan, the stand-in can't know
        stand_in.say(CASES["orchestrate"]["says"])
    piped = None
    for part in line.split(" | "):
        words = shlex.split(part.removeprefix("python ").replace("-X dev ", ""))
        if "<" in words:
            piped = (clone / words.pop()).read_bytes()
            words.remove("<")
        script = clone / words[0]
        done = run(script.stem, *words[1:], stdin=piped, script_path=script, cwd=clone)
        assert done.code == 0, done.err
        piped = done.out
    assert done.out.strip() or "bulk.py" in line  # which writes a file


@pytest.mark.skipif("TEST_INSTALL" not in os.environ, reason="downloads; set TEST_INSTALL=1")
def test_first_command_installs_and_answers(clone):
    (command,) = (line for line in commands(ENGLISH) if "venv" in line)
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment["PIP_NO_COMPILE"] = "1"  # half of the time
    done = subprocess.run(
        ["sh", "-c", command], cwd=clone, env=environment, capture_output=True, check=False
    )
    assert "Paris" in done.stdout.decode(), done.stderr.decode()


def test_both_readmes_have_the_same_commands_code_and_messages():
    assert commands(KOREAN) == commands(ENGLISH)
    for language in ("sh", "python", "diff", "text", "console"):
        assert blocks(KOREAN, language) == blocks(ENGLISH, language), language
    assert [re.findall("`.*?`", row[0]) for row in cells(KOREAN, "| 메시지 |")] == [
        re.findall("`.*?`", row[0]) for row in cells(ENGLISH, "| message |")
    ]
    assert len(KOREAN.splitlines()) <= 230 and len(ENGLISH.splitlines()) <= 230
    assert len(cells(ENGLISH, "| message |")) <= 25
    assert len(cells(KOREAN, "| 50 in")) == len(cells(ENGLISH, "| 50 in"))


@pytest.mark.parametrize("literal", LITERALS)
def test_message_is_what_is_printed(run, stand_in, literal):
    faults = {
        "OPENROUTER_API_KEY is missing or malformed": {"key": ""},
        "401: User not found": "fault/401",
        "402: This request requires more credits, or fewer max_tokens": "fault/402",
        "Your input was flagged": "fault/403",
        "404: No endpoints found matching your data policy": "fault/404_policy",
        "is not a valid model ID": "fault/400",
        "The free period of": "fault/404_dead",
        "This model is only available through the Batch API": "google/gemini-2.5-flash:batch",
        "429: Rate limit exceeded: free-models-per-day": "fault/429_day",
        "429: Rate limit exceeded: free-models-per-min": "fault/429_minute",
        "is temporarily rate-limited upstream": "fault/429_upstream",
        "Provider returned error": "fault/502",
        "There is no available model provider": "fault/503",
        "The answer is not whole (finish_reason: length)": "fault/length",
        "The answer is not whole (finish_reason: None)": "fault/cut",
        "Connection error": {"base_url": f"http://127.0.0.1:{dead_port()}/api/v1"},
        "codec can't decode byte": {"stdin": b"\xff\xfeH\0i\0"},
    }
    own = {  # programs with the client alone
        "Missing credentials": ("", HOME, "a/b"),
        "'NoneType' object is not subscriptable": (KEY, stand_in.url, "fault/error_200"),
        "'str' object has no attribute 'choices'": (KEY, stand_in.url, "fault/html"),
    }
    if literal in own:
        key, url, model = own[literal]
        with pytest.raises((OpenAIError, TypeError, AttributeError), match=re.escape(literal)):
            messages = [{"role": "user", "content": "Hi"}]
            client = OpenAI(api_key=key, base_url=url)
            client.chat.completions.create(model=model, messages=messages).choices[0]
    elif literal not in ELSEWHERE:
        how = faults[literal]
        options = how if isinstance(how, dict) else {}
        done = run("chat", "Hi", *([] if options else ["-m", how]), **options)
        assert done.code == 1 and literal in done.err, done.err


def test_copied_half_runs_beside_the_program(stand_in, tmp_path):
    upper, line, _ = (ROOT / "scripts" / "chat.py").read_text(encoding="utf-8").partition(LINE)
    assert line and LINE in ENGLISH and LINE in KOREAN
    (tmp_path / "chat.py").write_text(upper, encoding="utf-8")
    (program,) = blocks(ENGLISH, "python")
    headers = re.search(r"`(connect\(\)\.with_options\(.*?\))`", ENGLISH)[1]
    (tmp_path / "program.py").write_text(f"{program}\n{headers}.models.list()", encoding="utf-8")
    environment = clean_environment()
    environment |= {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": stand_in.url}
    command = [sys.executable, tmp_path / "program.py"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.strip()
    assert stand_in.requests[-1].headers["x-openrouter-title"] == "Your app"


@BOTH
def test_move_is_what_migrate_knows(run, stand_in, readme):
    providers = json.loads(run("migrate", "--json", key="").out)
    known = []
    for name, row in providers.items():
        facts = [f"`{row[key]}`" for key in ("base_url", "key", "model", "on_openrouter")]
        known.append([name, *facts, row["breaks"]])
    shown = cells(readme, "| NAME |")
    columns = 6 if readme is ENGLISH else 5  # the last is translated
    assert [row[:columns] for row in shown] == [row[:columns] for row in known]
    assert all(len(row) == 6 and row[5] for row in shown)

    (move,) = [block for block in blocks(readme, "diff") if "requests" not in block]
    values = re.findall(r'"(.*?)"', move)
    before, after = providers["openai"], providers["openrouter"]
    assert values[:2] + values[4:5] == [before[key] for key in ("base_url", "key", "model")]
    assert values[2:4] + values[5:] == [after["base_url"], after["key"], before["on_openrouter"]]


def test_what_replaces_requests_runs(stand_in, tmp_path):
    (block,) = [block for block in blocks(ENGLISH, "diff") if "-import requests" in block]
    before, after = (
        "".join(f"{line[1:]}\n" for line in block.splitlines() if line[0] == sign) for sign in "-+"
    )
    compile(before, "before", "exec")
    values = f'key, model, messages = {KEY!r}, "a/b", [{{"role": "user", "content": "Hi"}}]\n'
    (tmp_path / "after.py").write_text(values + after.replace(HOME, stand_in.url))
    command = [sys.executable, tmp_path / "after.py"]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, check=False)
    assert done.stdout.strip(), done.stderr.decode()


@BOTH
def test_links_and_names_lead_somewhere(readme):
    headings = re.findall(r"^## (.*)", readme, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in headings}
    for target in re.findall(r"\]\((?!https?:)(.*?)\)", readme):
        known = target[1:] in anchors if target[0] == "#" else (ROOT / target).exists()
        assert known, target
    scripts = {script.stem for script in (ROOT / "scripts").glob("*.py")}
    assert set(re.findall(r"\]\(scripts/(\w+)\.py\)", readme)) == scripts
    prompts = {file.stem for file in (ROOT / "prompts").glob("*.txt")} - scripts
    assert {name for name in prompts if "orchestrate" not in name} <= set(
        re.findall(r"`(\w+)`", readme)
    )
