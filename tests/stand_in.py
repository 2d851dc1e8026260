"""A stand-in for OpenRouter on a loopback port: documented shapes in plain JSON, faults included.

    with StandIn() as server:
        server.say("Hello")
        server.fail("429_day", times=1)
        server.reply("/key", b"<html>", content_type="text/html")
        client = OpenAI(base_url=server.url, api_key=server.key)

A model called "fault/NAME" brings fault NAME, so that one model of several can fail. Run alone,
`python tests/stand_in.py --delay 0.2` prints its base URL and serves until Ctrl-C.

Requests are checked against the types of OpenRouter's own client package, not against our scripts.
"""

import argparse
import asyncio
import base64
import binascii
import contextlib
import hashlib
import io
import itertools
import json
import math
import re
import struct
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import core_schema

# The types' mark for "not sent" is an empty model and would match any object. A mistake inside an
# object would then be reported as the whole object; has to happen before the types are loaded.
from openrouter.types.basemodel import Unset, UnrecognizedInt, UnrecognizedStr  # isort: skip

Unset.__get_pydantic_core_schema__ = classmethod(
    lambda cls, source, handler: core_schema.is_instance_schema(cls)
)
Unset.__deepcopy__ = lambda self, memo: self  # pydantic copies it into every field not sent
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecated fields, of no concern here
    from openrouter import components, operations

DATA = json.loads((Path(__file__).parent / "data" / "stand_in.json").read_text(encoding="utf-8"))
KEY = "test-key"
MANAGEMENT_KEY = "management-key"
NEW_KEY = "sk-or-v1-new-test-key"  # what /auth/keys gives
TEXT = "안녕하세요! Here is a short answer. 🙂"
PARTIAL = "답의 앞부분입니다. The first half"
THOUGHT = "먼저 질문을 읽습니다. First, read the question."
UPLOAD_LIMIT = 25 * 1024 * 1024  # guides/overview/multimodal/stt.mdx


# ---------------------------------------------------------------------------------------- faults


class Fault(NamedTuple):
    """What a fault is like for the one who meets it.

    says: the server's words, as a pattern, that an error must contain; "": it says nothing.
    partial: where text arrives before the fault: "", "stream", or "always" (JSON replies, too).
    reach: "any" endpoint, "json" (all but audio and video), "completion" or "stream" only.
    hidden: where a stream was asked for, the client never sees the words.
    """

    says: str = ""
    partial: str = ""
    reach: str = "any"
    hidden: bool = False


FAULTS = {
    "error_200": Fault("upstream idle timeout", hidden=True),
    "null_200": Fault(reach="json"),
    "mid_stream": Fault("provider disconnected", "always", "stream"),
    "cut": Fault("", "always", "completion"),
    "finish_error": Fault("engine crashed", "always", "completion"),
    "empty": Fault(reach="completion"),
    "reasoning_ate_it": Fault("length|max_output_tokens", reach="completion"),
    "length": Fault("length|max_output_tokens", "always", "completion"),
    "filtered": Fault("content_filter", "always", "completion"),
    "html": Fault(),
    "html_502": Fault("502.*bad gateway"),
    "400": Fault("400.*not a valid model id"),
    "401": Fault("401.*user not found"),
    "402": Fault("402.*requires more credits"),
    "403": Fault("403.*flagged for .violence"),
    "404_policy": Fault("404.*data policy.*settings/privacy"),
    "404_dead": Fault("404.*free period.*ended"),
    "404_constraint": Fault("404.*max_price"),
    "408": Fault("408.*operation timed out"),
    "413": Fault("413.*payload too large"),
    "429_minute": Fault("429.*free-models-per-min"),
    "429_day": Fault("429.*free-models-per-day"),
    "429_upstream": Fault("429.*provider returned error.*temporarily rate-limited upstream"),
    "429_retry_after": Fault("429.*at capacity"),
    "500": Fault("500.*internal server error"),
    "502": Fault("502.*out of memory on node 7"),
    "503": Fault("503.*no available model provider"),
    "bad_json": Fault(reach="json"),
    "bad_chunk": Fault("", "stream", "stream"),
    "empty_body": Fault(reach="json"),
    "keepalive": Fault("", "stream", "json"),  # for ever
    "hang": Fault(),  # for ever
    "drop": Fault("", "stream"),
    "drop_headers": Fault(),
}

# What the router still hides by trying the next model: nothing has reached the client yet.
FALLS_BACK = {name for name in FAULTS if name[0].isdigit()} | {"error_200", "html_502"}
# How a reply ends, rather than how the answer travels.
ENDINGS = {"mid_stream", "cut", "finish_error", "empty", "reasoning_ate_it", "length", "filtered"}
ENDINGS |= {"bad_chunk", "keepalive", "drop"}
CRASH = {
    "code": 502,
    "message": "Provider disconnected mid-stream: engine crashed",
    "metadata": {"error_type": "provider_unavailable", "provider_code": "crash"},
}


class Refusal(Exception):
    """An error reply; code=None where the documentation shows an error without one."""

    def __init__(self, status: int, message: str, headers: dict | None = None, **error):
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.error = {"message": message, "code": status, **error}
        if self.error["code"] is None:
            del self.error["code"]


def unavailable(status: int, code: str, message: str, model: str) -> Refusal:
    """A model-availability error: api_reference/errors-and-debugging.mdx."""
    details = {"code": code, "retryable": False, "requested_models": [model]}
    return Refusal(status, message, code=None, http_status=status, availability=details)


def status_fault(name: str, model: str, retry_after: float) -> Refusal:
    """The error reply of a fault that is one, for a model."""
    now = datetime.now(timezone.utc)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    seconds = int(retry_after) if retry_after == int(retry_after) else retry_after
    values = {"model": model, "seconds": seconds, "minute": f"{time.time() * 1000 + 60000:.0f}"}
    values["midnight"] = f"{midnight.timestamp() * 1000:.0f}"
    text = json.dumps(DATA["errors"][name]["error"])
    for value in values:
        text = text.replace(f"{{{value}}}", str(values[value]))
    error = json.loads(text)
    headers = (error.get("metadata") or {}).get("headers", {})
    if name in ("429_retry_after", "503"):
        error["availability"]["retry_after"] = seconds
        headers = {"Retry-After": str(seconds)}
    return Refusal(int(name[:3]), error.pop("message"), headers, **{"code": None, **error})


# --------------------------------------------------------------------------------------- checker

# Fields that the guides document and the package's types lack.
DOCUMENTED: dict[str, dict[str, type | tuple[type, ...]]] = {
    "chat": {
        "reasoning.max_tokens": int,  # guides/best-practices/reasoning-tokens.mdx
        "reasoning.exclude": bool,  # guides/best-practices/reasoning-tokens.mdx
        "reasoning.enabled": bool,  # guides/best-practices/reasoning-tokens.mdx
        "reasoning.context": str,  # guides/best-practices/reasoning-tokens.mdx
        "reasoning.mode": str,  # guides/best-practices/reasoning-tokens.mdx
        "max_tool_calls": int,  # guides/features/server-tools.mdx
        "preset": str,  # guides/features/presets.mdx
        "verbosity": str,  # api_reference/parameters.mdx
        "audio": dict,  # guides/overview/multimodal/audio.mdx
        "messages.*.annotations": list,  # guides/overview/multimodal/pdfs.mdx
        "messages.*.reasoning_content": str,  # guides/best-practices/reasoning-tokens.mdx
    },
    "responses": {"preset": str},  # guides/features/presets.mdx
    "transcription form": {"prompt": str},  # guides/overview/multimodal/stt.mdx: ignored
}
# A number is documented (guides/routing/provider-selection.mdx), the types want strings.
PRICES = ("prompt", "completion", "request", "image", "audio")

REQUEST_TYPES = {
    "chat": components.ChatRequest,
    "responses": components.ResponsesRequest,
    "embeddings": operations.CreateEmbeddingsRequestBody,
    "rerank": operations.CreateRerankRequestBody,
    "image": components.ImageGenerationRequest,
    "speech": components.SpeechRequest,
    "transcription": components.STTRequest,
    "transcription form": operations.CreateAudioTranscriptionsMultipartRequestBody,
    "video": components.VideoGenerationRequest,
    "batch": components.BatchSubmitBody,
    "login": operations.ExchangeAuthCodeForAPIKeyRequestBody,
    "models": operations.GetModelsRequest,
    "user models": operations.ListModelsUserRequest,
}


