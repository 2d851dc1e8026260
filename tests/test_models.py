"""Proves that models searches, filters, sorts and prints the catalogue, without a key."""

import json

import pytest
from conftest import lines
from stand_in import BY_ID, listing, select

FREE = {
    "openrouter/free",
    "meta-llama/llama-3.2-3b-instruct:free",
    "upstage/solar-pro-3:free",
    "nvidia/nemotron-nano-omni:free",
}
ROOMY_CHEAP = ["--context", "200000", "--max-price", "0.5", "--sort", "price"]
VISION = {"input_modalities": "image"}
HEAD = ["model", "$", "in", "$", "out", "context", "takes", "does"]


def offer(model, prompt="0", completion="0"):
    return listing(model, model, "text", "text", prompt, completion)


def listed(done):
    """The ids in the table, which must be whole."""
    assert done.code == 0, done.err
    head, *rows = done.out.splitlines()
    assert head.split() == HEAD
    return [row.split()[0] for row in rows]


def row_of(done, model):
    (row,) = (line for line in done.out.splitlines() if line.split()[0] == model)
    return row.split()[1:]


@pytest.mark.parametrize("key", ["", "test-key"], ids=["absent", "set"])
def test_no_key_is_needed_and_none_is_sent(run, stand_in, key):
    done = run("models", key=key)

    assert done.code == 0, done.err
    assert len(lines(done.out)) == 1 + len(select({}))
    assert stand_in.requests[0].method == "GET"
    assert stand_in.requests[0].route == "/models"
    assert "authorization" not in stand_in.requests[0].headers


def test_table_tells_prices_per_million_context_and_abilities(run):
    done = run("models", env={"COLUMNS": "200"})

    assert listed(done) == [entry["id"] for entry in select({})]
    assert row_of(done, "openai/gpt-5-mini") == [
        "0.25", "2", "400,000", "file", "image", "tools", "json", "reasoning",
    ]  # fmt: skip
    assert row_of(done, "anthropic/claude-sonnet-4.5")[:3] == ["3", "15", "1,000,000"]
    assert row_of(done, "deepseek/deepseek-r1") == ["0.7", "2.5", "163,840", "reasoning"]
    assert row_of(done, "meta-llama/llama-3.2-3b-instruct:free") == ["free", "free", "131,072"]
    assert row_of(done, "openrouter/auto")[:2] == ["?", "?"], "a price that varies is not -1000000"
    assert done.err == f"[{len(select({}))} models]\n"


@pytest.mark.parametrize("kind", ["text", "all"])
def test_table_fits_the_terminal(run, kind):
    done = run("models", "--output", kind, env={"COLUMNS": "80"})

    assert max(map(len, done.out.splitlines())) <= 80
    assert len(lines(done.out)) == 1 + len(select({"output_modalities": kind}))


def test_columns_are_aligned(run):
    out = run("models", env={"COLUMNS": "120"}).out
    head, *rows = out.splitlines()
    end = head.index("context") + len("context")

    assert all(row[end - 1].isdigit() and row[end : end + 1] in ("", " ") for row in rows)


@pytest.mark.parametrize(
    ("args", "query"),
    [
        ([], {}),
        (["번역"], {"q": "번역"}),
        (["--output", "embeddings"], {"output_modalities": "embeddings"}),
        (["--sort", "context"], {"sort": "context-high-to-low"}),
        (["--sort", "newest"], {"sort": "newest"}),
        (["--sort", "throughput", "--vision"], {"sort": "throughput-high-to-low", **VISION}),
        (
            ["gpt", "--tools", "--structured", "--reasoning", "--vision", *ROOMY_CHEAP],
            {
                "q": "gpt",
                "supported_parameters": "tools,structured_outputs,reasoning",
                "context": "200000",
                "max_price": "0.5",
                "sort": "pricing-low-to-high",
                **VISION,
            },
        ),
    ],
)
def test_query_that_reaches_the_server(run, stand_in, args, query):
    done = run("models", *args)

    assert done.code == 0, done.err
    assert len(stand_in.requests) == 1
    assert stand_in.requests[0].query == query


def test_order_of_the_server_is_kept(run):
    cheap = listed(run("models", "--sort", "price", env={"COLUMNS": "200"}))
    wide = listed(run("models", "--sort", "context", env={"COLUMNS": "200"}))

    assert cheap.index("openai/gpt-5-mini") < cheap.index("anthropic/claude-sonnet-4.5")
    assert wide[0] == "openrouter/auto"


def test_free_is_told_by_the_price_and_not_by_the_name(run, catalogue):
    catalogue += [
        offer("acme/gift", "0", "0"),
        offer("acme/lure:free", "0.000001", "0.000002"),
        offer("acme/half", "0", "0.000001"),
        offer("acme/zeros", "0.0000", "0"),
    ]
    done = run("models", "--free", env={"COLUMNS": "200"})

    assert set(listed(done)) == FREE | {"acme/gift", "acme/zeros"}
    assert done.err == f"[{len(FREE) + 2} models]\n"


def test_free_and_limit_together(run, stand_in):
    done = run("models", "--free", "--limit", "3", env={"COLUMNS": "200"})

    assert len(listed(done)) == 3
    assert set(listed(done)) <= FREE


@pytest.mark.parametrize("kind", ["image", "rerank"])
def test_free_model_costs_nothing_at_all(run, kind):
    done = run("models", "--free", "--json", "--output", kind)
    for model in json.loads(done.out):
        costs = {name: usd for name, usd in model["pricing"].items() if float(usd) > 0}
        assert costs == {}, f"{model['id']} is not free"


def test_json_is_what_the_api_says(run):
    done = run("models", "--json", "--limit", "5", "--tools")

    assert done.code == 0
    models = json.loads(done.out)
    assert len(models) == 5
    for model in models:
        assert model == BY_ID[model["id"]]
    assert done.err == "[5 models]\n"


def test_nothing_found_is_an_empty_table(run):
    done = run("models", "no-model-has-this-name")

    assert (done.code, done.out, done.err) == (0, "", "[0 models]\n")
    assert run("models", "no-model-has-this-name", "--json").out == "[]\n"


def test_fields_that_are_missing_do_not_matter(run, catalogue):
    catalogue[1:] = [
        offer("acme/bare") | {"context_length": None, "pricing": {}, "supported_parameters": []},
        offer("acme/null") | {"pricing": None, "supported_parameters": None},
    ]
    done = run("models", env={"COLUMNS": "200"})

    assert row_of(done, "acme/bare") == ["?", "?", "0"]
    assert row_of(done, "acme/null")[:2] == ["?", "?"]


def test_address_of_a_web_page_is_told(run, stand_in):
    done = run("models", base_url=stand_in.url.removesuffix("/api/v1"))

    assert done.code == 1
    assert len(lines(done.err)) == 1
    stand_in.fail("html")
    done = run("models")
    assert done.code == 1
    assert len(lines(done.err)) == 1
    assert "OPENROUTER_BASE_URL" in done.err


@pytest.mark.parametrize("args", [["--sort", "size"], ["--limit", "x"], ["--max-price", "cheap"]])
def test_wrong_option_is_refused(run, stand_in, args):
    assert run("models", *args).code == 2
    assert stand_in.requests == []
