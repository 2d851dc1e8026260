"""Proves that tool_calling's loop ends, answers bad calls, and reads nothing outside its folder."""

import json
import re
from datetime import datetime, timedelta, timezone

import pytest
from conftest import lines, named, posix
from stand_in import TEXT

SECRET = "the secret outside"


def call(name, arguments=None, id="call_0"):
    return {"id": id, "name": name, "arguments": {} if arguments is None else arguments}


def messages(stand_in, number=-1):
    return stand_in.requests[number].body["messages"]


def results(stand_in, number=-1):
    """The tools' results that the model was sent, by the id of the call."""
    sent = [one for one in messages(stand_in, number) if one["role"] == "tool"]
    assert all(set(one) == {"role", "tool_call_id", "content"} for one in sent)
    return {one["tool_call_id"]: one["content"] for one in sent}


@pytest.fixture
def folder(tmp_path):
    """A folder to read, beside a file that is none of the model's business."""
    (tmp_path / "secret.txt").write_text(SECRET)
    docs = tmp_path / "docs"
    (docs / "더 깊이").mkdir(parents=True)
    (docs / "a.txt").write_text("첫째 파일", encoding="utf-8")
    (docs / "더 깊이" / "b.md").write_text("둘째 {{x}}", encoding="utf-8")
    (docs / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    (docs / "long.txt").write_text("x" * 100_000)
    return docs


@pytest.fixture
def answered(run, stand_in, folder):
    """answered(tool, *arguments) -> (the result of each call, all in one step, and stderr)."""

    def ask(name, *arguments):
        calls = [call(name, one, f"call_{number}") for number, one in enumerate(arguments)]
        stand_in.say([{"tool_calls": calls}, TEXT])
        done = run("tool_calling", "Look.", "--folder", str(folder))
        assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err
        assert len(stand_in.requests) == 2
        found = results(stand_in)
        assert list(found) == [one["id"] for one in calls], "each call gets its answer"
        return list(found.values()), done.err

    return ask


# ------------------------------------------------------------------------------------- the loop


def test_question_that_needs_no_tool(run, stand_in):
    done = run("tool_calling", "안녕?")

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    assert len(stand_in.requests) == 1
    system, user = messages(stand_in)
    assert system["role"] == "system" and system["content"].startswith("Use the tools")
    assert user == {"role": "user", "content": "안녕?"}
    assert len(lines(done.err)) == 1 and done.err.startswith("[upstage/solar-pro-3:free, ")


def test_tools_are_described(run, stand_in, folder):
    run("tool_calling", "Hello")
    run("tool_calling", "Hello", "--folder", str(folder))

    without, with_folder = ([t["function"] for t in c.body["tools"]] for c in stand_in.requests)
    assert [tool["name"] for tool in without] == ["current_time"], "no folder, no files"
    assert [tool["name"] for tool in with_folder] == ["current_time", "list_files", "read_file"]
    for tool in with_folder:
        assert tool["description"]
        assert sorted(tool["parameters"]["required"]) == sorted(tool["parameters"]["properties"])


def test_parallel_calls_are_all_answered_in_order(run, stand_in):
    calls = [
        call("current_time", {"utc_offset": 9}, "call_seoul"),
        call("current_time", {"utc_offset": -3.5}, "call_newfoundland"),
    ]
    stand_in.say([{"tool_calls": calls}, "Done."])
    now = datetime.now(timezone.utc)
    done = run("tool_calling", "What time is it?")

    assert (done.code, done.out) == (0, "Done.\n")
    assert [one["role"] for one in messages(stand_in)] == [
        "system", "user", "assistant", "tool", "tool",
    ]  # fmt: skip
    found = results(stand_in)
    assert list(found) == ["call_seoul", "call_newfoundland"]
    for id, hours in (("call_seoul", 9), ("call_newfoundland", -3.5)):
        stamp = re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", found[id])[0]
        told = datetime.strptime(stamp, "%Y-%m-%d %H:%M")
        there = (now + timedelta(hours=hours)).replace(tzinfo=None)
        assert abs(told - there) < timedelta(minutes=3)
        assert f"{told:%A}" in found[id]


def test_assistants_message_is_sent_back_whole(run, stand_in):
    details = [
        {"type": "reasoning.encrypted", "data": "c2VjcmV0", "format": "google-gemini-v1"},
        {"type": "reasoning.text", "text": "Think.", "signature": "sig", "index": 0},
    ]
    first = {
        "content": "먼저 시간을 보고",
        "reasoning": "Think.",
        "reasoning_details": details,
        "tool_calls": [call("current_time", {"utc_offset": 9}, "call_x")],
    }
    stand_in.say([first, "Done."])
    done = run("tool_calling", "What time is it?")

    assert done.code == 0, done.err
    assistant = messages(stand_in)[2]
    assert assistant["role"] == "assistant"
    assert assistant["content"] == "먼저 시간을 보고"
    assert assistant["reasoning"] == "Think."
    assert assistant["reasoning_details"] == details
    (sent,) = assistant["tool_calls"]
    assert (sent["id"], sent["type"]) == ("call_x", "function")
    assert sent["function"] == {"name": "current_time", "arguments": '{"utc_offset": 9}'}


def test_several_steps_grow_one_conversation(run, stand_in, folder):
    stand_in.say(
        [
            {"tool_calls": [call("list_files", id="call_1")]},
            {"tool_calls": [call("read_file", {"name": "a.txt"}, "call_2")]},
            "첫째 파일이다.",
        ]
    )
    done = run("tool_calling", "What is in a.txt?", "--folder", str(folder))

    assert (done.code, done.out) == (0, "첫째 파일이다.\n")
    for number in (1, 2):
        before = messages(stand_in, number - 1)
        assert messages(stand_in, number)[: len(before)] == before
    assert results(stand_in)["call_2"] == "첫째 파일"
    assert [call.body["tools"] for call in stand_in.requests] == [
        stand_in.requests[0].body["tools"]
    ] * 3


def test_each_call_and_result_is_on_stderr(run, stand_in, folder):
    calls = [call("read_file", {"name": "a.txt"}, "c1"), call("current_time", "oops", "c2")]
    stand_in.say([{"tool_calls": calls}, "Done."])
    done = run("tool_calling", "Look.", "--folder", str(folder))

    first, second, last = lines(done.err)
    assert "read_file" in first and "a.txt" in first and "첫째 파일" in first
    assert "current_time" in second and "oops" in second and "Error" in second
    assert named(r"\d s\]$", last)


def test_loop_ends_after_its_step_limit(run, stand_in):
    stand_in.say({"tool_calls": [call("current_time", {"utc_offset": 0})]})
    done = run("tool_calling", "Again and again.", edit={"MAX_STEPS = 8": "MAX_STEPS = 3"})

    assert (done.code, done.out) == (1, "")
    assert len(stand_in.requests) == 3
    assert named("3 steps", lines(done.err)[-1])


def test_failure_in_the_middle_is_told(run, stand_in):
    stand_in.say([{"tool_calls": [call("current_time", {"utc_offset": 0})]}, {"content": None}])
    done = run("tool_calling", "Look.")

    assert (done.code, done.out) == (1, "")
    assert named("empty", lines(done.err)[-1])


# ------------------------------------------------------------------------------- calls of a model


def test_bad_arguments_are_answered_with_the_error(answered):
    bad = [
        '{"name": "a.txt"',
        "name=a.txt",
        '{"name": "a.txt"}""',
        "[]",
        '"a.txt"',
        "5",
        "null",
        "{}",
        '{"name": 5}',
        '{"name": ["a.txt"]}',
        '{"name": "a.txt", "more": 1}',
        '{"folder": "/", "name": "a.txt"}',
        '{"name": "a\\u0000.txt"}',
    ]
    found, err = answered("read_file", *bad)

    for arguments, result in zip(bad, found, strict=True):
        assert named("^error: .", result), arguments
    assert err.count("Error: ") == len(bad)


def test_impossible_offsets_are_answered_with_the_error(answered):
    offsets = ['"nine"', "1e999", "NaN", "1e9", "24", "null", "[9]"]
    found, _ = answered("current_time", *(f'{{"utc_offset": {offset}}}' for offset in offsets))

    for offset, result in zip(offsets, found, strict=True):
        assert result.startswith("Error: "), offset


def test_empty_arguments_are_none(answered):
    ((result,), _) = answered("list_files", "")

    assert "a.txt" in result


def test_unknown_tool_is_answered_with_those_there_are(answered):
    ((result,), _) = answered("delete_everything", {"path": "/"})

    assert result.startswith("Error: ")
    for name in ("delete_everything", "current_time", "list_files", "read_file"):
        assert name in result


def test_file_tools_do_not_exist_without_a_folder(run, stand_in):
    stand_in.say([{"tool_calls": [call("read_file", {"name": "a.txt"})]}, "Done."])
    run("tool_calling", "Look.")

    assert results(stand_in)["call_0"].startswith("Error: there is no tool read_file")


# --------------------------------------------------------------------------------------- files


def test_files_below_the_folder_can_be_read(answered):
    found, _ = answered("read_file", {"name": "더 깊이/b.md"}, {"name": "./a.txt"})

    assert found == ["둘째 {{x}}", "첫째 파일"]


def test_list_names_the_files_that_can_be_read(answered, folder):
    (folder / "LICENSE").write_text("free")
    (folder / "dir.d").mkdir()
    ((names,), _) = answered("list_files", {})

    wanted = ["LICENSE", "a.txt", "long.txt", "picture.png", "더 깊이/b.md"]
    assert sorted(names.splitlines()) == wanted


def test_long_file_is_cut(answered):
    ((result,), err) = answered("read_file", {"name": "long.txt"})

    assert 1000 < len(result) < 50_000
    assert len(err) < 2000


def test_what_is_no_text_file_is_answered_with_the_error(answered):
    names = ["picture.png", "no-such.txt", "더 깊이", "", ".", "x" * 5000]
    found, _ = answered("read_file", *({"name": name} for name in names))

    for name, result in zip(names, found, strict=True):
        assert result.startswith("Error: "), name


def nothing_leaked(stand_in, err):
    assert SECRET not in json.dumps([call.body for call in stand_in.requests])
    assert SECRET not in err


def test_file_outside_the_folder_is_refused(answered, stand_in, folder):
    names = [
        "../secret.txt",
        "더 깊이/../../secret.txt",
        "./../docs/../secret.txt",
        str(folder.parent / "secret.txt"),
        "../docs-and-more/secret.txt",
    ]
    (folder.parent / "docs-and-more").mkdir()
    (folder.parent / "docs-and-more" / "secret.txt").write_text(SECRET)
    found, err = answered("read_file", *({"name": name} for name in names))

    for name, result in zip(names, found, strict=True):
        assert named("^error: .*outside", result), name
    nothing_leaked(stand_in, err)


@posix
def test_symbolic_link_out_of_the_folder_is_refused(answered, stand_in, folder):
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "linked").symlink_to(folder.parent)
    (folder / "inside.txt").symlink_to(folder / "a.txt")
    names = ["link.txt", "linked/secret.txt", "inside.txt"]
    (*refused, inside), err = answered("read_file", *({"name": name} for name in names))

    assert all(named("^error: .*outside", result) for result in refused), refused
    assert inside == "첫째 파일"
    nothing_leaked(stand_in, err)


def test_key_file_in_the_folder_is_not_read(answered, stand_in, folder):
    (folder / ".env").write_text(f"OPENROUTER_API_KEY={SECRET}")
    _, err = answered("read_file", {"name": ".env"})

    nothing_leaked(stand_in, err)


def test_folder_that_is_none_is_one_sentence(run, stand_in, tmp_path):
    (tmp_path / "file.txt").write_text("x")
    done = run("tool_calling", "Look.", "--folder", str(tmp_path / "file.txt"))

    assert (done.code, done.out) == (2, "")
    assert len(lines(done.err)) == 1 and "file.txt" in done.err
    assert stand_in.requests == []
