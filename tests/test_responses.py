"""Proves that responses streams, sends the whole conversation, and names each way to fail."""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import lines, posix
from stand_in import PARTIAL, TEXT

KOREAN = '수도는? 🙂 "{{x}}" $5'


def item(text):
    part = {"type": "input_text", "text": text}
    return {"type": "message", "role": "user", "content": [part]}


def test_question_is_answered(run, stand_in):
    done = run("responses", KOREAN)

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    assert stand_in.requests[0].route == "/responses"
    assert stand_in.requests[0].body == {
        "model": "openrouter/free",
        "instructions": "You are a helpful assistant.",
        "input": [item(KOREAN)],
        "stream": True,
    }
    assert len(lines(done.err)) == 1
    assert done.err.startswith("[meta-llama/") and " tokens, $0.000000, " in done.err


def test_conversation_is_sent_whole_each_time(run, stand_in):
    stand_in.say(["파리", "Since 987", "Bye"])
    done = run("responses", "What?", "--then", "Since when?", "--then", "끝")

    assert (done.code, done.out) == (0, "파리\nSince 987\nBye\n")
    first, second, third = (call.body["input"] for call in stand_in.requests)
    assert first == [item("What?")]
    assert second[0] == item("What?") and second[2] == item("Since when?")
    answer = second[1]
    assert answer["type"] == "message" and answer["role"] == "assistant"
    assert answer["id"].startswith("msg_")
    assert answer["status"] == "completed"
    assert [part["text"] for part in answer["content"]] == ["파리"]
    assert third[:3] == second
    assert [part["text"] for part in third[3]["content"]] == ["Since 987"]
    assert third[3]["id"] != answer["id"]
    assert third[4] == item("끝")
    for call in stand_in.requests:
        assert not {"previous_response_id", "store", "conversation"} & set(call.body)


def test_thoughts_are_neither_printed_nor_sent_back(run, stand_in):
    stand_in.say({"content": "Yes", "reasoning": "Hm, let me think."})
    done = run("responses", "Really?", "--then", "Sure?")

    assert done.out == "Yes\nYes\n"
    assert [one["type"] for one in stand_in.requests[1].body["input"]] == ["message"] * 3


def test_instructions_come_from_a_file(run, stand_in, tmp_path):
    (tmp_path / "말투.txt").write_bytes("\ufeff존댓말로. {{x}}\r\n".encode())
    run("responses", "Hello", "--prompt", str(tmp_path / "말투.txt"))

    assert stand_in.requests[0].body["instructions"] == "존댓말로. {{x}}"


def test_text_from_a_pipe(run, stand_in):
    run("responses", "What is this?", stdin="번역할 글\n")

    assert stand_in.requests[0].body["input"] == [item("What is this?\n\n번역할 글")]


def test_failed_turn_ends_the_conversation(run, stand_in):
    stand_in.fail("finish_error", times=1)
    done = run("responses", "What?", "--then", "Since when?")

    assert (done.code, done.out) == (1, f"{PARTIAL}\n")
    assert len(stand_in.requests) == 1
    assert lines(done.err)[-1].startswith("provider_unavailable: ")


def test_text_comes_as_it_is_written(begin, stand_in):
    stand_in.pace = 0.3
    process = begin("responses", "Hello")
    came = []
    while os.read(process.stdout.fileno(), 1000):
        came.append(time.monotonic())
    assert process.wait(30) == 0

    assert len(came) >= 4
    assert came[-1] - came[0] > 0.8


@posix
def test_interrupted_answer_stays_on_stdout(begin, stand_in):
    stand_in.pace = 1.0
    process = begin("responses", "Hello")
    first = os.read(process.stdout.fileno(), 1000)
    process.send_signal(2)
    rest, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert TEXT.startswith((first + rest).decode().strip())
    assert b"Traceback" not in err


# ------------------------------------------------------- what the documentation says may be sent


@pytest.fixture
def stream():
    """stream(*events) -> the base URL of a server that answers with these events, and no more.

    stream.bodies has what it was sent.
    """
    servers, bodies = [], []

    def start(*events):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                for one in events:
                    self.wfile.write(b"data: " + json.dumps(one).encode() + b"\n\n")

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/api/v1"

    start.bodies = bodies
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def delta(text, kind="response.output_text.delta"):
    return {"type": kind, "item_id": "msg_1", "delta": text}


