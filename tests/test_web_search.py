"""Proves that web_search searches, numbers its sources, and says before and after what it costs."""

from conftest import lines
from stand_in import TEXT

KOREAN = '오늘의 소식은? 🙂 "{{x}}" $5'
WARNING = "[up to 3 searches, most cost $0.007 each]"


def note(url, title=None):
    return {"type": "url_citation", "url_citation": {"url": url, "title": title}}


def test_answer_comes_with_numbered_sources_and_the_cost(run, stand_in):
    done = run("web_search", KOREAN)

    assert done.code == 0, done.err
    assert done.out == (
        f"{TEXT}\n\n"
        "[1] 예시 페이지 1 https://example.com/1\n"
        "[2] 예시 페이지 2 https://example.com/2\n"
    )
    (request,) = stand_in.requests
    assert request.body["model"] == "openrouter/free"
    assert [message["role"] for message in request.body["messages"]] == ["system", "user"]
    assert request.body["messages"][1]["content"] == KOREAN
    tool = {"type": "openrouter:web_search", "parameters": {"max_uses": 3}}
    assert request.body["tools"] == [tool]
    before, facts = lines(done.err)
    assert before == WARNING
    assert '"web_search_requests":1' in facts and '"cost":0.007' in facts


def test_domains_hold_for_searching_and_for_fetching(run, stand_in):
    domains = ["python.org", "www.python.org"]
    run("web_search", "Hello", "--allow", domains[0], "--allow", domains[1], "--fetch")

    parameters = {"max_uses": 3, "allowed_domains": domains}
    assert stand_in.requests[0].body["tools"] == [
        {"type": "openrouter:web_search", "parameters": parameters},
        {"type": "openrouter:web_fetch", "parameters": parameters},
    ]


def test_each_page_is_named_once_in_the_order_of_the_answer(run, stand_in):
    notes = [
        note("https://b.org/2", "둘째\n 페이지"),
        note("https://a.org/1"),
        note("https://b.org/2", "Again"),
        {"type": "file", "file": {"hash": "1", "name": "a.pdf", "content": []}},
    ]
    stand_in.say({"content": "An answer.", "annotations": notes})
    done = run("web_search", "Hello")

    assert done.out == "An answer.\n\n[1] 둘째 페이지 https://b.org/2\n[2] https://a.org/1\n"


def test_answer_without_a_search_has_no_sources_and_unknown_counts(run, stand_in):
    usage = {"server_tool_use_details": None, "cost_details": None}
    stand_in.say({"content": "From memory.", "annotations": [], "usage": usage})
    done = run("web_search", "Hello")

    assert (done.code, done.out) == (0, "From memory.\n"), done.err


def test_warning_comes_before_the_request(run, stand_in):
    stand_in.fail("402")
    done = run("web_search", "Hello")

    assert (done.code, done.out) == (1, "")
    assert lines(done.err)[0] == WARNING
    assert "402" in lines(done.err)[1]


def test_call_of_a_tool_is_no_answer(run, stand_in):
    wanted = [{"name": "web_search", "arguments": {"query": "x"}}]
    stand_in.say({"content": "Let me look.", "tool_calls": wanted})
    done = run("web_search", "Hello")

    assert (done.code, done.out) == (1, "Let me look.\n")
    assert "tool" in lines(done.err)[-1]
