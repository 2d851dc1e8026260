"""Proves that a reply which is not what it should be ends in the right answer, or in one line.

Hypothesis draws: each script runs its command once, then again and again with one of the replies
that it got changed: a field missing, null or of another type; or its bytes cut, spoiled, replaced.
TEST_DRAWS=2000 draws so many of each kind over all scripts (default: about 150), never the same.
"""

import json
import os
import re
import shutil
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stand_in import TEXT
from test_faults import CASES, CHAT, begin_case, errors, result

DRAWS = int(os.environ.get("TEST_DRAWS", "0"))
EACH = max(6, -(-DRAWS // len(CASES)))
drawn = settings(
    max_examples=EACH,
    deadline=None,
    database=None,
    derandomize=not DRAWS,  # the same each time, unless somebody looks for new ones
    suppress_health_check=list(HealthCheck),
)
OTHERS = [5, -1.5, "text", "", True, [], ["text"], [{"type": "text", "text": "x"}], {}, {"a": 1}]
MISSING, NULL = object(), None
# What a user must never see as an answer.
PYTHON = re.compile(r"\bNone\b|\bnan\b|\bNaN\b|\[\{'|\['|\{'\w+'|\bTrue\b|<\w+ object")


# --------------------------------------------------------------------------------- what is drawn


def events(data: bytes) -> list | None:
    """The JSON of a stream's events; None if this is no stream."""
    if not data.startswith((b"data:", b":")):
        return None
    blocks = data.decode().split("\n\n")
    return [json.loads(b[6:]) for b in blocks if b.startswith("data: {")]


def parsed(data: bytes) -> object:
    found = events(data)
    return json.loads(data) if found is None else found


def paths(value: object, path: tuple = ()) -> list[tuple]:
    """Where something stands in JSON: all keys and places, the whole first."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    inner = items if isinstance(value, dict | list) else ()
    return [path, *(found for key, one in inner for found in paths(one, (*path, key)))]


def at(value: object, path: tuple) -> object:
    for key in path:
        value = value[key]
    return value


def mutate(data: bytes, path: tuple, new: object) -> bytes:
    """The reply with something else, or nothing, in one place."""
    whole = [parsed(data)]
    path, is_stream = (0, *path), events(data) is not None
    try:
        place = at(whole, path[:-1])
        if new is MISSING:
            del place[path[-1]]
        else:
            place[path[-1]] = new
    except (KeyError, IndexError):  # this time, the reply has no such place
        return data
    if not is_stream:
        return json.dumps(whole[0] if whole else None).encode()
    rest = whole[0] if whole and isinstance(whole[0], list) else []
    return b"".join(b"data: %s\n\n" % json.dumps(e).encode() for e in rest) + b"data: [DONE]\n\n"


def strings(value: object) -> list[str]:
    """All text that is lost when a value is."""
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        return [text for one in inner for text in strings(one)]
    return [value] if isinstance(value, str) else []


SPOILED = {
    "empty": lambda data, at: b"",
    "cut": lambda data, at: data[: at % max(1, len(data))],
    "not UTF-8": lambda data, at: data[: at % (len(data) + 1)] + b"\xff" + data[at % (len(data) + 1) :],
    "cp949": lambda data, at: data.decode(errors="ignore").encode("cp949", errors="ignore"),
    "compressed": lambda data, at: zlib.compress(data),
    "HTML": lambda data, at: b"<!DOCTYPE html><html><body>Not here</body></html>",
    "another's": lambda data, at: b'{"object": "list", "data": [{"id": "x"}], "has_more": false}',
    "a list": lambda data, at: b"[]",
    "text": lambda data, at: b'"text"',
    "null": lambda data, at: b"null",
    "number": lambda data, at: b"5",
}  # fmt: skip


# ---------------------------------------------------------------------------------- what is proved


@pytest.fixture
def trial(run, stand_in, tmp_path):
    """trial(script, number of a reply, how to change it) -> Result and the answer, or its file."""
    case_folders = iter(range(10**6))

    def start(script: str, number: int = -1, change=None):
        case, folder = CASES[script], tmp_path / f"draw-{next(case_folders)}"
        stand_in.reset()
        if change:
            stand_in.reply("*", change, skip=number, times=1)
        done = run(script, *case["args"], **begin_case(stand_in, case, folder))
        answer = result(case, done.out, folder)
        shutil.rmtree(folder)
        stand_in.violations.clear()  # what a script makes of a wrong reply may be wrong, too
        return done, answer

    return start


def judge(script: str, done, answer: str, route: str, lost: list[str] | None, usual: str) -> None:
    """The rule: the right answer and 0, or one line and 1; what was not changed is untouched."""
    case = CASES[script]
    wanted = case.get("prints", [TEXT])
    assert done.code in (0, 1), f"exit code {done.code}: {done.err}"
    strange = set(PYTHON.findall(done.out)) - set(PYTHON.findall(usual))
    assert not strange, f"{strange} on stdout: {done.out}"
    if case.get("rows"):
        if route in (CHAT, "/batches"):
            there = sum(min(answer.count(text), wanted.count(text)) for text in {*wanted})
            assert there >= case["least"], f"others are lost, too: {answer}\n{done.err}"
        return
    if done.code == 1:
        assert len(errors(case, done.err)) == 1, f"not one line: {done.err!r}"
        return
    assert errors(case, done.err) == [], f"exit code 0 and an error: {done.err!r}"
    for text in wanted:
        for piece in filter(None, lost or []):
            text = text.replace(piece, "") if piece in text else text
        assert text or wanted != [TEXT], "exit code 0 without an answer"
        if not any(text and text in one for one in lost or []):
            assert text in answer, f"exit code 0 without {text!r}: {answer!r}"


@pytest.mark.parametrize("script", CASES)
def test_reply_with_one_field_missing_null_or_of_another_type(stand_in, trial, script):
    usual, answer = trial(script)
    assert usual.code == 0 or script == "doctor", usual.err
    replies = [(call.route, call.answer[0]) for call in stand_in.requests]
    replies = [(n, r, data) for n, (r, data) in enumerate(replies) if data[:1] in b'{["d:' and data]
    places = {number: paths(parsed(data)) for number, _, data in replies}

    @drawn
    @given(st.data())
    def check(data):
        number, route, reply = data.draw(st.sampled_from(replies))
        path = data.draw(st.sampled_from(places[number]))
        new = data.draw(st.sampled_from([MISSING, NULL, *OTHERS]))
        old = at(parsed(reply), path)
        done, answer = trial(script, number, lambda now: mutate(now, path, new))
        lost = strings(old) + ([new] if isinstance(new, str) and new else [])
        judge(script, done, answer, route, lost, usual.out)
        if path and path[-1] == "finish_reason" and old == "stop" and not CASES[script].get("rows"):
            assert done.code == 1, "an answer that has no end is no whole answer"

    if replies:
        check()


@pytest.mark.parametrize("script", [name for name in CASES if name != "doctor"])
def test_reply_of_other_bytes(stand_in, trial, script):
    usual, answer = trial(script)
    replies = [(n, call.route, call.answer) for n, call in enumerate(stand_in.requests)]
    readable = [r for r in replies if r[2][2].startswith(("application/json", "text/event"))]

    @drawn
    @given(st.data())
    def check(data):
        number, route, (reply, _, _) = data.draw(st.sampled_from(readable or replies))
        spoil = SPOILED[data.draw(st.sampled_from([*SPOILED, "cut", "cut"]))]
        place = data.draw(st.integers(0, len(reply)))
        done, answer = trial(script, number, lambda now: spoil(now, place))
        judge(script, done, answer, route, None, usual.out)

    check()


@pytest.mark.parametrize("script", ["chat", "vision", "transcription", "rerank"])
def test_reply_cut_inside_a_korean_character(stand_in, trial, script):
    usual, _ = trial(script)
    number, call = len(stand_in.requests) - 1, stand_in.requests[-1]
    place = next(n for n, byte in enumerate(call.answer[0]) if byte > 127) + 1
    done, answer = trial(script, number, lambda now: now[:place])

    assert done.code == 1
    judge(script, done, answer, call.route, None, usual.out)
