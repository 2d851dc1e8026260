"""Proves that responses sends the whole conversation, and names each way to fail."""

import json

import pytest
from conftest import lines
from stand_in import PARTIAL, TEXT

KOREAN = '수도는? 🙂 "{{x}}" $5'


def item(text):
    part = {"type": "input_text", "text": text}
    return {"type": "message", "role": "user", "content": [part]}


@pytest.fixture
def change(stand_in):
    """change(name=value, …): what the stand-in's next responses have instead."""

    def start(**fields):
        change = lambda data: json.dumps(json.loads(data) | fields).encode()  # noqa: E731
        stand_in.reply("/responses", change)

    return start


def test_question_and_instructions_are_sent(run, stand_in, tmp_path):
    (tmp_path / "말투.txt").write_bytes("\ufeff존댓말로. {{x}}".encode())
    done = run("responses", KOREAN, "--prompt", str(tmp_path / "말투.txt"), stdin="번역할 글\n")

    assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err
    (request,) = stand_in.requests
    assert request.route == "/responses"
    assert request.body == {
        "model": "openrouter/free",
        "instructions": "존댓말로. {{x}}",
        "input": [item(f"{KOREAN}\n\n번역할 글")],
    }
    assert len(lines(done.err)) == 1
    assert done.err.startswith('{"model":"meta-llama/') and '"cost":0.0' in done.err


def test_conversation_is_sent_whole_each_time_without_thoughts(run, stand_in):
    stand_in.say([{"content": "파리 \ud83d", "reasoning": "Hm."}, "Since 987", "Bye"])
    done = run("responses", "What?", "--then", "Since when?", "--then", "끝")

    assert done.code == 0, done.err
    assert lines(done.out) == ["파리 ?", "Since 987", "Bye"]
    first, second, third = (call.body["input"] for call in stand_in.requests)
    assert first == [item("What?")]
    assert second[0] == item("What?") and second[2] == item("Since when?")
    answer = second[1]
    assert answer["type"] == "message" and answer["role"] == "assistant"
    assert answer["id"].startswith("msg_") and answer["status"] == "completed"
    part = {"type": "output_text", "text": "파리 ?", "annotations": []}
    assert answer["content"] == [part], "half a character can't be sent back"
    assert third[:3] == second and third[4] == item("끝")
    assert third[3]["content"][0]["text"] == "Since 987"
    assert third[3]["id"] != answer["id"]


ERROR = {"code": "server_error", "message": "Invalid credentials", "metadata": {"raw": "rate"}}


@pytest.mark.parametrize(
    ("fields", "out", "words"),
    [
        ({"status": "failed", "error": ERROR}, TEXT, ["server_error: Invalid cred", "'raw': 'ra"]),
        ({"status": "failed", "output": [], "error": ERROR}, "", ["Invalid credentials"]),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, TEXT,
         ["content_filter"]),
        ({"status": "incomplete"}, TEXT, ["not whole (incomplete)"]),
        ({"output": []}, "", ["not whole (completed)"]),
        ({"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "I won't."}]}]},
         "", ["I won't."]),
        ({"output": None, "status": None}, "", ["not whole (None)"]),
    ],
    ids=["error", "error-alone", "filter", "unnamed", "empty", "refusal", "nothing"],
)  # fmt: skip
def test_failure_inside_http_200_is_named(run, stand_in, change, fields, out, words):
    change(**fields)
    done = run("responses", "Hello")

    assert (done.code, done.out.strip(), len(lines(done.err))) == (1, out, 1)
    assert all(word in done.err for word in words), done.err


def test_failed_turn_ends_the_conversation(run, stand_in):
    stand_in.fail("finish_error", times=1)
    done = run("responses", "What?", "--then", "Since when?")

    assert (done.code, done.out, len(stand_in.requests)) == (1, f"{PARTIAL}\n", 1)
