"""Proves that the stand-in speaks OpenRouter's shapes and refuses what OpenRouter would refuse."""

import base64
import hashlib
import http.client
import io
import json
import re
import time
import urllib.request
from contextlib import closing, suppress
from urllib.parse import urlsplit

import openai
import pytest
from openai import OpenAI
from PIL import Image
from pydantic import BaseModel, TypeAdapter
from stand_in import FAULTS, KEY, MANAGEMENT_KEY, NEW_KEY, PARTIAL, TEXT, differences, mistakes
from stand_in import png as picture

from openrouter import components, operations  # isort: skip

HELLO = [{"role": "user", "content": "Hello"}]
CHAT = {"model": "openrouter/free", "messages": HELLO}
PICTURE = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
SOUND = base64.b64encode(bytes(3200)).decode()
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.fixture
def client(stand_in):
    return OpenAI(base_url=stand_in.url, api_key=KEY, max_retries=0, timeout=5)


@pytest.fixture
def get(client):
    return lambda path, **params: client.get(path, cast_to=object, options={"params": params})


@pytest.fixture
def post(client):
    return lambda path, **body: client.post(path, cast_to=object, body=body)


class Raw(BaseModel):
    """A reply as it came over the wire; whole is false where it broke off or did not end."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        return re.findall(r"^data: (.*)$", self.body.decode(), re.MULTILINE)

    @property
    def text(self) -> str:
        chunks = [json.loads(event) for event in self.events if event.endswith("}")]
        deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)


@pytest.fixture
def send(stand_in):
    """send(body, path, method, header=…) -> Raw: a request without the client's help."""

    def send(body, path="/chat/completions", method="POST", **headers) -> Raw:
        url = urlsplit(stand_in.url)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=0.5)
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **headers}
        headers = {name: value for name, value in headers.items() if value is not None}
        connection.request(method, url.path + path, json.dumps(body), headers)
        response = connection.getresponse()
        content, whole, end = b"", False, time.monotonic() + 0.5
        with suppress(http.client.IncompleteRead, TimeoutError), closing(connection):
            while (piece := response.read1(65536)) and time.monotonic() < end:
                content += piece
            whole = not piece and (response.length in (0, None) or response.chunked)
        names = {name.lower(): value for name, value in response.getheaders()}
        return Raw(status=response.status, headers=names, body=content, whole=whole)

    return send


# ---------------------------------------------------------------------------- the request checker

WRONG = [
    ({"temprature": 1}, "temprature"),
    ({"provider": {"sortt": "price"}}, "provider.sortt"),
    ({"plugins": [{"id": "file-parser", "pdf": {"engin": "x"}}]}, "plugins.0.pdf.engin"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"stream": 1}, "stream"),
    ({"provider": {"data_collection": "never"}}, "provider.data_collection"),
    ({"reasoning": {"max_tokens": "9"}}, "reasoning.max_tokens"),
    ({"plugins": [{"id": "pdf"}]}, "plugins.0"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0"),
    ({"messages": [{"role": "human", "content": "x"}]}, "messages.0"),
    ({"tools": [{"type": "openrouter:web_serch"}]}, "tools.0"),
    ({"metadata": None}, "metadata"),
    ({"provider": {"max_price": {"prompt": True}}}, "provider.max_price.prompt"),
    ({"n": 2}, "n"),
    ({"messages": None}, "messages"),
]
ELSEWHERE = [
    ("image", {"prompt": "x", "output_format": "bmp"}, "output_format"),
    ("speech", {"input": "x", "response_format": "wav"}, "response_format"),
    ("video", {"prompt": "x", "seconds": 4}, "seconds"),
    ("embeddings", {"input": "x", "encoding_format": "int8"}, "encoding_format"),
    ("rerank", {"query": "x", "documents": ["y"], "top_k": 1}, "top_k"),
    ("responses", {"input": "x", "max_tokens": 5}, "max_tokens"),
    ("batch", {"endpoint": "/v1/chat", "requests": []}, "endpoint"),
    ("login", {"code": "x", "code_challenge_method": "S257"}, "code_challenge_method"),
]