@cache
def adapter(kind: str) -> TypeAdapter:
    return TypeAdapter(REQUEST_TYPES[kind])


@cache
def aliases(model: type[BaseModel]) -> dict[str, str]:
    """A type's field names by their name in JSON."""
    return {(field.alias or name): name for name, field in model.model_fields.items()}


@cache
def nullable(model: type[BaseModel], name: str) -> bool:
    """The types take null for any optional field; only some are nullable in the API."""
    field = model.model_fields[name]
    return field.is_required() or isinstance(field.default, Unset)


@cache
def tool_types() -> set[str]:
    """The tool types that have a type of their own; the union also takes any other string."""
    found, waiting = set(), [components.ChatFunctionTool]
    while waiting:
        one = waiting.pop()
        if isinstance(one, type) and issubclass(one, BaseModel):
            text = str(one.model_fields["type"].annotation)
            found |= set(re.findall(r"'([^']+)'", text))
        else:
            value = getattr(one, "__value__", None)
            waiting += [value] if value is not None else getattr(one, "__args__", ())
    return found


def mistakes(kind: str, body: object) -> list[str]:
    """Name what the official types drop, change, refuse or don't know in a body, by its path.

    The types ignore unknown fields and convert values, so what they keep is held against what
    was sent.
    """
    found = []
    if kind in ("chat", "responses", "embeddings") and isinstance(body, dict):
        provider = body.get("provider")
        limits = provider.get("max_price") if isinstance(provider, dict) else None
        if isinstance(limits, dict):
            for name, value in limits.items():
                if name not in PRICES or isinstance(value, bool | dict | list | None):
                    found.append(f"provider.max_price.{name}: not a price")
            rest = {name: value for name, value in provider.items() if name != "max_price"}
            body = {**body, "provider": rest}
    try:
        kept = adapter(kind).validate_python(body)
    except ValidationError as error:
        paths = {}
        for one in error.errors():
            path = real_path(body, one["loc"], one["type"] == "missing")
            if "is-instance[Unset]" not in one["loc"]:
                paths.setdefault(path, one["msg"])
        deepest = max((path.count(".") for path in paths), default=0)
        return found + [
            f"{path or 'body'}: {message}"
            for path, message in paths.items()
            if path.count(".") == deepest
        ]
    return found + list(differences(body, kept, "", DOCUMENTED.get(kind, {})))


def real_path(body: object, location: tuple, missing: bool) -> str:
    """A validation error's path without the names of types that pydantic mixes in."""
    path, here = [], body
    for position, part in enumerate(location):
        inside = isinstance(here, dict) and part in here
        inside = inside or (isinstance(here, list) and isinstance(part, int) and part < len(here))
        if inside:
            here = here[part]
        if inside or (missing and position == len(location) - 1):
            path.append(str(part))
    return ".".join(path)


def differences(sent: object, kept: object, path: str, documented: dict) -> Iterator[str]:
    if isinstance(kept, BaseModel) and not isinstance(kept, Unset) and isinstance(sent, dict):
        if getattr(kept, "is_unknown", False):
            kind = next((sent[name] for name in ("type", "id") if name in sent), "?")
            yield f"{path}: not a valid part of type {kind!r}"
            return
        if type(kept).__name__ in ("ChatDynamicServerTool", "ChatServerToolChoice"):
            known = tool_types() - {"function"}
            if sent.get("type") not in known:
                yield f"{path}: not a valid tool of type {sent.get('type')!r}"
                return
        names, extra = aliases(type(kept)), kept.__pydantic_extra__ or {}
        for name, value in sent.items():
            here = f"{path}.{name}" if path else name
            if name in extra:
                continue
            if value is None and name in names and not nullable(type(kept), names[name]):
                yield f"{here}: null is not allowed, leave it out"
            elif name not in names or names[name] not in kept.model_fields_set:
                pattern = re.sub(r"\.\d+\b", ".*", here)
                if not (pattern in documented and isinstance(value, documented[pattern])):
                    yield f"{here}: not a field that OpenRouter knows"
            else:
                yield from differences(value, vars(kept)[names[name]], here, documented)
    elif isinstance(sent, dict) and isinstance(kept, dict):
        for name, value in sent.items():
            here = f"{path}.{name}" if path else name
            if name not in kept:
                yield f"{here}: not a field that OpenRouter knows"
            else:
                yield from differences(value, kept[name], here, documented)
    elif isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        for number, (one, other) in enumerate(zip(sent, kept, strict=True)):
            yield from differences(one, other, f"{path}.{number}", documented)
    elif isinstance(kept, UnrecognizedStr | UnrecognizedInt):
        yield f"{path}: {sent!r} is not one of the known values"
    elif sent is None or kept is None:
        if sent is not kept:
            yield f"{path}: {sent!r} became {kept!r}"
        elif not path:
            yield "body: null"
    elif isinstance(sent, bool) or isinstance(kept, bool):
        if sent is not kept:
            yield f"{path}: {sent!r} became {kept!r}"
    elif isinstance(sent, int | float) and isinstance(kept, int | float):
        if sent != kept:
            yield f"{path}: {sent!r} became {kept!r}"
    elif not isinstance(kept, date) and (not isinstance(sent, type(kept)) or sent != kept):
        yield f"{path}: {sent!r} became {kept!r}"


# ------------------------------------------------------------------------------------- catalogue

CHAT_PARAMETERS = ["temperature", "top_p", "max_tokens", "stop", "seed", "frequency_penalty"]
TOOLS = ["tools", "tool_choice", "parallel_tool_calls"]
JSON_OUT = ["response_format", "structured_outputs"]
REASONING = ["reasoning", "include_reasoning", "reasoning_effort"]
ALL = CHAT_PARAMETERS + TOOLS + JSON_OUT + REASONING
MINI = ["max_tokens", "seed", *TOOLS, *JSON_OUT, *REASONING]


