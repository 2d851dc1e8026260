"""Proves that tool_calling's loop ends, answers bad calls, and reads nothing outside its folder."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from conftest import lines, posix
from stand_in import TEXT

SECRET = "the secret outside"


def calls(*wanted):
    """A reply that wants tools: (name, arguments, id) each."""
    names = ("name", "arguments", "id")
    return {"tool_calls": [dict(zip(names, one, strict=True)) for one in wanted]}


@pytest.fixture
def answered(run, stand_in, tmp_path):
    """answered((name, arguments, id), …) -> the result of each call, all wanted in one step."""
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "docs" / "더 깊이").mkdir(parents=True)
    (tmp_path / "docs" / "a.txt").write_text("첫째 파일", encoding="utf-8")
    (tmp_path / "docs" / "더 깊이" / "b.md").write_text("둘째 {{x}}", encoding="utf-8")
    (tmp_path / "docs" / "long.txt").write_text("x" * 100_000)
    (tmp_path / "docs" / ".env").write_text(f"OPENROUTER_API_KEY={SECRET}")

    def ask(*wanted):
        stand_in.say([calls(*wanted), TEXT])
        done = run("tool_calling", "Look.", "--folder", str(tmp_path / "docs"))
        assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err
        first, second = (request.body for request in stand_in.requests)
        *before, assistant = second["messages"][: -len(wanted)]
        results = second["messages"][-len(wanted) :]
        assert (before, len(first["tools"])) == (first["messages"], 3)
        ids = [call["id"] for call in assistant["tool_calls"]]
        assert [result["tool_call_id"] for result in results] == ids
        assert all(ids) and len(set(ids)) == len(ids), "unique, in the message and its results"
        assert SECRET not in json.dumps(second) and SECRET not in done.err
        assert all(name in done.err for name, *_ in wanted)
        return [result["content"] for result in results]

    return ask


def test_parallel_calls_are_answered_in_order_with_unique_ids(answered):
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    wanted = [("current_time", {"utc_offset": hours}, "same") for hours in (9, -3.5)]
    wanted += [("list_files", "", ""), ("read_file", {"name": "더 깊이/b.md"}, "other")]
    seoul, west, files, text = answered(*wanted)
    for found, hours in ((seoul, 9), (west, -3.5)):
        there = datetime.strptime(found, "%Y-%m-%d %H:%M %A")
        assert abs(there - now - timedelta(hours=hours)) < timedelta(minutes=3)
    assert files.splitlines() == ["13 a.txt", "100000 long.txt", "12 더 깊이/b.md"]
    assert text == "둘째 {{x}}"


def test_bad_calls_are_answered_with_the_error_and_long_results_are_cut(answered):
    bad = ['{"name": "a.txt"', '{"name": "a.txt"}""', "[]", '"a.txt"', "null", "{}"]
    bad += ['{"name": 5}', '{"name": "a.txt", "more": 1}', '{"name": "a\\u0000"}']
    bad.append('{"name": "\\ud83d"}')
    wanted = [("read_file", arguments, "") for arguments in bad]
    for offset in ('"nine"', "1e999", "1e9", "24", "null"):
        wanted.append(("current_time", f'{{"utc_offset": {offset}}}', ""))
    wanted += [("delete_all", {}, ""), ("read_file", {"name": "long.txt"}, "")]
    *found, long = answered(*wanted)
    for call, result in zip(wanted, found, strict=False):
        assert result.startswith("Error: ") and len(result) > 20, call
    assert 1000 < len(long) < 50_000


@posix
def test_nothing_outside_the_folder_is_read(answered, tmp_path):
    (tmp_path / "docs" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "docs" / "linked").symlink_to(tmp_path)
    (tmp_path / "docs" / "inside.txt").symlink_to(tmp_path / "docs" / "a.txt")
    names = ["../secret.txt", "더 깊이/../../secret.txt", str(tmp_path / "secret.txt"), ".env", "",
             "link.txt", "linked/secret.txt", "inside.txt"]  # fmt: skip
    wanted = [("read_file", {"name": name}, "") for name in names]
    *refused, inside, files = answered(*wanted, ("list_files", {}, ""))
    assert all(result.startswith("Error: ValueError: ") for result in refused), refused
    assert inside == "첫째 파일"
    assert "inside.txt" in files and "link" not in files and ".env" not in files


def test_loop_sends_the_message_back_whole_and_ends_after_its_step_limit(run, stand_in):
    details = [{"type": "reasoning.encrypted", "data": "c2VjcmV0", "format": "google-gemini-v1"}]
    reply = calls(("current_time", {"utc_offset": 9}, "call_x"))
    stand_in.say(reply | {"content": "먼저 \ud83d", "reasoning_details": details})
    done = run("tool_calling", "안녕?", stdin="파일", edit={"MAX_STEPS = 8": "MAX_STEPS = 3"})
    assert (done.code, done.out, len(stand_in.requests)) == (1, "", 3)
    assert "3 steps" in lines(done.err)[-1]
    user, first, result, second, _ = stand_in.requests[-1].body["messages"][1:]
    assert user == {"role": "user", "content": "안녕?\n\n파일"}
    assert (first["content"], first["reasoning_details"]) == ("먼저 ?", details)
    assert first["tool_calls"][0]["id"] == result["tool_call_id"] == "call_x"
    assert second["tool_calls"][0]["id"] != "call_x", "unique in the whole conversation"
