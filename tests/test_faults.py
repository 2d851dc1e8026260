"""Proves that every script names the cause of every fault in one line and keeps what arrived."""

import json

import pytest
from conftest import ROOT, Result, lines, named
from stand_in import FAULTS, PARTIAL, TEXT, THOUGHT

# One line per script. args: a command that makes one request, as short as it can be.
# stdin: what is piped in. streams: whether the request asks for a stream. kind, where it isn't
# "completion": "json", or "binary" for an endpoint that answers with sound or video.
# path: the endpoint to break, where the script calls others first. partial: whether a cut answer
# belongs on stdout (default: where it streams). skip: faults that can't be, and why.
# edit: constants to shorten; progress: lines on stderr that may come before the error.
# rows: of several models, one that fails is a row and not the end; the row names the cause.
SHORT = {
    "Timeout(120, connect=10)": "Timeout(1, connect=1)",
    "REPLY_SECONDS = 600": "REPLY_SECONDS = 1",
}
ROWS = [{"model": f"acme/{name}", "answer": name, "error": ""} for name in ("하나", "둘")]
COMPARED = json.dumps({"prompt": "왜?", "answers": ROWS})
CASES = {
    "chat": {
        "args": ["Hello"],
        "streams": True,
        "reads": True,
        "edit": SHORT,
    },
    "prompt": {"args": ["summarize", "Hello"], "reads": True, "edit": SHORT},
    "models": {"args": [], "keyless": True, "kind": "json", "prints": "free", "edit": SHORT},
    "key": {"args": [], "kind": "json", "prints": "988 of 1000", "edit": SHORT},
    "vision": {"args": ["What?", "https://example.com/a.png"], "reads": True, "edit": SHORT},
    "fallback": {"args": ["Hello"], "reads": True, "progress": r"^\[.* at ", "edit": SHORT},
    "free_models": {
        "args": ["llama", "--limit", "1"],
        "path": "/chat/completions",
        "rows": True,
        "progress": r"^\[1/1\]",
        "prints": "meta-llama/llama-3.2-3b-instruct:free",
        "edit": {**SHORT, "ANSWER_SECONDS = 60": "ANSWER_SECONDS = 1"},
        "skip": ("length", "reasoning_ate_it"),  # a model that its tiny limit cuts off is alive
    },
    "compare": {
        "args": ["Hello", "-m", "openrouter/free", "-m", "acme/muse-2"],
        "reads": True,
        "streams": True,
        "rows": True,
        "progress": r"^\[(openrouter/free|acme/muse-2): (?!done)",
        "edit": {**SHORT, "REPLY_SECONDS = 600": "REPLY_SECONDS = 3"},  # silence is noticed first
    },
    "judge": {
        "args": [],
        "stdin": COMPARED,
        "says": "둘째가 낫다.\nVerdict: B",
        "prints": "0.5  acme/하나",
        "edit": SHORT,
    },
    "structured_output": {
        "args": [],
        "stdin": "민지: 금요일까지 제안서",
        "says": '{"summary": "제안서 🙂", "tasks": []}',
        "prints": "제안서 🙂",
        "reads": True,
        "edit": SHORT,
    },
    "tool_calling": {"args": ["Hello"], "reads": True, "edit": SHORT},
    "image_generation": {
        "args": ["a cat", "-o", "cat"],
        "kind": "json",
        "prints": "cat.png",
        "edit": {**SHORT, "Timeout(REPLY_SECONDS, ": "Timeout(1, "},
    },
    "video_generation": {
        "args": ["a boat", "-o", "boat.mp4"],
        "kind": "json",
        "path": "/videos",
        "prints": "boat.mp4",
        "edit": SHORT,
        "progress": "price unknown",
    },
    "embeddings": {
        "args": ["free use", str(ROOT / "LICENSE"), "--index", "index"],
        "kind": "json",
        "prints": "LICENSE:5",
        "edit": SHORT,
    },
    "rerank": {
        "args": ["free use"],
        "stdin": "one\n두 번째 줄",
        "kind": "json",
        "prints": "두 번째 줄",
        "edit": SHORT,
    },
    "pdf": {"args": ["What?", str(ROOT / "tests/data/hello.pdf")], "edit": SHORT},
    "audio_input": {
        "args": ["What?", str(ROOT / "tests/data/hello.mp3"), "-m", "google/gemini-2.5-flash"],
        "edit": SHORT,
    },
    "transcription": {
        "prints": "This is a recording",
        "args": [str(ROOT / "tests/data/hello.mp3")],
        "kind": "json",
        "edit": SHORT,
    },
    "speech": {
        "prints": "hello.mp3",
        "args": ["Hello", "-o", "hello.mp3"],
        "kind": "binary",
        "edit": SHORT,
    },
    "routing": {
        "args": ["Hello"],
        "reads": True,
        "path": "/chat/completions",
        "progress": r"^\[",
        "edit": SHORT,
    },
    "web_search": {
        "args": ["Hello"],
        "reads": True,
        "progress": "^.searches cost money",
        "edit": SHORT,
    },
    "reasoning": {
        "args": ["Hello"],
        "reads": True,
        "path": "/chat/completions",
        "streams": True,
        "progress": THOUGHT,
        "edit": SHORT,
    },
    "prompt_caching": {
        "args": ["Hello", "And?", "-"],
        "stdin": "긴 글",
        "reads": True,
        "path": "/chat/completions",
        "edit": SHORT,
    },
    "responses": {
        "args": ["Hello"],
        "reads": True,
        "streams": True,
        "edit": SHORT,
    },
    "migrate": {
        "args": ["openrouter", "Hello"],
        "reads": True,
        "edit": SHORT,
    },
    "orchestrate": {
        "args": ["Hello", "--requests", "4"],
        "reads": True,
        "says": [
            '{"steps": [{"name": "a", "task": "b", "needs": [], "model": "openrouter/free"}]}',
            "한 걸음",
            '{"critique": "", "accepted": true}',
            TEXT,
        ],
        "edit": SHORT,
    },
    "bulk": {
        "args": ["-", "-o", "answers.jsonl", "--rpm", "0"],
        "stdin": '{"input": "Hello"}',
        "progress": r"^\[0 answered",
        "prints": "",
        "edit": {**SHORT, "TRIES = 6": "TRIES = 1"},
    },
    "batch": {
        "args": ["submit", "-", "-o", "answers.jsonl"],
        "stdin": '{"input": "Hello"}',
        "kind": "json",
        "prints": "requests",
        "edit": SHORT,
    },
}

