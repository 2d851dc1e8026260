"""Proves that the stand-in speaks OpenRouter's shapes and refuses what OpenRouter would refuse."""

import asyncio
import base64
import http.client
import io
import json
import time
from urllib.parse import urlsplit

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image
from pydantic import BaseModel, TypeAdapter
from stand_in import (
    FAULTS,
    KEY,
    MANAGEMENT_KEY,
    MP4,
    PARTIAL,
    TEXT,
    differences,
    mistakes,
    png,
    torn,
)

from openrouter import components, operations  # isort: skip

HELLO = [{"role": "user", "content": "Hello"}]
CHAT = {"model": "openrouter/free", "messages": HELLO}
PICTURE = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
PDF = f"data:application/pdf;base64,{base64.b64encode(b'%PDF-1.4 /Type /Page x').decode()}"
SOUND = base64.b64encode(bytes(3200)).decode()
LONG = "A long text about many things. " * 200


@pytest.fixture
def client(stand_in):
    return OpenAI(base_url=stand_in.url, api_key=KEY, max_retries=0, timeout=5)


@pytest.fixture
def get(client):
    return lambda path, **params: client.get(path, cast_to=object, options={"params": params})


@pytest.fixture
def post(client):
    return lambda path, body: client.post(path, cast_to=object, body=body)


