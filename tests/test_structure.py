"""Proves that the scripts are small, of one shape, alike where they repeat, and stand alone."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from importlib.metadata import packages_distributions
from statistics import median

import pytest
from conftest import ROOT, SCRIPTS
from stand_in import KEY

SOURCES = {file.stem: file.read_text(encoding="utf-8") for file in sorted(SCRIPTS.glob("*.py"))}
NAMES = list(SOURCES)
TREES = {name: ast.parse(text) for name, text in SOURCES.items()}
LINE = "# --- The command line. Leave out what follows when you copy. ---"
LONG = ("bulk", "batch", "compare", "orchestrate", "migrate", "doctor")
# The same text wherever a script has one of them; the guard is the `if` at the end.
SHARED = {"connect", "check", "explain", "field", "cheapest", "parameter", "image_type", "cost"}
# Where many items are worked on, one item's failure is its own and the others go on.
MANY = {
    "bulk": "an item",
    "batch": "a batch among others",
    "chat": "a turn of the conversation",
    "compare": "a model among others",
    "doctor": "a check",
    "free_models": "a model among others",
    "migrate": "one side of two",
    "orchestrate": "a step",
}
IDS = {
    "openrouter/free": "the free router, the default",
    "openrouter/auto": "a router",
    "openrouter/pareto-code": "a router",
    "~anthropic/claude-haiku-latest": "an alias: it follows the newest of its kind",
    "~google/gemini-flash-latest": "an alias",
    "~openai/gpt-luna-latest": "an alias, the cheapest of OpenAI's",
    "openai/gpt-oss-20b": "open weights with many providers; also Groq's and Hugging Face's",
    "openai/gpt-oss-20b:cheapest": "Hugging Face's name for it",
    "anthropic/claude-haiku-5.5": "migrate: what Anthropic's own id is here",
    "deepseek/deepseek-v4.1-flash": "migrate: DeepSeek's",
    "google/gemini-3.5-flash-lite": "migrate: Gemini's",
    "mistralai/mistral-small-2603": "migrate: Mistral's",
    "openai/gpt-6-luna": "migrate: OpenAI's",
    "x-ai/grok-4.3": "migrate: xAI's",
    "acme/speaker": "invented, for an example",
    "author/name": "invented, says what an id looks like",
}
FOLDERS = ("prompts", "scripts", "tests", ".ci")
NOT_AUTHORS = {*FOLDERS, "application", "audio", "docs", "image", "text", "tokens", "requests"}
each_script = pytest.mark.parametrize("name", NAMES)


def docstring_lines(tree: ast.Module) -> set[int]:
    """The lines that docstrings stand on."""
    kinds = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds) and ast.get_docstring(node)]
    texts = [node.body[0] for node in nodes]
    return {line for text in texts for line in range(text.lineno, text.end_lineno + 1)}


def count_tokens(text: str) -> int:
    """Names, numbers, strings and operators; an f-string is one, as before Python 3.12."""
    count, depth, skipped = 0, 0, docstring_lines(ast.parse(text))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        depth -= kind.endswith("STRING_END")
        counts = kind in ("NAME", "NUMBER", "STRING", "OP") or kind.endswith("STRING_START")
        is_docstring = kind == "STRING" and token.start[0] in skipped
        count += counts and not depth and not is_docstring
        depth += kind.endswith("STRING_START")
    return count


def upper_lines(name: str) -> int:
    """The lines to copy, without blank ones and docstrings."""
    lines, skipped = SOURCES[name].partition(LINE)[0].split("\n"), docstring_lines(TREES[name])
    return sum(bool(line.strip()) for number, line in enumerate(lines, 1) if number not in skipped)


def blocks() -> dict[str, dict[str, list[str]]]:
    """Name -> text -> scripts: the functions, the classes, and the guard under the name "if"."""
    found: dict[str, dict[str, list[str]]] = {}
    for script, tree in TREES.items():
        for node in tree.body:
            key = "if" if isinstance(node, ast.If) else getattr(node, "name", None)
            text = ast.get_source_segment(SOURCES[script], node)
            if key:
                found.setdefault(key, {}).setdefault(text, []).append(script)
    return found


def budgets() -> dict[str, tuple[float, int]]:
    """What is measured -> the figure and the most that it may be."""
    lines = {name: text.count("\n") for name, text in SOURCES.items()}
    upper = {name: upper_lines(name) for name in NAMES}
    copies = [item for texts in blocks().values() for item in texts.items()]
    repeated = sum((text.count("\n") + 1) * (len(owners) - 1) for text, owners in copies)
    limits = {name: 280 if name in LONG else 200 for name in NAMES}
    longest = {f"lines, {n}": (lines[n], limits[n]) for n in NAMES if lines[n] > limits[n] - 20}
    return longest | {
        "lines, median script": (median(lines.values()), 135),
        "lines in all": (sum(lines.values()), 4600),
        "tokens in all": (sum(map(count_tokens, SOURCES.values())), 35000),
        "repeated lines": (repeated, 1300),
        "lines to copy, median script": (median(upper.values()), 60),
        "lines to copy, chat": (upper["chat"], 50),
    }


# The budgets that are missed, and what they may be at most until they hold.
MISSED = {
    "lines, batch": 352,
    "lines, bulk": 399,
    "lines, median script": 153,
    "lines in all": 5681,
    "tokens in all": 45618,
    "repeated lines": 1613,
}


def test_budgets_hold_or_are_known_to_be_missed():  # conftest.py prints them
    figures = budgets().items()
    over = {what: figure for what, (figure, most) in figures if figure > most}
    assert over.keys() == MISSED.keys(), "what holds again is no longer missed"
    assert {what for what, figure in over.items() if figure > MISSED[what]} == set()


def test_what_is_repeated_is_the_same_everywhere():
    shared = {key: texts for key, texts in blocks().items() if key in SHARED or key == "if"}
    assert {key: [*texts.values()] for key, texts in shared.items() if len(texts) > 1} == {}
    owners = {key: next(iter(texts.values())) for key, texts in shared.items()}
    assert [key for key, scripts in owners.items() if len(scripts) < 2] == []
    assert owners["if"] == owners["explain"] == NAMES
    assert set(NAMES) - set(owners["connect"]) == {"login", "offline"}


@each_script
def test_parts_stand_on_their_side_of_the_line(name):
    text, tree = SOURCES[name], TREES[name]
    assert text.count(f"\n{LINE}\n") == 1
    line = text.partition(LINE)[0].count("\n") + 1
    defined = {node.name: node.lineno for node in tree.body if hasattr(node, "name")}
    assert isinstance(tree.body[-1], ast.If), "the guard is last"
    assert defined["main"] > line and defined["explain"] > line
    assert all(defined[key] < line for key in {"connect", "check"} & defined.keys())
    printed = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "print"]
    assert all(node.lineno > line for node in printed), "the upper half prints nothing"


@each_script
def test_header_names_what_requirements_name(name):
    header = re.match(r"# /// script\n(.*?)# ///\n", SOURCES[name], re.DOTALL)[1]
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert wanted == ["openai>=3", "python-dotenv>=1"]
    (dependencies,) = re.findall(r"^# dependencies = (\[.*\])$", header, re.MULTILINE)
    assert ast.literal_eval(dependencies) == wanted
    assert '# requires-python = ">=3.10"\n' in header


@each_script
def test_nothing_else_is_imported(name):
    allowed = {*sys.stdlib_module_names, "dotenv", "openai", "pydantic"} - set(NAMES)
    for node in ast.walk(TREES[name]):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = ["." * node.level + (node.module or "")]
        roots = {module.partition(".")[0] for module in modules}
        assert roots <= allowed | ({"xllamacpp"} if name == "offline" else set()), node.lineno
    taken = {*sys.stdlib_module_names, *packages_distributions()}
    assert name not in taken, "`import x` would find the script beside the one that runs"


@each_script
def test_only_what_works_on_many_items_catches_everything(name):
    functions = [node for node in TREES[name].body if not isinstance(node, ast.If)]
    handlers = [node for top in functions for node in ast.walk(top)]
    caught = [ast.unparse(h.type) if h.type else "" for h in handlers if hasattr(h, "type")]
    broad = [text for text in caught if not text or re.search(r"\b(Base)?Exception\b", text)]
    assert broad == [] or name in MANY


@each_script
def test_text_is_read_and_written_with_an_encoding(name):
    for call in (node for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)):
        function = ast.unparse(call.func).rpartition(".")[2]
        modes = [one.value for one in call.args if isinstance(one, ast.Constant)]
        is_binary = any(isinstance(mode, str) and "b" in mode for mode in modes)
        is_file = function == "open" and ast.unparse(call.func) != "webbrowser.open"
        if function in ("read_text", "write_text") or (is_file and not is_binary):
            assert "encoding" in {option.arg for option in call.keywords}, ast.unparse(call)


@each_script
def test_help_is_the_docstring_and_needs_no_key(run, stand_in, name):
    text = ast.get_docstring(TREES[name])
    assert text.isascii(), "not every terminal can show it before stdout is set to UTF-8"
    assert f"  python scripts/{name}.py" in text
    assert re.search(r"https://\S+", text)
    done = run(name, "--help", key="", base_url="http://127.0.0.1:9")
    assert (done.code, done.err, stand_in.requests) == (0, "", [])
    assert all(line in done.out for line in text.splitlines())


def texts() -> dict[str, str]:
    """What a user reads: scripts, prompts, READMEs, the example of a .env."""
    files = [*SCRIPTS.glob("*.py"), *ROOT.glob("prompts/*.txt"), *ROOT.glob("README*.md")]
    files.append(ROOT / ".env.example")
    return {file.name: file.read_text(encoding="utf-8") for file in files}


def test_every_page_of_the_documentation_exists():
    paths = (ROOT / "tests/data/docs_paths.txt").read_text(encoding="utf-8").split("\n")
    assert re.search(r"\b20\d\d\b", paths[0]), "says how old it is"
    links = re.findall(r"openrouter\.ai/docs/([^\s)>\"'`#|]*)", "\n".join(texts().values()))
    assert len(links) > len(NAMES)
    assert [path for path in links if path.rstrip(".,") not in paths] == []


def test_every_model_id_has_a_reason_to_stand_there():
    pattern = r"(?<![\w/.:~-])(~?([a-z][a-z0-9-]+)/[a-z0-9](?:[\w.-]*\w)?(?::[a-z]+)?)(?![\w/])"
    found: dict[str, str] = {}
    for file, text in texts().items():
        pairs = re.findall(pattern, re.sub(r"https?://\S+", "", text))
        found |= {model: file for model, author in pairs if author not in NOT_AUTHORS}
        assert not re.search(r"[\w.~-]+/[\w.-]+:(free|batch)\b", text), f"{file}: they disappear"
    assert {model: file for model, file in found.items() if model not in IDS} == {}
    assert IDS.keys() - found.keys() == set(), "no longer named"


def test_text_files_are_utf8_and_hold_no_key_and_no_registry():
    files = [*ROOT.iterdir(), *(file for part in FOLDERS for file in (ROOT / part).rglob("*"))]
    files = [f for f in files if f.is_file() and f.name != ".env" and "cache" not in f.parts[-2]]
    hosts = re.compile(rb"py[p]i\.org|python[h]osted|npm[j]s|proxy\.go[l]ang")
    for file in files:
        data = file.read_bytes()
        assert not re.search(rb"sk-or-v1-[0-9a-fA-F]{8}", data), f"a key in {file}"
        if file.suffix not in {".png", ".pdf", ".mp3", ".wav"}:
            assert not data.decode("utf-8").startswith("\ufeff"), f"a BOM in {file}"
            assert b"\r" not in data, f"Windows line ends in {file}"
            assert data.endswith(b"\n") or not data, f"no line end at the end of {file}"
            assert not hosts.search(data), f"a package registry in {file}"
    assert all(KEY not in text for text in SOURCES.values())


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["check", "format"])
def test_ruff_has_nothing_to_say(command):
    settings = (ROOT / ".ruff.toml").read_text(encoding="utf-8")
    assert '"C90"' in settings and "max-complexity = 8" in settings
    ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
    done = subprocess.run(ruff, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
