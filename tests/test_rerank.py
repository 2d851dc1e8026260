"""Proves that rerank orders lines and paragraphs by the server's relevance, and trusts no index."""

import json

import pytest
from conftest import lines
from stand_in import reply

RULES = """\
Lunch is at noon.

Working from home is allowed
on two days of the week.

재택근무는 주 이틀까지 가능합니다.
"""


@pytest.fixture
def rules(tmp_path):
    file = tmp_path / "규칙.txt"
    file.write_text(RULES, encoding="utf-8-sig", newline="\r\n")
    return file


@pytest.fixture
def send(stand_in, monkeypatch):
    """Have the stand-in send this ranking: (index, score) of each document."""

    def send(*pairs, **more):
        results = [{"index": index, "relevance_score": score} for index, score in pairs]
        whole = {"model": "cohere/rerank-v3.5", "results": results, **more}
        monkeypatch.setattr(stand_in, "rerank", lambda call: reply(whole))

    return send


def bodies(stand_in):
    return [call.body for call in stand_in.requests]


def test_lines_of_a_pipe_are_ordered(run, stand_in):
    text = "\ufeffapples\n\n  red pears  \r\n빨간 red apples\n"
    done = run("rerank", "red apples", stdin=text)

    assert done.code == 0, done.err
    assert bodies(stand_in) == [
        {
            "model": "cohere/rerank-v3.5",
            "query": "red apples",
            "documents": ["apples", "red pears", "빨간 red apples"],
        }
    ]
    assert [line.split("  ", 1)[1] for line in done.out.splitlines()] == [
        "빨간 red apples",
        "apples",
        "red pears",
    ]
    assert done.out.startswith("1.000  ")
    assert len(lines(done.err)) == 1
    for fact in ("cohere/rerank-v3.5", "Cohere", "3 documents", "$0.001000"):
        assert fact in done.err


def test_top_is_asked_of_the_server(run, stand_in):
    done = run("rerank", "red apples", "--top", "1", stdin="apples\nred apples\n")

    assert done.code == 0, done.err
    assert bodies(stand_in)[0]["top_n"] == 1
    assert done.out == "1.000  red apples\n"


def test_files_are_named_with_their_lines(run, stand_in, rules, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("Working hours\n")
    done = run("rerank", "재택근무는", str(rules), "--top", "2", str(other))

    assert done.code == 0, done.err
    assert bodies(stand_in)[0]["documents"] == [
        "Lunch is at noon.",
        "Working from home is allowed",
        "on two days of the week.",
        "재택근무는 주 이틀까지 가능합니다.",
        "Working hours",
    ]
    assert f"  {rules}:6  재택근무는 주 이틀까지 가능합니다." in done.out.splitlines()[0]


def test_paragraphs_and_json(run, stand_in, rules):
    done = run("rerank", "home", str(rules), "--paragraphs", "--json", "-m", "acme/order")

    assert done.code == 0, done.err
    assert bodies(stand_in)[0]["model"] == "acme/order"
    assert bodies(stand_in)[0]["documents"] == [
        "Lunch is at noon.",
        "Working from home is allowed\non two days of the week.",
        "재택근무는 주 이틀까지 가능합니다.",
    ]
    first, *_ = json.loads(done.out)
    assert first == {
        "score": 1.0,
        "file": str(rules),
        "line": 3,
        "text": "Working from home is allowed\non two days of the week.",
    }
    assert len(json.loads(done.out)) == 3


def test_paragraph_is_one_line_on_the_screen(run, rules):
    done = run("rerank", "home", str(rules), "--paragraphs")

    assert len(done.out.splitlines()) == 3
    assert "is allowed on two days of the week." in done.out.splitlines()[0]


def test_pipe_among_files(run, stand_in, rules):
    done = run("rerank", "home", "-", str(rules), "--json", stdin="my home\n")

    assert done.code == 0, done.err
    assert bodies(stand_in)[0]["documents"][0] == "my home"
    assert {one["file"] for one in json.loads(done.out)} == {"-", str(rules)}


def test_order_is_by_score_whatever_the_order_of_the_reply(run, send):
    send((0, 0.1), (2, 0.9), (1, 0.5))
    done = run("rerank", "q", stdin="a\nb\nc\n")

    assert done.out == "0.900  c\n0.500  b\n0.100  a\n"
    assert "cost unknown" in done.err


@pytest.mark.parametrize(
    "pairs",
    [
        [(0, 0.9), (3, 0.1)],
        [(-1, 0.9)],
        [(0, 0.9), (0, 0.8)],
        [(None, 0.9)],
        [("0", 0.9)],
        [(1.0, 0.9)],
        [(0, None)],
        [(0, "high")],
        [],
    ],
)
def test_ranking_of_other_documents_is_an_error(run, send, pairs):
    send(*pairs)
    done = run("rerank", "q", stdin="a\nb\nc\n")

    assert done.code == 1
    assert done.out == ""
    assert len(lines(done.err)) == 1
    assert "documents" in done.err


@pytest.mark.parametrize("results", [[{}], ["a"], "text", 5])
def test_results_that_are_none_are_an_error(run, stand_in, monkeypatch, results):
    monkeypatch.setattr(stand_in, "rerank", lambda call: reply({"results": results}))
    done = run("rerank", "q", stdin="a\nb\n")

    assert done.code == 1
    assert len(lines(done.err)) == 1


@pytest.mark.parametrize("text", ["", "\n \n\t\n"])
def test_nothing_to_order_costs_nothing(run, stand_in, text):
    done = run("rerank", "q", stdin=text)

    assert done.code == 2
    assert "nothing to order" in done.err
    assert stand_in.requests == []


@pytest.mark.parametrize("name", ["missing.txt", "old.txt"])
def test_file_that_is_missing_or_no_utf8_costs_nothing(run, stand_in, tmp_path, name):
    (tmp_path / "old.txt").write_bytes("한글".encode("cp949"))
    done = run("rerank", "q", str(tmp_path / name))

    assert done.code == 2
    assert len(lines(done.err)) == 1
    assert stand_in.requests == []


@pytest.mark.parametrize("fault", ["502", "429_upstream", "hang"])
def test_no_retry(run, stand_in, fault):
    stand_in.fail(fault, times=1)
    edit = {"Timeout(120, connect=10)": "Timeout(1, connect=1)"}
    assert run("rerank", "q", stdin="a\n", edit=edit).code == 1
    assert len(stand_in.requests) == 1
