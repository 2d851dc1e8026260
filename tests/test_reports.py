"""Proves that what broke programs elsewhere breaks none of the scripts that it can reach here."""

import base64
import json
import os
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest
from conftest import lines, named, posix
from stand_in import TEXT, picture
from test_faults import CASES, CHAT, FIVE, MEETING, MP3_FILE, begin_case, errors, result
from test_mutants import PYTHON, at, changed, parsed, places

STREAMS = [name for name, case in CASES.items() if case.get("stream")]
NOT_CHAT = {"responses"} | {name for name, case in CASES.items() if "kind" in case}
COMPLETIONS = [name for name in CASES if name not in NOT_CHAT]
CHEAPEST = ["embeddings", "image_generation", "rerank", "speech", "transcription"]
NO_COST = {"batch", "doctor", "free_models", "judge", "key", "login", "models", "speech"}
COSTS = [name for name in CASES if name not in {*NO_COST, "video_generation"}]
BUDGETS = {"bulk": ["--max-cost", "0.1"], "orchestrate": ["--cost", "0.05"]}
OWN_ERRORS = [*FIVE, "bulk", "compare", "doctor"]  # scripts with an explain() of their own, too


@pytest.fixture
def case(run, stand_in, tmp_path):
    """case(script, …) -> Result of its command in CASES, with its file's text in out as well."""

    def start(script: str, says=None, more=(), **options):
        one = CASES[script]
        prepared = begin_case(stand_in, one, tmp_path / "here")
        if says is not None:
            stand_in.say(says)
        done = run(script, *one["args"], *more, **prepared | options)
        return done._replace(out=done.out + result(one, "", tmp_path / "here"))

    return start


def check_failure(script: str, done, words: str = "") -> None:
    """One line, or a row's failure, with these words, exit code 1, and no Python as an answer."""
    one = CASES[script]
    assert done.code == 1, done
    told = done.out + done.err if one.get("rows") else lines(done.err)[-1]
    assert named(words, told), done
    if not one.get("rows"):
        assert len(errors(one, done.err)) == 1, done.err
        assert not PYTHON.search(done.out), done.out


@pytest.mark.parametrize("script", STREAMS)
@pytest.mark.parametrize("odd", [{"delta": None}, {}, {"delta": {}}, {"delta": {"content": None}}])
def test_chunk_without_a_delta_is_skipped(case, stand_in, script, odd):
    choices = [odd, {"delta": {"content": TEXT}}, odd, {"delta": {}, "finish_reason": "stop"}]
    events = (json.dumps({"id": "1", "model": "a/b", "choices": [one]}) for one in choices)
    data = "".join(f"data: {event}\n\n" for event in events) + "data: [DONE]\n\n"
    stand_in.reply(CHAT, data.encode(), content_type="text/event-stream")
    done = case(script)
    assert (done.code, TEXT in done.out) == (0, True), done


PARTS = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello."}]
NO_ANSWERS = {
    "parts": ({"content": PARTS}, ""),
    "refusal": ({"content": None, "refusal": "I can't help with that."}, "I can't help with that"),
    "other end": ({"content": TEXT, "finish_reason": "end"}, "end"),
    "tool call": ({"content": None, "tool_calls": [{"name": "f"}]}, ""),
}
KEEPS = {"judge", "structured_output", "tool_calling", "free_models"}  # text that is no answer yet


@pytest.mark.parametrize(("says", "words"), NO_ANSWERS.values(), ids=NO_ANSWERS)
@pytest.mark.parametrize("script", COMPLETIONS)
def test_what_is_no_text_is_no_answer(case, script, says, words):
    done = case(script, says)
    if script != "bulk" or "tool_calls" not in says:
        check_failure(script, done, words)
    assert says["content"] != TEXT or script in KEEPS or TEXT in done.out, "what came is lost"


ODD = {"message": "No luck", "code": 429, "metadata": "text", "availability": "none"}
LONG = {"message": "No\nluck\r\n\x1b[2J\u2028" + "글" * 200_000, "code": 500}
BODIES = {
    "odd": (429, {"error": ODD}, "429.*No luck"),
    "long": (500, {"error": LONG}, "500.*No luck"),
    "list": (422, {"detail": [{"loc": ["body"], "msg": "Field required"}]}, "422.*Field required"),
    "text": (401, {"detail": "Invalid token"}, "401.*Invalid token"),
}