def test_checker_names_the_field():
    cases = [("chat", {**CHAT, **change}, path) for change, path in WRONG]
    cases += [(kind, {"model": "a/b", **body}, path) for kind, body, path in ELSEWHERE]
    for kind, body, path in cases:
        found = [one.split(":")[0] for one in mistakes(kind, body)]
        assert path in found and (kind != "chat" or {*found} == {path}), (body, found)


def test_wrong_request_is_refused_and_remembered(stand_in, send):
    reply = send({**CHAT, "provider": {"sortt": "price"}})
    assert reply.status == 400 and "provider.sortt" in reply.json["error"]["message"]
    assert "provider.sortt" in stand_in.violations.pop()
    headers = {"OpenAI-Organization": "o", "OpenAI-Project": "p", "x-poison": "1"}
    assert send(CHAT, **headers).status == 200
    assert len(stand_in.violations) == 3
    assert send(CHAT, Authorization=None).status == 401
    assert send(CHAT, Authorization="Bearer wrong").json["error"]["message"] == "User not found."
    assert send(CHAT, Authorization=f"Bearer {MANAGEMENT_KEY}").status == 403
    assert send(CHAT, "/chat/completion").status == 404
    assert send(None, "/models?free=true", "GET").status == 400
    stand_in.violations.clear()


def user(*parts):
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, *parts]}]}


def test_checker_passes_what_the_documentation_shows(send):  # besides what the scripts send
    for change in (
        {"provider": {"max_price": {"prompt": 0.5}, "sort": {"by": "price", "partition": "none"}}},
        {"reasoning": {"max_tokens": 2000, "exclude": False}, "verbosity": "low", "top_k": 5},
        {"plugins": [{"id": "context-compression"}], "model": "@preset/my-slug"},
        {"tools": [FUNCTION], "tool_choice": "auto", "parallel_tool_calls": False},
        {"stream": True, "stream_options": {"include_usage": True}, "stop": ["x"], "seed": 1},
    ):
        assert send({**CHAT, **change}).status == 200, change


def test_requests_that_no_model_can_serve(send):
    jpeg = {"type": "image_url", "image_url": {"url": PICTURE.replace("png", "jpeg")}}
    png = user({"type": "image_url", "image_url": {"url": PICTURE}})
    for change, status, says in (
        ({"model": "gpt-4o"}, 400, "not a valid model ID"),
        ({"model": "openai/text-embedding-3-small"}, 400, "endpoint"),
        ({"model": "openai/gpt-5-mini:batch"}, 404, "only available through the Batch API"),
        ({"model": "deepseek/deepseek-r1", "tools": [FUNCTION]}, 404, "tool use"),
        ({"model": "deepseek/deepseek-r1", **png}, 404, "image input"),
        (user(jpeg), 400, "image"),
    ):
        reply = send({**CHAT, **change})
        assert (reply.status, says in reply.json["error"]["message"]) == (status, True), change


# ------------------------------------------------------------------------------ chat and its faults


def test_stream_comes_in_pieces_with_the_usage_last(send):
    reply = send({**CHAT, "stream": True, "reasoning": {"effort": "high"}})
    assert reply.body.startswith(b": OPENROUTER PROCESSING\n\n")
    assert (reply.text, reply.events[-1]) == (TEXT, "[DONE]")
    chunks = [json.loads(event) for event in reply.events[:-1]]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["cost"] == 0


def test_scripted_replies(stand_in, client, send):
    stand_in.say(["one", {"content": "two"}])
    texts = [client.chat.completions.create(**CHAT).choices[0].message.content for _ in "123"]
    assert texts == ["one", "two", "two"]
    stand_in.reply("/key", lambda body: body.replace(b"limit", b"LIMIT"), times=1, skip=1)
    assert [b"LIMIT" in send(None, "/key", "GET").body for _ in "123"] == [False, True, False]