def listing(
    id: str,
    name: str,
    inputs: str,
    outputs: str,
    prompt: str,
    completion: str,
    parameters: Iterable[str] = (),
    context: int | None = 131072,
    created: int = 1767225600,
    prices: dict | None = None,
    tokenizer: str = "Other",
    **more,
) -> dict:
    """An entry of the catalogue, with every field of a real one."""
    return {
        "id": id,
        "canonical_slug": id.partition(":")[0].removeprefix("~"),
        "hugging_face_id": None,
        "name": name,
        "created": created,
        "description": f"{name} is an entry of a test catalogue.",
        "context_length": context,
        "architecture": {
            "modality": f"{inputs.replace(',', '+')}->{outputs.replace(',', '+')}",
            "input_modalities": inputs.split(","),
            "output_modalities": outputs.split(","),
            "tokenizer": tokenizer,
            "instruct_type": None,
        },
        "pricing": {"prompt": prompt, "completion": completion, **(prices or {})},
        "top_provider": {
            "context_length": context,
            "max_completion_tokens": 16384,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": list(parameters),
        "default_parameters": {"temperature": None, "top_p": None, "frequency_penalty": None},
        "supported_voices": None,
        "knowledge_cutoff": None,
        "expiration_date": None,
        "links": {"details": f"/api/v1/models/{id}/endpoints"},
        **more,
    }


SOON = str(date.today() + timedelta(30))
CATALOGUE = [listing(**row) for row in DATA["models"]]
BY_ID = {entry["id"]: entry for entry in CATALOGUE}
BY_ID["upstage/solar-pro-3:free"]["expiration_date"] = SOON


def video_model(entry: dict) -> dict:
    """An entry of GET /videos/models."""
    names = ("id", "canonical_slug", "hugging_face_id", "name", "created", "description")
    return {name: entry[name] for name in names} | DATA["video_model"]


def price(entry: dict, name: str) -> float:
    return float(entry["pricing"].get(name, 0)) * 1_000_000


def whole_price(entry: dict) -> float:
    """What the catalogue sorts by; anything that costs nothing else is free."""
    names = ("prompt", "completion", "request", "image_output")
    return sum(price(entry, name) for name in names)


# The benchmarks behind these sorts are not in the entries; newer is better here.
ORDERS = {
    "pricing-low-to-high": whole_price,
    "pricing-high-to-low": lambda e: -whole_price(e),
    "context-high-to-low": lambda e: -(e["context_length"] or 0),
}


def select(query: dict) -> list[dict]:
    """The catalogue as GET /models filters, sorts and cuts it: guides/overview/models.mdx."""

    def split(name: str, default: str = "") -> set[str]:
        return set(query.get(name, default).split(",")) - {""}

    def fits(entry: dict) -> bool:
        outputs = split("output_modalities", "text")
        kinds = entry["architecture"]
        words, limits = (
            query.get("q", "").lower(),
            {"prompt": "price", "completion": "output_price"},
        )
        author = entry["id"].split("/")[0].lstrip("~")
        return (
            ("all" in outputs or bool(outputs & set(kinds["output_modalities"])))
            and split("input_modalities") <= set(kinds["input_modalities"])
            and split("supported_parameters") <= set(entry["supported_parameters"])
            and author in (split("model_authors") or {author})
            and (words in entry["id"].lower() or words in entry["name"].lower())
            and (entry["context_length"] or 0) >= int(query.get("context", 0))
            and all(
                float(query.get(f"min_{name}", -math.inf)) <= price(entry, part)
                and price(entry, part) <= float(query.get(f"max_{name}", math.inf))
                for part, name in limits.items()
            )
            and not ("zdr" in query and entry["id"].startswith("deepseek/"))
        )

    found = [entry for entry in CATALOGUE if fits(entry)]
    if order := query.get("sort", ""):
        found.sort(key=ORDERS.get(order, lambda e: -e["created"]))
    return found


# ------------------------------------------------------------------------- what replies are made of

MESSAGE_FIELDS = {
    "content", "reasoning", "reasoning_details", "tool_calls", "annotations", "refusal",
}  # fmt: skip


@dataclass
class Answer:
    """What the model says, before it is put into one wire shape or another."""

    content: Any = None
    reasoning: str | None = None
    reasoning_details: list | None = None
    tool_calls: list | None = None
    annotations: list | None = None
    refusal: str | None = None
    finish_reason: str | None = "stop"
    error: dict | None = None
    usage: dict = field(default_factory=dict)
    openrouter_metadata: dict | None = None
    service_tier: str | None = None
    model: str = ""
    provider: str = "Chutes"

    @classmethod
    def of(cls, reply: str | dict) -> "Answer":
        reply = {"content": reply} if isinstance(reply, str) else dict(reply)
        if calls := reply.get("tool_calls"):
            reply["tool_calls"] = [whole_call(call, number) for number, call in enumerate(calls)]
        reply.setdefault("finish_reason", "tool_calls" if calls else "stop")
        return cls(**reply)

    def message(self) -> dict:
        """The fields of a message that are there."""
        found = {name: getattr(self, name) for name in sorted(MESSAGE_FIELDS)}
        if self.reasoning and not self.reasoning_details:
            found["reasoning_details"] = [thinking(self.reasoning)]
        always = ("content", "refusal", "reasoning")
        return {name: v for name, v in found.items() if v is not None or name in always}


def whole_call(call: dict, number: int) -> dict:
    """A tool call in full: {"name":…, "arguments":…} is enough to write one."""
    if "function" in call:
        return {"id": f"call_{number}", "type": "function", **call}
    arguments = call.get("arguments", "{}")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    function = {"name": call["name"], "arguments": arguments}
    return {"id": call.get("id", f"call_{number}"), "type": "function", "function": function}


def thinking(text: str) -> dict:
    return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}


def example(schema: dict, root: dict | None = None) -> Any:
    """A small instance that a JSON schema accepts, for schemas as pydantic writes them."""
    root = root or schema
    if "$ref" in schema:
        return example(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return example(schema["anyOf"][0], root)
    kind = schema.get("type", "string")
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: example(parts[name], root) for name in schema.get("required", [])}
    if kind == "array":
        return [example(schema.get("items", {}), root)]
    text = "2026-01-01" if schema.get("format") == "date" else "예시"
    return {"integer": 1, "number": 1, "boolean": True, "string": text}.get(kind)


def pieces(text: str | None, count: int = 4) -> list:
    if not text or not isinstance(text, str):
        return [text] if text else []
    size = max(1, math.ceil(len(text) / count))
    return [text[start : start + size] for start in range(0, len(text), size)]


def encode(data: object) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")  # half an emoji, as a cut answer may end


def event(data: object) -> bytes:
    return b"data: " + encode(data) + b"\n\n"


PROCESSING = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"
WAIT, CUT = object(), object()  # in a stream: comments for ever; the connection breaks


def torn(data: bytes) -> list[bytes]:
    """Bytes as the network may bring them: cut in the middle of the first wide character."""
    at = next((position for position, byte in enumerate(data) if byte > 127), None)
    return [data] if at is None else [data[: at + 1], data[at + 1 :]]


def text_of(content: object) -> str:
    """The text of a message, of its parts, or of all messages."""
    if isinstance(content, list):
        parts = [p.get("text") or p.get("content") for p in content if isinstance(p, dict)]
        return "\n".join(map(text_of, parts))
    return content if isinstance(content, str) else ""


def words(text: str) -> dict[str, float]:
    """A text's words and, for words that only share a stem, its pairs of characters."""
    weights: dict[str, float] = {}
    for word in re.findall(r"\w+", text.lower()):
        weights[word] = weights.get(word, 0) + 1
        for one, other in itertools.pairwise(word):
            weights[one + other] = weights.get(one + other, 0) + 0.3
    return weights


def embed(text: str, size: int) -> list[float]:
    """A vector that is the same each time, near those of texts with the same words."""
    vector = [0.0] * size
    for word, weight in words(text).items():
        vector[zlib.crc32(word.encode()) % size] += weight
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [round(value / length, 6) for value in vector]


def picture(format: str) -> tuple[bytes, str]:
    """A real picture, small, in a format, and its media type."""
    if format == "svg":
        return b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>', "image/svg+xml"
    from PIL import Image

    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((8, 8)).convert("RGB").save(buffer, format)
    return buffer.getvalue(), f"image/{format}"


def png() -> bytes:
    return picture("png")[0]


# MPEG-1 layer III, 128 kbit/s, 44.1 kHz: a header and 413 zero bytes make a silent frame.
MP3 = (b"\xff\xfb\x90\xc4" + bytes(413)) * 4
PCM = b"".join(struct.pack("<h", int(3000 * math.sin(n / 10))) for n in range(2400))
MP4 = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2" + b"\0\0\0\x08free" + b"\0\0\0\x08mdat"

MAGIC = {
    "image/png": b"\x89PNG",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
    "application/pdf": b"%PDF",
}
AUDIO = ("wav", "mp3", "flac", "m4a", "ogg", "webm", "aac", "mp4", "mpeg", "mpga", "opus")