@pytest.mark.parametrize(("status", "body", "words"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("script", OWN_ERRORS)
def test_error_of_any_shape_is_one_short_line(case, stand_in, script, status, body, words):
    stand_in.reply("*", body, status=status)
    check_failure(script, done := case(script), words)
    assert max(map(len, lines(done.err))) < 3000


def with_usage(new: dict):
    """A change of a reply: what is new in its usage."""

    def change(data: bytes) -> bytes:
        path = next(path for path in places(parsed(data)) if path[-1:] == ("usage",))
        return changed(data, path, at(parsed(data), path) | new)

    return change


BYOK = {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.036}}
BYOK |= {"completion_tokens": 293, "completion_tokens_details": {"reasoning_tokens": 321}}


@pytest.mark.parametrize("script", COSTS)
def test_what_a_byok_provider_charges_counts_and_no_number_is_negative(case, stand_in, script):
    stand_in.reply("*", with_usage(BYOK), method="POST")
    done = case(script, more=BUDGETS.get(script, []))

    assert done.code == (script in BUDGETS), done.err
    assert "0.036" in done.out + done.err
    assert not named(r"[ :]-\d", done.out + done.err), "thoughts can be counted apart"
    assert script not in BUDGETS or len(stand_in.requests) == 2, "there is no money for a third"


UNKNOWN = [(script, "N/A") for script in COSTS if script != "orchestrate"]  # spends no more
UNKNOWN += [
    (s, odd) for s in ("bulk", "compare") for odd in (None, float("nan"), 10**400, {"a": 1})
]


@pytest.mark.parametrize(("script", "cost"), UNKNOWN, ids=lambda value: str(value)[:20])
def test_cost_that_cannot_be_read_is_neither_zero_nor_in_the_way(case, stand_in, script, cost):
    stand_in.reply("*", with_usage({"cost": cost}), method="POST")
    done = case(script)

    assert done.code == 0, done.err
    assert all(text in done.out for text in CASES[script].get("prints", [TEXT]))
    assert not named(r'\$0\.0+(?!\d)(?!.*unknown)|"cost": ?0(\.0*)?[,}]', done.out + done.err), done


PRICES = [{"prompt": price, "completion": price} for price in (0.1, "", "N/A", None, [])]
ENTRIES = {"prices": [{"id": f"odd/{n}:free", "pricing": price} for n, price in enumerate(PRICES)]}
ENTRIES |= {"no id": [{}, {"id": None}], "no entry": [None, 5], "no prices": [{"id": "odd/none"}]}


@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize("script", [*CHEAPEST, "video_generation", "models", "doctor"])
def test_odd_entry_of_the_catalogue_is_not_in_the_way_or_one_line(case, stand_in, script, entries):
    def change(data: bytes) -> bytes:
        return changed(data, ("data",), [*entries, *parsed(data)["data"]])

    stand_in.reply("/models", change)
    done = case(script)
    stand_in.violations.clear()
    if script in ("models", "doctor"):
        assert done.code == 0, done
        assert all(text in done.out for text in CASES[script]["prints"])
    else:
        assert len(errors(CASES[script], done.err)) == done.code, done


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "0.5", None])
def test_vector_or_score_that_is_no_number_ranks_nothing(case, stand_in, number):
    stand_in.reply("/embeddings", {"data": [{"index": 0, "embedding": [number, 1.0]}] * 2})
    stand_in.reply("/rerank", {"results": [{"index": 0, "relevance_score": number}]})
    for script in ("embeddings", "rerank"):
        check_failure(script, done := case(script))
        assert done.out == "", "a ranking of nothing"


@pytest.mark.parametrize("ids", [["", ""], ["a", "a"], [None, "a"]])
def test_tool_calls_are_answered_under_ids_of_their_own(case, stand_in, ids):
    calls = [{"name": "current_time", "arguments": {"utc_offset": 9}, "id": one} for one in ids]
    done = case("tool_calling", [{"content": None, "tool_calls": calls}] * 2 + [TEXT])
    messages = stand_in.requests[-1].body["messages"]
    asked = [call["id"] for message in messages for call in message.get("tool_calls") or []]

    assert done.code == 0, done.err
    assert len(set(asked) - {"", None}) == len(asked) == 4
    assert [message["tool_call_id"] for message in messages if message["role"] == "tool"] == asked


def test_bytes_decide_what_an_image_is(case, run, stand_in, tmp_path):
    jpeg, file = picture("jpeg")[0], tmp_path / "here" / "cat.jpg"
    image = {"b64_json": base64.b64encode(jpeg).decode(), "media_type": "image/png"}
    stand_in.reply("/images", {"created": 1, "data": [image], "usage": {}})
    assert case("image_generation").out.strip() == file.name
    run("vision", "What?", str(file.rename(tmp_path / "sign.png")))
    assert '"data:image/jpeg;' in json.dumps(stand_in.requests[-1].body)


def test_retry_after_may_be_a_date(case, stand_in):
    for seconds, code in ((2.5, 0), (86400, 1)):
        headers = {"Retry-After": formatdate(time() + seconds, usegmt=True)}
        stand_in.reply(CHAT, {"error": "busy"}, status=503, headers=headers, times=1)
        done = case("bulk", edit={"2**attempt": "0"})
        assert (done.code, 1 < done.seconds < 30) == (code, not code), done


UGLY = ["\x01\x1b[31m\u202e글\u2066", "{{input}} " + "글" * 200_000]
ASKING = [name for name, one in CASES.items() if one.get("reads")]
ASKING += ["compare", "prompt", "prompt_caching", "rerank", "structured_output", "speech"]
OWN = {"migrate": ["openrouter", "-"], "prompt": ["summarize"], "speech": ["-o", "a.mp3"]}


