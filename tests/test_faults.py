"""Proves that every fault ends in one line with the server's words, exit code 1, and what arrived.

Five scripts meet every fault, since connect(), check(), explain() and the guard are the same in
all; the others meet four. CASES is the one table of commands for the tests of all scripts.
"""

import json

import pytest
from conftest import ROOT, lines, named
from stand_in import FAULTS, PARTIAL, TEXT

ROWS = [{"asked": f"acme/{name}", "answer": name, "error": ""} for name in ("하나", "둘")]
COMPARED = json.dumps({"prompt": "왜?", "answers": ROWS})
ITEMS = "".join(
    json.dumps({"id": number, "input": f"Hello {number}"}) + "\n" for number in range(3)
)
PLAN = '{"steps": [{"name": "a", "task": "b", "needs": [], "model": "openrouter/free"}]}'
MEETING = '{"summary": "제안서 🙂", "tasks": []}'
PDF, MP3_FILE = (str(ROOT / "tests" / "data" / name) for name in ("hello.pdf", "hello.mp3"))
CHAT = "/chat/completions"

# args, stdin: a command, as short as it can be. says: the model's replies (StandIn.say).
# prints: what has to be on stdout, or in the file `writes`. before: commands to run first.
# path: the endpoint to break. stream: whether it asks for a stream. kind: "json" or "binary" where
# the endpoint is no completion. rows: what fails is a row, an item or a step among others, so
# `least` of what it prints stays. progress: what else may be on stderr, besides [lines like this]
# and {"model": …}.
# edit: constants to shorten. reads: takes text from stdin.
CASES = {
    "audio_input": {"args": ["What?", MP3_FILE, "-m", "google/gemini-2.5-flash"]},
    "batch": {
        "args": ["submit", "items.jsonl", "-o", "answers.jsonl"],
        "files": {"items.jsonl": ITEMS},
        "kind": "json",
        "path": "/batches",
        "prints": ["batch_"],
    },
    "bulk": {
        "args": ["-", "-o", "answers.jsonl", "--rpm", "0"],
        "stdin": ITEMS,
        "writes": "answers.jsonl",
        "prints": [TEXT] * 3,
        "rows": True,
        "least": 2,
        "progress": r"answered|failed|left|done|\d/\d",
        "edit": {"TRIES = 6": "TRIES = 1"},
    },
    "chat": {"args": ["Hello"], "stream": True, "reads": True},
    "compare": {
        "args": ["Hello", "-m", "openrouter/free", "-m", "acme/muse-2", "-m", "acme/muse-3"],
        "stream": True,
        "rows": True,
        "least": 2,
        "prints": [TEXT] * 3,
    },
    "doctor": {"args": [], "rows": True, "path": "/key", "kind": "json", "prints": [], "least": 0},
    "embeddings": {
        "args": ["holidays", "guide.txt"],
        "files": {"guide.txt": "Lunch is at noon.\n\n휴가 holidays are in August.\n"},
        "kind": "json",
        "path": "/embeddings",
        "prints": ["August"],
    },
    "fallback": {"args": ["Hello"], "reads": True},
    "free_models": {
        "args": ["--limit", "3"],
        "path": CHAT,
        "rows": True,
        "least": 2,
        "prints": ["llama-3.2-3b-instruct:free", "solar-pro-3:free", "nemotron-nano-omni:free"],
        "edit": {"SECONDS_BETWEEN = 3.1": "SECONDS_BETWEEN = 0.0"},
    },
    "image_generation": {
        "args": ["a cat", "-o", "cat"],
        "kind": "json",
        "path": "/images",
        "prints": ["cat.png"],
    },
    "judge": {
        "args": [],
        "stdin": COMPARED,
        "says": "둘째가 낫다.\nVerdict: B",
        "prints": ["acme/하나", "acme/둘"],
        "progress": "낫다|Verdict",
    },
    "key": {"args": [], "kind": "json", "path": "/key", "prints": ["988"]},
    "login": {
        "args": ["--no-browser"],
        "stdin": "pasted\n",
        "kind": "json",
        "path": "/auth/keys",
        "writes": "../edited/.env",  # beside a copy: the project may have one
        "prints": ["sk-or-v1-new-test-key"],
        "progress": "^Log in at http|paste the code: $",
        "key": "",
        "edit": {"import secrets": "import secrets"},
    },
    "migrate": {"args": ["openrouter", "Hello"], "reads": True},
    "models": {"args": [], "kind": "json", "path": "/models", "prints": ["openrouter/free"]},
    "orchestrate": {
        "args": ["Hello", "--requests", "4"],
        "says": [PLAN, "한 걸음", '{"critique": "", "accepted": true}', TEXT],
        "reads": True,
    },
    "pdf": {"args": ["What?", PDF]},
    "prompt": {"args": ["summarize", "Hello"]},
    "prompt_caching": {"args": ["Hello", "And?", "-"], "stdin": "긴 글 " * 10, "path": CHAT},
    "reasoning": {
        "args": ["Hello"],
        "reads": True,
        "path": CHAT,
        "stream": True,
        "progress": "먼저|First, read|the question",
    },
    "rerank": {
        "args": ["free use"],
        "stdin": "one\n두 번째 줄",
        "kind": "json",
        "path": "/rerank",
        "prints": ["두 번째 줄", "one"],
    },
    "responses": {"args": ["Hello"], "reads": True},
    "routing": {"args": ["Hello"], "reads": True, "path": CHAT},
    "speech": {
        "args": ["Hello", "-o", "hello.mp3"],
        "kind": "binary",
        "path": "/audio/speech",
        "prints": ["hello.mp3"],
    },
    "structured_output": {
        "args": [],
        "stdin": "민지: 금요일까지 제안서",
        "says": MEETING,
        "prints": ["제안서 🙂"],
    },
    "tool_calling": {"args": ["Hello"], "reads": True},
    "transcription": {
        "args": [MP3_FILE],
        "kind": "json",
        "path": "/audio/transcriptions",
        "prints": ["안녕하세요. This is a recording."],
    },
    "video_generation": {
        "args": ["a boat", "-o", "boat.mp4"],
        "kind": "json",
        "path": "/videos",
        "prints": ["boat.mp4"],
        "edit": {"POLL_SECONDS = 30": "POLL_SECONDS = 0.1"},
    },
    "vision": {"args": ["What?", "https://example.com/a.png"]},
    "web_search": {"args": ["Hello"], "reads": True},
}
KINDS = {"completion": {"any", "json", "completion"}, "json": {"any", "json"}, "binary": {"any"}}
FIVE = ["chat", "vision", "rerank", "speech", "responses"]
FOUR = ["error_200", "cut", "429_upstream", "drop"]
ENDLESS = ("hang", "keepalive")
NO_TIME = {"timeout=120": "timeout=1"}