def base64_bytes(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Refusal(400, f"{what} is not base64") from None


def data_url(url: str, what: str) -> bytes:
    """The bytes of a data URL, which have to be what it says; b"" for a web address."""
    if url.startswith(("https://", "http://")):
        return b""
    match = re.fullmatch(r"data:([\w.+/-]+);base64,(.*)", url, re.DOTALL)
    data = base64_bytes(match[2], what) if match else b""
    if not data or not data.startswith(MAGIC.get(match[1], b"")):
        raise Refusal(400, f"The {what} is not a valid data URL of its type")
    return data


# ---------------------------------------------------------------------------------------- server


@dataclass
class Call:
    """One recorded request. body: parsed JSON, a dict of form fields, or None; path: without query.

    A file in a form is a dict of filename, content_type and data; a repeated field is a list.
    """

    method: str
    path: str
    query: dict
    headers: dict
    body: Any = None
    form: bool = False
    gone: bool = False  # the client hung up before the end
    answer: tuple[bytes, int, str] = (b"", 0, "")  # bytes, status and content type, unchanged
    change: Callable[[bytes], bytes] | None = None

    @property
    def route(self) -> str:
        """The path as the documentation names it: /chat/completions."""
        return self.path.removeprefix("/api/v1")

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def stream(self) -> bool:
        return isinstance(self.body, dict) and self.body.get("stream") is True

    @property
    def model(self) -> str:
        found = self.body.get("model", "") if isinstance(self.body, dict) else ""
        return found if isinstance(found, str) else ""

    @property
    def is_free(self) -> bool:
        return self.model.endswith(":free")


class Route(NamedTuple):
    pattern: re.Pattern
    method: str
    name: str  # the method of StandIn that answers
    kind: str  # "completion", "json" or "binary": which faults can reach it
    schema: str | None
    public: bool


ROUTES: list[Route] = []


def route(
    method: str, path: str, kind: str = "json", schema: str | None = None, public: bool = False
):
    """Register a method of StandIn for a path with {names}."""

    def register(function):
        pattern = re.compile(re.sub(r"\{\w+\}", "([^/]+)", path))
        ROUTES.append(Route(pattern, method, function.__name__, kind, schema, public))
        return function

    return register


def reply(data: object, status: int = 200, headers: dict | None = None) -> web.Response:
    body = data if isinstance(data, bytes) else encode(data)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def page(status: int, title: str) -> web.Response:
    text = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>"
    return web.Response(text=text, status=status, content_type="text/html")


class StandIn:
    """The server. Attributes that tests may set; reset() puts them back:

    delay, pace: seconds before a reply, and between the pieces of a stream.
    retry_after: seconds in 429_retry_after and 503.
    transcript: what a recording says.
    video_states, batch_states: what each further look brings; the last one stays.
    video_error, batch_error: why a job failed. item_errors: number in custom_id -> message.
    video_tokens: of each video, in the usage; 0 means that the model saw nothing of it.
    key_info: fields of GET /key. credits: data of GET /credits.
    requests: what came in (Call). violations: what OpenRouter would not have understood.
    codes: code -> challenge of the browser login.
    """

    key, management_key = KEY, MANAGEMENT_KEY

    def __init__(self, port: int = 0, delay: float = 0, record: bool = True):
        self._port, self._delay, self._record = port, delay, record
        self._ready = threading.Event()
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Forget requests, replies, faults and jobs."""
        self.requests: list[Call] = []
        self.violations: list[str] = []
        self.codes: dict[str, str] = {"pasted": ""}  # one that fits any verifier
        self.delay, self.pace, self.retry_after = self._delay, 0.0, 2.0
        self.transcript = "안녕하세요. This is a recording."
        self.video_states, self.video_error = ["completed"], "Content policy violation"
        self.batch_states = ["in_progress", "finalizing", "completed"]
        self.batch_error, self.item_errors = "The batch could not be validated", {}
        self.video_tokens = 258
        self.key_info: dict[str, Any] = {}
        self.credits = {"total_credits": 25.0, "total_usage": 4.5}
        self._numbers = itertools.count(1)
        self._replies: list | Callable | None = None
        self._faults: list[list] = []
        self._raw: list[list] = []
        self._jobs: dict[str, dict] = {}

    def say(self, reply: str | dict | list | Callable[[dict], str | dict]) -> None:
        """Script the next replies of a model: text, fields of Answer, a list, or a function.

        Of a list each request takes one, the last one stays.
        """
        if not callable(reply):
            reply = list(reply) if isinstance(reply, list) else [reply]
            for one in reply:
                Answer.of(one)
        self._replies = reply

    def fail(self, fault: str, path: str | None = None, times: int | None = None) -> None:
        """Answer with a fault: on one path (/videos/* works) or all, so often or until reset."""
        if fault not in FAULTS:
            raise ValueError(f"no fault {fault!r}")
        self._faults.append([fault, path, times])

    def reply(
        self,
        path: str,
        body: object,
        status: int = 200,
        content_type: str = "application/json",
        headers: dict | None = None,
        times: int | None = None,
        skip: int = 0,
        method: str = "*",
    ) -> None:
        """Answer a path (/videos/* works) with just these bytes, or this JSON, after `skip` others.

        A body that is a function gets the bytes of the real answer and returns others.
        """
        more = {**(headers or {}), "Content-Type": content_type}
        self._raw.append([path, method, body, status, more, times, skip])

    # ------------------------------------------------------------------ start and stop

    def start(self) -> "StandIn":
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the stand-in did not start")
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()

        def request(message, payload, protocol, writer, task):
            size = 200 * 1024 * 1024
            return web.BaseRequest(
                message, payload, protocol, writer, task, self._loop, client_max_size=size
            )

        server = web.Server(
            self._handle, request_factory=request, handler_cancellation=True, access_log=None
        )
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port, backlog=1024).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    # ------------------------------------------------------------------ one request

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.method, path, dict(request.query), headers)
        try:
            await self._read(request, call)
            if self._record:
                self.requests.append(call)
            response = await self._respond(request, call)
        except Refusal as refusal:
            response = reply({"error": refusal.error}, refusal.status, refusal.headers)
        except (ConnectionError, asyncio.CancelledError):
            call.gone = True
            raise
        except Exception as error:  # a mistake here must not look like OpenRouter's
            self._violation(call, f"the stand-in failed: {error!r}")
            response = reply({"error": {"message": repr(error), "code": 500}}, 500)
        if isinstance(response, web.Response):
            kind = response.headers.get("Content-Type", "")
            call.answer = (bytes(response.body or b""), response.status, kind)
            if call.change:
                response.body = call.change(call.answer[0])
        return response

    async def _read(self, request: web.BaseRequest, call: Call) -> None:
        if request.content_type == "multipart/form-data":
            call.form, call.body = True, {}
            for name, value in (await request.post()).items():
                if isinstance(value, web.FileField):
                    file = {"filename": value.filename, "content_type": value.content_type}
                    value = file | {"data": value.file.read()}
                if name in call.body:
                    before = call.body[name]
                    value = [*(before if isinstance(before, list) else [before]), value]
                call.body[name] = value
        elif raw := await request.read():
            try:
                call.body = json.loads(raw)
            except ValueError:
                call.body = raw

    async def _respond(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        for name in ("openai-organization", "openai-project", "x-poison"):
            if name in call.headers:
                self._violation(call, f"header {name}")
        if "stolen" in call.headers.get("authorization", ""):
            self._violation(call, "a foreign key")
        if call.path == "/auth" and call.method == "GET":
            return self._login_page(call)
        if not call.path.startswith("/api/v1/"):
            return page(404, "404: This page could not be found")
        found, names = self._find(call)
        self._authorize(call, found)
        self._check_body(call, found)
        if self.delay and found.method == "POST":
            await asyncio.sleep(self.delay)
        raw = self._take_raw(call)
        if raw and not callable(raw[2]):
            body = raw[2] if isinstance(raw[2], bytes) else encode(raw[2])
            return web.Response(body=body, status=raw[3], headers=raw[4])
        call.change = raw[2] if raw else None
        fault = self._take_fault(call, found)
        if found.kind == "completion":
            return await self._complete(request, call, found, fault)
        if fault and (broken := await self._break(request, fault, call.model)):
            return broken
        response = getattr(self, found.name)(call, *names)
        if not isinstance(response, web.Response):
            response = reply(response)
        return await self._spoil(request, fault, response) if fault else response

    def _find(self, call: Call) -> tuple[Route, tuple[str, ...]]:
        for one in sorted(ROUTES, key=lambda one: "(" in one.pattern.pattern):
            match = one.pattern.fullmatch(call.route) if one.method == call.method else None
            if match:
                return one, tuple(part.replace("%3A", ":") for part in match.groups())
        self._violation(call, "no such endpoint")
        raise Refusal(404, "Not Found")

    def _authorize(self, call: Call, found: Route) -> None:
        if found.public:
            return
        if "authorization" not in call.headers:
            self._violation(call, "no Authorization header")
            raise Refusal(401, "Missing Authentication header")
        if call.key not in (KEY, NEW_KEY, MANAGEMENT_KEY):
            raise Refusal(401, "User not found.")
        if call.key == MANAGEMENT_KEY and call.method == "POST":
            raise Refusal(403, "Management keys cannot be used for completions")

    def _check_body(self, call: Call, found: Route) -> None:
        schema = found.schema
        if schema is None:
            return
        if call.method == "GET":
            known = aliases(REQUEST_TYPES[schema])
            wrong = [f"{name}: not a query parameter" for name in set(call.query) - set(known)]
            sent = {name: value for name, value in call.query.items() if name in known}
            wrong += [w for w in mistakes(schema, sent) if "became" not in w]  # all are strings
        elif call.form and schema == "transcription":
            wrong = self._check_form(call)
        elif call.form or not isinstance(call.body, dict):
            wrong = ["body: not a JSON object"]
        else:
            wrong = mistakes(schema, call.body)
        if wrong:
            self.violations += [f"{call.method} {call.route}: {one}" for one in wrong]
            raise Refusal(400, "; ".join(wrong), metadata={"error_type": "invalid_request"})

    def _check_form(self, call: Call) -> list[str]:
        form = dict(call.body)
        file = form.get("file")
        if isinstance(file, dict):
            content = {"fileName": file["filename"], "content": file["data"]}
            form["file"] = content | {"Content-Type": file["content_type"]}
        for name in {"timestamp_granularities[]", "keyterms[]"} & form.keys():
            form[name] = [form[name]] if isinstance(form[name], str) else form[name]
        for name in {"temperature", "diarize"} & form.keys():  # a form has only strings
            with contextlib.suppress(ValueError):
                form[name] = json.loads(form[name])
        return mistakes("transcription form", form)

    def _violation(self, call: Call, what: str) -> None:
        self.violations.append(f"{call.method} {call.route}: {what}")

    def _take_raw(self, call: Call) -> list | None:
        for one in self._raw:
            path, method, times, skip = *one[:2], *one[5:]
            if not (fnmatchcase(call.route, path) and fnmatchcase(call.method, method)):
                continue
            if skip or times == 0:
                one[6] = max(0, skip - 1)
                continue
            one[5] = times and times - 1
            return one
        return None

    # ------------------------------------------------------------------ faults

    def _take_fault(self, call: Call, found: Route) -> str | None:
        for one in self._faults:
            fault, path, times = one
            if (path and not fnmatchcase(call.route, path)) or times == 0:
                continue
            one[2] = times and times - 1
            return self._reaching(call, fault, found.kind)
        if found.kind != "completion" and call.model.startswith("fault/"):
            return self._reaching(call, call.model.removeprefix("fault/"), found.kind)
        return None

    def _reaching(self, call: Call, fault: str, kind: str) -> str:
        reach = FAULTS[fault].reach
        if reach == "any" or kind == "completion" or (reach == "json" and kind == "json"):
            return fault
        if fault in ("cut", "empty"):
            return fault
        raise ValueError(f"fault {fault} cannot reach {call.route}")

    async def _break(
        self, request: web.BaseRequest, fault: str, model: str, more: dict | None = None
    ) -> web.StreamResponse | None:
        """The faults in which no answer is begun."""
        if fault[0].isdigit():
            refusal = status_fault(fault, model, self.retry_after)
            body = {"error": refusal.error, "user_id": "user_2standin", **(more or {})}
            return reply(body, refusal.status, refusal.headers)
        if fault == "error_200":
            return reply({**DATA["errors"][fault], **(more or {})})
        if fault in ("html", "html_502"):
            return page(200, "OpenRouter") if fault == "html" else page(502, "502 Bad Gateway")
        if fault == "empty_body":
            return reply(b"")
        if fault == "hang":
            await asyncio.Event().wait()
        if fault == "drop_headers":
            request.transport.close()
            return web.StreamResponse()
        return None

    async def _spoil(
        self, request: web.BaseRequest, fault: str, response: web.Response
    ) -> web.StreamResponse:
        """The faults that change a good answer."""
        body, kind = bytes(response.body or b""), response.content_type
        if fault == "null_200":
            body = encode(dict.fromkeys(json.loads(body)))
        elif fault == "empty" and kind == "application/json":
            whole = json.loads(body).items()  # no items, no text
            emptied = {n: [] if isinstance(v, list) else v for n, v in whole}
            body = encode({n: "" if n == "text" else v for n, v in emptied.items()})
        elif fault == "empty":
            body = b""
        elif fault in ("bad_json", "bad_chunk", "cut"):
            body = body[: len(body) * 2 // 3]
        elif fault in ("keepalive", "drop"):
            headers = {"Content-Type": kind}
            if fault == "drop":
                headers["Content-Length"] = str(len(body))
            broken = web.StreamResponse(headers=headers)
            await broken.prepare(request)
            if fault == "drop":
                await self._cut(request, broken, body[: len(body) // 2])
            while fault == "keepalive":  # whitespace before the JSON, as the live service sends it
                await broken.write(b"\n         ")
                await asyncio.sleep(0.1)
            return broken
        return web.Response(body=body, status=response.status, content_type=kind)

    async def _cut(
        self, request: web.BaseRequest, response: web.StreamResponse, data: bytes
    ) -> None:
        if data:
            await response.write(data)
        await asyncio.sleep(0.02)  # what was written shall arrive
        request.transport.close()

    async def _stream(
        self, request: web.BaseRequest, call: Call, events: Iterable, id: str
    ) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream", "X-Generation-Id": id}
        if call.change:
            return web.Response(body=b"".join(events), headers=headers)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        sent = []
        for one in events:
            if one is CUT:
                await self._cut(request, response, b"")
                return response
            while one is WAIT:
                await response.write(PROCESSING)
                await asyncio.sleep(0.1)
            for piece in torn(one):
                await response.write(piece)
            sent.append(one)
            if self.pace:
                await asyncio.sleep(self.pace)
        call.answer = (b"".join(sent), 200, "text/event-stream")
        await response.write_eof()
        return response

    # ------------------------------------------------------------------ completions

    def _id(self, kind: str = "gen") -> str:
        return f"{kind}-{next(self._numbers):06d}StandIn"

    async def _complete(
        self, request: web.BaseRequest, call: Call, found: Route, fault: str | None
    ) -> web.StreamResponse:
        """Answer as a model, or with the fault."""
        model, fault, attempts = self._choose(call, fault)
        if fault:
            tried = [*attempts, (model, "Chutes", int(fault[:3]) if fault[0].isdigit() else 502)]
            masked = fault in ("401", "500", "429_minute", "429_day")
            more = {} if masked else self._metadata(call, tried)
            if broken := await self._break(request, fault, model, more):
                return broken
        if not model.startswith("fault/"):
            model = self._resolve(call, model)
        answer = self._compose(call, fault)
        answer.model, id = answer.model or model, self._id()
        usage = self._usage(call, answer)
        tried = [*attempts, (answer.model, answer.provider, 200)]
        metadata = self._metadata(call, tried, answer.openrouter_metadata)
        is_chat = found.name == "chat"
        base = self._chat_base(call, id, answer) if is_chat else {}
        whole = base or response_object(call.body, id, answer, usage)
        if is_chat and call.stream and fault not in ("null_200", "bad_json"):
            events = chat_events(whole, answer, usage, fault, metadata)
            return await self._stream(request, call, events, id)
        if is_chat:
            whole = chat_object(base, answer, usage)
        elif fault == "cut":
            whole |= {"status": "incomplete", "completed_at": None}
        response = reply({**whole, **metadata}, headers={"X-Generation-Id": id})
        if fault and fault not in ENDINGS - {"bad_chunk", "keepalive", "drop"}:
            return await self._spoil(request, fault, response)
        return response

    def _choose(self, call: Call, fault: str | None) -> tuple[str, str | None, list[tuple]]:
        """The model that answers, its fault, and what was tried before: model-fallbacks.mdx."""
        named = [call.body.get("model"), *(call.body.get("models") or [])]
        models = list(dict.fromkeys(filter(None, named))) or ["openrouter/auto"]
        attempts: list[tuple] = []
        for one in models:
            failing = fault
            if one.startswith("fault/"):
                failing = self._reaching(call, one.removeprefix("fault/"), "completion")
            if fault is None and failing in FALLS_BACK and one != models[-1]:
                status = int(failing[:3]) if failing[0].isdigit() else 502
                attempts.append((one, "Chutes", status))
                continue
            return one, failing, attempts
        raise AssertionError

    def _resolve(self, call: Call, model: str) -> str:
        """The model behind a router or an alias, if it can do what the request needs."""
        body, entry = call.body, BY_ID.get(model)
        messages = body.get("messages", [])
        contents = [m.get("content") for m in messages if isinstance(m.get("content"), list)]
        kinds = {"image_url": "image", "input_audio": "audio", "video_url": "video"}
        inputs = {kinds[p["type"]] for parts in contents for p in parts if p["type"] in kinds}
        tools = any(tool.get("type") == "function" for tool in body.get("tools") or [])
        schema = (body.get("response_format") or {}).get("type") == "json_schema"
        needs = {"tools"} if tools else set()
        needs |= {"structured_outputs"} if schema else set()

        def able(entry: dict) -> bool:
            can = set(entry["architecture"]["input_modalities"])
            return inputs <= can and needs <= set(entry["supported_parameters"])

        if model == "openrouter/free":
            free = [e for e in CATALOGUE if e["id"].endswith(":free") and is_chat_model(e)]
            found = next((e["id"] for e in free if able(e)), None)
            if found is None:
                raise Refusal(404, f"No endpoints found that support input {' '.join(inputs)}")
            return found
        if model == "openrouter/auto" or (entry and "alias_target" in entry):
            return "openai/gpt-5-mini"
        if model.endswith(":batch"):
            raise Refusal(404, "This model is only available through the Batch API")
        if not re.fullmatch(r"~?[\w.-]+/[\w.-]+(:[\w-]+)?(@preset/[\w-]+)?|@preset/[\w-]+", model):
            raise unavailable(400, "model_not_found", f"{model} is not a valid model ID", model)
        if entry and not is_chat_model(entry):
            message = f"{model} cannot be used on this endpoint"
            raise unavailable(400, "wrong_endpoint", message, model)
        if entry and not inputs <= set(entry["architecture"]["input_modalities"]):
            raise Refusal(404, f"No endpoints found that support {' '.join(inputs)} input")
        required = tools or (body.get("provider") or {}).get("require_parameters")
        if entry and required and not able(entry):
            what = "tool use" if tools else "structured outputs"
            raise Refusal(404, f"No endpoints found that support {what}.")
        return model

    def _compose(self, call: Call, fault: str | None = None) -> Answer:
        """What the model says: scripted, or fitting the request; and how it ends, with a fault."""
        body, replies = call.body, self._replies
        if callable(replies):
            answer = Answer.of(replies(body))
        elif replies:
            answer = Answer.of(replies.pop(0) if len(replies) > 1 else replies[0])
        else:
            answer = Answer(TEXT)
            wanted = body.get("response_format") or (body.get("text") or {}).get("format") or {}
            schema = wanted.get("schema") or (wanted.get("json_schema") or {}).get("schema")
            if wanted.get("type") == "json_schema":
                answer.content = json.dumps(example(schema or {}), ensure_ascii=False)
        answer.service_tier = answer.service_tier or body.get("service_tier")
        asked = body.get("reasoning") or {}
        effort = asked.get("effort") or body.get("reasoning_effort")
        thinks = effort not in (None, "none") or asked.get("enabled") or asked.get("max_tokens")
        if thinks and answer.reasoning is None:
            answer.reasoning = THOUGHT
        if asked.get("exclude"):
            answer.reasoning = answer.reasoning_details = None
        tools = {tool.get("type") for tool in body.get("tools") or []}
        searches = {"openrouter:web_search", "openrouter:web_fetch"} & tools
        if searches and answer.content and answer.annotations is None:
            answer.annotations = [citation(number, answer) for number in (1, 2)]
        if fault in ENDINGS:
            answer.content, answer.tool_calls, answer.annotations = PARTIAL, None, None
        if fault in ("finish_error", "mid_stream"):
            answer.finish_reason, answer.error = "error", CRASH
        elif fault in ("empty", "reasoning_ate_it"):
            answer.content = None
            answer.reasoning = THOUGHT if fault == "reasoning_ate_it" else None
        ends = {"cut": None, "reasoning_ate_it": "length", "length": "length"}
        ends["filtered"] = "content_filter"
        answer.finish_reason = ends.get(fault, answer.finish_reason)
        provider = body.get("provider") or {}
        if named := provider.get("only") or provider.get("order"):
            answer.provider = named[0].split("/")[0].title()
        return answer

    def _media(self, body: dict) -> tuple[int, int]:
        """Look at images, sounds and files; return all their tokens, and those of videos."""
        tokens = video = 0
        contents = [message.get("content") for message in body.get("messages", [])]
        for part in itertools.chain(*(c for c in contents if isinstance(c, list))):
            tokens += 0 if part["type"] == "text" else 258
            if part["type"] == "image_url":
                data_url(part["image_url"]["url"], "image")
            elif part["type"] == "video_url":
                data_url(part["video_url"]["url"], "video")
                video += self.video_tokens
            elif part["type"] == "input_audio":
                base64_bytes(part["input_audio"]["data"], "input_audio.data")
                if part["input_audio"]["format"] not in (*AUDIO, "aiff", "pcm16", "pcm24"):
                    raise Refusal(400, "Unsupported audio format")
            elif part["type"] == "file":
                data_url(part["file"].get("file_data", ""), "file")
        return tokens, video

    def _usage(self, call: Call, answer: Answer) -> dict:
        """Tokens and price of an answer."""
        body = call.body
        tokens, video = self._media(body)
        text = text_of(body.get("messages") or body.get("input") or "")
        prompt = max(1, len(text) // 4) + tokens
        thought = len(answer.reasoning or "") // 4
        completion = max(1, len(str(answer.content or answer.tool_calls or "")) // 4) + thought
        prices = BY_ID.get(answer.model, {}).get(
            "pricing", {"prompt": "1e-6", "completion": "2e-6"}
        )
        rates = [max(0.0, float(prices[name])) for name in ("prompt", "completion")]
        prompt_cost = rates[0] * prompt
        searches = int("openrouter:web_search" in str(body.get("tools")))
        details = {"cached_tokens": 0, "cache_write_tokens": 0}
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "cost": round(prompt_cost + rates[1] * completion + 0.007 * searches, 9),
            "is_byok": False,
            "prompt_tokens_details": {**details, "audio_tokens": 0, "video_tokens": video},
            "cost_details": {
                "upstream_inference_cost": None,
                "upstream_inference_prompt_cost": round(prompt_cost, 9),
                "upstream_inference_completions_cost": round(rates[1] * completion, 9),
            },
            "completion_tokens_details": {"reasoning_tokens": thought, "image_tokens": 0},
        }
        if searches:
            count = {"web_search_requests": searches}
            usage["server_tool_use"] = count
            ran = {"tool_calls_requested": searches, "tool_calls_executed": searches}
            usage["server_tool_use_details"] = {**ran, **count}
        return {**usage, **answer.usage}

    def _metadata(self, call: Call, tried: list[tuple], scripted: dict | None = None) -> dict:
        """What the router did, for those who ask: guides/features/router-metadata.mdx."""
        if call.headers.get("x-openrouter-metadata") != "enabled":
            return {}
        offers = [{"provider": p, "model": m, "selected": status == 200} for m, p, status in tried]
        metadata = {
            "requested": call.body.get("model", "openrouter/auto"),
            "strategy": "fallback" if len(tried) > 1 else "direct",
            "region": "icn",
            "summary": f"available={len(tried)}",
            "attempt": len(tried),
            "is_byok": False,
            "endpoints": {"total": len(tried), "available": offers},
            "attempts": [{"provider": p, "model": m, "status": status} for m, p, status in tried],
        }
        return {"openrouter_metadata": scripted or metadata}

    def _chat_base(self, call: Call, id: str, answer: Answer) -> dict:
        kind = "chat.completion" + (".chunk" if call.stream else "")
        base = {"id": id, "provider": answer.provider, "model": answer.model, "object": kind}
        tier = {"service_tier": answer.service_tier} if answer.service_tier else {}
        return {**base, "created": int(time.time()), **tier}

    @route("POST", "/chat/completions", "completion", "chat")
    def chat(self) -> None:
        """Answered by _complete()."""

    @route("POST", "/responses", "completion", "responses")
    def responses(self) -> None:
        """Answered by _complete()."""

    # ------------------------------------------------------------------ find

    def _for_output(self, call: Call, output: str) -> dict | None:
        """Refuse a catalogue model that can't do this; models outside the catalogue pass."""
        entry = BY_ID.get(call.model)
        if "/" not in call.model:
            message = f"{call.model} is not a valid model ID"
            raise unavailable(400, "model_not_found", message, call.model)
        if entry and output not in entry["architecture"]["output_modalities"]:
            message = f"{call.model} does not have {output} output"
            raise unavailable(400, "wrong_endpoint", message, call.model)
        return entry

    @route("POST", "/embeddings", schema="embeddings")
    def embeddings(self, call: Call) -> dict:
        body, data = call.body, []
        self._for_output(call, "embeddings")
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        if not inputs or "" in inputs:
            raise Refusal(400, "input must not be empty")
        size = body.get("dimensions", 256)
        for number, one in enumerate(inputs):
            text = text_of(one.get("content")) if isinstance(one, dict) else str(one)
            vector: list[float] | str = embed(text, size)
            if body.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
            data.append({"object": "embedding", "embedding": vector, "index": number})
        tokens = max(1, len(str(inputs)) // 4)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens, "cost": tokens * 2e-8}
        whole = {"object": "list", "data": data, "model": body["model"], "usage": usage}
        return {**whole, "id": self._id("gen-emb")}

    @route("POST", "/rerank", schema="rerank")
    def rerank(self, call: Call) -> dict:
        body, results = call.body, []
        self._for_output(call, "rerank")
        if not body["documents"]:
            raise Refusal(400, "documents must not be empty")
        wanted = words(body["query"])
        total = sum(wanted.values()) or 1
        for number, document in enumerate(body["documents"]):
            found = document if isinstance(document, dict) else {"text": document}
            has = words(found.get("text", ""))
            score = round(sum(weight for word, weight in wanted.items() if word in has) / total, 6)
            results.append({"index": number, "relevance_score": score, "document": found})
        results.sort(key=lambda one: -one["relevance_score"])
        return {
            "id": self._id("gen-rerank"),
            "model": body["model"],
            "provider": "Cohere",
            "results": results[: body.get("top_n", len(results))],
            "usage": {"search_units": 1, "cost": 0.0 if call.is_free else 0.001},
        }

    # ------------------------------------------------------------------ pictures, sound, video

    @route("POST", "/images", schema="image")
    def images(self, call: Call) -> dict:
        body = call.body
        self._for_output(call, "image")
        count = body.get("n", 1)
        if not 1 <= count <= 10:
            raise Refusal(400, "n must be between 1 and 10")
        for reference in body.get("input_references", []):
            data_url(reference["image_url"]["url"], "image")
        data, media_type = picture(body.get("output_format", "png"))
        one = {"b64_json": base64.b64encode(data).decode(), "media_type": media_type}
        usage = {"prompt_tokens": 0, "completion_tokens": 4175, "total_tokens": 4175}
        usage["cost"] = 0.0 if call.is_free else 0.04 * count
        return {"created": int(time.time()), "data": [one] * count, "usage": usage}

    @route("POST", "/audio/speech", "binary", "speech")
    def speech(self, call: Call) -> web.Response:
        body = call.body
        entry = self._for_output(call, "speech")
        voices = entry["supported_voices"] if entry else None
        if not body["input"] or ("voice" not in body and "input_references" not in body):
            raise Refusal(400, "input and voice are required for this model")
        if voices and body.get("voice") not in voices:
            raise Refusal(400, f"voice must be one of {', '.join(voices)}")
        mp3 = body.get("response_format") == "mp3"  # the default is pcm
        kind = "audio/mpeg" if mp3 else "audio/pcm;rate=24000;channels=1"
        headers = {"X-Generation-Id": self._id("gen-tts"), "Content-Type": kind}
        return web.Response(body=MP3 if mp3 else PCM, headers=headers)

    @route("POST", "/audio/transcriptions", schema="transcription")
    def transcriptions(self, call: Call) -> dict:
        body = call.body
        self._for_output(call, "transcription")
        if call.form:
            data, name = body["file"]["data"], body["file"]["filename"]
            suffix = Path(name).suffix.lstrip(".").lower()
        else:
            data = base64_bytes(body["input_audio"].get("data", ""), "input_audio.data")
            suffix = body["input_audio"].get("format", "wav")
        if len(data) > UPLOAD_LIMIT:
            raise Refusal(413, "Request payload too large: the limit is 25 MB")
        if suffix not in AUDIO or not data:
            raise Refusal(400, f"Unsupported audio format: {suffix or 'unknown'}")
        seconds = round(max(0.1, len(data) / 32000), 2)
        usage = {"seconds": seconds, "cost": 0.0 if call.is_free else 0.0001}
        usage |= {"input_tokens": 83, "output_tokens": 30, "total_tokens": 113}
        return {"text": self.transcript, "usage": usage}

    @route("POST", "/videos", schema="video")
    def video_submit(self, call: Call) -> web.Response:
        body = call.body
        self._for_output(call, "video")
        for one in [*body.get("frame_images", []), *body.get("input_references", [])]:
            if "image_url" in one:
                data_url(one["image_url"]["url"], "image")
        id = f"video-{next(self._numbers)}"
        self._jobs[id] = {"states": list(self.video_states), "model": body["model"]}
        return reply({"id": id, "polling_url": f"/api/v1/videos/{id}", "status": "pending"}, 202)

    def _job(self, id: str) -> dict:
        """The job, one state on."""
        if id not in self._jobs:
            raise Refusal(404, "Job not found")
        job = self._jobs[id]
        job["status"] = job["states"].pop(0) if len(job["states"]) > 1 else job["states"][0]
        return job

    @route("GET", "/videos/{id}")
    def video_status(self, call: Call, id: str) -> dict:
        status = self._job(id)["status"]
        whole = {"id": id, "polling_url": f"/api/v1/videos/{id}", "status": status}
        if status == "completed":
            whole["generation_id"] = "gen-vid-1"
            whole["unsigned_urls"] = [f"{self.url}/videos/{id}/content?index=0"]
            whole["usage"] = {"cost": 0.25, "is_byok": False}
        elif status in ("failed", "cancelled", "expired"):
            whole["error"] = self.video_error
        return whole

    @route("GET", "/videos/{id}/content", "binary")
    def video_content(self, call: Call, id: str) -> web.Response:
        if self._jobs.get(id, {}).get("status") != "completed" or set(call.query) - {"index"}:
            raise Refusal(404, "The video is not ready")
        return web.Response(body=MP4, content_type="video/mp4")

    # ------------------------------------------------------------------ batches

    @route("POST", "/batches", schema="batch")
    def batch_submit(self, call: Call) -> web.Response:
        body = call.body
        order = ["endpoint", "model", "provider", "completion_window", "requests"]
        if [name for name in body if name in order] != [name for name in order if name in body]:
            self._violation(call, "the keys are not in the documented order")
            raise Refusal(400, "endpoint and model must come before requests")
        ids = [item["custom_id"] for item in body["requests"]]
        if not ids or len(set(ids)) < len(ids) or len(ids) > 5000:
            raise Refusal(400, "requests: 1 to 5000 items, each with a custom_id of its own")
        kind = {"/v1/responses": "responses", "/v1/embeddings": "embeddings"}
        for number, item in enumerate(body["requests"]):
            whole = {"model": body["model"], **item["body"]}
            wrong = mistakes(kind.get(body["endpoint"], "chat"), whole)
            if wrong or whole["model"] != body["model"]:
                self._violation(call, f"requests.{number}.body.{'; '.join(wrong)}")
                raise Refusal(400, f"requests.{number}.body.{'; '.join(wrong)}")
        id, now = f"batch_{next(self._numbers)}", int(time.time())
        self._jobs[id] = {
            "states": list(self.batch_states),
            "requests": body["requests"],
            "id": id,
            "object": "batch",
            "endpoint": body["endpoint"],
            "model": body["model"],
            "provider": None,
            "completion_window": "24h",
            "status": "validating",
            "created_at": now,
            "expires_at": now + 30 * 86400,
            "finalized_at": None,
            "request_counts": {"total": len(ids), "completed": 0, "failed": 0},
            "usage": None,
            "results": None,
            "error": None,
        }
        return reply(shown(self._jobs[id]), 202)

    def _batch_result(self, job: dict, item: dict) -> dict:
        name, id = item["custom_id"], f"batch_req_{next(self._numbers)}"
        if message := self.item_errors.get(name.rpartition("-")[2]):
            error = {"message": message, "type": "server_error", "param": None}
            return {"id": id, "custom_id": name, "response": None, "error": error}
        call = Call("POST", "/batches", {}, {}, {"model": job["model"], **item["body"]})
        if job["endpoint"] == "/v1/embeddings":
            body = self.embeddings(call)
        else:
            answer = self._compose(call)
            answer.model = job["model"]
            usage = self._usage(call, answer)
            for field in ("cost", "cost_details", "is_byok"):  # only the whole batch has a price
                usage.pop(field, None)
            base = self._chat_base(call, self._id("gen-batch"), answer)
            body = chat_object(base, answer, usage)
            body.pop("provider")
        response = {"status_code": 200, "request_id": self._id("req"), "body": body}
        return {"id": id, "custom_id": name, "response": response, "error": None}

    @route("GET", "/batches/{id}")
    def batch_status(self, call: Call, id: str) -> dict:
        job = self._job(id)
        if job["status"] in ENDED and job["results"] is None:
            done = job["status"] != "failed"
            # Not in the order of the requests: custom_id is what joins them.
            items = reversed(job["requests"]) if done else ()
            job["results"] = [self._batch_result(job, item) for item in items]
            failed = sum(1 for one in job["results"] if one["error"])
            counts = {"completed": len(job["results"]) - failed, "failed": failed}
            job["request_counts"] |= counts
            tokens = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
            job |= {"usage": {**tokens, "cost": 0.000125, "is_byok": False}, "provider": "OpenAI"}
            job["finalized_at"] = int(time.time())
            job["error"] = None if job["status"] == "completed" else {"message": self.batch_error}
        return shown(job)

    @route("GET", "/batches")
    def batch_list(self, call: Call) -> dict:
        if unknown := set(call.query) - {"limit", "after", "status", "created_after"}:
            raise Refusal(400, f"unknown query parameters {sorted(unknown)}")
        jobs = [shown(job) for id, job in self._jobs.items() if id.startswith("batch_")][::-1]
        ids = [job["id"] for job in jobs]
        start = ids.index(call.query["after"]) + 1 if "after" in call.query else 0
        end = start + int(call.query.get("limit", 20))
        items = [{**job, "results": None} for job in jobs[start:end]]
        first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
        whole = {"object": "list", "data": items, "first_id": first, "last_id": last}
        return {**whole, "has_more": end < len(jobs)}

    # ------------------------------------------------------------------ catalogue

    @route("GET", "/models", schema="models", public=True)
    def models(self, call: Call) -> dict:
        found, query = select(call.query), call.query
        following = None
        if "offset" in query or "limit" in query:
            start, count = int(query.get("offset", 0)), int(query.get("limit", 500))
            if start + count < len(found):
                following = f"/api/v1/models?offset={start + count}&limit={count}"
            found = found[start : start + count]
        return {"data": found, "links": {"next": following}, "total_count": len(select(query))}

    @route("GET", "/models/user", schema="user models")
    def user_models(self, call: Call) -> dict:
        return self.models(call)

    @route("GET", "/videos/models", public=True)
    def video_models(self, call: Call) -> dict:
        return {"data": [video_model(e) for e in select({"output_modalities": "video"})]}

    # ------------------------------------------------------------------ account

    @route("GET", "/key")
    def key_data(self, call: Call) -> dict:
        management = call.key == MANAGEMENT_KEY
        whose = {"is_management_key": management, "is_provisioning_key": management}
        return {"data": DATA["key"] | whose | self.key_info}

    @route("GET", "/credits")
    def credit_data(self, call: Call) -> dict:
        if call.key != MANAGEMENT_KEY:
            raise Refusal(403, "Only management keys can perform this operation")
        return {"data": self.credits}

    # ------------------------------------------------------------------ login by way of the browser

    def _login_page(self, call: Call) -> web.Response:
        """The page behind "Authorize", pressed at once: guides/overview/auth/oauth.mdx."""
        if call.query.get("code_challenge_method") != "S256":
            return page(400, "code_challenge_method must be S256")
        code = f"code-{next(self._numbers)}"
        self.codes[code] = call.query.get("code_challenge", "")
        if "callback_url" not in call.query:
            return page(200, f"Your code: {code}")
        address = f"{call.query['callback_url']}?{urlencode({'code': code})}"
        return web.Response(status=302, headers={"Location": address})

    @route("POST", "/auth/keys", schema="login", public=True)
    def login(self, call: Call) -> dict:
        if "authorization" in call.headers:
            self._violation(call, "a key where none is needed")
        digest = hashlib.sha256(call.body.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if self.codes.pop(call.body["code"], None) not in ("", challenge):
            raise Refusal(403, "Invalid code or code_verifier")
        return {"key": NEW_KEY, "user_id": None}


# -------------------------------------------------------------------------------------- wire shapes

ENDED = ("completed", "failed", "expired", "cancelled")


def is_chat_model(entry: dict) -> bool:
    return "text" in entry["architecture"]["output_modalities"]


def shown(job: dict) -> dict:
    return {name: value for name, value in job.items() if name not in ("states", "requests")}


def citation(number: int, answer: Answer) -> dict:
    url = {"url": f"https://example.com/{number}", "title": f"예시 페이지 {number}"}
    place = {"content": "What it says.", "start_index": 0, "end_index": len(answer.content)}
    return {"type": "url_citation", "url_citation": {**url, **place}}


def chat_object(base: dict, answer: Answer, usage: dict) -> dict:
    ends = dict.fromkeys(("finish_reason", "native_finish_reason"), answer.finish_reason)
    message = {"role": "assistant", **answer.message()}
    choice = {"index": 0, "message": message, "logprobs": None, **ends}
    if answer.error:
        choice["error"] = answer.error
    return {**base, "choices": [choice], "system_fingerprint": None, "usage": usage}


def chat_events(base, answer, usage, fault, metadata) -> Iterator:
    """An answer as its stream of chunks, with the fault at its end."""

    def chunk(delta: dict, finish: str | None = None, **more) -> bytes:
        ends = dict.fromkeys(("finish_reason", "native_finish_reason"), finish)
        choice = {"index": 0, "delta": delta, **ends, "logprobs": None, **more}
        return event({**base, "choices": [choice]})

    yield PROCESSING
    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(answer.reasoning, 2):
        details = [thinking(piece)]
        yield chunk({"content": "", "reasoning": piece, "reasoning_details": details})
    for number, piece in enumerate(pieces(answer.content)):
        yield chunk({"role": "assistant", "content": piece})
        if number == 0:
            yield PROCESSING
    for piece in pieces(answer.refusal, 2):
        yield chunk({"content": None, "refusal": piece})
    if fault in ("keepalive", "drop"):
        yield {"keepalive": WAIT, "drop": CUT}[fault]
    if fault == "bad_chunk":
        yield b'data: {"id":"1","choices":[{"delta":{"content":"\n\n'
    if fault == "mid_stream":
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        yield event({**base, "error": answer.error, "choices": [choice]})
    if fault in ("cut", "mid_stream"):
        return
    for number, call in enumerate(answer.tool_calls or []):
        start = {**call, "index": number, "function": {**call["function"], "arguments": ""}}
        yield chunk({"role": "assistant", "content": None, "tool_calls": [start]})
        for part in pieces(call["function"]["arguments"], 2):
            yield chunk({"tool_calls": [{"index": number, "function": {"arguments": part}}]})
    if answer.annotations:
        yield chunk({"role": "assistant", "content": "", "annotations": answer.annotations})
    more = {"error": answer.error} if answer.error else {}
    yield chunk({"role": "assistant", "content": ""}, answer.finish_reason, **more)
    yield event({**base, "choices": [], "usage": usage, **metadata})
    yield DONE


def response_object(body: dict, id: str, answer: Answer, usage: dict) -> dict:
    """An answer as the object of /responses."""
    status = {"error": "failed", "length": "incomplete", "content_filter": "incomplete"}
    reason = {"length": "max_output_tokens"}.get(answer.finish_reason, answer.finish_reason)
    status = status.get(answer.finish_reason or "", "completed")
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    whole = DATA["response"] | {
        "id": id,
        "created_at": int(time.time()),
        "completed_at": int(time.time()),
        "model": answer.model,
        "status": status,
        "output": output_items(answer, id),
        "incomplete_details": {"reason": reason} if status == "incomplete" else None,
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": usage["total_tokens"],
            "cost": usage["cost"],
            "is_byok": usage["is_byok"],
            "cost_details": {
                "upstream_inference_cost": usage["cost_details"].get("upstream_inference_cost"),
                "upstream_inference_input_cost": 0,
                "upstream_inference_output_cost": 0,
            },
        },
    }
    if answer.error:
        whole["error"] = {"code": "server_error", "message": answer.error["message"]}
        whole["error_type"] = "provider_unavailable"
    return whole


def output_items(answer: Answer, id: str) -> list[dict]:
    """An answer as the output of /responses."""
    items: list[dict] = []
    if answer.reasoning:
        content = [{"type": "reasoning_text", "text": answer.reasoning}]
        items.append({"type": "reasoning", "id": f"rs_{id}", "summary": [], "content": content})
    if answer.content is not None:
        whole = answer.finish_reason in ("stop", "tool_calls")
        part = {"type": "output_text", "text": answer.content, "annotations": [], "logprobs": []}
        status = {"status": "completed" if whole else "incomplete", "content": [part]}
        items.append({"type": "message", "id": f"msg_{id}", "role": "assistant", **status})
    for call in answer.tool_calls or []:
        function = {"call_id": call["id"], **call["function"], "status": "completed"}
        items.append({"type": "function_call", "id": f"fc_{call['id']}", **function})
    return items


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--delay", type=float, default=0, help="seconds before each reply")
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    with StandIn(args.port, args.delay, record=False) as server:
        print(server.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server._thread.join()


if __name__ == "__main__":
    sys.exit(main())
