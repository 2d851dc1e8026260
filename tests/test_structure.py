"""Proves that the scripts are of one shape, stand alone, and that prompts and READMEs fit them."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import ROOT, SCRIPTS
from stand_in import KEY, TEXT, listing
from test_faults import CASES, COMPARED

FILES = sorted(SCRIPTS.glob("*.py"))
NAMES = [file.stem for file in FILES]
SOURCES = {file.stem: file.read_text(encoding="utf-8") for file in FILES}
DOCSTRINGS = {name: ast.get_docstring(ast.parse(SOURCES[name]), clean=False) for name in NAMES}
PROMPTS = {file.stem: file.read_text(encoding="utf-8") for file in ROOT.glob("prompts/*.txt")}
READMES = {name: (ROOT / name) for name in ("README.md", "README.ko.md")}
# Functions that stand above the task of a script and are the same wherever they stand.
ABOVE = {"connect", "check", "field", "fill", "find_models", "price", "is_free"}
MARK = "# From here on, the same in "
each_script = pytest.mark.parametrize("name", NAMES)


def blocks(text: str) -> dict[str, str]:
    """The blocks of a script, by the name that each defines or by its first line."""
    found = {}
    for block in re.split(r"\n\n\n+", text.strip()):
        defined = re.search(r"^(?:async )?def (\w+)|^class (\w+)", block, re.MULTILINE)
        name = (defined[1] or defined[2]) if defined else block.splitlines()[0]
        found.setdefault(name, block)
    return found


def own_prompts(name: str) -> list[str]:
    """The prompts that a script reads by itself: what PROMPT names, whole or as a beginning."""
    (constant,) = re.findall(r'^PROMPT = "(\w+)"', SOURCES[name], re.MULTILINE) or [None]
    return [p for p in PROMPTS if constant and (p == constant or p.startswith(f"{constant}_"))]


# -------------------------------------------------------------------------------- the same shape


def test_shared_blocks_are_the_same_in_every_script():
    copies: dict[str, dict[str, list[str]]] = {}
    for name, text in SOURCES.items():
        above, _, below = text.partition(f"\n{MARK}")
        shared = {key: block for key, block in blocks(above).items() if key in ABOVE}
        shared |= blocks(below.partition("\n")[2])
        for key, block in shared.items():
            copies.setdefault(key, {}).setdefault(block, []).append(name)
    for key, texts in copies.items():
        assert len(texts) == 1, f"{key} differs: {list(texts.values())}"
        (owners,) = texts.values()
        assert len(owners) > 1 or len(NAMES) == 1, f"{key} is in {owners} alone"
    assert copies.keys() >= {"connect", "check", "explain", "read_prompt", "read_input"}
    guards = [key for key in copies if key.startswith("if __name__")]
    assert len(guards) == 1
    assert sorted(*copies[guards[0]].values()) == NAMES
    assert set(NAMES) - set(*copies["connect"].values()) <= {"offline"}


@each_script
def test_parts_stand_in_the_same_order(name):
    tree = ast.parse(SOURCES[name])
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert isinstance(tree.body[-1], ast.If), "the guard is last"
    assert "main" in defined
    if "connect" in defined:
        assert defined[0] == "connect"
    line = SOURCES[name].splitlines().index(f"{MARK}every script.")
    tail = {node.name for node in tree.body if getattr(node, "name", "") and node.lineno > line}
    assert "explain" in tail and "main" not in tail


@each_script
def test_header_names_what_requirements_name(name):
    header = re.match(r"# /// script\n(.*?)# ///\n", SOURCES[name], re.DOTALL)[1]
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    (dependencies,) = re.findall(r"^# dependencies = (\[.*\])$", header, re.MULTILINE)
    assert ast.literal_eval(dependencies) == wanted
    assert '# requires-python = ">=3.10"\n' in header


@each_script
def test_nothing_else_is_imported(name):
    allowed = {*sys.stdlib_module_names, "dotenv", "openai", "pydantic"}
    if name == "offline":
        allowed.add("xllamacpp")
    for node in ast.walk(ast.parse(SOURCES[name])):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            modules = [node.module]
        roots = {module.partition(".")[0] for module in modules}
        assert roots <= allowed, f"line {node.lineno}"
        assert roots.isdisjoint(NAMES), "scripts import no script"


def test_no_script_hides_a_module():
    taken = {*sys.stdlib_module_names, *packages_distributions()}
    assert taken.isdisjoint(NAMES), "`import x` would find the script beside the one that runs"


@each_script
def test_help_is_the_docstring_with_commands_and_a_page(run, name):
    text = DOCSTRINGS[name]
    assert text.isascii(), "not every terminal can show it before stdout is set to UTF-8"
    assert f"python scripts/{name}.py" in text
    assert re.search(r"https://\S+", text)
    if name not in ("offline", "migrate"):
        assert "https://openrouter.ai/docs/" in text
    done = run(name, "--help", key="")
    assert (done.code, done.err) == (0, "")
    for line in text.strip().splitlines():
        assert line.rstrip() in done.out
    assert "Traceback" not in done.out


def test_no_free_model_is_named():
    texts = {f"scripts/{name}.py": text for name, text in SOURCES.items()}
    texts |= {f"prompts/{name}.txt": text for name, text in PROMPTS.items()}
    texts |= {name: file.read_text(encoding="utf-8") for name, file in READMES.items()}
    for place, text in texts.items():
        assert re.findall(r"[\w.~-]+/[\w.-]+:free\b", text) == [], place


# ------------------------------------------------------------------------- the help's commands

SAMPLES = {
    (".jpg", ".png"): "sign.png",
    (".pdf",): "invoice.pdf",
    (".wav",): "meeting.wav",
    (".mp3", ".m4a"): "hello.mp3",
    (".txt",): "meeting.txt",
    (".jsonl",): "questions.jsonl",
}


def commands(name: str) -> list[str]:
    """The commands in a docstring, without what is said about them."""
    lines = re.findall(r"^  (.*python scripts/.*)$", DOCSTRINGS[name], re.MULTILINE)
    told = [re.sub(r"\s{2,}\(.*\)$", "", line) for line in lines]
    return [line for line in told if line != "python scripts/chat.py"]  # that is a conversation


SHORTER = {  # constants that only wait
    "free_models": ("SECONDS_BETWEEN = 3.0", "SECONDS_BETWEEN = 0.0"),
    "video_generation": ("POLL_SECONDS = 30", "POLL_SECONDS = 0.1"),
    "bulk": ("FREE_RPM = 20", "FREE_RPM = 2000"),
}


@pytest.fixture
def house(tmp_path):
    """house() -> a new copy of the project, with what the commands of a reader name."""

    def build() -> Path:
        folder = tmp_path / f"house{len(list(tmp_path.glob('house*')))}"
        for part in ("scripts", "prompts"):
            shutil.copytree(ROOT / part, folder / part)
        for name, (old, new) in SHORTER.items():
            file = folder / "scripts" / f"{name}.py"
            assert old in SOURCES[name]
            file.write_text(SOURCES[name].replace(old, new), encoding="utf-8")
        (folder / "docs").mkdir()
        shutil.copytree(ROOT / "tests/data", folder / "tests/data")
        shutil.copy(ROOT / "tests/data/meeting.txt", folder / "docs")
        (folder / "answers.json").write_text(COMPARED, encoding="utf-8")
        return folder

    return build


def provide(folder: Path, words: list[str]) -> None:
    """Put a file of its kind where a command reads one; options that write are left alone."""
    for before, word in zip(["", *words], words, strict=False):
        writes = before in ("-o", "--html", "--trace", ">")
        sample = next((s for ends, s in SAMPLES.items() if word.endswith(ends)), None)
        if sample and not writes and "://" not in word and not (folder / word).exists():
            shutil.copy(ROOT / "tests/data" / sample, folder / word)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "offline"])
def test_commands_of_the_help_work(run, stand_in, catalogue, house, name):
    catalogue.append(listing("qwen/qwen-tiny", "Qwen Tiny", "text", "text", "0", "0"))
    stand_in.batch_states = ["completed"]
    if "says" in CASES.get(name, {}):
        stand_in.say(lambda body: reply_of(name, body))
    folder = house()
    assert commands(name)
    for command in commands(name):
        given = None
        for part in command.replace("MODEL", "acme/muse-2").split(" | "):
            words = shlex.split(part.split(" > ")[0])
            if words[0] != "python":
                given = "Some text,\nin two lines."
                continue
            provide(folder, words[2:])
            options = {"script_path": folder / words[1], "cwd": folder, "stdin": given}
            done = run(Path(words[1]).stem, *words[2:], **options)
            assert done.code == 0, f"{command}\n{done.err}"
            given = done.out
        folder = folder if name == "batch" else house()  # its commands are a sequence


def reply_of(name: str, body: dict) -> str:
    """A fitting reply for scripts that do not take any text."""
    if name != "orchestrate":
        return CASES[name]["says"]
    plan, work, check, _ = CASES[name]["says"]
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("name")
    if schema == "plan":
        return plan.replace("openrouter/free", "acme/muse-2") if "acme" in str(body) else plan
    return check if schema else work


# --------------------------------------------------------------------------------- standing alone

LAYOUTS = {
    "siblings": ("scripts", "prompts"),
    "folder-beside": (".", "prompts"),
    "file-beside": (".", "."),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@each_script
def test_script_alone_with_its_prompt_runs(run, stand_in, tmp_path, name, layout):
    script_folder, prompt_folder = (tmp_path / "alone" / part for part in LAYOUTS[layout])
    script_folder.mkdir(parents=True)
    prompt_folder.mkdir(exist_ok=True)
    script = script_folder / f"{name}.py"
    shutil.copy(SCRIPTS / f"{name}.py", script)
    case = CASES.get(name, {})
    for prompt in {*own_prompts(name), *(PROMPTS.keys() & set(case.get("args", [])))}:
        shutil.copy(ROOT / "prompts" / f"{prompt}.txt", prompt_folder)

    assert run(name, "--help", script_path=script, key="").code == 0
    if case:
        if "says" in case:
            stand_in.say(case["says"])
        done = run(name, *case["args"], script_path=script, stdin=case.get("stdin"))
        assert done.code == 0, done.err
        assert case.get("prints", TEXT) in done.out or name in ("speech", "transcription")
        assert stand_in.requests


def test_what_the_readme_says_to_copy_works(run, stand_in, tmp_path):
    kept = ("connect", "limit", "check", "ask")
    parts = [
        ast.get_source_segment(SOURCES["chat"], node)
        for node in ast.parse(SOURCES["chat"]).body
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Assign)
        or getattr(node, "name", "") in kept
    ]
    parts.append('for chunk in ask(connect(), MODEL, [{"role": "user", "content": "Hello"}]):')
    parts.append(
        '    print("".join(choice.delta.content or "" for choice in chunk.choices), end="")'
    )
    program = tmp_path / "program.py"
    program.write_text("\n".join(parts), encoding="utf-8")

    done = run("program", script_path=program, env={"PYTHONUTF8": "1"})
    assert (done.code, done.out) == (0, TEXT), done.err
    readme = READMES["README.md"].read_text(encoding="utf-8").partition("## Copy a script")[2]
    assert all(f"`{name}()`" in readme for name in kept if name != "ask")


def test_every_script_that_asks_has_a_case():
    # offline asks nobody, and what is wrong is what doctor is there to tell
    assert set(NAMES) - CASES.keys() == {"offline", "doctor"}, "test_faults.py, CASES"


# ---------------------------------------------------------------------------- prompts and READMEs


def test_every_prompt_is_used():
    used = {prompt for name in NAMES for prompt in own_prompts(name)}
    commands = {prompt for prompt, text in PROMPTS.items() if "{{input}}" in text}
    assert PROMPTS.keys() == used | commands
    for name, text in SOURCES.items():
        for constant in re.findall(r'^PROMPT = "(\w+)"', text, re.MULTILINE):
            assert own_prompts(name), f"{name}.py reads {constant}, which is not there"


def test_every_placeholder_is_known_to_the_script():
    for name in NAMES:
        for prompt in own_prompts(name):
            for place in re.findall(r"{{(\w+)}}", PROMPTS[prompt]):
                known = re.search(rf"""["']{place}["']|\b{place}=""", SOURCES[name])
                assert known, f"{name}.py has no value for {place} in {prompt}.txt"


@pytest.mark.parametrize("prompt", [name for name, text in PROMPTS.items() if "{{input}}" in text])
def test_prompt_is_a_command(run, prompt):
    others = {*re.findall(r"{{(\w+)}}", PROMPTS[prompt])} - {"input"}
    values = [word for name in sorted(others) for word in ("--set", f"{name}=값-{name}")]
    done = run("prompt", prompt, "the text", *values, "--show", key="")

    assert done.code == 0, done.err
    assert "the text" in done.out
    assert all(f"값-{name}" in done.out for name in others)
    assert "{{" not in done.out


@pytest.mark.parametrize("readme", READMES)
def test_readme_names_every_script_and_prompt(readme):
    text = READMES[readme].read_text(encoding="utf-8")
    missing = [f"scripts/{name}.py" for name in NAMES if f"scripts/{name}.py" not in text]
    missing += [name for name in PROMPTS if not re.search(rf"(?<!\w){name}(?!\w)", text)]
    assert missing == []


# ------------------------------------------------------------------------------- all the files


def tracked() -> list[Path]:
    """The files of the project, as far as git knows them, else all."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        found = [ROOT / name for name in done.stdout.decode().split("\0") if name]
        return [file for file in found if file.is_file()]
    ignored = re.compile(r"(^|/)(\.git|\.venv[^/]*|__pycache__|\.[^/]*_cache|\.env)(/|$)")
    files = (file for file in ROOT.rglob("*") if file.is_file())
    return [file for file in files if not ignored.search(file.relative_to(ROOT).as_posix())]


BINARY = {".png", ".pdf", ".mp3", ".wav"}


def test_text_files_are_utf8_and_hold_no_key():
    files = tracked()
    assert len(files) > len(NAMES) + len(PROMPTS)
    for file in files:
        data = file.read_bytes()
        assert not re.search(rb"sk-or-v1-[0-9a-fA-F]{8}", data), f"a key in {file}"
        if file.suffix in BINARY:
            continue
        data.decode("utf-8")
        assert not data.startswith(b"\xef\xbb\xbf"), f"a BOM in {file}"
        assert b"\r" not in data, f"Windows line ends in {file}"
        assert data.endswith(b"\n") or not data, f"no line end at the end of {file}"
    assert all(KEY not in text for text in SOURCES.values())


@pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["check", "format"])
def test_ruff_has_nothing_to_say(command):
    ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
    done = subprocess.run(ruff, cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
