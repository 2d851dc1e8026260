"""Proves that tool_calling's loop ends, answers bad calls, and reads nothing outside its folder."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from conftest import lines, posix
from stand_in import TEXT

SECRET = "the secret outside"


def calls(*wanted):
    """A reply that wants tools: (name, arguments) or (name, arguments, id) each."""
    names = ("name", "arguments", "id")
    defaults = [{"id": f"call_{number}"} for number in range(len(wanted))]
    return {"tool_calls": [d | dict(zip(names, w)) for d, w in zip(defaults, wanted, strict=True)]}


@pytest.fixture
def answered(run, stand_in, tmp_path):
    """answered((name, arguments), …) -> the result of each call, all wanted in one step."""
    (tmp_path / "secret.txt").write_text(SECRET)
    folder = tmp_path / "docs"
    (folder / "더 깊이").mkdir(parents=True)
    (folder / "a.txt").write_text("첫째 파일", encoding="utf-8")
    (folder / "더 깊이" / "b.md").write_text("둘째 {{x}}", encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    (folder / "long.txt").write_text("x" * 100_000)
    (folder / ".env").write_text(f"OPENROUTER_API_KEY={SECRET}")

    def ask(*wanted):
        stand_in.say([calls(*wanted), TEXT])
        done = run("tool_calling", "Look.", "--folder", str(folder))
        assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err
        first, second = (request.body for request in stand_in.requests)
        assert first["tools"] == second["tools"] and len(first["tools"]) == 3
        *before, assistant = second["messages"][: -len(wanted)]
        results = second["messages"][-len(wanted) :]
        assert before == first["messages"]
        ids = [call["id"] for call in assistant["tool_calls"]]
        assert [result["tool_call_id"] for result in results] == ids
        assert all(ids) and len(set(ids)) == len(ids), "unique, in the message and its results"
        assert SECRET not in json.dumps(second) and SECRET not in done.err
        assert all(name in done.err for name, *_ in wanted)
        return [result["content"] for result in results]

    return ask


def test_parallel_calls_are_answered_in_order_with_unique_ids(answered):
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    seoul, west, files, text = answered(
        ("current_time", {"utc_offset": 9}, "same"),
        ("current_time", {"utc_offset": -3.5}, "same"),
        ("list_files", "", ""),
        ("read_file", {"name": "더 깊이/b.md"}, "other"),
    )
    for found, hours in ((seoul, 9), (west, -3.5)):
        there = datetime.strptime(found, "%Y-%m-%d %H:%M %A")
        assert abs(there - now - timedelta(hours=hours)) < timedelta(minutes=3)
    assert text == "둘째 {{x}}"
    assert files.splitlines() == [
        "13 a.txt", "100000 long.txt", "6 picture.png", "12 더 깊이/b.md",
    ]  # fmt: skip


def test_bad_calls_are_answered_with_the_error(answered):
    bad = ['{"name": "a.txt"', '{"name": "a.txt"}""', "[]", '"a.txt"', "null", "{}", '{"name": 5}',
           '{"name": "a.txt", "more": 1}', '{"name": "a.txt\\u0000"}', '{"name": "\\ud83d"}',
           '{"name": "picture.png"}', '{"name": ""}', '{"name": "none"}']  # fmt: skip
    offsets = ['"nine"', "1e999", "1e9", "24", "null"]
    wanted = [("read_file", arguments) for arguments in bad]
    wanted += [("current_time", f'{{"utc_offset": {offset}}}') for offset in offsets]
    found = answered(*wanted, ("delete_everything", {}), ("read_file", {"name": "long.txt"}))

    for call, result in zip(wanted, found, strict=False):
        assert result.startswith("Error: ") and len(result) > 20, call
    assert found[-2] == "Error: KeyError: 'delete_everything'"
    assert 1000 < len(found[-1]) < 50_000, "a long file is cut"


@posix
def test_nothing_outside_the_folder_is_read(answered, tmp_path):
    (tmp_path / "docs-more").mkdir()
    (tmp_path / "docs-more" / "secret.txt").write_text(SECRET)
    (tmp_path / "docs" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "docs" / "linked").symlink_to(tmp_path)
    (tmp_path / "docs" / "inside.txt").symlink_to(tmp_path / "docs" / "a.txt")
    names = ["../secret.txt", "더 깊이/../../secret.txt", str(tmp_path / "secret.txt"), ".env",
             "../docs-more/secret.txt", "link.txt", "linked/secret.txt", "inside.txt"]  # fmt: skip
    *refused, inside, files = answered(
        *(("read_file", {"name": name}) for name in names), ("list_files", {})
    )
    assert all(result.startswith("Error: ValueError: ") for result in refused), refused
    assert inside == "첫째 파일"
    assert "inside.txt" in files and "link" not in files and ".env" not in files


def test_message_is_sent_back_whole_and_text_that_can_not_be_sent_is_mended(run, stand_in):
    details = [{"type": "reasoning.encrypted", "data": "c2VjcmV0", "format": "google-gemini-v1"}]
    first = calls(("current_time", {"utc_offset": 9}, "call_x"))
    first |= {"content": "먼저 \ud83d", "reasoning": "Think.", "reasoning_details": details}
    stand_in.say([first, calls(("current_time", {"utc_offset": 1}, "call_x")), "Done."])
    done = run("tool_calling", "안녕?", stdin="파일")

    assert (done.code, done.out) == (0, "Done.\n"), done.err
    *_, last = (request.body for request in stand_in.requests)
    user, assistant, _, second, result = last["messages"][1:]
    assert user == {"role": "user", "content": "안녕?\n\n파일"}
    assert assistant["content"] == "먼저 ?" and assistant["reasoning"] == "Think."
    assert assistant["reasoning_details"] == details
    assert second["tool_calls"][0]["id"] == result["tool_call_id"] != "call_x"
    assert [tool["function"]["name"] for tool in last["tools"]] == ["current_time"], "no files"


def test_loop_ends_after_its_step_limit(run, stand_in):
    stand_in.say(calls(("current_time", {"utc_offset": 0})))
    done = run("tool_calling", "Again and again.", edit={"MAX_STEPS = 8": "MAX_STEPS = 3"})

    assert (done.code, done.out, len(stand_in.requests)) == (1, "", 3)
    assert "3 steps" in lines(done.err)[-1]
