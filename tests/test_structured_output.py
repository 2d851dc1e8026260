"""Proves that structured_output prints only what fits its schema, after one repair at most."""

import json

import pytest
from conftest import lines, named

GOOD = {
    "summary": "민지가 제안서를 보낸다 🙂",
    "tasks": [
        {"who": "민지", "what": "send the offer", "due": "Friday"},
        {"who": "Jun", "what": "call {{x}}", "due": None},
    ],
}
WRONG = {"summary": "x", "tasks": [{"who": "Minji", "what": 5, "due": None}]}


def text_of(data):
    return json.dumps(data, ensure_ascii=False)


def messages(stand_in, number):
    return stand_in.requests[number].body["messages"]


def test_checked_object_is_printed(run, stand_in):
    stand_in.say(text_of(GOOD))
    done = run("structured_output", stdin="민지: 금요일까지 제안서 {{y}}")

    assert done.code == 0, done.err
    assert json.loads(done.out) == GOOD
    assert "민지가 제안서를 보낸다 🙂" in done.out, "readable, not escaped"
    assert len(lines(done.err)) == 1 and done.err.startswith("[upstage/solar-pro-3:free, ")


def test_request_excludes_providers_that_cannot_and_heals_syntax(run, stand_in):
    run("structured_output", stdin="notes {{y}} $5")

    (request,) = stand_in.requests
    body = dict(request.body)
    (message,) = body.pop("messages")
    assert message["role"] == "user" and message["content"].endswith("notes {{y}} $5")
    assert body.pop("model") == "openrouter/free"
    assert body.pop("provider") == {"require_parameters": True}
    assert body.pop("plugins") == [{"id": "response-healing"}]
    wanted = body.pop("response_format")
    assert wanted["type"] == "json_schema" and wanted["json_schema"]["strict"] is True
    assert body == {}, "healing does not work with streams"


def test_schema_is_one_that_strict_providers_take(run, stand_in):
    run("structured_output", stdin="notes")

    schema = stand_in.requests[0].body["response_format"]["json_schema"]["schema"]
    objects = [schema, *schema.get("$defs", {}).values()]
    assert len(objects) >= 2
    for one in objects:
        assert one["type"] == "object"
        assert one["additionalProperties"] is False
        assert sorted(one["required"]) == sorted(one["properties"])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (text_of(WRONG), "tasks.0.what"),
        ("Sure! Here is the JSON:", "json"),
        (text_of({**GOOD, "extra": 1}), "extra"),
    ],
    ids=["wrong-type", "no-json", "too-much"],
)
def test_one_repair_turn_with_the_reason(run, stand_in, answer, reason):
    stand_in.say([answer, text_of(GOOD)])
    done = run("structured_output", stdin="notes")

    assert done.code == 0, done.err
    assert json.loads(done.out) == GOOD
    assert len(stand_in.requests) == 2
    first, assistant, user = messages(stand_in, 1)
    assert [first] == messages(stand_in, 0)
    assert assistant == {"role": "assistant", "content": answer}
    assert user["role"] == "user" and named(reason, user["content"])
    for name in ("response_format", "provider", "plugins"):
        assert stand_in.requests[1].body[name] == stand_in.requests[0].body[name]


@pytest.mark.parametrize("answer", [text_of(WRONG), "No JSON at all, sorry. " * 200])
def test_second_misfit_is_a_clear_failure(run, stand_in, answer):
    stand_in.say(answer)
    done = run("structured_output", stdin="notes")

    assert (done.code, done.out) == (1, "")
    assert len(stand_in.requests) == 2, "one repair turn, no more"
    assert len(lines(done.err)) == 1
    assert named("does not fit the schema.*repair", done.err)


def test_cut_answer_is_not_repaired(run, stand_in):
    stand_in.say({"content": '{"summary": "x', "finish_reason": "length"})
    done = run("structured_output", stdin="notes")

    assert (done.code, done.out) == (1, "")
    assert len(stand_in.requests) == 1
    assert named("token limit", done.err)


def test_notes_from_a_file(run, stand_in, tmp_path):
    file = tmp_path / "회의 록.txt"
    file.write_bytes("\ufeff회의록\r\n둘째 줄".encode())
    done = run("structured_output", str(file))

    assert done.code == 0, done.err
    assert messages(stand_in, 0)[0]["content"].endswith("\n\n회의록\n둘째 줄")


def test_model_and_prompt_can_be_named(run, stand_in, tmp_path):
    (tmp_path / "mine.txt").write_text("뽑아 줘: {{input}}", encoding="utf-8")
    more = ["--prompt", str(tmp_path / "mine.txt"), "-m", "acme/muse-2"]
    run("structured_output", *more, stdin="notes")

    assert messages(stand_in, 0) == [{"role": "user", "content": "뽑아 줘: notes"}]
    assert stand_in.requests[0].body["model"] == "acme/muse-2"


def test_model_without_schemas_is_told(run, stand_in):
    done = run("structured_output", "-m", "deepseek/deepseek-r1", stdin="notes")

    assert (done.code, done.out) == (1, "")
    assert named("404.*structured outputs", done.err)


@pytest.mark.parametrize(
    ("name", "content"),
    [("no-such.txt", None), ("binary.txt", b"\x89PNG\xff\xfe\x00"), ("folder", "folder")],
)
def test_file_that_cannot_be_read_is_one_sentence(run, stand_in, tmp_path, name, content):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content:
        path.write_bytes(content)
    done = run("structured_output", str(path))

    assert (done.code, done.out) == (2, "")
    assert len(lines(done.err)) == 1
    assert stand_in.requests == []


def test_empty_pipe_is_one_sentence(run, stand_in):
    done = run("structured_output", stdin=" \n")

    assert (done.code, done.out) == (2, "")
    assert len(lines(done.err)) == 1
    assert stand_in.requests == []


def test_empty_file_is_one_sentence(run, stand_in, tmp_path):
    (tmp_path / "empty.txt").write_text(" \n")
    done = run("structured_output", str(tmp_path / "empty.txt"))

    assert (done.code, done.out) == (2, "")
    assert len(lines(done.err)) == 1
    assert stand_in.requests == []