@pytest.mark.parametrize("script", ASKING)
def test_any_text_from_a_pipe_arrives_and_other_bytes_are_one_line(run, stand_in, tmp_path, script):
    args = OWN.get(script, CASES[script]["args"])
    stand_in.say(CASES[script].get("says", TEXT))
    done = run(script, *args, stdin="\u2028".join(UGLY), cwd=tmp_path)
    sent = json.dumps(stand_in.requests[-1].body, ensure_ascii=False)
    assert done.code == 0, done.err[:300]
    assert all(json.dumps(part, ensure_ascii=False)[1:-1] in sent for part in UGLY)
    (tmp_path / "a.mp3").unlink(missing_ok=True)
    stand_in.requests.clear()
    done = run(script, *args, stdin="안녕".encode("cp949"), cwd=tmp_path)
    assert (done.code, len(errors(CASES[script], done.err))) == (1, 1), done
    assert [call for call in stand_in.requests if call.method == "POST"] == []


HALF = "half \ud83d"
SENT_BACK = {
    "responses": (["Hi", "--then", "And?"], [HALF, TEXT]),
    "structured_output": ([], ['{"summary": "half \ud83d', MEETING]),
    "tool_calling": (["Hi"], [{"content": HALF, "tool_calls": [{"name": HALF}]}, TEXT]),
}


@pytest.mark.parametrize("script", SENT_BACK)
def test_half_a_character_of_an_answer_can_be_sent_back(run, stand_in, script):
    args, says = SENT_BACK[script]
    stand_in.say(says)
    done = run(script, *args, stdin="text")
    assert (done.code, len(stand_in.requests)) == (0, 2), done.err


@posix
def test_conversation_outlives_every_failure_of_a_turn(command, stand_in):
    pexpect = pytest.importorskip("pexpect", reason="a conversation needs a terminal: pexpect")
    (program, *args), environment, folder = command("chat")
    child = pexpect.spawn(program, args, env=environment, cwd=str(folder), timeout=30, echo=False)
    child.expect_exact("> ")
    faults = ["429_day", "401", "error_200", "html", "drop", "cut", "bad_chunk", "mid_stream"]
    for fault in faults:
        stand_in.fail(fault, times=1)
        child.sendline(fault)
        child.expect_exact("\r\n> ")
    stand_in.say([{"content": ["list"]}, HALF, "좋아요"])
    for question in (b"a list", b"half", b"pasted \xff\xc3( byte", "마지막".encode()):
        child.sendline(question)
        child.expect_exact("\r\n> ")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    last = [message["content"] for message in stand_in.requests[-1].body["messages"]]

    assert child.exitstatus == 0
    assert (last[1:3], last[-1]) == (["half", "half ?"], "마지막")
    assert not {*faults, "a list"} & set(last), "a failed turn is not remembered"


NAME = os.fsdecode(b"\xff \n" + "한글\u202e".encode())
WRITERS = {  # arguments, the file, and what must not be lost if it can't be written
    "image_generation": (["a cat", "-o", NAME], f"{NAME}.png", ""),
    "speech": (["Hello", "-o", f"{NAME}.mp3"], f"{NAME}.mp3", ""),
    "transcription": ([f"in{NAME}.mp3", "-o", f"{NAME}.txt"], f"{NAME}.txt", "안녕하세요"),
    "video_generation": (["a boat", "-o", f"{NAME}.mp4"], f"{NAME}.mp4", "--resume"),
    "compare": (["Hi", "-m", "a/b", "-m", "a/c", "--html", NAME], NAME, TEXT),
    "embeddings": (["noon", f"in{NAME}.mp3"], f".in{NAME}.mp3.embeddings.json", ""),
}
FULL = """import os, pathlib
def half(path, *args, **options):
    with open(path, "wb") as file:
        file.write(b"half")
    raise OSError(28, "No space left on device", str(path))
if "ROOM" not in os.environ:
    pathlib.Path.write_bytes = pathlib.Path.write_text = half
"""


@posix
@pytest.mark.parametrize("script", WRITERS)
def test_file_is_whole_or_not_there_whatever_its_name(run, stand_in, tmp_path, script):
    args, name, kept = WRITERS[script]
    sound = Path(MP3_FILE).read_bytes() if script == "transcription" else b"Lunch is at noon."
    (tmp_path / f"in{NAME}.mp3").write_bytes(sound)
    edit = {"import os\n": FULL} | CASES[script].get("edit", {})
    done = run(script, *args, cwd=tmp_path, edit=edit)
    assert (done.code, named("No space left", done.err)) == (1, True), done
    assert kept in done.out + done.err
    assert not (tmp_path / name).exists()
    done = run(script, *args, cwd=tmp_path, edit=edit, env={"ROOM": "1"})
    assert done.code == 0, done.err
    assert (tmp_path / name).stat().st_size > 10


@pytest.mark.parametrize("script", ["image_generation", "speech", "video_generation"])
def test_place_that_cannot_be_written_to_is_found_before_it_costs(run, stand_in, script):
    check_failure(script, run(script, "A boat", "-o", "gone/boat.mp4"))
    assert [call.route for call in stand_in.requests if call.method == "POST"] == []