def ended(kind, **response):
    return {"type": f"response.{kind}", "response": {"id": "r", "object": "response", **response}}


FAILED = {"status": "failed", "error": {"code": "server_error", "message": "Invalid credentials"}}


# Shapes: api_reference/errors-and-debugging.mdx and api_reference/responses/*.mdx.
@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([ended("failed", **FAILED, error_type="authentication")],
         "401: Invalid credentials (check"),
        ([ended("failed", **FAILED, error_type="payment_required")],
         "402: Invalid credentials (add"),
        ([ended("failed", **FAILED)], "server_error: Invalid credentials"),
        ([ended("failed", status="failed", error=None)], "failed"),
        ([{"type": "response.error", "error": {"code": "x", "message": "Rate limit exceeded"}}],
         "Rate limit exceeded"),
        ([{"type": "error", "error": {"code": "invalid_api_key", "message": "Invalid API key"}}],
         "invalid_api_key: Invalid API key"),
        ([{"type": "error", "code": "rate_limit_exceeded", "message": "Slow down", "param": None,
           "sequence_number": 1}], "429: Slow down (wait"),
        ([ended("incomplete", status="incomplete", incomplete_details={"reason":
           "max_output_tokens"})], "token limit"),
        ([ended("incomplete", status="incomplete", incomplete_details={"reason":
           "content_filter"})], "content_filter"),
        ([ended("incomplete", status="incomplete")], "incomplete"),
        ([ended("in_progress", status="in_progress")], "broke off"),
        ([], "broke off"),
    ],
    ids=["authentication", "credits", "server", "unnamed", "response.error", "error",
         "flat-error", "limit", "filter", "incomplete", "cut", "nothing"],
)  # fmt: skip
def test_failure_inside_http_200_is_named(run, stream, events, said):
    done = run("responses", "Hello", base_url=stream(delta("답의 앞부분"), *events))

    assert (done.code, done.out) == (1, "답의 앞부분\n")
    assert len(lines(done.err)) == 1
    assert said in done.err


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([ended("completed", status="completed")], "empty: nothing was written"),
        ([ended("incomplete", status="incomplete", incomplete_details={"reason":
           "max_output_tokens"})], "empty: token limit, reasoning included"),
        ([], "empty: it broke off"),
    ],
)  # fmt: skip
def test_response_without_text_is_no_answer(run, stream, events, said):
    done = run("responses", "Hello", base_url=stream(*events))

    assert (done.code, done.out) == (1, "")
    assert said in done.err


def test_answer_without_a_model_or_a_price_is_told_without(run, stream):
    whole = ended("completed", status="completed", usage={"input_tokens": 12, "output_tokens": 45})
    done = run("responses", "Hello", base_url=stream(delta("답"), whole))

    assert (done.code, done.out) == (0, "답\n")
    assert done.err.startswith("[12 + 45 tokens, ")


def test_answer_is_sent_back_with_the_status_it_must_have(run, stream):
    part = {"type": "output_text", "text": "파리", "annotations": []}
    said = {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}
    done = {"type": "response.output_item.done", "output_index": 0, "item": said}
    url = stream(delta("파리"), done, ended("completed", status="completed"))
    run("responses", "What?", "--then", "Since when?", base_url=url)

    assert stream.bodies[1]["input"] == [
        item("What?"),
        {**said, "status": "completed"},
        item("Since when?"),
    ]


def test_refusal_is_an_answer(run, stream):
    url = stream(
        delta("그건 안 됩니다.", "response.refusal.delta"), ended("completed", status="completed")
    )
    done = run("responses", "Hello", base_url=url)

    assert (done.code, done.out) == (0, "그건 안 됩니다.\n")


def test_unknown_events_are_passed_over(run, stream):
    events = [{"type": "response.news", "delta": "no"}, {"type": "response.output_item.added"}]
    whole = ended("completed", status="completed", model="acme/muse-2")
    done = run("responses", "Hello", base_url=stream(*events, delta("답"), whole))

    assert (done.code, done.out) == (0, "답\n")
    assert done.err.startswith("[acme/muse-2, ")