class Raw(BaseModel):
    """A reply as it came over the wire; whole is false where it broke off."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True

    @property
    def error(self) -> dict:
        return json.loads(self.body)["error"]

    @property
    def events(self) -> list:
        lines = self.body.decode().split("\n\n")
        return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


@pytest.fixture
def send(stand_in):
    def send(body, path="/chat/completions", method="POST", **headers) -> Raw:
        url = urlsplit(stand_in.url)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=0.5)
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **headers}
        headers = {name: value for name, value in headers.items() if value is not None}
        data = body if isinstance(body, bytes | None) else json.dumps(body)
        connection.request(method, url.path + path, data, headers)
        response = connection.getresponse()
        content, whole = b"", False
        try:
            while piece := response.read1(65536):
                content += piece
                if content.count(b"PROCESSING") > 4 or content.count(b"\n") > 4 + content.count(
                    b'"'
                ):
                    raise TimeoutError  # it would never end
            whole = response.length in (0, None) or response.chunked
        except (http.client.IncompleteRead, TimeoutError):
            pass
        finally:
            connection.close()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Raw(status=response.status, headers=names, body=content, whole=whole)

    return send


# ---------------------------------------------------------------------------- the request checker

WRONG = {
    "top-level field": ({"temprature": 1}, "temprature"),
    "nested field": ({"provider": {"sortt": "price"}}, "provider.sortt"),
    "deeper field": (
        {"plugins": [{"id": "file-parser", "pdf": {"engin": "native"}}]},
        "plugins.0.pdf.engin",
    ),
    "string for a number": ({"max_tokens": "5"}, "max_tokens"),
    "number for a string": ({"provider": {"sort": {"by": 5}}}, "provider.sort.by"),
    "string for a boolean": ({"stream": "true"}, "stream"),
    "number for a boolean": ({"stream": 1}, "stream"),
    "unknown value": ({"provider": {"data_collection": "never"}}, "provider.data_collection"),
    "unknown effort": ({"reasoning": {"effort": "hard"}}, "reasoning.effort"),
    "unknown sort": ({"provider": {"sort": "cheap"}}, "provider.sort"),
    "unknown plugin": ({"plugins": [{"id": "pdf"}]}, "plugins.0"),
    "unknown part": (
        {"messages": [{"role": "user", "content": [{"type": "image", "url": "x"}]}]},
        "messages.0.content.0",
    ),
    "part without its content": (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "messages.0.content.0",
    ),
    "field in a part": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "txt": "y"}]}]},
        "messages.0.content.0.txt",
    ),
    "unknown role": ({"messages": [{"role": "human", "content": "x"}]}, "messages.0"),
    "unknown tool": ({"tools": [{"type": "openrouter:web_serch"}]}, "tools.0"),
    "field of a tool": (
        {"tools": [{"type": "openrouter:web_search", "parameters": {"max_result": 1}}]},
        "tools.0.parameters.max_result",
    ),
    "function without a name": ({"tools": [{"type": "function", "function": {}}]}, "tools.0"),
    "tool choice": ({"tool_choice": "sometimes"}, "tool_choice"),
    "null": ({"metadata": None}, "metadata"),
    "not a price": ({"provider": {"max_price": {"prompt": True}}}, "provider.max_price.prompt"),
    "unknown price": ({"provider": {"max_price": {"input": 1}}}, "provider.max_price.input"),
    "wrong type of a documented field": (
        {"reasoning": {"max_tokens": "9"}},
        "reasoning.max_tokens",
    ),
    "usage.include is gone": ({"usage": {"include": True}}, "usage"),
    "n is not offered": ({"n": 2}, "n"),
    "web plugin field": ({"plugins": [{"id": "web", "max_result": 3}]}, "plugins.0.max_result"),
}


@pytest.mark.parametrize(("change", "path"), WRONG.values(), ids=WRONG)
def test_checker_names_the_field(change, path):
    found = mistakes("chat", {**CHAT, **change})

    assert found
    assert all(one.split(":")[0] == path for one in found), found


def test_checker_names_a_missing_field():
    assert mistakes("chat", {"model": "a/b"}) == ["messages: Field required"]


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        ("image", {"model": "a/b", "prompt": "x", "output_format": "bmp"}, "output_format"),
        ("image", {"model": "a/b", "prompt": "x", "response_format": "url"}, "response_format"),
        ("speech", {"model": "a/b", "input": "x", "response_format": "wav"}, "response_format"),
        ("video", {"model": "a/b", "prompt": "x", "seconds": 4}, "seconds"),
        (
            "embeddings",
            {"model": "a/b", "input": "x", "encoding_format": "int8"},
            "encoding_format",
        ),
        ("rerank", {"model": "a/b", "query": "x", "documents": ["y"], "top_k": 1}, "top_k"),
        ("responses", {"model": "a/b", "input": "x", "store": True}, "store"),
        ("responses", {"model": "a/b", "input": "x", "max_tokens": 5}, "max_tokens"),
        ("batch", {"endpoint": "/v1/chat", "model": "a/b", "requests": []}, "endpoint"),
        ("transcription", {"model": "a/b", "file": "x", "input_audio": {}}, "input_audio"),
    ],
)
def test_checker_knows_the_other_endpoints(kind, body, path):
    assert any(one.startswith(path) for one in mistakes(kind, body)), mistakes(kind, body)


def test_wrong_request_is_refused_and_remembered(stand_in, send):
    reply = send({**CHAT, "provider": {"sortt": "price"}})

    assert reply.status == 400
    assert "provider.sortt" in reply.error["message"]
    assert "provider.sortt" in stand_in.violations[0]
    stand_in.violations.clear()


ASK = {"role": "user", "content": "?"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
JSON_SCHEMA = {"name": "x", "strict": True, "schema": SCHEMA}
THINKING = {"type": "reasoning.text", "text": "x", "format": "unknown", "index": 0}
NOTE = {"type": "file", "file": {"hash": "abc", "name": "a.pdf", "content": []}}


def user(*parts):
    return [{"role": "user", "content": [{"type": "text", "text": "?"}, *parts]}]


VALID = {
    "fallbacks and routing": {
        "models": ["b/c"],
        "provider": {"sort": "price", "data_collection": "deny"},
    },
    "routing": {
        "provider": {
            "order": ["deepinfra/fp8"],
            "only": ["deepinfra", "together"],
            "ignore": ["azure"],
            "allow_fallbacks": False,
            "zdr": True,
            "quantizations": ["fp8"],
            "sort": {"by": "throughput", "partition": "none"},
            "max_price": {"prompt": 0.5, "completion": "1"},
            "preferred_max_latency": {"p90": 3},
            "preferred_min_throughput": 50,
        }
    },
    "structured output": {
        "response_format": {"type": "json_schema", "json_schema": JSON_SCHEMA},
        "provider": {"require_parameters": True},
        "plugins": [{"id": "response-healing"}],
    },
    "reasoning": {"reasoning": {"effort": "high"}},
    "reasoning of the guide": {"reasoning": {"max_tokens": 2000, "exclude": False}},
    "reasoning enabled": {"reasoning": {"enabled": True}},
    "reasoning shorthand": {"reasoning_effort": "low"},
    "web search": {
        "tools": [
            {"type": "openrouter:web_search", "parameters": {"max_results": 3, "max_uses": 2}}
        ]
    },
    "datetime tool": {
        "tools": [{"type": "openrouter:datetime", "parameters": {"timezone": "Asia/Seoul"}}]
    },
    "pdf": {
        "messages": user({"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}),
        "plugins": [{"id": "file-parser", "pdf": {"engine": "cloudflare-ai"}}],
    },
    "pdf again": {"messages": [ASK, {"role": "assistant", "content": "x", "annotations": [NOTE]}]},
    "image": {
        "messages": user({"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}})
    },
    "sound": {
        "messages": user({"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}})
    },
    "context compression": {"plugins": [{"id": "context-compression"}]},
    "prompt caching": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
                    {"type": "text", "text": "?"},
                ],
            }
        ],
        "session_id": "s1",
    },
    "prompt caching, all of it": {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
    "auto router": {
        "model": "openrouter/auto",
        "plugins": [{"id": "auto-router", "cost_tier": "low", "allowed_models": ["openai/*"]}],
    },
    "preset": {"model": "@preset/my-slug"},
    "preset field": {"preset": "my-slug"},
    "function tools": {"tools": [FUNCTION], "tool_choice": "auto", "parallel_tool_calls": False},
    "named tool": {
        "tools": [FUNCTION],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    },
    "tool loop": {
        "messages": [
            ASK,
            {
                "role": "assistant",
                "content": None,
                "reasoning": "x",
                "reasoning_details": [THINKING],
                "refusal": None,
                "tool_calls": [CALL],
            },
            {"role": "tool", "tool_call_id": "c", "content": "1"},
        ],
        "tools": [FUNCTION],
        "max_tool_calls": 3,
    },
    "sampling": {
        "temperature": 0,
        "top_p": 0.9,
        "seed": 1,
        "stop": ["x"],
        "max_tokens": 16,
        "max_completion_tokens": 16,
        "top_k": 5,
        "user": "u",
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "verbosity": "low",
        "trace": {"trace_name": "t", "own": 1},
    },
    "stream options": {"stream": True, "stream_options": {"include_usage": True}},
}


@pytest.mark.parametrize("change", VALID.values(), ids=VALID)
def test_checker_passes_what_the_documentation_shows(send, change):
    assert send({**CHAT, **change}).status == 200


class City(BaseModel):
    name: str
    people: int


def test_checker_passes_what_the_client_sends(stand_in, client):
    chat = client.chat.completions
    more = {"provider": {"require_parameters": True}, "plugins": [{"id": "response-healing"}]}
    parsed = chat.parse(**CHAT, response_format=City, extra_body=more)
    assert parsed.choices[0].message.parsed == City(name="예시", people=1)
    stand_in.say({"content": "x", "reasoning": "why", "tool_calls": [{"name": "f"}]})
    message = chat.create(**CHAT, tools=[FUNCTION]).choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "1"}
    chat.create(model="openrouter/free", messages=[*HELLO, message, result], tools=[FUNCTION])


def test_foreign_headers_are_violations(stand_in):
    headers = {"OpenAI-Organization": "o", "OpenAI-Project": "p", "x-poison": "1"}
    client = OpenAI(base_url=stand_in.url, api_key=KEY, default_headers=headers)
    client.chat.completions.create(**CHAT)

    assert len(stand_in.violations) == 3
    stand_in.violations.clear()


# ----------------------------------------------------------------------------------- chat, in peace


def test_answer(stand_in, client):
    completion = client.chat.completions.create(**CHAT)

    assert completion.choices[0].message.content == TEXT
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model.endswith(":free")
    assert completion.usage.cost == 0
    assert stand_in.requests[0].route == "/chat/completions"
    assert stand_in.requests[0].body == CHAT


def test_stream(send):
    reply = send({**CHAT, "stream": True, "reasoning": {"effort": "high"}})

    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.body.startswith(b": OPENROUTER PROCESSING\n\n")
    assert reply.events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in reply.events[:-1]]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == TEXT
    assert sum(1 for delta in deltas if delta.get("content")) > 2
    assert any("reasoning" in delta for delta in deltas)
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["cost"] == 0


def test_stream_tears_wide_characters_apart():
    first, second = torn("data: 답".encode())

    with pytest.raises(UnicodeDecodeError):
        first.decode()
    assert (first + second).decode() == "data: 답"


def test_scripted_replies(stand_in, client):
    def ask(**more):
        return client.chat.completions.create(**CHAT, **more).choices[0].message

    stand_in.say(["one", {"content": "two"}])
    assert [ask().content for _ in range(3)] == ["one", "two", "two"]
    stand_in.say(lambda request: request["messages"][0]["content"].upper())
    assert ask().content == "HELLO"
    stand_in.say({"tool_calls": [{"name": "f", "arguments": {"a": 1}}, {"name": "g"}]})
    calls = ask(tools=[FUNCTION]).tool_calls
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("f", '{"a": 1}'),
        ("g", "{}"),
    ]
    with pytest.raises(ValueError, match="contnet"):
        stand_in.say({"contnet": "x"})


def test_streamed_tool_calls_come_in_pieces(stand_in, client):
    stand_in.say({"tool_calls": [{"name": "f", "arguments": {"a": 1}}]})
    pieces = [
        call.function.arguments
        for chunk in client.chat.completions.create(**CHAT, stream=True)
        for choice in chunk.choices
        for call in choice.delta.tool_calls or []
    ]
    assert len(pieces) == 3
    assert json.loads("".join(pieces)) == {"a": 1}


def test_router_metadata_only_on_request(send):
    def metadata(body, **headers):
        return json.loads(send(body, **headers).body).get("openrouter_metadata")

    wanted = {"X-OpenRouter-Metadata": "enabled"}
    assert metadata(CHAT) is None
    assert metadata(CHAT, **wanted)["strategy"] == "free"
    assert (
        metadata({**CHAT, "model": "fault/429_upstream"}, **wanted)["attempts"][0]["status"] == 429
    )
    assert metadata({**CHAT, "model": "fault/500"}, **wanted) is None  # masked


def test_fallback_models(stand_in, client):
    body = {"models": ["fault/502", "a/works"]}
    headers = {"X-OpenRouter-Metadata": "enabled"}
    completion = client.chat.completions.create(
        model="fault/429_upstream", messages=HELLO, extra_body=body, extra_headers=headers
    )

    assert completion.model == "a/works"
    attempts = completion.openrouter_metadata["attempts"]
    assert [one["status"] for one in attempts] == [429, 502, 200]
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(
            model="fault/429_day", messages=HELLO, extra_body={"models": ["fault/502"]}
        )


def test_response_cache(client):
    def ask(**more):
        headers = {"X-OpenRouter-Cache": "true"}
        raw = client.chat.completions.with_raw_response.create(
            **CHAT, extra_headers=headers, **more
        )
        return raw.headers["X-OpenRouter-Cache-Status"], raw.parse().usage

    assert ask()[0] == "MISS"
    status, usage = ask()
    assert (status, usage.total_tokens, usage.cost) == ("HIT", 0, 0)
    assert ask(temperature=0)[0] == "MISS"


def test_prompt_cache(client):
    mark = {"cache_control": {"type": "ephemeral"}}

    def ask(question, text):
        parts = [{"type": "text", "text": text}, {"type": "text", "text": question}]
        parts[0] |= mark
        messages = [{"role": "user", "content": parts}]
        usage = client.chat.completions.create(
            model="anthropic/claude-sonnet-4.5", messages=messages
        ).usage
        details = usage.prompt_tokens_details
        return details.cached_tokens, details.cache_write_tokens, usage.cost

    first, second, short = ask("one?", LONG), ask("two?", LONG), ask("one?", "short")
    assert first[0] == 0 < first[1]
    assert second[:2] == (first[1], 0)
    assert second[2] < first[2]
    assert short[:2] == (0, 0)
    mark.clear()  # without marks, what two prompts have in common is read from the cache
    assert ask("one?", LONG)[:2] == (0, 0)
    assert ask("two?", LONG)[0] > 1024


def test_web_search_cites_and_costs(client):
    tools = [{"type": "openrouter:web_search"}]
    completion = client.chat.completions.create(**CHAT, tools=tools)
    citation = completion.choices[0].message.annotations[0].url_citation

    assert citation.url == "https://example.com/1"
    assert completion.usage.server_tool_use == {"web_search_requests": 1}
    assert completion.usage.cost == 0.007


def test_pdf_is_parsed_once(stand_in, client):
    def ask(messages, engine):
        plugins = [{"id": "file-parser", "pdf": {"engine": engine}}]
        return client.chat.completions.create(
            model="deepseek/deepseek-r1", messages=messages, extra_body={"plugins": plugins}
        )

    messages = user({"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}})
    message = ask(messages, "cloudflare-ai").choices[0].message
    assert message.annotations[0].type == "file"
    assert message.annotations[0].file["hash"]
    ask([*messages, message, ASK], "cloudflare-ai")
    assert stand_in.parses == ["cloudflare-ai"]
    assert ask(messages, "mistral-ocr").usage.cost > 0.002
    assert stand_in.parses == ["cloudflare-ai", "mistral-ocr"]


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"model": "gpt-4o"}, 400, "not a valid model ID"),
        ({"model": "openai/text-embedding-3-small"}, 400, "endpoint"),
        ({"model": "deepseek/deepseek-r1", "tools": [FUNCTION]}, 404, "tool use"),
        (
            {
                "model": "deepseek/deepseek-r1",
                "messages": user({"type": "image_url", "image_url": {"url": PICTURE}}),
            },
            404,
            "image input",
        ),
        (
            {
                "messages": user(
                    {"type": "image_url", "image_url": {"url": PICTURE.replace("png", "jpeg")}}
                )
            },
            400,
            "image",
        ),
        (
            {
                "messages": user(
                    {"type": "input_audio", "input_audio": {"data": "data:,x", "format": "wav"}}
                )
            },
            400,
            "base64",
        ),
    ],
)
def test_requests_that_no_model_can_serve(send, change, status, says):
    reply = send({**CHAT, **change})

    assert reply.status == status
    assert says in reply.error["message"]


def test_free_router_picks_by_ability(client):
    picture = user({"type": "image_url", "image_url": {"url": PICTURE}})
    ask = client.chat.completions.create

    assert ask(model="openrouter/free", messages=picture).model == "nvidia/nemotron-nano-omni:free"
    assert ask(**CHAT, tools=[FUNCTION]).model == "upstage/solar-pro-3:free"


def test_many_connections_at_once(stand_in):
    async def ask():
        async with AsyncOpenAI(base_url=stand_in.url, api_key=KEY, timeout=30) as client:
            return await asyncio.gather(
                *(client.chat.completions.create(**CHAT) for _ in range(220))
            )

    stand_in.delay = 0.2
    assert len({completion.id for completion in asyncio.run(ask())}) == 220


# ------------------------------------------------------------------------------------------ faults


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("fault", [name for name in FAULTS if name[0].isdigit()])
def test_fault_with_a_status(send, fault, stream):
    reply = send({**CHAT, "model": f"fault/{fault}", "stream": stream})

    assert reply.status == int(fault[:3])
    assert reply.headers["content-type"] == "application/json"
    assert reply.error["message"]
    assert reply.error.get("code", reply.error.get("http_status")) == reply.status


def test_faults_carry_their_details(stand_in, send):
    stand_in.retry_after = 7

    def error(fault):
        reply = send({**CHAT, "model": f"fault/{fault}"})
        return reply.error, reply.headers

    day, headers = error("429_day")
    assert day["metadata"]["headers"]["X-RateLimit-Reset"] == headers["x-ratelimit-reset"]
    assert int(headers["x-ratelimit-reset"]) % 86_400_000 == 0
    assert 0 < int(headers["x-ratelimit-reset"]) / 1000 - time.time() <= 86_400
    busy, headers = error("429_retry_after")
    assert busy["availability"]["retry_after"] == 7
    assert headers["retry-after"] == "7"
    assert error("503")[1]["retry-after"] == "7"
    assert error("404_policy")[0]["availability"]["excluded_by"] == ["data_policy:training"]
    assert error("404_dead")[0]["availability"]["code"] == "free_variant_ended"
    assert error("400")[0]["availability"]["code"] == "model_not_found"
    assert error("400")[0]["availability"]["fallback_models"]
    assert "code" not in error("400")[0]
    assert error("403")[0]["metadata"]["reasons"] == ["violence"]
    assert error("429_upstream")[0]["metadata"]["provider_name"] == "Chutes"
    assert json.loads(error("502")[0]["metadata"]["raw"])["error"]["message"]


def choice(reply: Raw) -> dict:
    return json.loads(reply.body)["choices"][0]


def test_faults_at_status_200(send):
    def ask(fault):
        reply = send({**CHAT, "model": f"fault/{fault}"})
        assert reply.status == 200
        return reply

    assert ask("error_200").error["code"] == 504
    assert set(json.loads(ask("null_200").body).values()) == {None}
    assert choice(ask("cut"))["finish_reason"] is None
    assert choice(ask("cut"))["message"]["content"] == PARTIAL
    assert choice(ask("finish_error"))["error"]["code"] == 502
    assert choice(ask("finish_error"))["finish_reason"] == "error"
    assert choice(ask("empty"))["message"]["content"] is None
    assert choice(ask("length"))["finish_reason"] == "length"
    assert choice(ask("filtered"))["finish_reason"] == "content_filter"
    eaten = ask("reasoning_ate_it")
    assert choice(eaten)["message"]["content"] is None
    assert choice(eaten)["finish_reason"] == "length"
    usage = json.loads(eaten.body)["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == usage["completion_tokens"]
    assert ask("html").headers["content-type"].startswith("text/html")
    assert ask("empty_body").body == b""
    with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
        json.loads(ask("bad_json").body)


def test_faults_in_a_stream(send):
    def ask(fault):
        reply = send({**CHAT, "model": f"fault/{fault}", "stream": True})
        assert reply.status == 200
        return reply

    def text(reply):
        chunks = [json.loads(event) for event in reply.events if event.endswith("}")]
        deltas = [one["delta"] for chunk in chunks for one in chunk["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)

    broken = ask("mid_stream")
    last = json.loads(broken.events[-1])
    assert last["error"]["message"] and last["choices"][0]["finish_reason"] == "error"
    assert text(broken) == PARTIAL
    cut = ask("cut")
    assert text(cut) == PARTIAL
    assert "[DONE]" not in cut.events and '"stop"' not in cut.body.decode()
    assert cut.whole
    ended = ask("finish_error")
    assert '"finish_reason":"error"' in ended.body.decode()
    assert "error" not in json.loads(ended.events[-3])
    bad = ask("bad_chunk")
    with pytest.raises(ValueError, match="Unterminated"):
        [json.loads(event) for event in bad.events if event != "[DONE]"]
    assert text(bad) == PARTIAL
    alive = ask("keepalive")
    assert not alive.whole and text(alive) == PARTIAL
    assert alive.body.endswith(b": OPENROUTER PROCESSING\n\n")
    dropped = ask("drop")
    assert not dropped.whole and text(dropped) == PARTIAL
    for fault in ("error_200", "bad_json", "empty_body", "null_200"):
        assert ask(fault).headers["content-type"] == "application/json"


def test_faults_of_the_connection(client, send):
    with pytest.raises(http.client.RemoteDisconnected):
        send({**CHAT, "model": "fault/drop_headers"})
    with pytest.raises(TimeoutError):
        send({**CHAT, "model": "fault/hang"})
    assert not send({**CHAT, "model": "fault/drop"}).whole
    alive = send({**CHAT, "model": "fault/keepalive"})
    assert not alive.whole and alive.body.strip() == b""
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(model="fault/hang", messages=HELLO)


def test_fail_takes_a_path_and_a_number(stand_in, client, get):
    stand_in.fail("429_day", times=1)
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(**CHAT)
    client.chat.completions.create(**CHAT)
    stand_in.fail("500", path="/key")
    client.chat.completions.create(**CHAT)
    with pytest.raises(openai.InternalServerError):
        get("/key")
    with pytest.raises(ValueError, match="no fault"):
        stand_in.fail("418")


def test_fault_that_cannot_happen_is_loud(stand_in, get):
    stand_in.fail("length")
    with pytest.raises(openai.InternalServerError, match="cannot reach"):
        get("/key")
    stand_in.violations.clear()


@pytest.mark.parametrize("fault", [name for name, fault in FAULTS.items() if fault.reach == "any"])
def test_faults_reach_other_endpoints(stand_in, get, client, fault):
    stand_in.fail(fault)
    with pytest.raises(Exception) as error:
        reply = client.with_options(timeout=0.3).get("/key", cast_to=object)
        assert reply["data"]
    assert not isinstance(error.value, pytest.fail.Exception)


# --------------------------------------------------------------------------------------- catalogue


def ids(page) -> list[str]:
    return [model["id"] for model in page["data"]]


def test_models(client, get):
    everything = get("/models", output_modalities="all")
    assert everything["total_count"] == len(everything["data"]) > 14
    assert [model.id for model in client.models.list()] == ids(get("/models"))
    assert "openai/whisper-large-v3" not in ids(get("/models"))
    speakers = get("/models", output_modalities="speech")["data"]
    assert speakers and all(model["supported_voices"] for model in speakers)
    tools = get("/models", supported_parameters="tools,structured_outputs")
    assert "deepseek/deepseek-r1" not in ids(tools) and "openrouter/free" in ids(tools)
    assert ids(get("/models", input_modalities="audio,image", q="gemini")) == [
        "google/gemini-2.5-flash"
    ]
    assert ids(get("/models", context=1_000_000, min_price=1)) == ["anthropic/claude-sonnet-4.5"]
    free = get("/models", max_price=0)
    assert "openai/gpt-5-mini" not in ids(free) and "openrouter/auto" in ids(free)  # priced -1
    page = get("/models", sort="newest", limit=2, offset=2)
    assert ids(page) == ids(get("/models", sort="newest"))[2:4]
    assert page["links"]["next"]


@pytest.mark.parametrize("query", ["free=true", "sort=cheapest", "limit=many", "max_price=low"])
def test_models_refuses_an_unknown_query(stand_in, send, query):
    assert send(None, f"/models?{query}", "GET").status == 400
    assert stand_in.violations
    stand_in.violations.clear()


def test_one_model(get):
    assert get("/model/upstage/solar-pro-3:free")["data"]["id"] == "upstage/solar-pro-3:free"
    with pytest.raises(openai.NotFoundError):
        get("/model/acme/none")


def test_catalogue_needs_no_key(send):
    def status(path):
        return send(None, path, "GET", Authorization=None).status

    assert status("/models") == 200
    assert status("/models/openai/gpt-5-mini/endpoints") == 200


# ----------------------------------------------------------------------------------------- account


def test_keys(stand_in, client, get):
    stand_in.key_info = {"limit_remaining": 0}
    data = get("/key")["data"]
    assert data["limit_remaining"] == 0
    assert data["free_model_daily_requests"]["remaining"] == 988
    with pytest.raises(openai.PermissionDeniedError):
        get("/credits")
    management = client.with_options(api_key=MANAGEMENT_KEY)
    assert management.get("/credits", cast_to=object)["data"]["total_credits"] == 25
    with pytest.raises(openai.PermissionDeniedError):
        management.chat.completions.create(**CHAT)
    with pytest.raises(openai.AuthenticationError, match="User not found"):
        client.with_options(api_key="wrong").chat.completions.create(**CHAT)


def test_request_without_a_key(stand_in, send):
    assert send(CHAT, Authorization=None).status == 401
    assert stand_in.violations.pop() == "POST /chat/completions: no Authorization header"


def test_generation(stand_in, client, get):
    stand_in.generation_misses = 1
    id = client.chat.completions.create(**CHAT).id
    with pytest.raises(openai.NotFoundError):
        get("/generation", id=id)
    assert get("/generation", id=id)["data"]["provider_name"] == "Chutes"


# --------------------------------------------------------------------------------------- responses


def test_responses(client):
    response = client.responses.create(model="openrouter/free", input="Hello")
    assert (response.status, response.output_text) == ("completed", TEXT)
    assert response.usage.cost == 0
    form = client.responses.parse(model="a/b", input="Hello", text_format=City)
    assert form.output_parsed.name == "예시"


def test_responses_stream(client):
    events = list(client.responses.create(model="a/b", input="Hello", stream=True))

    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == TEXT


def test_responses_tool_calls(stand_in, client):
    stand_in.say({"tool_calls": [{"name": "f", "arguments": {"a": 1}}]})
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": None}
    response = client.responses.create(model="a/b", input="Hello", tools=[tool])
    (call,) = response.output
    assert (call.type, call.name, call.arguments) == ("function_call", "f", '{"a": 1}')
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "1"}
    question = {"role": "user", "content": "Hello"}
    client.responses.create(model="a/b", input=[question, call, result], tools=[tool])


def test_responses_faults(client):
    def ask(fault, **more):
        return client.responses.create(model=f"fault/{fault}", input="Hello", **more)

    failed = ask("finish_error")
    assert (failed.status, failed.error.code) == ("failed", "server_error")
    assert failed.error_type == "provider_unavailable"
    assert (ask("length").status, ask("length").output_text) == ("incomplete", PARTIAL)
    assert ask("reasoning_ate_it").output_text == ""
    assert ask("empty").output == []
    assert ask("null_200").output is None
    assert ask("error_200").output is None
    assert list(ask("finish_error", stream=True))[-1].type == "response.failed"
    assert list(ask("length", stream=True))[-1].type == "response.incomplete"
    assert list(ask("cut", stream=True))[-1].type == "response.output_text.delta"
    with pytest.raises(openai.APIError, match="engine crashed"):
        list(ask("mid_stream", stream=True))
    with pytest.raises(ValueError, match="Unterminated"):
        list(ask("bad_chunk", stream=True))


def test_responses_is_stateless(stand_in, client):
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="a/b", input="Hello", previous_response_id="r")
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="a/b", input="Hello", store=True)
    assert len(stand_in.violations) == 2
    stand_in.violations.clear()


# ------------------------------------------------------------------------------------ find and make


def test_embeddings_put_like_near_like(client):
    def ask(*texts, **more):
        reply = client.embeddings.create(model="a/embed", input=texts, **more)
        return [item.embedding for item in reply.data]

    cat, kitten, tax = ask("the cat sleeps", "a cat slept", "tax law", encoding_format="float")

    def near(one, other):
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert near(cat, kitten) > 2 * near(cat, tax)
    assert near(cat, cat) == pytest.approx(1, abs=1e-3)
    assert ask("the cat sleeps", encoding_format="float") == [cat]
    assert ask("the cat sleeps")[0] == pytest.approx(cat, abs=1e-6)  # base64, the client's default
    assert len(ask("x", dimensions=8)[0]) == 8


def test_rerank(post):
    documents = ["about taxes", "서울의 봄 날씨", {"text": "seoul weather"}]
    body = {"model": "cohere/rerank-v3.5", "query": "Seoul weather", "documents": documents}
    results = post("/rerank", {**body, "top_n": 2})["results"]

    assert results[0]["index"] == 2
    assert results[0]["document"] == {"text": "seoul weather"}
    assert results[0]["relevance_score"] > results[1]["relevance_score"]
    assert len(results) == 2


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_images(post, format):
    body = {"model": "bytedance-seed/seedream-4.5", "prompt": "x", "n": 2, "output_format": format}
    reply = post("/images", body)

    assert len(reply["data"]) == 2
    assert reply["data"][0]["media_type"] == f"image/{format}"
    data = base64.b64decode(reply["data"][0]["b64_json"])
    assert Image.open(io.BytesIO(data)).format.lower() == format
    assert reply["usage"]["cost"] == 0.08


def test_images_refuses(stand_in, client, post):
    with pytest.raises(openai.BadRequestError, match="contradicts"):
        post("/images", {"model": "a/b", "prompt": "x", "size": "64x64", "resolution": "1K"})
    with pytest.raises(openai.BadRequestError, match="image output"):
        post("/images", {"model": "openai/gpt-5-mini", "prompt": "x"})
    assert stand_in.violations == []
    with pytest.raises(openai.NotFoundError):
        client.images.generate(model="a/b", prompt="x")
    with pytest.raises(openai.NotFoundError):
        client.images.edit(model="a/b", prompt="x", image=png())
    with pytest.raises(openai.BadRequestError):
        client.post("/images", cast_to=object, body={"a": "b"}, files={"image": png()})
    assert len(stand_in.violations) == 3
    stand_in.violations.clear()


def test_speech(client):
    def say(**more):
        model = "openai/gpt-4o-mini-tts-2025-12-15"
        return client.audio.speech.create(model=model, input="Hello", **more)

    mp3 = say(voice="alloy", response_format="mp3")
    assert mp3.response.headers["content-type"] == "audio/mpeg"
    assert mp3.content.startswith(b"\xff\xfb")
    assert say(voice="alloy").response.headers["content-type"].startswith("audio/pcm")
    with pytest.raises(openai.BadRequestError, match="alloy"):
        say(voice="nobody")


def test_transcriptions(stand_in, client, post):
    create, file = client.audio.transcriptions.create, ("a.wav", bytes(3200))
    model = "openai/whisper-large-v3"

    assert create(model=model, file=file, language="ko", temperature=0.5).text
    assert create(model=model, file=file).usage.seconds == 0.1
    words = create(
        model=model, file=file, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert words.segments[0].text == stand_in.transcript and words.words[0].word == "안녕하세요."
    body = {"model": model, "input_audio": {"data": SOUND, "format": "wav"}}
    assert post("/audio/transcriptions", body)["text"] == stand_in.transcript
    with pytest.raises(openai.BadRequestError, match="format"):
        create(model=model, file=bytes(3200))
    with pytest.raises(openai.APIStatusError, match="25 MB"):
        create(model=model, file=("a.mp3", bytes(25 * 1024 * 1024 + 1)))
    assert stand_in.violations == []
    with pytest.raises(openai.BadRequestError, match="srt"):
        create(model=model, file=file, response_format="srt")
    assert stand_in.violations
    stand_in.violations.clear()


def test_videos(stand_in, client, post, get):
    stand_in.video_states = ["pending", "in_progress", "completed"]
    job = post("/videos", {"model": "google/veo-3.1", "prompt": "x", "duration": 4})
    assert job["status"] == "pending"
    path = f"/videos/{job['id']}"
    with pytest.raises(openai.NotFoundError):
        get(f"{path}/content")
    assert [get(path)["status"] for _ in range(4)] == [
        "pending",
        "in_progress",
        "completed",
        "completed",
    ]
    assert get(path)["usage"]["cost"] == 0.25
    content = client.get(
        f"{path}/content",
        cast_to=openai.HttpxBinaryResponseContent,
        options={"params": {"index": 0}},
    )
    assert content.content == MP4
    stand_in.video_states = ["failed"]
    job = post("/videos", {"model": "google/veo-3.1", "prompt": "x"})
    assert get(f"/videos/{job['id']}")["error"] == stand_in.video_error


@pytest.mark.parametrize("version", ["beta", "v1"])  # the guide's path, and the package's
def test_batches(stand_in, client, version):
    beta = client.with_options(base_url=stand_in.url.replace("v1", version))
    stand_in.item_errors = {"b": "overloaded"}
    stand_in.say(lambda request: request["messages"][0]["content"] + "!")
    items = [
        {"custom_id": name, "body": {"messages": [{"role": "user", "content": name}]}}
        for name in "abc"
    ]
    body = {"endpoint": "/v1/chat/completions", "model": "a/b", "requests": items}
    batch = beta.post("/batches", cast_to=object, body=body)
    assert (batch["status"], batch["results"]) == ("validating", None)
    for status in ("in_progress", "finalizing", "completed"):
        batch = beta.batches.retrieve(batch["id"] if isinstance(batch, dict) else batch.id)
        assert batch.status == status
    results = {one["custom_id"]: one for one in batch.results}
    assert [one["custom_id"] for one in batch.results] != ["a", "b", "c"]
    answer = results["a"]["response"]["body"]["choices"][0]["message"]["content"]
    assert answer == "a!" and results["a"]["error"] is None
    assert results["b"]["error"]["message"] == "overloaded" and results["b"]["response"] is None
    assert batch.request_counts.failed == 1
    listed = beta.get("/batches", cast_to=object)
    assert [one["id"] for one in listed["data"]] == [batch.id]
    assert beta.delete(f"/batches/{batch.id}", cast_to=object)["id"] == batch.id


def test_batches_refuse(stand_in, client):
    beta = client.with_options(base_url=stand_in.url.replace("v1", "beta"))

    def submit(requests, endpoint="/v1/chat/completions"):
        body = {"endpoint": endpoint, "model": "a/b", "requests": requests}
        return beta.post("/batches", cast_to=object, body=body)

    item = {"custom_id": "1", "body": {"messages": HELLO}}
    with pytest.raises(openai.BadRequestError, match="custom_id"):
        submit([item, item])
    with pytest.raises(openai.BadRequestError, match="custom_id"):
        submit([])
    with pytest.raises(openai.BadRequestError, match="model"):
        submit([{**item, "body": {**item["body"], "model": "c/d"}}])
    assert stand_in.violations == []
    with pytest.raises(openai.BadRequestError, match=r"requests\.0\.body\.temprature"):
        submit([{**item, "body": {**item["body"], "temprature": 1}}])
    with pytest.raises(openai.BadRequestError, match="before requests"):
        beta.post(
            "/batches",
            cast_to=object,
            body={"requests": [item], "endpoint": "/v1/chat/completions", "model": "a/b"},
        )
    assert len(stand_in.violations) == 2
    stand_in.violations.clear()


# ------------------------------------------------------------------------------------ wrong places


def test_wrong_places(stand_in, send):
    missing = send(CHAT, "/chat/completion")
    assert (missing.status, missing.error["message"]) == (404, "Not Found")
    assert send(None, "/models/openai%2Fgpt-5-mini", "GET").status == 404  # models.retrieve()
    assert send(None, "/chat/completions", "GET").status == 404
    assert len(stand_in.violations) == 3
    stand_in.violations.clear()
    outside = send(CHAT, "/../../chat/completions")
    assert outside.status == 404 or outside.headers["content-type"].startswith("text/html")
    stand_in.violations.clear()


def test_wrong_base_url_is_a_page(stand_in):
    client = OpenAI(base_url=stand_in.url.removesuffix("/api/v1"), api_key=KEY, max_retries=0)
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(**CHAT)
    assert error.value.body.startswith("<!DOCTYPE html>")


# --------------------------------------------------------------- its replies, by the official types

# What the types lack, and the page that shows it.
UNTYPED = {
    "provider",  # api_reference/overview.mdx
    "choices.*.native_finish_reason",  # api_reference/overview.mdx
    "choices.*.message.annotations",  # guides/overview/multimodal/pdfs.mdx
    "choices.*.delta.annotations",  # guides/features/plugins/web-search.mdx
    "choices.*.error",  # api_reference/errors-and-debugging.mdx
    "usage.server_tool_use",  # guides/features/server-tools/web-search.mdx
    "usage.completion_tokens_details.image_tokens",  # cookbook/administration/usage-accounting.mdx
    "error.metadata.provider_name",  # seen live
}


def fits(kind, data) -> None:
    """The type takes the reply, and knows all of it but what only the pages show."""
    kept = TypeAdapter(kind).validate_python(data)
    documented = dict.fromkeys(UNTYPED, object)
    assert list(differences(data, kept, "", documented)) == []


def test_replies_fit_the_official_types(stand_in, send, get, post, client):
    search = {**CHAT, "tools": [{"type": "openrouter:web_search"}], "reasoning": {"effort": "low"}}
    wanted = {"X-OpenRouter-Metadata": "enabled"}
    for body in (CHAT, search, {**CHAT, "model": "fault/finish_error"}):
        fits(components.ChatResult, json.loads(send(body, **wanted).body))
    for model in ("openrouter/free", "fault/mid_stream", "fault/finish_error"):
        reply = send({**search, "model": model, "stream": True}, **wanted)
        for event in reply.events:
            if event != "[DONE]":
                fits(components.ChatStreamChunk, json.loads(event))
    fits(components.ModelsListResponse, get("/models", output_modalities="all"))
    fits(components.ModelsListResponse, get("/models/user"))
    fits(components.ModelsListResponse, get("/embeddings/models"))
    fits(components.ModelsCountResponse, get("/models/count"))
    fits(components.ModelResponse, get("/model/openai/gpt-5-mini"))
    fits(components.ImageModelsListResponse, get("/images/models"))
    fits(components.VideoModelsListResponse, get("/videos/models"))
    offers = get("/models/openai/gpt-5-mini/endpoints")
    fits(operations.ListEndpointsResponse, offers)
    fits(operations.GetCurrentKeyResponse, get("/key"))
    id = client.chat.completions.create(**CHAT).id
    fits(components.GenerationResponse, get("/generation", id=id))
    embedding = {"model": "a/b", "input": "x", "encoding_format": "float"}
    fits(operations.CreateEmbeddingsResponseBody, post("/embeddings", embedding))
    ranking = {"model": "a/b", "query": "x", "documents": ["x", "y"]}
    fits(operations.CreateRerankResponseBody, post("/rerank", ranking))
    image = {"model": "a/b", "prompt": "x"}
    fits(components.ImageGenerationResponse, post("/images", image))
    for format in ("json", "verbose_json"):
        sound = {"model": "a/b", "input_audio": {"data": SOUND, "format": "wav"}}
        fits(
            components.STTResponse,
            post("/audio/transcriptions", sound | {"response_format": format}),
        )
    job = post("/videos", image)
    fits(components.VideoGenerationResponse, job)
    for _ in range(2):
        fits(components.VideoGenerationResponse, get(f"/videos/{job['id']}"))


def test_response_replies_fit_the_official_types(stand_in, send):
    stand_in.say({"content": "x", "reasoning": "y", "tool_calls": [{"name": "f"}]})
    body = {"model": "a/b", "input": "x"}
    for fault in ("", "finish_error", "length", "filtered", "reasoning_ate_it"):
        one = {**body, "model": f"fault/{fault}"} if fault else body
        fits(components.OpenResponsesResult, json.loads(send(one, "/responses").body))
        for event in send({**one, "stream": True}, "/responses").events:
            if event != "[DONE]":
                fits(components.StreamEvents, json.loads(event))


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/chat/completions", {"messages": HELLO}),
        ("/v1/responses", {"input": "x"}),
        ("/v1/embeddings", {"input": ["x", "y"]}),
    ],
)
def test_batch_replies_fit_the_official_types(stand_in, client, endpoint, body):
    beta = client.with_options(base_url=stand_in.url.replace("v1", "beta"))
    stand_in.item_errors = {"2": "overloaded"}
    items = [{"custom_id": name, "body": body} for name in "123"]
    whole = {"endpoint": endpoint, "model": "a/b", "requests": items}
    batch = beta.post("/batches", cast_to=object, body=whole)
    while batch["status"] != "completed":
        fits(components.BatchObject, batch)
        batch = beta.get(f"/batches/{batch['id']}", cast_to=object)
    fits(components.BatchObject, batch)
    assert batch["usage"]["cost"] > 0
    fits(components.BatchListResponse, beta.get("/batches", cast_to=object))


def test_every_fault_says_what_is_expected():
    for name, fault in FAULTS.items():
        assert fault.says, name
        assert fault.reach in ("any", "json", "completion", "stream")
        assert fault.partial in ("", "stream", "always")
