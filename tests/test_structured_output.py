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
GOOD_TEXT = json.dumps(GOOD, ensure_ascii=False)
WRONG_TEXT = json.dumps({"summary": "x", "tasks": [{"who": "Minji", "what": 5, "due": None}]})


def test_checked_object_is_printed_and_the_request_asks_for_it(run, stand_in, tmp_path):
    (tmp_path / "회의 록.txt").write_bytes("\ufeff민지: 금요일까지 {{input}} $5 🙂".encode())
    (tmp_path / "mine.txt").write_text("뽑아 줘: {{input}}", encoding="utf-8")
    stand_in.say(GOOD_TEXT)
    done = run("structured_output", str(tmp_path / "회의 록.txt"), "-m", "acme/muse-2",
               "--prompt", str(tmp_path / "mine.txt"))  # fmt: skip

    assert (done.code, json.loads(done.out)) == (0, GOOD), done.err
    assert "민지가 제안서를 보낸다 🙂" in done.out, "readable, not escaped"
    assert len(lines(done.err)) == 1 and done.err.startswith('{"model":"acme/muse-2"')
    (request,) = stand_in.requests
    body = dict(request.body)
    text = "뽑아 줘: 민지: 금요일까지 {{input}} $5 🙂"
    assert body.pop("messages") == [{"role": "user", "content": text}], "filled once"
    assert body.pop("model") == "acme/muse-2"
    assert body.pop("provider") == {"require_parameters": True}
    assert body.pop("plugins") == [{"id": "response-healing"}]
    wanted = body.pop("response_format")
    assert wanted["type"] == "json_schema" and wanted["json_schema"]["strict"] is True
    assert body == {}, "healing does not work with streams"
    schema = wanted["json_schema"]["schema"]
    for one in (schema, schema["$defs"]["Task"]):  # what strict providers take
        assert one["type"] == "object" and one["additionalProperties"] is False
        assert sorted(one["required"]) == sorted(one["properties"])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (WRONG_TEXT, "tasks.0.what"),
        ("Sure! Here is the JSON:", "json"),
        (json.dumps({**GOOD, "extra": 1}), "extra"),
        ("half a \ud83d", "json"),
    ],
    ids=["wrong-type", "no-json", "too-much", "half-a-character"],
)
def test_one_repair_turn_with_the_reason(run, stand_in, answer, reason):
    stand_in.say([answer, GOOD_TEXT])
    done = run("structured_output", stdin="notes")

    assert (done.code, json.loads(done.out)) == (0, GOOD), done.err
    first, second = (request.body for request in stand_in.requests)
    *before, assistant, user = second.pop("messages")
    assert before == first.pop("messages")
    assert assistant == {"role": "assistant", "content": answer.replace("\ud83d", "?")}
    assert user["role"] == "user" and named(reason, user["content"])
    assert second == first, "schema, providers and healing as before"


@pytest.mark.parametrize("answer", [WRONG_TEXT, "No JSON at all, sorry. " * 200])
def test_second_misfit_is_one_line(run, stand_in, answer):
    stand_in.say(answer)
    done = run("structured_output", stdin="notes")

    assert (done.code, done.out, len(lines(done.err))) == (1, "", 1)
    assert len(stand_in.requests) == 2, "one repair turn, no more"
    assert named("one repair.*does not fit the schema", done.err)


def test_what_can_not_be_right_is_not_sent_or_not_repaired(run, stand_in, tmp_path):
    (tmp_path / "no place.txt").write_text("Extract.")
    for done, words in [
        (run("structured_output", stdin=" \n"), "no text"),
        (run("structured_output", "--prompt", str(tmp_path / "no place.txt"), stdin="x"), "{{inp"),
    ]:
        assert (done.code, done.out, len(lines(done.err))) == (1, "", 1)
        assert words in done.err
    assert stand_in.requests == []
    stand_in.say({"content": '{"summary": "x', "finish_reason": "length"})
    done = run("structured_output", stdin="notes")
    assert (done.code, len(stand_in.requests)) == (1, 1), "a cut answer is not repaired"