def all_faults(script: str) -> list[str]:
    case = CASES[script]
    reach = KINDS[case.get("kind", "completion")] | ({"stream"} if case.get("stream") else set())
    return [name for name, fault in FAULTS.items() if fault.reach in reach and name not in ENDLESS]


def begin_case(stand_in, case: dict, folder) -> dict:
    """Put a case's files and replies in place; return the options for run()."""
    folder.mkdir(exist_ok=True)
    for name, text in case.get("files", {}).items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / case.get("writes", "?")).unlink(missing_ok=True)
    if "says" in case:
        stand_in.say(case["says"])
    options = {"stdin": case.get("stdin"), "cwd": folder, "edit": case.get("edit")}
    return options | ({"key": case["key"]} if "key" in case else {})


def errors(case: dict, err: str) -> list[str]:
    """The lines on stderr that are not progress: of who answered, prices, thoughts."""
    progress = rf"^\[.*\]$|^{{(\"|'id'|}})|{case.get('progress', '(?!)')}"
    return [line for line in lines(err) if not named(progress, line)]


def result(case: dict, out: str, folder) -> str:
    """What has the answer: stdout, or the file that was written."""
    file = folder / case.get("writes", "?")
    return file.read_text(encoding="utf-8") if file.is_file() else out


PAIRS = [(script, fault) for script in FIVE for fault in all_faults(script)]
PAIRS += [(s, fault) for s in CASES for fault in FOUR if s not in FIVE and s != "doctor"]


@pytest.mark.parametrize(("script", "fault"), PAIRS)
def test_fault_is_one_line_with_the_servers_words(run, stand_in, tmp_path, script, fault):
    case, facts = CASES[script], FAULTS[fault]
    stand_in.fail(fault, case.get("path"))
    done = run(script, *case["args"], **begin_case(stand_in, case, tmp_path / "here"))

    assert stand_in.requests, done.err
    if script == "speech" and fault in ("cut", "empty") and done.code == 0:
        assert fault == "cut", "nothing was written as speech"
        return  # where a sound ends, nobody can tell
    assert done.code == 1, f"exit code {done.code}, stdout {done.out!r}, stderr {done.err!r}"
    stream = case.get("stream", False)
    if case.get("rows"):
        told = done.out + done.err + result(case, "", tmp_path / "here")
    else:
        assert len(errors(case, done.err)) == 1, done.err
        told = lines(done.err)[-1]
    if facts.says and not (stream and facts.hidden):
        assert named(facts.says, " ".join(told.split())), f"{told!r} lacks {facts.says!r}"
    arrived = facts.partial == "always" or (stream and facts.partial == "stream")
    if arrived and case.get("prints", [TEXT]) == [TEXT] and (script in FIVE or stream):
        assert PARTIAL in done.out
    elif not case.get("rows") and not arrived:
        assert done.out.strip() == ""


@pytest.mark.parametrize("script", FIVE)
def test_server_that_never_answers_is_left(run, stand_in, script):
    case = CASES[script]
    stand_in.fail("hang", case.get("path"))
    done = run(script, *case["args"], stdin=case.get("stdin"), edit=NO_TIME, timeout=20)

    assert done.code == 1
    assert named("timed out", done.err)
    assert len(errors(case, done.err)) == 1


def test_every_script_that_asks_has_a_case():
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert scripts - CASES.keys() == {"offline"}
