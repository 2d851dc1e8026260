"""Proves that prompt_caching keeps the text and the provider, and tells what the cache did."""

from decimal import Decimal

import pytest
from conftest import lines
from stand_in import TEXT

LONG = "긴 글의 한 문장입니다. {{x}} $5 \n" * 300
CLAUDE = "anthropic/claude-sonnet-4.5"
NO_CACHE = {"cached_tokens": 0, "cache_write_tokens": 0}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "긴 글.txt"
    path.write_bytes("\ufeff".encode() + LONG.encode())
    return str(path)


def asked(stand_in):
    """The completions that were asked for."""
    return [call for call in stand_in.requests if call.route == "/chat/completions"]


def told(done):
    """What is said of each question, at the end."""
    return [line for line in lines(done.err) if line.startswith("[question")]


def test_both_questions_are_answered_over_the_same_text(run, stand_in, file):
    stand_in.say(["첫째 답", "Second answer"])
    done = run("prompt_caching", "누가?", "Why?", file)

    assert (done.code, done.out) == (0, "첫째 답\nSecond answer\n")
    first, second, third = (call.body for call in asked(stand_in))
    system, question = first["messages"]
    assert first["model"] == "~openai/gpt-mini-latest"
    assert [part["type"] for part in system["content"]] == ["text", "text"]
    assert system["content"][0]["text"].startswith("Answer questions about the text below")
    assert system["content"][1]["text"] == LONG
    assert question == {"role": "user", "content": "누가?"}
    assert second["messages"] == [system, {"role": "user", "content": "Why?"}]
    assert third == second


def test_one_session_keeps_the_provider_and_the_next_run_has_another(run, stand_in, file):
    run("prompt_caching", "Who?", "Why?", file)
    run("prompt_caching", "Who?", "Why?", file)
    sessions = [call.body["session_id"] for call in asked(stand_in)]

    assert sessions == [sessions[0]] * 3 + [sessions[3]] * 3
    assert sessions[0] != sessions[3]
    assert all(0 < len(session) <= 256 for session in sessions)


@pytest.mark.parametrize(
    ("model", "marked"),
    [
        (CLAUDE, True),
        ("~anthropic/claude-haiku-latest", True),
        ("deepseek/deepseek-v3.2", True),
        ("openai/gpt-5-mini", False),
        ("deepseek/deepseek-r1", False),
    ],
)
def test_breakpoint_only_where_the_model_needs_one(run, stand_in, model, marked):
    done = run("prompt_caching", "Who?", "Why?", "-", "-m", model, stdin="짧은 글")

    assert done.code == 0, done.err
    instructions, text = asked(stand_in)[0].body["messages"][0]["content"]
    assert "cache_control" not in instructions
    assert text.get("cache_control") == ({"type": "ephemeral"} if marked else None)


def test_marked_text_is_written_then_read_and_the_saving_told(run, stand_in, file):
    done = run("prompt_caching", "Who?", "Why?", file, "-m", CLAUDE)
    first, second = told(done)

    assert done.code == 0, done.err
    size = int(first.split(" into it")[0].split()[-1].replace(",", ""))
    assert size > 1024
    # A written token costs 1.25 as much as another, $3 per million; a read one is free of 90 %.
    more = f"${Decimal(size * 75) / 10**8:.6f} more than without by the catalogue's prices]"
    assert first == f"[question 1: 0 tokens from the cache, {size:,} into it, {more}"
    # The record of the stand-in says $0.9 per million.
    less = f"saved ${Decimal(size * 9) / 10**7:.6f} by OpenRouter's record]"
    assert second == f"[question 2: {size:,} tokens from the cache, 0 into it, {less}"


def test_unmarked_text_is_read_the_second_time(run, stand_in, file):
    done = run("prompt_caching", "Who?", "Why?", file)
    first, second = told(done)

    assert first == "[question 1: 0 tokens from the cache, 0 into it]"
    assert " 0 tokens" not in second
    assert second.endswith("by OpenRouter's record]")


def test_record_that_comes_late_is_waited_for(run, stand_in, file):
    stand_in.generation_misses = 2
    done = run("prompt_caching", "Who?", "Why?", file)

    assert done.code == 0, done.err
    assert told(done)[1].endswith("by OpenRouter's record]")


def test_record_that_never_comes_is_reckoned_from_prices(run, stand_in, file):
    stand_in.generation_misses = 99
    done = run("prompt_caching", "Who?", "Why?", file)
    read = int(told(done)[1].split()[2].replace(",", ""))

    # $0.25 per million, and a tenth of it from the cache.
    money = f"saved ${Decimal(read * 225) / 10**9:.6f} by the catalogue's prices]"
    assert told(done)[1].endswith(money)


def test_model_without_prices_saves_an_unknown_amount(run, stand_in, file):
    stand_in.generation_misses = 99
    done = run("prompt_caching", "Who?", "Why?", file, "-m", "acme/unlisted")

    assert done.code == 0, done.err
    assert told(done)[1].endswith("what it saved is unknown]")


def test_identical_request_comes_from_the_response_cache(run, stand_in, file):
    stand_in.say(["one", "two", "three"])
    done = run("prompt_caching", "Who?", "Why?", file)

    assert done.out == "one\ntwo\n"
    assert [call.headers["x-openrouter-cache"] for call in asked(stand_in)] == ["true"] * 3
    caches = [line for line in lines(done.err) if line.startswith("[response cache")]
    assert caches == [f"[response cache: {word}]" for word in ("MISS", "MISS", "HIT")]
    third = lines(done.err)[4]
    assert "0 + 0 tokens, $0.000000" in third


def test_nothing_read_is_explained(run, stand_in):
    done = run("prompt_caching", "Who?", "Why?", "-", stdin="짧은 글")

    assert (done.code, done.out) == (0, f"{TEXT}\n{TEXT}\n")
    assert asked(stand_in)[0].body["messages"][0]["content"][1]["text"] == "짧은 글"
    assert "too short a text" in lines(done.err)[-1]


def test_usage_that_tells_no_details_is_no_crash(run, stand_in):
    stand_in.say({"content": "Hi", "usage": {"prompt_tokens_details": None, "cost": None}})
    done = run("prompt_caching", "Who?", "Why?", "-", stdin="글")

    assert done.code == 0, done.err
    assert told(done)[0] == "[question 1: 0 tokens from the cache, 0 into it]"


def test_first_answer_stays_when_the_second_fails(run, stand_in, file):
    stand_in.say(lambda body: "첫째 답" if body["messages"][1]["content"] == "Who?" else "x" * 9)
    stand_in.fail("429_day", "/generation")
    done = run("prompt_caching", "Who?", "Why?", file)

    assert (done.code, done.out) == (1, "첫째 답\nxxxxxxxxx\n")
    assert "429" in lines(done.err)[-1]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["Who?", "Why?", "missing.txt"], "missing.txt"),
        (["Who?", "Why?", "empty.txt"], "empty.txt"),
        (["Who?", "Why?", "picture.png"], "UTF-8"),
        (["Who?", "Why?", "."], "."),
        (["Who?", "Why?"], "required"),
    ],
    ids=["missing", "empty", "picture", "folder", "no-file"],
)
def test_text_that_is_none_sends_nothing(run, stand_in, tmp_path, args, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "empty.txt").write_text(" \n")
    (tmp_path / "empty" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    done = run("prompt_caching", *args)

    assert done.code == 2
    assert said in lines(done.err)[-1]
    assert stand_in.requests == []