def test_faults_say_what_they_are_said_to(stand_in, send):
    for fault, facts in FAULTS.items():
        if fault in ("hang", "drop_headers"):
            with pytest.raises((TimeoutError, http.client.RemoteDisconnected)):
                send({**CHAT, "model": f"fault/{fault}"})
            continue
        status = int(fault[:3]) if fault[0].isdigit() else {"html_502": 502}.get(fault, 200)
        for stream in (True, False) if facts.reach != "stream" else (True,):
            reply = send({**CHAT, "model": f"fault/{fault}", "stream": stream})
            words = reply.body.decode(errors="ignore").replace("\\", "")
            says = facts.says.replace(f"{status}.*", "")
            assert reply.status == status, fault
            assert re.search(says, words, re.IGNORECASE | re.DOTALL), (fault, words)
            if stream or facts.partial == "always":
                assert (PARTIAL in (reply.text or words)) == bool(facts.partial), fault
            assert reply.whole or fault in ("keepalive", "drop"), fault


def test_limits_tell_when_they_end(stand_in, send):
    stand_in.retry_after = 7
    for fault in ("429_retry_after", "503"):
        assert send({**CHAT, "model": f"fault/{fault}"}).headers["retry-after"] == "7"
    reset = int(send({**CHAT, "model": "fault/429_day"}).headers["x-ratelimit-reset"]) / 1000
    assert reset % 86_400 == 0 and 0 < reset - time.time() <= 86_400


def test_fail_takes_a_path_and_a_number(stand_in, send):
    stand_in.fail("429_day", times=1)
    assert [send(CHAT).status for _ in "12"] == [429, 200]
    stand_in.fail("500", path="/key")
    assert (send(CHAT).status, send(None, "/key", "GET").status) == (200, 500)
    with pytest.raises(ValueError, match="no fault"):
        stand_in.fail("418")


# ----------------------------------------------------------------------------- the other endpoints


def test_catalogue_filters_and_sorts(client, get):
    def ids(**query):
        return [model["id"] for model in get("/models", **query)["data"]]

    assert [model.id for model in client.models.list()] == ids()
    assert "openai/whisper-large-v3" not in ids() and ids(output_modalities="transcription")
    tools = ids(supported_parameters="tools,structured_outputs")
    assert "deepseek/deepseek-r1" not in tools and "openrouter/free" in tools
    assert ids(input_modalities="audio,image", q="gemini") == ["google/gemini-2.5-flash"]
    assert ids(sort="newest", limit=2, offset=2) == ids(sort="newest")[2:4]
    assert ids(sort="pricing-low-to-high", output_modalities="rerank")[0].endswith(":free")


def test_login_takes_a_code_once_and_no_key(stand_in, send):
    verifier = "v" * 43
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    site = stand_in.url.removesuffix("/api/v1")
    query = f"code_challenge={challenge}&code_challenge_method=S256"
    page = urllib.request.urlopen(f"{site}/auth?{query}").read().decode()
    body = {"code": re.search(r"code-\d+", page)[0], "code_challenge_method": "S256"}
    good = {**body, "code_verifier": verifier}
    tries = [send(good, "/auth/keys", Authorization=None) for _ in "12"]
    assert [one.status for one in tries] == [200, 403] and tries[0].json["key"] == NEW_KEY
    fits(operations.ExchangeAuthCodeForAPIKeyResponse, tries[0].json)
    send(good, "/auth/keys")
    assert "a key where none is needed" in stand_in.violations.pop()


def test_files_are_what_they_are_said_to_be(client, post):
    for format in ("png", "jpeg", "webp"):
        (one,) = post("/images", model="a/b", prompt="x", output_format=format)["data"]
        image = Image.open(io.BytesIO(base64.b64decode(one["b64_json"])))
        assert f"image/{image.format.lower()}" == one["media_type"] == f"image/{format}"
    speak = client.audio.speech.create
    mp3 = speak(model="a/b", input="Hello", voice="alloy", response_format="mp3")
    assert mp3.response.headers["content-type"] == "audio/mpeg"
    with pytest.raises(openai.BadRequestError, match="alloy"):
        speak(model="openai/gpt-4o-mini-tts-2025-12-15", input="Hello", voice="nobody")
    file = ("a.mp3", bytes(25 * 1024 * 1024 + 1))
    with pytest.raises(openai.APIStatusError, match="25 MB"):
        client.audio.transcriptions.create(model="a/b", file=file)


