"""Proves that every script names the cause of every fault in one line and keeps what arrived."""

import pytest
from conftest import ROOT, lines, named
from stand_in import FAULTS, PARTIAL, TEXT, THOUGHT

# One line per script. args: a command that makes one request, as short as it can be.
# stdin: what is piped in. streams: whether the request asks for a stream. kind, where it isn't
# "completion": "json", or "binary" for an endpoint that answers with sound or video.
# path: the endpoint to break, where the script calls others first. partial: whether a cut answer
# belongs on stdout (default: where it streams). skip: faults that can't be, and why.
# edit: constants to shorten; progress: lines on stderr that may come before the error.
SHORT = {"Timeout(120, connect=10)": "Timeout(1, connect=1)"}
CASES = {
    "chat": {
        "args": ["Hello"],
        "streams": True,
        "reads": True,
        "edit": {**SHORT, "REPLY_SECONDS = 600": "REPLY_SECONDS = 1"},
    },
    "image_generation": {
        "args": ["a cat", "-o", "cat"],
        "kind": "json",
        "prints": "cat.png",
        "edit": {"SECONDS = 600": "SECONDS = 1"},
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
        "args": [str(ROOT / "tests/data/hello.mp3")],
        "kind": "json",
        "edit": SHORT,
    },
    "speech": {"args": ["Hello", "-o", "hello.mp3"], "kind": "binary", "edit": SHORT},
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
        "edit": {**SHORT, "REPLY_SECONDS = 600": "REPLY_SECONDS = 1"},
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
        "edit": {**SHORT, "REPLY_SECONDS = 600": "REPLY_SECONDS = 1"},
    },
    "migrate": {
        "args": ["openrouter", "Hello"],
        "reads": True,
        "edit": SHORT,
        "skip": ("keepalive",),
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
        "edit": {**SHORT, "REPLY_SECONDS = 600": "REPLY_SECONDS = 1"},
    },
}

KINDS = {"completion": {"any", "json", "completion"}, "json": {"any", "json"}, "binary": {"any"}}
SLOW = 10  # seconds: the longest wait here is one, the rest is a busy machine


def faults_of(script: str) -> list[str]:
    case = CASES[script]
    reach = KINDS[case.get("kind", "completion")] | ({"stream"} if case.get("streams") else set())
    skipped = case.get("skip", ())
    return [name for name, fault in FAULTS.items() if fault.reach in reach and name not in skipped]


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
    *before, last = lines(done.err) or [""]
    progress = case.get("progress", "(?!)")
    assert [line for line in before if not named(progress, line)] == [], done.err
    says = (streams and facts.says_in_stream) or facts.says
    assert named(says, last), f"{last!r} does not say {says!r}"
    arrived = facts.partial == "always" or (streams and facts.partial == "stream")
    if arrived and case.get("partial", streams):
        assert PARTIAL in done.out
    else:
        assert done.out.strip() == ""
    assert done.seconds < SLOW
    assert stand_in.requests, "the script sent nothing"
