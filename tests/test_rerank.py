"""Proves that rerank orders lines and paragraphs by the scores that came, or says what is wrong."""

import json

import pytest
from conftest import lines
from stand_in import listing

RULES = "Home is allowed.\n\nOffice is\nopen.\n\n휴가는 15일입니다.\n"


def ranking(*pairs):
    return {"results": [{"index": index, "relevance_score": score} for index, score in pairs]}


def asked(stand_in):
    return stand_in.requests[-1].body


def test_lines_of_a_pipe_are_ordered_by_the_cheapest_model(run, stand_in):
    stand_in.reply("/rerank", ranking((0, 0.25), (2, 0.5), (1, 0.125)) | {"usage": {"cost": 1}})
    done = run("rerank", "휴가는?", stdin="\ufeffone\r\n\r\n둘째  줄\nthree {{x}}\n".encode())

    assert (done.code, done.out) == (0, "0.500  three {{x}}\n0.250  one\n0.125  둘째 줄\n")
    assert asked(stand_in)["documents"] == ["one", "둘째  줄", "three {{x}}"]
    assert asked(stand_in)["query"] == "휴가는?" and "top_n" not in asked(stand_in)
    assert stand_in.requests[0].query["output_modalities"] == "rerank"
    choice, facts = lines(done.err)
    assert asked(stand_in)["model"] in choice and "pricing" in choice
    assert "{'cost': 1}" in facts


def test_paragraphs_of_files_and_pipe_as_json(run, stand_in, tmp_path):
    (tmp_path / "규칙.txt").write_text(RULES, encoding="utf-8-sig")
    args = ["규칙.txt", "-", "--paragraphs", "--top", "2", "--json", "-m", "acme/sorter"]
    stand_in.reply("/rerank", ranking((3, 0.9), (1, 0.7)))
    done = run("rerank", "Q", *args, stdin="piped", cwd=tmp_path)

    assert json.loads(done.out) == [
        {"score": 0.9, "file": "-", "text": "piped"},
        {"score": 0.7, "file": "규칙.txt", "text": "Office is\nopen."},
    ]
    assert asked(stand_in)["top_n"] == 2 and asked(stand_in)["model"] == "acme/sorter"
    assert asked(stand_in)["documents"][2] == "휴가는 15일입니다." and "휴가" not in done.err


def test_the_cheapest_that_fits_is_chosen_and_named_before_it_costs(run, stand_in, catalogue):
    prices = {"acme/dear": "0.002", "acme/cheap": "0.001", "acme/router": "-1"}
    prices |= {"acme/cheap:batch": "0.0005"}
    catalogue[:] = [listing(name, name, "text", "rerank", usd, usd) for name, usd in prices.items()]
    catalogue += [listing("acme/chat", "chat", "text", "text", "0", "0")]
    stand_in.fail("502", "/rerank")
    done = run("rerank", "Q", stdin="one\ntwo")
    assert asked(stand_in)["model"] == "acme/cheap"
    assert "acme/cheap" in lines(done.err)[0] and "0.001" in lines(done.err)[0]

    catalogue.append(listing("acme/gratis", "gratis", "text", "rerank", "0", "0"))
    run("rerank", "Q", stdin="one\ntwo")
    assert asked(stand_in)["model"] == "acme/gratis"


@pytest.mark.parametrize(
    "pairs",
    [[(0, 1), (0, 1)], [(2, 1)], [(-1, 1)], [(0, None)], [("0", 1)], [(0, float("nan"))], []],
)
def test_ranking_of_other_documents_is_an_error(run, stand_in, pairs):
    stand_in.reply("/rerank", json.dumps(ranking(*pairs)).encode())
    done = run("rerank", "Q", "-m", "acme/sorter", stdin="one\ntwo")
    assert (done.code, done.out) == (1, "") and len(lines(done.err)) == 2


@pytest.mark.parametrize(("args", "stdin"), [([], " \n\t\n"), (["no.txt"], None), ([], b"\xff")])
def test_nothing_to_order_costs_nothing(run, stand_in, args, stdin):
    done = run("rerank", "Q", *args, stdin=stdin)
    assert (done.code, done.out, stand_in.requests) == (1, "", []) and len(lines(done.err)) == 1