def test_batches_come_out_of_order_and_refuse(stand_in, client):
    item = {"custom_id": "1", "body": {"messages": HELLO}}

    def submit(requests, **more):
        body = {"endpoint": "/v1/chat/completions", "model": "a/b", "requests": requests, **more}
        return client.post("/batches", cast_to=object, body=body)

    stand_in.item_errors = {"2": "overloaded"}
    batch = submit([{**item, "custom_id": name} for name in "123"])
    while batch["status"] != "completed":
        fits(components.BatchObject, batch)
        batch = client.get(f"/batches/{batch['id']}", cast_to=object)
    fits(components.BatchObject, batch)
    fits(components.BatchListResponse, client.get("/batches", cast_to=object))
    assert [one["custom_id"] for one in batch["results"]] == ["3", "2", "1"]
    assert batch["results"][1]["error"]["message"] == "overloaded"
    assert client.batches.retrieve(batch["id"]).request_counts.failed == 1
    for requests in ([item, item], [], [item] * 5001):
        with pytest.raises(openai.BadRequestError, match="custom_id"):
            submit(requests)
    with pytest.raises(openai.BadRequestError, match=r"requests\.0\.body\.temprature"):
        submit([{**item, "body": {**item["body"], "temprature": 1}}])
    with pytest.raises(openai.BadRequestError, match="before requests"):
        submit([item], provider={"only": ["x"]})
    stand_in.violations.clear()


# --------------------------------------------------------------- its replies, by the official types

UNTYPED = {  # what the types lack, and the page that shows it
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
    assert list(differences(data, kept, "", dict.fromkeys(UNTYPED, object))) == []


def test_replies_fit_the_official_types(stand_in, send, get, post):
    search = {**CHAT, "tools": [{"type": "openrouter:web_search"}], "reasoning": {"effort": "low"}}
    wanted = {"X-OpenRouter-Metadata": "enabled"}
    for body in (CHAT, search, {**CHAT, "model": "fault/finish_error"}):
        fits(components.ChatResult, send(body, **wanted).json)
    for model in ("openrouter/free", "fault/mid_stream", "fault/finish_error"):
        reply = send({**search, "model": model, "stream": True}, **wanted)
        for event in reply.events[: -1 if reply.events[-1] == "[DONE]" else None]:
            fits(components.ChatStreamChunk, json.loads(event))
    for fault in ("a/b", "fault/finish_error", "fault/length", "fault/filtered"):
        fits(
            components.OpenResponsesResult, send({"model": fault, "input": "x"}, "/responses").json
        )
    fits(components.ModelsListResponse, get("/models", output_modalities="all"))
    fits(components.ModelsListResponse, get("/models/user"))
    fits(components.VideoModelsListResponse, get("/videos/models"))
    fits(operations.GetCurrentKeyResponse, get("/key"))
    embeddings = post("/embeddings", model="a/b", input="x", encoding_format="float")
    fits(operations.CreateEmbeddingsResponseBody, embeddings)
    ranking = post("/rerank", model="a/b", query="x", documents=["x", "y"])
    fits(operations.CreateRerankResponseBody, ranking)
    fits(components.ImageGenerationResponse, post("/images", model="a/b", prompt="x"))
    sound = {"data": SOUND, "format": "wav"}
    fits(components.STTResponse, post("/audio/transcriptions", model="a/b", input_audio=sound))
    job = post("/videos", model="a/b", prompt="x")
    fits(components.VideoGenerationResponse, job)
    fits(components.VideoGenerationResponse, get(f"/videos/{job['id']}"))