KINDS = {"completion": {"any", "json", "completion"}, "json": {"any", "json"}, "binary": {"any"}}
SLOW = 10  # seconds: the longest wait here is one, the rest is a busy machine


def faults_of(script: str) -> list[str]:
    case = CASES[script]
    reach = KINDS[case.get("kind", "completion")] | ({"stream"} if case.get("streams") else set())
    skipped = case.get("skip", ())
    return [name for name, fault in FAULTS.items() if fault.reach in reach and name not in skipped]


def told(case: dict, done: Result) -> str:
    """Where a script names the cause: its last line on stderr, or the rows of its table."""
    return done.out + done.err if case.get("rows") else (lines(done.err) or [""])[-1]


@pytest.mark.parametrize(
    ("script", "fault"), [(script, fault) for script in CASES for fault in faults_of(script)]
)
def test_fault_is_one_line_that_names_the_cause(run, stand_in, script, fault):
    case = CASES[script]
    streams, facts = case.get("streams", False), FAULTS[fault]
    stand_in.fail(fault, case.get("path"))
    given = {"stdin": case.get("stdin"), "edit": case.get("edit"), "timeout": 3 * SLOW}
    done = run(script, *case["args"], **given)

    assert done.code == 1, f"exit code {done.code}, stdout {done.out!r}, stderr {done.err!r}"
    *before, _ = lines(done.err) or [""]
    progress = case.get("progress", "(?!)")
    assert [line for line in before if not named(progress, line)] == [], done.err
    says = (streams and facts.says_in_stream) or facts.says
    assert named(says, told(case, done)), f"{told(case, done)!r} does not say {says!r}"
    arrived = facts.partial == "always" or (streams and facts.partial == "stream")
    if arrived and case.get("partial", streams):
        assert PARTIAL in done.out
    elif not case.get("rows"):
        assert done.out.strip() == ""
    assert done.seconds < SLOW
    assert stand_in.requests, "the script sent nothing"
