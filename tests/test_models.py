"""Proves that models searches, filters, sorts and prints the catalogue, without a key."""

import json

import pytest
from conftest import lines
from stand_in import listing

QUERIES = [
    (["qwen 3", "--tools", "--structured", "--reasoning"], {"q": "qwen 3"}),
    (["--vision", "--video", "--output", "text"], {"input_modalities": "image,video"}),
    (["--context", "200000", "--max-price", "0.5"], {"context": "200000", "max_price": "0.5"}),
    (["--sort", "price"], {"sort": "pricing-low-to-high"}),
    (["--sort", "intelligence"], {"sort": "intelligence-high-to-low"}),
    (["--sort", "coding"], {"sort": "coding-high-to-low"}),
    (["--zdr"], {"zdr": "true"}),
]


def ids(done):
    assert done.code == 0, done.err
    return [line.split()[0] for line in lines(done.out)]


@pytest.mark.parametrize("key", ["", "test-key"])
def test_table_needs_no_key_and_leaves_out_what_takes_only_batches(run, stand_in, catalogue, key):
    catalogue[:] = [
        listing("acme/하나", "a", "text,image", "text", "0.0000001", "0.000002", ("tools",), 8192),
        listing("acme/two:batch", "b", "text", "text", "0", "0", (), 8192),
        listing("acme/router", "c", "text", "text", "-1", "-1", (), None),
    ]
    done = run("models", key=key)
    assert ids(done) == ["acme/하나", "acme/router"] and "2 models" in done.err
    assert lines(done.out)[0].split()[1:] == ["0.1", "2", "8192", "image", "tools"]
    assert lines(done.out)[1].split()[1:] == ["?", "?", "?"]
    assert "authorization" not in stand_in.requests[0].headers
    assert ids(run("models", "--batch")) == ["acme/two:batch"]


@pytest.mark.parametrize(("args", "query"), QUERIES)
def test_query_reaches_the_server(run, stand_in, args, query):
    assert run("models", *args).code == 0
    assert stand_in.requests[0].query.items() >= query.items()
    if "--tools" in args:
        names = "tools,structured_outputs,reasoning"
        assert stand_in.requests[0].query["supported_parameters"] == names


def test_free_is_told_by_the_price_and_not_by_the_name(run, catalogue):
    catalogue[:] = [
        listing("acme/gratis", "a", "text", "text", "0", "0.0", (), 9),
        listing("acme/paid:free", "b", "text", "text", "0", "0.0001", (), 9),
        listing("acme/router", "c", "text", "text", "-1", "-1", (), 9),
        listing("acme/third", "d", "text", "text", "0", "0", (), 9),
    ]
    catalogue[0]["pricing"]["web_search"] = "0.01"
    assert ids(run("models", "--free")) == ["acme/gratis", "acme/third"]
    assert ids(run("models", "--free", "--limit", "1")) == ["acme/gratis"]


def test_json_is_what_the_api_says_and_nothing_found_is_no_error(run, catalogue):
    catalogue[:] = [listing("acme/하나", "하나", "text", "text", "0", "0", (), 9)]
    done = run("models", "--json")
    assert json.loads(done.out) == catalogue and "하나" in done.out
    done = run("models", "nothing-like-this")
    assert (done.code, done.out) == (0, "") and "0 models" in done.err
