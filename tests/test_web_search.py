"""Proves that web_search searches, numbers its sources, and says before and after what it costs."""

import pytest
from conftest import lines
from stand_in import TEXT

KOREAN = '오늘의 소식은? 🙂 "{{x}}" $5'
WARNING = "[searches cost money, with free models too: about $0.007 each, at most 3 of them]"


def note(url, title=None):
    return {"type": "url_citation", "url_citation": {"url": url, "title": title}}


def tool(stand_in):
    (tool,) = stand_in.requests[0].body["tools"]
    return tool


def test_answer_comes_with_numbered_sources(run, stand_in):
    done = run("web_search", KOREAN)

    assert done.code == 0, done.err
    assert done.out == (
        f"{TEXT}\n\n"
        "[1] 예시 페이지 1 - https://example.com/1\n"
        "[2] 예시 페이지 2 - https://example.com/2\n"
    )
    body = stand_in.requests[0].body
    assert len(stand_in.requests) == 1
    assert body["model"] == "openrouter/free"
    assert body["messages"][0]["content"].startswith("Search the web")
    assert body["messages"][1] == {"role": "user", "content": KOREAN}
    assert body["tools"] == [{"type": "openrouter:web_search", "parameters": {"max_uses": 3}}]


def test_cost_is_told_before_and_after(run, stand_in):
    done = run("web_search", "Hello")

    assert lines(done.err)[0] == WARNING
    assert lines(done.err)[1] == "[searches: 1, about $0.0070]"
    assert "$0.007000" in lines(done.err)[2]


def test_warning_comes_before_the_request(run, stand_in):
    stand_in.fail("402")
    done = run("web_search", "Hello")

    assert (done.code, done.out) == (1, "")
    assert lines(done.err)[0] == WARNING
    assert "402" in lines(done.err)[1]


@pytest.mark.parametrize(
    ("args", "parameters"),
    [
        (["--allow", "python.org", "--allow", "www.python.org"],
         {"max_uses": 3, "allowed_domains": ["python.org", "www.python.org"]}),
        (["--exclude", "reddit.com"], {"max_uses": 3, "excluded_domains": ["reddit.com"]}),
        (["--results", "25"], {"max_uses": 3, "max_results": 25}),
        (["--searches", "1"], {"max_uses": 1}),
    ],
)  # fmt: skip
def test_option_is_sent(run, stand_in, args, parameters):
    done = run("web_search", "Hello", *args)

    assert done.code == 0, done.err
    assert tool(stand_in)["parameters"] == parameters


def test_each_page_is_named_once_in_the_order_of_the_answer(run, stand_in):
    notes = [
        note("https://b.org/2", "둘째\n 페이지"),
        note("https://a.org/1"),
        note("https://b.org/2", "Again"),
        {"type": "file", "file": {"hash": "1", "name": "a.pdf", "content": []}},
    ]
    stand_in.say({"content": "An answer.", "annotations": notes})
    done = run("web_search", "Hello")

    assert done.out == ("An answer.\n\n[1] 둘째 페이지 - https://b.org/2\n[2] https://a.org/1\n")


def test_answer_without_a_search_has_no_sources(run, stand_in):
    usage = {"server_tool_use": None, "server_tool_use_details": {"web_search_requests": 0}}
    usage |= {"cost": 0.0}
    stand_in.say({"content": "From memory.", "annotations": [], "usage": usage})
    done = run("web_search", "Hello")

    assert done.out == "From memory.\n"
    assert lines(done.err)[1] == "[searches: 0]"


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"server_tool_use_details": {"web_search_requests": 2}, "cost_details": None},
         "[searches: 2, about $0.0140]"),
        ({"server_tool_use_details": None, "server_tool_use": {"web_search_requests": 3},
          "cost_details": None}, "[searches: 3, about $0.0210]"),
        ({"server_tool_use_details": {"web_search_requests": 2}, "cost": 0.0303,
          "cost_details": {"upstream_inference_prompt_cost": 0.0002,
                           "upstream_inference_completions_cost": 0.0001}},
         "[searches: 2, about $0.0300]"),
        ({"server_tool_use_details": {"web_search_requests": 2}, "cost": 0.0001,
          "cost_details": {"upstream_inference_prompt_cost": 0.01,
                           "upstream_inference_completions_cost": 0.01}},
         "[searches: 2, about $0.0140]"),
        ({"server_tool_use_details": None, "server_tool_use": None, "cost_details": None},
         "[searches: not told]"),
    ],
    ids=["no-details", "the-guide's-name", "details", "own-provider-key", "nothing-told"],
)  # fmt: skip
def test_searches_and_their_cost(run, stand_in, usage, told):
    stand_in.say({"content": "An answer.", "usage": usage})
    done = run("web_search", "Hello")

    assert done.code == 0, done.err
    assert lines(done.err)[1] == told


def test_call_of_a_tool_is_no_answer(run, stand_in):
    stand_in.say({"tool_calls": [{"name": "web_search", "arguments": {"query": "x"}}]})
    done = run("web_search", "Hello")

    assert (done.code, done.out) == (1, "")
    assert "tool" in lines(done.err)[-1]


@pytest.mark.parametrize(
    "args",
    [
        ["--allow", "https://python.org/"],
        ["--exclude", "python.org/news"],
        ["--allow", "a.org", "--exclude", "b.org"],
        ["--results", "many"],
        [],
    ],
    ids=["address", "path", "both", "no-number", "no-question"],
)
def test_wrong_usage_sends_nothing(run, stand_in, args):
    done = run("web_search", *args, *(["Hello"] if args else []))

    assert done.code == 2
    assert stand_in.requests == []
