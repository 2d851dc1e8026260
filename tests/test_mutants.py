"""Proves that a reply which is not what it should be ends in the right answer, or in one line.

Hypothesis draws: each script runs its command once, then again and again with one of the replies
that it got changed: a field missing, null or of another type; or its bytes cut, spoiled, replaced.
TEST_DRAWS=2000 draws so many of each kind over all scripts (else about 90), never the same.
"""

import json
import os
import re
import shutil
import zlib

import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st
from stand_in import TEXT
from test_faults import CASES, CHAT, begin_case, errors, result

DRAWS = int(os.environ.get("TEST_DRAWS", "0"))
drawn = settings(
    max_examples=-(-DRAWS // len(CASES)) or 3,
    deadline=None,
    database=None,
    derandomize=not DRAWS,  # the same each time, unless somebody looks for new ones
    suppress_health_check=list(HealthCheck),
)
NUMBERS = st.integers(0, 10**6)
MISSING = object()
HALF = "half \ud83d"  # of an emoji
OTHERS = [MISSING, None, 5, -1.5, float("nan"), 10**400, "text", "", HALF, True, [], ["text"]]
OTHERS += [[None], [{"type": "text", "text": "x"}], {}, {"a": 1}]
# What a user must never see as an answer.
PYTHON = re.compile(r"\bNone\b|\bnan\b|\bNaN\b|\[\{'|\['|\{'\w+'|\bTrue\b|<\w+ object")


# --------------------------------------------------------------------------------- what is drawn


def is_stream(data: bytes) -> bool:
    return data.startswith((b"data:", b":"))


def parsed(data: bytes) -> object:
    """The reply's JSON; of a stream, the list of its events."""
    if not is_stream(data):
        return json.loads(data)
    return [json.loads(block[6:]) for block in data.split(b"\n\n") if block.startswith(b"data: {")]


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Where something stands in JSON: all keys and places, the whole first."""
    inner = list(value.items()) if isinstance(value, dict) else []
    inner += list(enumerate(value)) if isinstance(value, list) else []
    return [path, *(found for key, one in inner for found in places(one, (*path, key)))]


def at(value: object, path: tuple) -> object:
    for key in path:
        value = value[key]
    return value


def changed(data: bytes, path: tuple, new: object) -> bytes:
    """The reply with something else, or nothing, in one place."""
    whole = [parsed(data)]
    place, last = at(whole, (0, *path)[:-1]), (0, *path)[-1]
    if new is MISSING:
        del place[last]
    else:
        place[last] = new
    if not is_stream(data):
        return json.dumps(whole[0]).encode() if whole else b""
    rest = whole[0] if whole and isinstance(whole[0], list) else []
    return b"".join(b"data: %s\n\n" % json.dumps(e).encode() for e in rest) + b"data: [DONE]\n\n"


def values(value: object) -> list[str]:
    """All text and numbers in JSON: what is lost when it is replaced."""
    inner = list(value.values()) if isinstance(value, dict) else value
    if isinstance(inner, list):
        return [text for one in inner for text in values(one)]
    return [str(value)]


SPOILED = {
    "cut": lambda data, place: data[:place],
    "not UTF-8": lambda data, place: data[:place] + b"\xff" + data[place:],
    "cp949": lambda data, _: data.decode(errors="ignore").encode("cp949", errors="ignore"),
    "UTF-16": lambda data, _: data.decode(errors="ignore").encode("utf-16"),
    "compressed": lambda data, _: zlib.compress(data),
    "HTML": lambda *_: b"<!DOCTYPE html><html><body>Not here</body></html>",
    "another's": lambda *_: b'{"object": "page", "items": [{"x": 1}], "has_more": false}',
    "a list": lambda *_: b"[]",
    "text": lambda *_: b'"text"',
    "null": lambda *_: b"null",
    "a number": lambda *_: b"5",
}


# ---------------------------------------------------------------------------------- what is proved


@pytest.fixture
def trial(run, stand_in, tmp_path):
    """trial(script, number of a reply, how to change it) -> Result and the answer, or its file."""
    numbers = iter(range(10**6))

    def start(script: str, number: int = -1, change=None):
        case, folder = CASES[script], tmp_path / f"draw-{next(numbers)}"
        stand_in.reset()
        if change:
            stand_in.reply("*", change, skip=number, times=1)
        done = run(script, *case["args"], **begin_case(stand_in, case, folder))
        answer = result(case, done.out, folder)
        shutil.rmtree(folder)
        stand_in.violations.clear()  # what a script makes of a wrong reply may be wrong, too
        return done, answer

    return start


def readable(stand_in) -> list[tuple[int, str, bytes]]:
    """Number, route and bytes of each reply that is JSON or a stream."""
    replies = [(n, call.route, call.answer[0]) for n, call in enumerate(stand_in.requests)]
    return [reply for reply in replies if reply[2].startswith((b"{", b"[", b"data:", b":"))]


def check(script: str, done, answer: str, route: str, usual: str, old=MISSING, new=MISSING) -> None:
    """The rule: the right answer and 0, or one line and 1; what was not changed is untouched."""
    case = CASES[script]
    wanted, rows = case.get("prints", [TEXT]), case.get("rows")
    assert done.code in (0, 1), f"exit code {done.code}: {done.err}"
    known = usual if new is MISSING else usual + json.dumps(new)
    out = done.out.replace("finish_reason: None", "")  # the words of a failure that is told
    strange = set(PYTHON.findall(out)) - set(PYTHON.findall(known))
    assert not strange or rows, f"{strange} on stdout: {done.out}"
    lost = [] if old is MISSING else values(old)
    text = new if isinstance(old, str) and isinstance(new, str) else ""
    err = done.err.replace(text or "\0", "")  # thoughts, for example, are on stderr
    if rows and route in (CHAT, "/batches"):
        there = sum(min(answer.count(one), wanted.count(one)) for one in {*wanted})
        assert there >= case["least"], f"others are lost, too: {answer}\n{done.err}"
    elif not rows and done.code == 1:
        assert len(errors(case, err)) == 1, f"not one line: {done.err!r}"
    elif not rows:
        assert errors(case, err) == [], f"exit code 0 and an error: {done.err!r}"
        check_answer(wanted, answer, lost, text.encode(errors="replace").decode())


def check_answer(wanted: list[str], answer: str, lost: list[str], new: str) -> None:
    """What is wanted is there, with the new text, or nothing, for what the reply has no more."""
    for text in wanted:
        now = text
        for piece in lost:
            now = now.replace(piece or text + "?", new)
        assert now or wanted != [TEXT], "exit code 0 without an answer"
        is_gone = now != text or any(text in piece for piece in lost)
        assert now in answer or (is_gone and wanted != [TEXT]), f"{now!r} is not in {answer!r}"


@pytest.mark.parametrize("script", CASES)
def test_reply_with_one_field_missing_null_or_of_another_type(stand_in, trial, script):
    usual, _ = trial(script)
    assert usual.code == 0, usual.err
    replies = readable(stand_in)

    @drawn
    @given(NUMBERS, NUMBERS, NUMBERS)
    def draw(which, where, what):
        number, route, reply = replies[which % len(replies)]
        found = places(parsed(reply))
        path, new = found[where % len(found)], OTHERS[what % len(OTHERS)]
        note(f"reply {number} of {route}: {path} is {'missing' if new is MISSING else repr(new)}")
        done, answer = trial(script, number, lambda now: changed(now, path, new))
        old = at(parsed(reply), path)
        check(script, done, answer, route, usual.out, old, new)
        if path and path[-1] == "finish_reason" and old == "stop" and not CASES[script].get("rows"):
            assert done.code == 1, "an answer that has no end is no whole answer"

    draw()


@pytest.mark.parametrize("script", CASES)
def test_reply_of_other_bytes(stand_in, trial, script):
    usual, _ = trial(script)
    replies = readable(stand_in)

    @drawn
    @given(NUMBERS, st.sampled_from([*SPOILED, "cut", "cut", "cut"]), NUMBERS)
    @example(0, "cut", 0)
    def draw(which, how, where):
        number, route, reply = replies[which % len(replies)]
        place = where % len(reply)
        note(f"reply {number} of {route}: {how}, at {place} of {len(reply)}")
        done, answer = trial(script, number, lambda now: SPOILED[how](now, place))
        check(script, done, answer, route, usual.out)

    draw()


@pytest.mark.parametrize("script", ["chat", "vision", "transcription", "rerank"])
def test_reply_cut_inside_a_korean_character(stand_in, trial, script):
    usual, _ = trial(script)
    number, route, reply = readable(stand_in)[-1]
    place = next(place for place, byte in enumerate(reply) if byte > 127) + 1
    done, answer = trial(script, number, lambda now: now[:place])

    assert done.code == 1
    check(script, done, answer, route, usual.out)
