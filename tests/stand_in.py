"""A stand-in for OpenRouter on a loopback port: documented and recorded shapes, faults included.

    with StandIn() as server:
        server.say("Hello")
        server.fail("429_day", times=1)
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
import copy
import hashlib
import io
import itertools
import json
import math
import os.path
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
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

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

KEY = "test-key"
MANAGEMENT_KEY = "management-key"
TEXT = "안녕하세요! Here is a short answer. 🙂"
PARTIAL = "답의 앞부분입니다. The first half"
THOUGHT = "먼저 질문을 읽습니다. First, read the question."
UPLOAD_LIMIT = 25 * 1024 * 1024  # guides/overview/multimodal/stt.mdx


# ---------------------------------------------------------------------------------------- faults


class Fault(NamedTuple):
    """What a fault is like for the one who meets it.

    says: what an error sentence must contain (a pattern, case ignored) to have named the cause.
    partial: where text arrives before the fault: "", "stream", or "always" (JSON replies, too).
    reach: "any" endpoint, "json" (all but audio and video), "completion" or "stream" only.
    says_in_stream: the same where a stream was asked for and the client can't see the body.
    """

    says: str
    partial: str = ""
    reach: str = "any"
    says_in_stream: str = ""


FAULTS = {
    "error_200": Fault("upstream idle timeout"),
    "null_200": Fault(
        "empty|broke off|no answer|nothing|reply (has|holds) (no|0) ",
        reach="json",
        says_in_stream="no stream",
    ),
    "mid_stream": Fault("provider disconnected", "always", "stream"),
    "cut": Fault("broke off|cut off|truncated|incomplete", "always", "completion"),
    "finish_error": Fault("engine crashed", "always", "completion"),
    "empty": Fault("empty|no answer|nothing", reach="completion"),
    "reasoning_ate_it": Fault("reasoning", reach="completion"),
    "length": Fault("limit|length|max_tokens|max_output_tokens", "always", "completion"),
    "filtered": Fault("content.?filter|filtered", "always", "completion"),
    "html": Fault(
        "html|web page|base.?url|address|json",
        says_in_stream="html|web page|base.?url|address",
    ),
    "html_502": Fault("502"),
    "400": Fault("not a valid model id"),
    "401": Fault("user not found"),
    "402": Fault("requires more credits"),
    "403": Fault("flagged for .violence"),
    "404_policy": Fault("data policy.*settings/privacy"),
    "404_dead": Fault("free period.*ended.*acme/muse-2(?!:)"),
    "404_constraint": Fault("max_price"),
    "408": Fault("operation timed out"),
    "413": Fault("payload too large"),
    "429_minute": Fault("free-models-per-min"),
    "429_day": Fault("free-models-per-day"),
    "429_upstream": Fault("temporarily rate-limited upstream"),
    "429_retry_after": Fault("at capacity"),
    "500": Fault("internal server error"),
    "502": Fault("out of memory on node 7"),
    "503": Fault("no available model provider"),
    "bad_json": Fault(
        "json|expecting|unterminated|delimiter",
        reach="json",
        says_in_stream="json|expecting|unterminated|delimiter|broke off|no stream",
    ),
    "bad_chunk": Fault("json|expecting|unterminated|delimiter", "stream", "stream"),
    "empty_body": Fault(
        "empty|json|expecting|broke off", reach="json", says_in_stream="empty|broke off"
    ),
    "keepalive": Fault(
        "no end of|too long|timed? ?out|time limit|seconds|closed|gave up", "stream", "json"
    ),
    "hang": Fault("timed? ?out|too long|no answer"),
    "drop": Fault("peer closed|connection|broke off|incomplete", "stream"),
    "drop_headers": Fault("disconnected|connection"),
}

# What the router still hides by trying the next model: nothing has reached the client yet.
FALLS_BACK = {name for name in FAULTS if name[0].isdigit()} | {"error_200", "html_502"}
# How a reply ends, rather than how the answer travels.
ENDINGS = {"mid_stream", "cut", "finish_error", "empty", "reasoning_ate_it", "length", "filtered"}
ENDINGS |= {"bad_chunk", "keepalive", "drop"}


class Refusal(Exception):
    """An error reply; code=None where the documentation shows an error without one."""

    def __init__(self, status: int, message: str, headers: dict | None = None, **error):
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.error = {"message": message, "code": status, **error}
        if self.error["code"] is None:
            del self.error["code"]


def unavailable(status: int, code: str, message: str, model: str, **more) -> Refusal:
    """A model-availability error: api_reference/errors-and-debugging.mdx."""
    kinds = {400: "invalid_request", 404: "not_found", 429: "rate_limit_exceeded"}
    headers = {"Retry-After": str(more["retry_after"])} if "retry_after" in more else {}
    details = {
        "code": code,
        "retryable": status in (429, 503),
        "requested_models": [model],
        **more,
        "docs_url": f"https://openrouter.ai/docs/errors#{code}",
    }
    return Refusal(
        status,
        message,
        headers,
        code=None,
        error_type=kinds.get(status, "provider_overloaded"),
        http_status=status,
        availability=details,
    )


def rate_limited(kind: str, limit: int, reset: datetime, advice: str = "") -> Refusal:
    """A platform limit, with the live service's message and its headers, in milliseconds."""
    headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(reset.timestamp() * 1000)),
    }
    message = f"Rate limit exceeded: free-models-per-{kind}. {advice}"
    return Refusal(429, message, headers, metadata={"headers": headers, "provider_name": None})


def status_fault(name: str, model: str, retry_after: float) -> Refusal:
    """The error reply of a fault that is one, for a model."""
    now = datetime.now(timezone.utc)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    seconds = int(retry_after) if retry_after == int(retry_after) else retry_after
    if name == "400":
        more = {"fallback_models": ["acme/muse-2", "acme/muse-mini"]}
        return unavailable(
            400, "model_not_found", f"{model} is not a valid model ID", model, **more
        )
    if name == "401":
        return Refusal(401, "User not found.")
    if name == "402":
        return Refusal(
            402,
            "This request requires more credits, or fewer max_tokens. You requested up to 65536 "
            "tokens, but can only afford 1000. To increase, visit "
            "https://openrouter.ai/settings/credits and add more credits",
            metadata={"error_type": "payment_required"},
        )
    if name == "403":
        return Refusal(
            403,
            f'{model} requires moderation on OpenAI. Your input was flagged for "violence". '
            "No credits were charged.",
            metadata={
                "reasons": ["violence"],
                "flagged_input": "the flagged...words",
                "provider_name": "OpenAI",
                "model_slug": model,
            },
        )
    if name == "404_policy":
        return unavailable(
            404,
            "privacy_restricted",
            "No endpoints found matching your data policy (Free model publication). "
            "Configure: https://openrouter.ai/settings/privacy",
            model,
            excluded_by=["data_policy:training"],
        )
    if name == "404_dead":
        return unavailable(
            404,
            "free_variant_ended",
            f"The free period of {model} has ended.",
            model,
            fallback_models=["acme/muse-2"],
        )
    if name == "404_constraint":
        return unavailable(
            404,
            "constraint_filtered",
            f"No endpoints for {model} meet max_price.",
            model,
            excluded_by=["max_price"],
            constraint={"field": "max_price", "detail": "The cheapest endpoint costs $0.25 per M."},
        )
    if name == "408":
        return Refusal(408, "Operation timed out. Please try again later.")
    if name == "413":
        return Refusal(413, "Request payload too large")
    if name == "429_minute":
        return rate_limited("min", 20, now + timedelta(seconds=60))
    if name == "429_day":
        more = "Add 10 credits to unlock 1000 free model requests per day"
        return rate_limited("day", 50, midnight, more)
    if name == "429_upstream":
        raw = (
            f"{model} is temporarily rate-limited upstream. Please retry shortly, or add your own "
            "key to accumulate your rate limits: https://openrouter.ai/settings/integrations"
        )
        metadata = {"raw": raw, "provider_name": "Chutes"}
        return Refusal(429, "Provider returned error", metadata=metadata)
    if name == "429_retry_after":
        message = f"All providers for {model} are at capacity. Retry after {seconds} seconds."
        refusal = unavailable(
            429, "capacity_exhausted", message, model, retry_after=seconds, affected_providers=["a"]
        )
        previous = [{"provider": "a", "code": "capacity_exhausted", "status": 429}]
        refusal.error["metadata"] = {"previous_errors": previous}
        return refusal
    if name == "500":  # the message is masked: api_reference/errors-and-debugging.mdx
        return Refusal(500, "Internal Server Error", metadata={"error_type": "server"})
    if name == "502":
        nested = {"error": {"message": "CUDA out of memory on node 7", "type": "server_error"}}
        metadata = {"raw": json.dumps(nested), "provider_name": "DeepInfra"}
        metadata |= {"error_type": "provider_unavailable", "provider_code": "oom"}
        return Refusal(502, "Provider returned error", metadata=metadata)
    message = "There is no available model provider that meets your routing requirements"
    return unavailable(503, "temporarily_unavailable", message, model, retry_after=seconds)


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
        "canonical_slug": id.removesuffix(":free").removeprefix("~"),
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


EFFORTS = ["high", "medium", "low", "minimal"]
CATALOGUE = [
    listing(
        "openrouter/free", "Free Models Router", "text,image", "text", "0", "0",
        CHAT_PARAMETERS + TOOLS + JSON_OUT + REASONING, 200000, 1769904000, tokenizer="Router",
    ),
    listing(
        "openrouter/auto", "Auto Router", "text,image,audio,file,video", "text", "-1", "-1",
        CHAT_PARAMETERS + TOOLS + JSON_OUT + REASONING, 2000000, 1699401600, tokenizer="Router",
    ),
    listing(
        "meta-llama/llama-3.2-3b-instruct:free", "Meta: Llama 3.2 3B Instruct (free)",
        "text", "text", "0", "0", CHAT_PARAMETERS, 131072, 1727222400, tokenizer="Llama3",
    ),
    listing(
        "upstage/solar-pro-3:free", "Upstage: Solar Pro 3 (free)", "text", "text", "0", "0",
        CHAT_PARAMETERS + TOOLS + JSON_OUT + REASONING, 128000, 1769472000,
        expiration_date="2026-12-31",
        reasoning={
            "mandatory": False,
            "default_enabled": False,
            "supported_efforts": ["high", "medium", "low"],
            "default_effort": "medium",
        },
    ),
    listing(
        "nvidia/nemotron-nano-omni:free", "NVIDIA: Nemotron Nano Omni (free)",
        "text,image,audio,video", "text", "0", "0",
        CHAT_PARAMETERS + TOOLS + JSON_OUT + REASONING, 262144, 1777420800,
    ),
    listing(
        "openai/gpt-5-mini", "OpenAI: GPT-5 Mini", "text,image,file", "text",
        "0.00000025", "0.000002", ["max_tokens", "seed", *TOOLS, *JSON_OUT, *REASONING],
        400000, 1754587407, {"input_cache_read": "0.000000025", "web_search": "0.01"}, "GPT",
        reasoning={
            "mandatory": True,
            "supported_efforts": EFFORTS,
            "default_effort": "medium",
            "supports_max_tokens": False,
        },
    ),
    listing(
        "~openai/gpt-mini-latest", "OpenAI: GPT Mini (latest)", "text,image,file", "text",
        "0.00000025", "0.000002", ["max_tokens", "seed", *TOOLS, *JSON_OUT, *REASONING],
        400000, 1754587407, {"input_cache_read": "0.000000025"}, "GPT",
        alias_target={"name": "OpenAI: GPT-5 Mini", "slug": "openai/gpt-5-mini"},
    ),
    listing(
        "anthropic/claude-sonnet-4.5", "Anthropic: Claude Sonnet 4.5", "text,image,file", "text",
        "0.000003", "0.000015", CHAT_PARAMETERS + TOOLS + JSON_OUT + REASONING, 1000000, 1759161676,
        {"input_cache_read": "0.0000003", "input_cache_write": "0.00000375"}, "Claude",
    ),
    listing(
        "google/gemini-2.5-flash", "Google: Gemini 2.5 Flash", "text,image,file,audio,video",
        "text", "0.0000003", "0.0000025", CHAT_PARAMETERS + TOOLS + JSON_OUT + REASONING,
        1048576, 1750172488, {"audio": "0.000001", "input_cache_read": "0.00000003"}, "Gemini",
    ),
    listing(
        "deepseek/deepseek-r1", "DeepSeek: R1", "text", "text", "0.0000007", "0.0000025",
        CHAT_PARAMETERS + REASONING, 163840, 1737381095, tokenizer="DeepSeek",
        reasoning={"mandatory": True, "supported_efforts": None, "supports_max_tokens": True},
    ),
    listing(
        "openai/gpt-4o-audio-preview", "OpenAI: GPT-4o Audio", "text,audio", "text,audio",
        "0.0000025", "0.00001", CHAT_PARAMETERS + TOOLS, 128000, 1755233061,
        {"audio": "0.00004", "audio_output": "0.00008"}, "GPT",
    ),
    listing(
        "google/gemini-2.5-flash-image", "Google: Gemini 2.5 Flash Image", "text,image",
        "image,text", "0.0000003", "0.0000025", ["temperature", "max_tokens"], 32768, 1759870431,
        {"image_output": "0.00003"}, "Gemini",
    ),
    listing(
        "bytedance-seed/seedream-4.5", "ByteDance Seed: Seedream 4.5", "text,image", "image",
        "0", "0", (), 4096, 1766505011, {"image_output": "0.0000095"}, "Media",
    ),
    listing(
        "openai/gpt-4o-mini-tts-2025-12-15", "OpenAI: GPT-4o Mini TTS", "text", "speech",
        "0.0000006", "0.000012", (), 2000, 1765756800, tokenizer="Media",
        supported_voices=["alloy", "ash", "coral", "nova", "sage"],
    ),
    listing(
        "mistralai/voxtral-mini-tts-2603", "Mistral: Voxtral Mini TTS", "text", "speech",
        "0.000016", "0", (), 4096, 1774224000, tokenizer="Media",
        supported_voices=["en_paul_happy", "en_paul_neutral"],
    ),
    listing(
        "openai/whisper-large-v3", "OpenAI: Whisper Large V3", "audio", "transcription",
        "0", "0", (), None, 1772323200, {"request": "0"}, "Media",
    ),
    listing(
        "google/veo-3.1", "Google: Veo 3.1", "text,image", "video", "0", "0", (), None,
        1760486400, tokenizer="Media",
    ),
    listing(
        "openai/text-embedding-3-small", "OpenAI: Text Embedding 3 Small", "text", "embeddings",
        "0.00000002", "0", (), 8192, 1761782400,
    ),
    listing(
        "cohere/rerank-v3.5", "Cohere: Rerank 3.5", "text", "rerank", "0", "0", (), 4096,
        1772841600, {"request": "0.001"}, "Cohere",
    ),
]  # fmt: skip
BY_ID = {entry["id"]: entry for entry in CATALOGUE}

IMAGE_MODELS = [
    {
        "id": entry["id"],
        "name": entry["name"],
        "description": entry["description"],
        "created": entry["created"],
        "architecture": {
            key: entry["architecture"][key] for key in ("input_modalities", "output_modalities")
        },
        "supported_parameters": {
            "resolution": {"type": "enum", "values": ["1K", "2K", "4K"]},
            "aspect_ratio": {"type": "enum", "values": ["1:1", "16:9", "9:16"]},
            "n": {"type": "range", "min": 1, "max": 4},
            "seed": {"type": "boolean"},
        },
        "supports_streaming": False,
        "endpoints": f"/api/v1/images/models/{entry['id']}/endpoints",
    }
    for entry in CATALOGUE
    if "image" in entry["architecture"]["output_modalities"]
]
VIDEO_MODELS = [
    {
        "id": "google/veo-3.1",
        "canonical_slug": "google/veo-3.1",
        "hugging_face_id": None,
        "name": "Google: Veo 3.1",
        "created": 1760486400,
        "description": "An entry of a test catalogue.",
        "supported_resolutions": ["720p", "1080p"],
        "supported_aspect_ratios": ["16:9", "9:16"],
        "supported_sizes": ["1280x720", "1920x1080"],
        "supported_durations": [4, 6, 8],
        "supported_frame_images": ["first_frame", "last_frame"],
        "generate_audio": True,
        "seed": True,
        "creativity": None,
        "upscale_factor": None,
        "pricing_skus": {"duration_seconds": "0.40"},
        "allowed_passthrough_parameters": ["personGeneration", "negativePrompt"],
    }
]


def endpoint(entry: dict, provider: str, tag: str, factor: int, authenticated: bool) -> dict:
    """One provider's offer of a model; latency is null for those without a key."""
    latency = {"p50": 400 * factor, "p75": 600 * factor, "p90": 900 * factor, "p99": 2000}  # ms
    speed = {"p50": 80 / factor, "p75": 60 / factor, "p90": 50 / factor, "p99": 20 / factor}
    prices = {
        name: str(Decimal(value) * factor) if Decimal(value) > 0 else value
        for name, value in entry["pricing"].items()
    }
    return {
        "name": f"{provider} | {entry['id']}",
        "model_id": entry["id"],
        "model_name": entry["name"],
        "context_length": entry["context_length"] or 0,
        "pricing": {**prices, "discount": 0},
        "provider_name": provider,
        "tag": tag,
        "quantization": "fp8" if factor == 1 else "bf16",
        "max_completion_tokens": 16384,
        "max_prompt_tokens": None,
        "supported_parameters": entry["supported_parameters"],
        "supports_implicit_caching": False,
        "supports_diarization": False,
        "supports_tool_choice": {"auto": True, "function": True, "none": True, "required": False},
        "native_tools": {},
        "service_tier": None,
        "status": 0 if factor == 1 else -2,
        "uptime_last_5m": 99.9,
        "uptime_last_30m": 99.5 / factor,
        "uptime_last_1d": 98.7,
        "latency_last_30m": latency if authenticated else None,
        "throughput_last_30m": speed if authenticated else None,
    }


def price(entry: dict, name: str) -> float:
    return float(entry["pricing"].get(name, 0)) * 1_000_000


def select(query: dict) -> list[dict]:
    """The catalogue as GET /models filters, sorts and cuts it: guides/overview/models.mdx."""
    found = list(CATALOGUE)

    def split(name: str, default: str = "") -> set[str]:
        return set(query.get(name, default).split(",")) - {""}

    outputs = split("output_modalities", "text")
    if "all" not in outputs:
        found = [e for e in found if outputs & set(e["architecture"]["output_modalities"])]
    if inputs := split("input_modalities"):
        found = [e for e in found if inputs <= set(e["architecture"]["input_modalities"])]
    if parameters := split("supported_parameters"):
        found = [e for e in found if parameters <= set(e["supported_parameters"])]
    if authors := split("model_authors"):
        found = [e for e in found if e["id"].split("/")[0].lstrip("~") in authors]
    if words := query.get("q", "").lower():
        found = [e for e in found if words in e["id"].lower() or words in e["name"].lower()]
    if "context" in query:
        found = [e for e in found if (e["context_length"] or 0) >= int(query["context"])]
    for name, part, keep in (
        ("min_price", "prompt", float.__ge__),
        ("max_price", "prompt", float.__le__),
        ("min_output_price", "completion", float.__ge__),
        ("max_output_price", "completion", float.__le__),
    ):
        if name in query:
            limit = float(query[name])
            found = [e for e in found if keep(price(e, part), limit)]
    orders = {
        "pricing-low-to-high": lambda e: price(e, "prompt") + price(e, "completion"),
        "pricing-high-to-low": lambda e: -price(e, "prompt") - price(e, "completion"),
        "context-high-to-low": lambda e: -(e["context_length"] or 0),
        "newest": lambda e: -e["created"],
    }
    if order := orders.get(query.get("sort", "")):
        found.sort(key=order)
    return found


# ----------------------------------------------------------------------------- replies, in pieces


def example(schema: dict, root: dict | None = None) -> Any:
    """A small instance that a JSON schema accepts."""
    root = root or schema
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return example(target, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return example(schema[choice][0], root)
    if "allOf" in schema:
        whole: dict = {}
        for part in schema["allOf"]:
            value = example(part, root)
            whole = {**whole, **value} if isinstance(value, dict) else value
        return whole
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: example(parts[name], root) for name in schema.get("required", []) if parts}
    if kind == "array":
        count = max(1, schema.get("minItems", 1))
        return [example(schema.get("items", {}), root)] * min(count, schema.get("maxItems", count))
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        return min(low, schema.get("maximum", low))
    if kind == "string":
        formats = {
            "date": "2026-01-01",
            "date-time": "2026-01-01T09:00:00Z",
            "time": "09:00:00",
            "email": "someone@example.com",
            "uri": "https://example.com",
            "uuid": "00000000-0000-4000-8000-000000000000",
        }
        text = formats.get(schema.get("format", ""), "예시")
        return text.ljust(schema.get("minLength", 0), "가")[: schema.get("maxLength", 100)]
    return True if kind == "boolean" else None


MESSAGE_FIELDS = {
    "content", "reasoning", "reasoning_details", "tool_calls", "annotations", "images", "refusal",
}  # fmt: skip
REPLY_FIELDS = {"finish_reason", "usage", "openrouter_metadata", "model", "provider", "error"}


@dataclass
class Answer:
    """What the model says, before it is put into one wire shape or another."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_details: list | None = None
    tool_calls: list | None = None
    annotations: list | None = None
    images: list | None = None
    refusal: str | None = None
    finish_reason: str | None = "stop"
    error: dict | None = None
    usage: dict = field(default_factory=dict)
    openrouter_metadata: dict | None = None
    model: str = ""
    provider: str = "Chutes"

    @classmethod
    def of(cls, reply: str | dict) -> "Answer":
        reply = {"content": reply} if isinstance(reply, str) else dict(reply)
        if unknown := set(reply) - MESSAGE_FIELDS - REPLY_FIELDS:
            raise ValueError(f"a reply has no field {sorted(unknown)}")
        calls = reply.get("tool_calls")
        if calls:
            reply["tool_calls"] = [whole_call(call, number) for number, call in enumerate(calls)]
        reply.setdefault("finish_reason", "tool_calls" if calls else "stop")
        return cls(**reply)


def whole_call(call: dict, number: int) -> dict:
    """A tool call in full: {"name":…, "arguments":…} is enough to write one."""
    if "function" in call:
        return {"id": f"call_{number}", "type": "function", **call}
    arguments = call.get("arguments", "{}")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    function = {"name": call["name"], "arguments": arguments}
    return {"id": call.get("id", f"call_{number}"), "type": "function", "function": function}


def pieces(text: str | None, count: int = 4) -> list[str]:
    if not text:
        return []
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
    if isinstance(content, list):
        parts = (part.get("text", "") for part in content if isinstance(part, dict))
        return "\n".join(parts)
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


def png(width: int = 8, height: int = 8) -> bytes:
    """A real picture, small."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    rows = b"".join(b"\0" + bytes((x * 30, y * 30, 128)[i] for x in range(width) for i in range(3))
                    for y in range(height))  # fmt: skip
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n"
    return (
        start + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def picture(format: str) -> tuple[bytes, str]:
    """A picture in a format, and its media type."""
    if format == "svg":
        return b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>', "image/svg+xml"
    if format == "png":
        return png(), "image/png"
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png())).save(buffer, format)
    return buffer.getvalue(), f"image/{format}"


# MPEG-1 layer III, 128 kbit/s, 44.1 kHz: a header and 413 zero bytes make a silent frame.
MP3 = (b"\xff\xfb\x90\xc4" + bytes(413)) * 4
PCM = b"".join(
    struct.pack("<h", int(3000 * math.sin(number / 10))) for number in range(2400)
)  # 0.1 s at 24 kHz
MP4 = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2" + b"\0\0\0\x08free" + b"\0\0\0\x08mdat"

MAGIC = {
    "image/png": b"\x89PNG",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
    "application/pdf": b"%PDF",
}
AUDIO = ("wav", "mp3", "flac", "m4a", "ogg", "webm", "aac", "mp4", "mpeg", "mpga", "opus")


def data_url(url: str, what: str) -> bytes:
    """The bytes of a data URL, which have to be what it says; b"" for a web address."""
    if url.startswith(("https://", "http://")):
        return b""
    match = re.fullmatch(r"data:([\w.+/-]+);base64,(.*)", url, re.DOTALL)
    try:
        data = base64.b64decode(match[2], validate=True) if match else b""
    except binascii.Error:
        data = b""
    if not match or not data or not data.startswith(MAGIC.get(match[1], b"")):
        metadata = {"error_type": "invalid_image" if what == "image" else "invalid_request"}
        raise Refusal(400, f"The {what} is not a valid data URL of its type", metadata=metadata)
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

    @property
    def route(self) -> str:
        """The path as the documentation names it: /chat/completions."""
        return re.sub(r"^/api/(v1|beta)", "", self.path)

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def stream(self) -> bool:
        return isinstance(self.body, dict) and self.body.get("stream") is True

    def asks(self, header: str, value: str) -> bool:
        return self.headers.get(header, "").lower() == value


class Route(NamedTuple):
    pattern: re.Pattern
    method: str
    name: str  # the method of StandIn that answers
    kind: str  # "completion", "json" or "binary": which faults can reach it
    schema: str | None
    public: bool


ROUTES: list[Route] = []
EXACT: dict[tuple[str, str], Route] = {}


def route(
    method: str, path: str, kind: str = "json", schema: str | None = None, public: bool = False
):
    """Register a method of StandIn for a path with {names}."""

    def register(function):
        pattern = re.compile(re.sub(r"\{\w+\}", "([^/]+)", path))
        one = Route(pattern, method, function.__name__, kind, schema, public)
        if "{" in path:
            ROUTES.append(one)
        else:
            EXACT[method, path] = one
        return function

    return register


def reply(data: object, status: int = 200, headers: dict | None = None) -> web.Response:
    return web.Response(
        body=encode(data), status=status, headers=headers, content_type="application/json"
    )


def page(status: int, title: str) -> web.Response:
    text = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>"
    return web.Response(text=text, status=status, content_type="text/html")


class StandIn:
    """The server. Attributes that tests may set; reset() puts them back:

    delay, pace: seconds before a reply, and between the pieces of a stream.
    retry_after: seconds in 429_retry_after and 503.
    transcript: what a recording says. segments: (start, end, text) of its parts, else there is one.
    video_states, batch_states: what each further look brings; the last one stays.
    video_error, batch_error: why a job failed. item_errors: custom_id -> message.
    key_info: fields of GET /key. credits: data of GET /credits.
    generation_misses: so many times GET /generation doesn't know a generation yet.
    pcm_type: the Content-Type of raw speech, as OpenRouterTeam/skills found it on the live service.
    requests: what came in (Call). violations: what OpenRouter would not have understood.
    parses: the engine of each file that was parsed.
    """

    key, management_key = KEY, MANAGEMENT_KEY

    def __init__(self, port: int = 0, delay: float = 0, record: bool = True):
        self._port, self._delay, self._record = port, delay, record
        self._ready = threading.Event()
        self._numbers = itertools.count(1)
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Forget requests, replies, faults and jobs."""
        self.requests: list[Call] = []
        self.violations: list[str] = []
        self.parses: list[str] = []
        self.delay, self.pace, self.retry_after = self._delay, 0.0, 2.0
        self.transcript = "안녕하세요. This is a recording."
        self.segments: list[tuple[float, float, str]] | None = None
        self.video_states = ["completed"]
        self.video_error = "Content policy violation"
        self.batch_states = ["in_progress", "finalizing", "completed"]
        self.batch_error = "The batch could not be validated"
        self.item_errors: dict[str, str] = {}
        self.key_info: dict[str, Any] = {}
        self.credits = {"total_credits": 25.0, "total_usage": 4.5}
        self.generation_misses = 0
        self.pcm_type = "audio/pcm;rate=24000;channels=1"
        self._replies: list | Callable | None = None
        self._faults: list[list] = []
        self._generations: dict[str, dict] = {}
        self._cache: dict[str, tuple[float, str, Answer]] = {}
        self._prompts: dict[str, list[str]] = {}
        self._prefixes: set[str] = set()
        self._jobs: dict[str, dict] = {}

    def say(self, reply: str | dict | list | Callable[[dict], str | dict]) -> None:
        """Script the next replies of a model: text, message fields, a list, or a function.

        Of a list each request takes one, the last one stays. Fields besides the message's:
        finish_reason, usage, model, provider, error, openrouter_metadata.
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
        adapter("chat")

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
        call = Call(
            request.method,
            path,
            dict(request.query),
            {name.lower(): value for name, value in request.headers.items()},
        )
        try:
            await self._read(request, call)
            if self._record:
                self.requests.append(call)
            self._check_headers(call)
            if not path.startswith(("/api/v1/", "/api/beta/")):
                return page(404, "404: This page could not be found")
            found, names = self._find(call)
            return await self._answer(request, call, found, names)
        except Refusal as refusal:
            return self._refuse(call, refusal)
        except (ConnectionError, asyncio.CancelledError):
            call.gone = True
            raise
        except Exception as error:  # a mistake here must not look like OpenRouter's
            self._violation(call, f"the stand-in failed: {error!r}")
            return reply({"error": {"message": repr(error), "code": 500}}, 500)

    async def _read(self, request: web.BaseRequest, call: Call) -> None:
        if request.content_type == "multipart/form-data":
            call.form, call.body = True, {}
            for name, value in (await request.post()).items():
                if isinstance(value, web.FileField):
                    data = value.file.read()
                    value = {
                        "filename": value.filename,
                        "content_type": value.content_type,
                        "data": data,
                    }
                if name in call.body:
                    before = call.body[name]
                    value = [*(before if isinstance(before, list) else [before]), value]
                call.body[name] = value
        elif raw := await request.read():
            try:
                call.body = json.loads(raw)
            except ValueError:
                call.body = raw

    def _check_headers(self, call: Call) -> None:
        for name in ("openai-organization", "openai-project", "x-poison"):
            if name in call.headers:
                self._violation(call, f"header {name}")
        if "stolen" in call.headers.get("authorization", ""):
            self._violation(call, "a foreign key")

    def _find(self, call: Call) -> tuple[Route, tuple[str, ...]]:
        path = call.route
        if path.startswith("/batches") or call.path.startswith("/api/v1/"):
            if one := EXACT.get((call.method, path)):
                return one, ()
            for one in ROUTES:
                match = one.pattern.fullmatch(path) if one.method == call.method else None
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
        if call.key not in (KEY, MANAGEMENT_KEY):
            raise Refusal(401, "User not found.")
        if call.key == MANAGEMENT_KEY and call.method == "POST":
            raise Refusal(403, "Management keys cannot be used for completions")

    def _check_body(self, call: Call, found: Route) -> None:
        schema = found.schema
        if schema is None:
            return
        if call.method == "GET":
            known = {
                name: value for name, value in call.query.items() if name in aliases_of(schema)
            }
            wrong = [f"{name}: not a query parameter" for name in set(call.query) - set(known)]
            wrong += [w for w in mistakes(schema, known) if "became" not in w]  # all are strings
        elif call.form:
            if schema != "transcription":
                self._violation(call, "multipart where JSON is expected")
                raise Refusal(400, "Content-Type must be application/json")
            wrong = self._check_form(call)
        elif not isinstance(call.body, dict):
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
        for name in ("timestamp_granularities[]", "keyterms[]"):
            if isinstance(form.get(name), str):
                form[name] = [form[name]]
        for name in ("temperature", "diarize"):  # a form has only strings
            with contextlib.suppress(ValueError):
                form[name] = json.loads(form[name]) if name in form else 0
            if name not in call.body:
                del form[name]
        return mistakes("transcription form", form)

    def _violation(self, call: Call, what: str) -> None:
        self.violations.append(f"{call.method} {call.route}: {what}")

    async def _answer(
        self, request: web.BaseRequest, call: Call, found: Route, names: tuple
    ) -> web.StreamResponse:
        self._authorize(call, found)
        self._check_body(call, found)
        if self.delay and found.method == "POST":
            await asyncio.sleep(self.delay)
        fault = self._take_fault(call, found)
        function = getattr(self, found.name)
        if found.kind == "completion":
            return await function(request, call, fault)
        if fault and (broken := await self._break(request, call, fault, model_of(call))):
            return broken
        response = function(call, *names)
        return await self._spoil(request, fault, response) if fault else response

    def _take_fault(self, call: Call, found: Route) -> str | None:
        for one in self._faults:
            fault, path, times = one
            if (path and not fnmatchcase(call.route, path)) or times == 0:
                continue
            if times:
                one[2] = times - 1
            return self._reaching(call, fault, found.kind)
        requested = model_of(call)
        if found.kind != "completion" and requested.startswith("fault/"):
            return self._reaching(call, requested.removeprefix("fault/"), found.kind)
        return None

    def _reaching(self, call: Call, fault: str, kind: str) -> str:
        if fault not in FAULTS:
            raise ValueError(f"no fault {fault!r}")
        reach = FAULTS[fault].reach
        if reach == "any" or kind == "completion" or (reach == "json" and kind == "json"):
            return fault
        if kind in ("json", "binary") and fault in ("cut", "empty"):
            return fault
        raise ValueError(f"fault {fault} cannot reach {call.route}")

    def _refuse(self, call: Call, refusal: Refusal, **more) -> web.Response:
        body = {"error": refusal.error, **more}
        if refusal.status not in (401, 404):
            body["user_id"] = "user_2standin"
        return reply(body, refusal.status, refusal.headers)

    # ------------------------------------------------------------------ faults

    async def _break(
        self, request: web.BaseRequest, call: Call, fault: str, model: str, more: dict | None = None
    ) -> web.StreamResponse | None:
        """The faults in which no answer is begun."""
        if fault[0].isdigit():
            return self._refuse(call, status_fault(fault, model, self.retry_after), **(more or {}))
        if fault == "error_200":
            metadata = {"error_type": "timeout", "provider_name": "Chutes"}
            error = {"message": "Upstream idle timeout exceeded", "code": 504, "metadata": metadata}
            return reply({"error": error, **(more or {})})
        if fault == "html":
            return page(200, "OpenRouter")
        if fault == "html_502":
            return page(502, "502 Bad Gateway")
        if fault == "empty_body":
            return web.Response(body=b"", content_type="application/json")
        if fault == "hang":
            await asyncio.Event().wait()
        if fault == "drop_headers":
            request.transport.close()
            return web.Response()
        return None

    async def _spoil(
        self, request: web.BaseRequest, fault: str, response: web.Response
    ) -> web.StreamResponse:
        """The faults that change a good answer."""
        body, kind = bytes(response.body or b""), response.content_type
        if fault == "null_200":
            body = encode(dict.fromkeys(json.loads(body)))
        elif fault == "empty":
            body = encode(emptied(json.loads(body))) if kind == "application/json" else b""
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
        self, request: web.BaseRequest, events: Iterable, headers: dict
    ) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", **headers}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for one in events:
            if one is CUT:
                await self._cut(request, response, b"")
                return response
            while one is WAIT:
                await response.write(PROCESSING)
                await asyncio.sleep(0.1)
            for piece in torn(one):
                await response.write(piece)
            if self.pace:
                await asyncio.sleep(self.pace)
        await response.write_eof()
        return response

    # ------------------------------------------------------------------ completions

    def _id(self, kind: str = "gen") -> str:
        return f"{kind}-{int(time.time())}-{next(self._numbers):06d}StandIn"

    def _choose(self, call: Call, fault: str | None) -> tuple[str, str | None, list[tuple]]:
        """The model that answers, its fault, and what was tried before: model-fallbacks.mdx."""
        body = call.body
        models = [body["model"]] if "model" in body else []
        models += [one for one in body.get("models", []) if one not in models]
        models = models or ["openrouter/auto"]  # the account's default
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
        body = call.body
        parts = [
            part.get("type")
            for message in body.get("messages", [])
            if isinstance(message.get("content"), list)
            for part in message["content"]
        ]
        needs = {"image_url": "image", "input_audio": "audio", "video_url": "video"}
        inputs = {needs[part] for part in parts if part in needs}
        tools = any(tool.get("type") == "function" for tool in body.get("tools") or [])
        kind = (body.get("response_format") or {}).get("type")

        def able(entry: dict) -> bool:
            parameters = entry["supported_parameters"]
            return (
                inputs <= set(entry["architecture"]["input_modalities"])
                and (not tools or "tools" in parameters)
                and (kind != "json_schema" or "structured_outputs" in parameters)
            )

        if model == "openrouter/free":
            free = [entry for entry in CATALOGUE if entry["id"].endswith(":free")]
            found = next((entry["id"] for entry in free if able(entry)), None)
            if found is None:
                raise Refusal(404, f"No endpoints found that support input {' '.join(inputs)}")
            return found
        if model == "openrouter/auto":
            return "openai/gpt-5-mini"
        entry = BY_ID.get(model)
        if entry and "alias_target" in entry:
            return entry["alias_target"]["slug"]
        if not re.fullmatch(r"~?[\w.-]+/[\w.-]+(:[\w-]+)?(@preset/[\w-]+)?|@preset/[\w-]+", model):
            raise unavailable(400, "model_not_found", f"{model} is not a valid model ID", model)
        if entry and "text" not in entry["architecture"]["output_modalities"]:
            message = f"{model} cannot be used on this endpoint"
            detail = {"field": "model", "detail": "Use the endpoint of its output modality"}
            raise unavailable(400, "wrong_endpoint", message, model, constraint=detail)
        if entry and not inputs <= set(entry["architecture"]["input_modalities"]):
            raise Refusal(404, f"No endpoints found that support {' '.join(inputs)} input")
        if entry and not able(entry):
            what = "tool use" if tools else "structured outputs"
            if tools or (body.get("provider") or {}).get("require_parameters"):
                raise Refusal(404, f"No endpoints found that support {what}.")
        return model

    def _compose(self, call: Call, fault: str | None) -> Answer:
        """What the model says: scripted, or fitting the request; and how it ends, with a fault."""
        body = call.body
        replies = self._replies
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
            elif wanted.get("type") == "json_object":
                answer.content = '{"answer": "예시"}'
        asked = body.get("reasoning") or {}
        effort = asked.get("effort") or body.get("reasoning_effort")
        thinks = effort not in (None, "none") or asked.get("enabled") or asked.get("max_tokens")
        if thinks and answer.reasoning is None:
            answer.reasoning = THOUGHT
        if asked.get("exclude"):
            answer.reasoning = answer.reasoning_details = None
        error = {
            "code": 502,
            "message": "Provider disconnected mid-stream: engine crashed",
            "metadata": {"error_type": "provider_unavailable", "provider_code": "crash"},
        }
        if fault in ENDINGS:
            answer.content, answer.tool_calls, answer.annotations = PARTIAL, None, None
        if fault in ("finish_error", "mid_stream"):
            answer.finish_reason, answer.error = "error", error
        elif fault == "cut":
            answer.finish_reason = None
        elif fault == "empty":
            answer.content, answer.finish_reason = None, "stop"
        elif fault == "reasoning_ate_it":
            limits = ("max_completion_tokens", "max_tokens", "max_output_tokens")
            spent = next((body[name] for name in limits if body.get(name)), 1000)
            answer.content, answer.finish_reason = None, "length"
            answer.reasoning = THOUGHT
            details = {"reasoning_tokens": spent}
            answer.usage = {"completion_tokens": spent, "completion_tokens_details": details}
        elif fault in ("length", "filtered"):
            answer.finish_reason = "length" if fault == "length" else "content_filter"
        provider = body.get("provider") or {}
        if wanted_providers := provider.get("only") or provider.get("order"):
            answer.provider = wanted_providers[0].split("/")[0].title()
        return answer

    def _search(self, body: dict, answer: Answer) -> int:
        """Searches of the web: guides/features/server-tools/web-search.mdx."""
        if not any(tool.get("type") == "openrouter:web_search" for tool in body.get("tools") or []):
            return 0
        if answer.annotations is None and answer.content:
            answer.annotations = [
                {
                    "type": "url_citation",
                    "url_citation": {
                        "url": f"https://example.com/{number}",
                        "title": f"예시 페이지 {number}",
                        "content": "What the page says.",
                        "start_index": 0,
                        "end_index": len(answer.content),
                    },
                }
                for number in (1, 2)
            ]
        return 1

    def _media(self, body: dict, model: str, answer: Answer) -> tuple[int, float]:
        """Look at images, sounds and files; return their tokens and what parsing files cost."""
        tokens, cost, known, new = 0, 0.0, set(), []
        plugins = {plugin.get("id"): plugin for plugin in body.get("plugins") or []}
        for message in body["messages"]:
            for annotation in message.get("annotations") or []:
                known.add((annotation.get("file") or {}).get("hash"))
        for message in body["messages"]:
            content = message.get("content")
            for part in content if isinstance(content, list) else []:
                if part["type"] == "image_url":
                    data_url(part["image_url"]["url"], "image")
                    tokens += 258
                elif part["type"] == "input_audio":
                    sound = part["input_audio"]
                    try:
                        base64.b64decode(sound["data"], validate=True)
                    except binascii.Error:
                        raise Refusal(400, "input_audio.data is not base64") from None
                    if sound["format"] not in (*AUDIO, "aiff", "pcm16", "pcm24"):
                        raise Refusal(400, f"Unsupported audio format {sound['format']}")
                    tokens += 100
                elif part["type"] == "file":
                    file = part["file"]
                    data = data_url(file["file_data"], "file") if "file_data" in file else b""
                    tokens += 500
                    digest = hashlib.sha256(data or file.get("file_data", "").encode()).hexdigest()
                    entry = BY_ID.get(model, {"architecture": {"input_modalities": []}})
                    native = "file" in entry["architecture"]["input_modalities"]
                    engine = plugins.get("file-parser", {}).get("pdf", {}).get("engine")
                    engine = engine or ("native" if native else "mistral-ocr")
                    if engine == "native" or digest in known:
                        continue
                    self.parses.append(engine)
                    if engine == "mistral-ocr":  # $2 per 1,000 pages
                        cost += 0.002 * max(1, len(re.findall(rb"/Type\s*/Page\b", data)))
                    text = {"type": "text", "text": f"Text of {file.get('filename')}"}
                    parsed = {"hash": digest, "name": file.get("filename"), "content": [text]}
                    new.append({"type": "file", "file": parsed})
        if new:
            answer.annotations = [*(answer.annotations or []), *new]
        return tokens, cost

    def _prompt_cache(self, body: dict, model: str, text: str) -> tuple[int, int]:
        """Tokens read from and written to the provider's cache: prompt-caching.mdx."""
        if len(text) < 4096:
            return 0, 0
        marked, before = "", ""
        for message in body["messages"]:
            content = message.get("content")
            for part in content if isinstance(content, list) else [{"text": content}]:
                before += str(part.get("text", ""))
                marked = before if "cache_control" in part else marked
        if "cache_control" in body:
            marked = before
        if marked:
            if len(marked) < 4096:
                return 0, 0
            prefix = hashlib.sha256(f"{model} {marked}".encode()).hexdigest()
            if prefix in self._prefixes:
                return len(marked) // 4, 0
            self._prefixes.add(prefix)
            return 0, len(marked) // 4
        earlier = self._prompts.setdefault(model, [])
        same = os.path.commonprefix  # of strings, character by character
        common = max((len(same([text, one])) for one in earlier), default=0)
        earlier[:] = [*earlier[-9:], text]
        return (common // 4 if common >= 4096 else 0), 0

    def _usage(self, body: dict, model: str, answer: Answer, extra: tuple, searches: int) -> dict:
        text = "\n".join(text_of(message.get("content")) for message in body["messages"])
        cached, written = self._prompt_cache(body, model, text)
        prompt = max(1, len(text) // 4) + extra[0]
        thought = len(answer.reasoning or "") // 4
        calls = json.dumps(answer.tool_calls) if answer.tool_calls else ""
        completion = max(1, (len(answer.content or "") + len(calls)) // 4) + thought
        completion = answer.usage.get("completion_tokens", completion)
        entry = BY_ID.get(model)
        prices = entry["pricing"] if entry else {"prompt": "0.000001", "completion": "0.000002"}
        rate = max(0.0, float(prices["prompt"])) if not model.endswith(":free") else 0.0
        out = max(0.0, float(prices["completion"])) if not model.endswith(":free") else 0.0
        prompt_cost = rate * (prompt - cached - written + cached * 0.1 + written * 1.25)
        tools_cost = 0.007 * searches + extra[1]
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "cost": round(prompt_cost + out * completion + tools_cost, 9),
            "is_byok": False,
            "prompt_tokens_details": {
                "cached_tokens": cached,
                "cache_write_tokens": written,
                "audio_tokens": 0,
                "video_tokens": 0,
            },
            "cost_details": {
                "upstream_inference_cost": None,
                "upstream_inference_prompt_cost": round(prompt_cost, 9),
                "upstream_inference_completions_cost": round(out * completion, 9),
            },
            "completion_tokens_details": {"reasoning_tokens": thought, "image_tokens": 0},
        }
        if searches:
            usage["server_tool_use"] = {"web_search_requests": searches}
            details = {"tool_calls_requested": searches, "tool_calls_executed": searches}
            usage["server_tool_use_details"] = {**details, "web_search_requests": searches}
        return {**usage, **answer.usage}

    def _metadata(
        self, call: Call, answer: Answer | None, attempts: list[tuple], pipeline: list
    ) -> dict:
        """What the router did, for those who ask: guides/features/router-metadata.mdx."""
        if not call.asks("x-openrouter-metadata", "enabled"):
            return {}
        if answer and answer.openrouter_metadata:
            return {"openrouter_metadata": answer.openrouter_metadata}
        requested = call.body.get("model", "openrouter/auto")
        tried = [*attempts]
        if answer:
            tried.append((answer.model, answer.provider, 200))
        strategies = {"openrouter/free": "free", "openrouter/auto": "auto"}
        strategy = strategies.get(requested, "latest" if requested.startswith("~") else "direct")
        strategy = "fallback" if len(tried) > 1 else strategy
        picked = answer.provider if answer else "none"
        metadata = {
            "requested": requested,
            "strategy": strategy,
            "region": "icn",
            "summary": f"available={len(tried)}, selected={picked}",
            "attempt": len(tried),
            "is_byok": False,
            "endpoints": {
                "total": len(tried),
                "available": [
                    {"provider": provider, "model": one, "selected": status == 200}
                    for one, provider, status in tried
                ],
            },
            "attempts": [
                {"provider": provider, "model": one, "status": status}
                for one, provider, status in tried
            ],
        }
        if pipeline:
            metadata["pipeline"] = pipeline
        return {"openrouter_metadata": metadata}

    async def _complete(self, call: Call, request: web.BaseRequest, fault: str | None, finish):
        """What both completion endpoints share; finish() puts the answer into its shape."""
        model, fault, attempts = self._choose(call, fault)
        if fault:
            tried = [*attempts, (model, "Chutes", int(fault[:3]) if fault[0].isdigit() else 502)]
            more = self._metadata(call, None, tried, [])
            if fault in ("401", "500", "429_minute", "429_day"):
                more = {}
            if broken := await self._break(request, call, fault, model, more):
                return broken
        requested = call.body.get("model", "openrouter/auto")
        actual = model if model.startswith("fault/") else self._resolve(call, model)
        cached = self._cached(call, fault)
        answer = cached[2] if cached else self._compose(call, fault)
        answer.model = answer.model or actual
        return await finish(request, call, fault, answer, attempts, requested, cached)

    def _cached(self, call: Call, fault: str | None) -> tuple[float, str, Answer] | None:
        """A stored answer: guides/features/response-caching.mdx."""
        if fault or not call.asks("x-openrouter-cache", "true"):
            return None
        found = self._cache.get(cache_key(call))
        if call.asks("x-openrouter-cache-clear", "true") or not found:
            return None
        seconds = lifetime(call)
        return (*found[:2], copy.deepcopy(found[2])) if time.time() - found[0] < seconds else None

    def _cache_headers(self, call: Call, cached: tuple | None, id: str, answer: Answer) -> dict:
        headers = {"X-Generation-Id": id}
        if call.asks("x-openrouter-cache", "true"):
            headers["X-OpenRouter-Cache-Status"] = "HIT" if cached else "MISS"
            age = int(time.time() - cached[0]) if cached else 0
            headers["X-OpenRouter-Cache-TTL"] = str(lifetime(call) - age)
            if cached:
                headers["X-OpenRouter-Cache-Age"] = str(age)
                headers["X-OpenRouter-Cache-Source-Id"] = cached[1]
            else:
                self._cache[cache_key(call)] = (time.time(), id, copy.deepcopy(answer))
        return headers

    @route("POST", "/chat/completions", "completion", "chat")
    async def chat(
        self, request: web.BaseRequest, call: Call, fault: str | None
    ) -> web.StreamResponse:
        return await self._complete(call, request, fault, self._finish_chat)

    async def _finish_chat(self, request, call, fault, answer, attempts, requested, cached):
        body, id = call.body, self._id()
        searches = self._search(body, answer)
        extra = self._media(body, answer.model, answer)
        usage = self._usage(body, answer.model, answer, extra, searches)
        if cached:
            usage = zeroed(usage)
        headers = {} if fault else self._cache_headers(call, cached, id, answer)
        headers["X-Generation-Id"] = id
        pipeline = []
        if searches:
            data = {"mode": "sdk", "tools": ["openrouter:web_search"]}
            pipeline.append({"type": "server_tools", "name": "server-tools", "data": data})
        metadata = {} if cached else self._metadata(call, answer, attempts, pipeline)
        self._remember(id, call, answer, usage, requested)
        base = {
            "id": id,
            "provider": answer.provider,
            "model": answer.model,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
        }
        if call.stream and fault not in ("null_200", "bad_json"):
            events = self._chat_events(base, answer, usage, fault, metadata)
            return await self._stream(request, events, headers)
        message = {
            "role": "assistant",
            "content": answer.content,
            "refusal": answer.refusal,
            "reasoning": answer.reasoning,
        }
        if answer.reasoning:
            message["reasoning_details"] = answer.reasoning_details or [thinking(answer.reasoning)]
        for name in ("tool_calls", "annotations", "images"):
            if getattr(answer, name) is not None:
                message[name] = getattr(answer, name)
        choice = {
            "logprobs": None,
            "finish_reason": answer.finish_reason,
            "native_finish_reason": answer.finish_reason,
            "index": 0,
            "message": message,
        }
        if answer.error:
            choice["error"] = answer.error
        whole = base | {"object": "chat.completion", "choices": [choice]}
        whole |= {"system_fingerprint": None, "usage": usage, **metadata}
        response = reply(whole, headers=headers)
        if fault and fault not in ENDINGS - {"bad_chunk", "keepalive", "drop"}:
            return await self._spoil(request, fault, response)
        return response

    def _chat_events(self, base, answer, usage, fault, metadata) -> Iterator:
        def chunk(delta: dict, finish: str | None = None, **more) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            choice |= {"native_finish_reason": finish, "logprobs": None, **more}
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
        if fault == "keepalive":
            yield WAIT
        if fault == "drop":
            yield CUT
        if fault == "bad_chunk":
            yield b'data: {"id":"' + base["id"].encode() + b'","choices":[{"delta":{"content":"\n\n'
        if fault == "mid_stream":
            choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
            yield event({**base, "error": answer.error, "choices": [choice]})
        if fault in ("cut", "mid_stream"):
            return
        for number, call in enumerate(answer.tool_calls or []):
            function, half = call["function"], len(call["function"]["arguments"]) // 2
            start = {**call, "index": number, "function": {**function, "arguments": ""}}
            yield chunk({"role": "assistant", "content": None, "tool_calls": [start]})
            for part in (function["arguments"][:half], function["arguments"][half:]):
                more = {"index": number, "function": {"arguments": part}}
                yield chunk({"tool_calls": [more]})
        for name in ("annotations", "images"):
            if getattr(answer, name):
                yield chunk({"role": "assistant", "content": "", name: getattr(answer, name)})
        more = {"error": answer.error} if answer.error else {}
        yield chunk({"role": "assistant", "content": ""}, answer.finish_reason, **more)
        yield event({**base, "choices": [], "usage": usage, **metadata})
        yield DONE

    def _remember(self, id: str, call: Call, answer: Answer, usage: dict, requested: str) -> None:
        if not self._record:
            return
        prompt = usage.get("prompt_tokens", usage.get("input_tokens", 0))
        completion = usage.get("completion_tokens", usage.get("output_tokens", 0))
        details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
        cost = usage.get("cost") or 0
        self._generations[id] = {
            "api_type": "completions",
            "cache_discount": round(details["cached_tokens"] * 0.9e-6, 9)
            if details.get("cached_tokens")
            else None,
            "finish_reason": answer.finish_reason,
            "id": id,
            "model": answer.model,
            "native_finish_reason": answer.finish_reason,
            "native_tokens_cached": details.get("cached_tokens", 0),
            "native_tokens_completion": completion,
            "native_tokens_prompt": prompt,
            "provider_name": answer.provider,
            "router": requested if requested.startswith("openrouter/") else None,
            "session_id": call.body.get("session_id"),
            "streamed": call.stream,
            "tokens_completion": completion,
            "tokens_prompt": prompt,
            "total_cost": cost,
            "usage": cost,
            "user_agent": call.headers.get("user-agent"),
        }

    # ------------------------------------------------------------------ responses

    @route("POST", "/responses", "completion", "responses")
    async def responses(
        self, request: web.BaseRequest, call: Call, fault: str | None
    ) -> web.StreamResponse:
        if call.body.get("previous_response_id") is not None:
            self._violation(call, "previous_response_id: the API is stateless")
            raise Refusal(400, "previous_response_id is not supported")
        return await self._complete(call, request, fault, self._finish_response)

    async def _finish_response(self, request, call, fault, answer, attempts, requested, cached):
        body, id = call.body, self._id()
        searches = self._search(body, answer)
        chat = {"messages": [{"content": input_text(body)}]}
        usage = self._usage(chat, answer.model, answer, (0, 0.0), searches)
        usage = response_usage(zeroed(usage) if cached else usage)
        headers = {} if fault else self._cache_headers(call, cached, id, answer)
        headers["X-Generation-Id"] = id
        metadata = {} if cached else self._metadata(call, answer, attempts, [])
        self._remember(id, call, answer, usage, requested)
        whole = self._response(body, id, answer, usage) | metadata
        if call.stream and fault not in ("null_200", "bad_json"):
            return await self._stream(request, response_events(whole, fault), headers)
        if fault == "cut":
            whole |= {"status": "incomplete", "completed_at": None}
        response = reply(whole, headers=headers)
        if fault and fault not in ENDINGS - {"bad_chunk", "keepalive", "drop"}:
            return await self._spoil(request, fault, response)
        return response

    def _response(self, body: dict, id: str, answer: Answer, usage: dict) -> dict:
        """An answer as the object of /responses."""
        status = {"error": "failed", "length": "incomplete", "content_filter": "incomplete"}
        whole = {
            "id": id,
            "object": "response",
            "created_at": int(time.time()),
            "completed_at": int(time.time()),
            "model": answer.model,
            "status": status.get(answer.finish_reason or "", "completed"),
            "output": output_items(answer, next(self._numbers)),
            "error": None,
            "incomplete_details": None,
            "usage": usage,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body.get("metadata") or {},
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "temperature": body.get("temperature", 1.0),
            "top_p": body.get("top_p", 1.0),
            "frequency_penalty": 0.0,
            "presence_penalty": 0.0,
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools", []),
            "store": False,
            "truncation": "disabled",
        }
        if answer.error:
            whole["error"] = {"code": "server_error", "message": answer.error["message"]}
            whole["error_type"] = answer.error["metadata"]["error_type"]
        if answer.finish_reason in ("length", "content_filter"):
            reasons = {"length": "max_output_tokens"}
            reason = reasons.get(answer.finish_reason, answer.finish_reason)
            whole["incomplete_details"] = {"reason": reason}
        return whole

    # ------------------------------------------------------------------ find

    def _for_output(self, call: Call, output: str) -> dict | None:
        """Refuse a catalogue model that can't do this; models outside the catalogue pass."""
        model = call.body["model"]
        entry = BY_ID.get(model)
        if "/" not in model:
            raise unavailable(400, "model_not_found", f"{model} is not a valid model ID", model)
        if entry and output not in entry["architecture"]["output_modalities"]:
            message = f"{model} does not have {output} output"
            detail = {"field": "model", "detail": f"Use a model with {output} output"}
            raise unavailable(400, "wrong_endpoint", message, model, constraint=detail)
        return entry

    @route("POST", "/embeddings", schema="embeddings")
    def embeddings(self, call: Call) -> web.Response:
        body = call.body
        self._for_output(call, "embeddings")
        inputs = body["input"]
        if not isinstance(inputs, list) or (inputs and isinstance(inputs[0], int)):
            inputs = [inputs]
        if not inputs or "" in inputs:
            raise Refusal(400, "input must not be empty")
        size = body.get("dimensions", 256)
        data, tokens = [], 0
        for number, one in enumerate(inputs):
            text = text_of(one.get("content")) if isinstance(one, dict) else one
            text = text if isinstance(text, str) else " ".join(map(str, text))
            vector: list[float] | str = embed(text, size)
            if body.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
            data.append({"object": "embedding", "embedding": vector, "index": number})
            tokens += max(1, len(text) // 4)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens, "cost": tokens * 2e-8}
        found, id = self._cache.get(cache_key(call)), self._id("gen-emb")
        headers = {"X-Generation-Id": id}
        if call.asks("x-openrouter-cache", "true"):
            headers["X-OpenRouter-Cache-Status"] = "HIT" if found else "MISS"
            self._cache.setdefault(cache_key(call), (time.time(), id, Answer()))
            if found:
                usage = dict.fromkeys(usage, 0)
        whole = {"object": "list", "data": data, "model": body["model"], "usage": usage, "id": id}
        return reply(whole, headers=headers)

    @route("POST", "/rerank", schema="rerank")
    def rerank(self, call: Call) -> web.Response:
        body = call.body
        self._for_output(call, "rerank")
        if not body["documents"]:
            raise Refusal(400, "documents must not be empty")
        wanted, results = words(body["query"]), []
        total = sum(wanted.values()) or 1
        for number, document in enumerate(body["documents"]):
            text = document.get("text", "") if isinstance(document, dict) else document
            has = words(text)
            score = sum(weight for word, weight in wanted.items() if word in has) / total
            found = document if isinstance(document, dict) else {"text": text}
            results.append({"index": number, "relevance_score": round(score, 6), "document": found})
        results.sort(key=lambda one: -one["relevance_score"])
        whole = {
            "id": self._id("gen-rerank"),
            "model": body["model"],
            "provider": "Cohere",
            "results": results[: body.get("top_n", len(results))],
            "usage": {"search_units": 1, "cost": 0.001},
        }
        return reply(whole, headers={"X-Generation-Id": whole["id"]})

    # ------------------------------------------------------------------ pictures, sound, video

    @route("POST", "/images", schema="image")
    def images(self, call: Call) -> web.Response:
        body = call.body
        self._for_output(call, "image")
        size = body.get("size", "")
        if re.fullmatch(r"\d+x\d+", size) and ("resolution" in body or "aspect_ratio" in body):
            raise Refusal(400, "size contradicts resolution or aspect_ratio")
        if not 1 <= body.get("n", 1) <= 10:
            raise Refusal(400, "n must be between 1 and 10")
        if body.get("background") == "transparent" and body.get("output_format") == "jpeg":
            raise Refusal(400, "background transparent requires png or webp")
        for reference in body.get("input_references", []):
            data_url(reference["image_url"]["url"], "image")
        data, media_type = picture(body.get("output_format", "png"))
        one = {"b64_json": base64.b64encode(data).decode(), "media_type": media_type}
        count = body.get("n", 1)
        usage = {"prompt_tokens": 0, "completion_tokens": 4175 * count, "cost": 0.04 * count}
        usage["total_tokens"] = usage["completion_tokens"]
        created, id = int(time.time()), self._id("gen-img")
        if body.get("stream"):
            last = {"type": "image_generation.completed", **one, "created": created, "usage": usage}
            first = {"type": "image_generation.partial_image", "partial_image_index": 0}
            text = event({**first, "b64_json": one["b64_json"]}) + event(last) + DONE
            return web.Response(body=text, content_type="text/event-stream")
        whole = {"created": created, "data": [one] * count, "usage": usage}
        return reply(whole, headers={"X-Generation-Id": id})

    @route("POST", "/audio/speech", "binary", "speech")
    def speech(self, call: Call) -> web.Response:
        body = call.body
        entry = self._for_output(call, "speech")
        voices = entry["supported_voices"] if entry else None
        if not body["input"]:
            raise Refusal(400, "input must not be empty")
        if "voice" not in body and "input_references" not in body:
            raise Refusal(400, "voice is required for this model")
        if voices and body.get("voice") not in voices:
            raise Refusal(400, f"voice must be one of {', '.join(voices)}")
        mp3 = body.get("response_format") == "mp3"  # the default is pcm
        id, cost = self._id("gen-tts"), round(len(body["input"]) * 0.000016, 9)
        answer = Answer(model=body["model"], provider="Mistral")
        self._remember(id, call, answer, {"cost": cost}, body["model"])
        kind = "audio/mpeg" if mp3 else self.pcm_type
        headers = {"X-Generation-Id": id, "Content-Type": kind}
        return web.Response(body=MP3 if mp3 else PCM, headers=headers)

    @route("POST", "/audio/transcriptions", schema="transcription")
    def transcriptions(self, call: Call) -> web.Response:
        body = call.body
        self._for_output(call, "transcription")
        if call.form:
            file = body.get("file")
            if not isinstance(file, dict):
                raise Refusal(400, "file is required")
            if len(file["data"]) > UPLOAD_LIMIT:
                raise Refusal(413, "Request payload too large: the limit is 25 MB")
            data, suffix = file["data"], Path(file["filename"]).suffix.lstrip(".").lower()
        else:
            sound = body["input_audio"]
            try:
                data = base64.b64decode(sound.get("data", ""), validate=True)
            except binascii.Error:
                raise Refusal(400, "input_audio.data is not base64") from None
            suffix = sound.get("format", "wav")
        if suffix not in AUDIO:
            raise Refusal(400, f"Unsupported audio format: {suffix or 'unknown'}")
        if not data and "url" not in body.get("input_audio", {}):
            raise Refusal(400, "The audio is empty")
        seconds = round(max(0.1, len(data) / 32000), 2)
        usage = {"seconds": seconds, "cost": round(seconds * 0.0001, 8)}
        usage |= {"input_tokens": 83, "output_tokens": 30, "total_tokens": 113}
        whole: dict[str, Any] = {"text": self.transcript, "usage": usage}
        if body.get("response_format") == "verbose_json":
            language = body.get("language", "ko")
            whole |= {"task": "transcribe", "language": language, "duration": seconds}
            parts = [(0.0, seconds, self.transcript)] if self.segments is None else self.segments
            whole["segments"] = [
                {"id": number, "start": start, "end": end, "text": text}
                for number, (start, end, text) in enumerate(parts)
            ]
            kinds = body.get("timestamp_granularities[]", body.get("timestamp_granularities", []))
            if "word" in kinds:
                spoken = self.transcript.split()
                step = seconds / max(1, len(spoken))
                whole["words"] = [
                    {"word": word, "start": round(i * step, 2), "end": round((i + 1) * step, 2)}
                    for i, word in enumerate(spoken)
                ]
        return reply(whole, headers={"X-Generation-Id": self._id("gen-stt")})

    @route("POST", "/videos", schema="video")
    def video_submit(self, call: Call) -> web.Response:
        body = call.body
        self._for_output(call, "video")
        if not body.get("prompt") and not body.get("frame_images"):
            raise Refusal(400, "prompt is required")
        pictures = [one for one in body.get("input_references", []) if "image_url" in one]
        for one in [*body.get("frame_images", []), *pictures]:
            data_url(one["image_url"]["url"], "image")
        id = f"video-{next(self._numbers)}"
        self._jobs[id] = {"states": list(self.video_states), "model": body["model"]}
        job = {"id": id, "polling_url": f"/api/v1/videos/{id}", "status": "pending"}
        return reply(job, 202)

    def _job(self, id: str) -> dict:
        if id not in self._jobs:
            raise Refusal(404, "Job not found")
        return self._jobs[id]

    @route("GET", "/videos/{id}")
    def video_status(self, call: Call, id: str) -> web.Response:
        job = self._job(id)
        states = job["states"]
        status = job["status"] = states.pop(0) if len(states) > 1 else states[0]
        whole = {"id": id, "polling_url": f"/api/v1/videos/{id}", "status": status}
        if status == "completed":
            whole["generation_id"] = job.setdefault("generation", self._id("gen-vid"))
            whole["unsigned_urls"] = [f"{self.url}/videos/{id}/content?index=0"]
            whole["usage"] = {"cost": 0.25, "is_byok": False}
        elif status in ("failed", "cancelled", "expired"):
            whole["error"] = self.video_error
        return reply(whole)

    @route("GET", "/videos/{id}/content", "binary")
    def video_content(self, call: Call, id: str) -> web.Response:
        if self._job(id).get("status") != "completed":
            raise Refusal(404, "The video is not ready")
        if set(call.query) - {"index"}:
            raise Refusal(400, "unknown query parameter")
        if call.query.get("index", "0") != "0":
            raise Refusal(404, "No such output")
        return web.Response(body=MP4, content_type="video/mp4")

    # ------------------------------------------------------------------ batches

    @route("POST", "/batches", schema="batch")
    def batch_submit(self, call: Call) -> web.Response:
        body = call.body
        order = list(body)
        if order.index("requests") < max(order.index("endpoint"), order.index("model")):
            self._violation(call, "requests before endpoint and model")
            raise Refusal(400, "endpoint and model must come before requests")
        ids = [item["custom_id"] for item in body["requests"]]
        if not ids or len(set(ids)) < len(ids):
            raise Refusal(400, "requests must have items with a custom_id of their own")
        kinds = {
            "/v1/chat/completions": "chat",
            "/v1/responses": "responses",
            "/v1/embeddings": "embeddings",
        }
        if body["endpoint"] not in kinds:
            raise ValueError(f"{body['endpoint']} is not part of the stand-in")
        kind = kinds[body["endpoint"]]
        for number, item in enumerate(body["requests"]):
            part = item["body"]
            if part.get("model", body["model"]) != body["model"]:
                raise Refusal(400, f"requests.{number}: model differs from the batch's")
            whole = {"model": body["model"], **part}
            if wrong := mistakes(kind, whole):
                self.violations += [f"POST /batches: requests.{number}.body.{w}" for w in wrong]
                raise Refusal(400, f"requests.{number}.body.{'; '.join(wrong)}")
            for message in part.get("messages", []):
                content = message.get("content")
                if isinstance(content, list) and any(one["type"] != "text" for one in content):
                    raise Refusal(400, f"requests.{number}: batches are text only")
        id, now = f"batch_{next(self._numbers)}", int(time.time())
        self._jobs[id] = {
            "states": list(self.batch_states),
            "requests": body["requests"],
            "kind": kind,
            "cost": 0.0,
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

    def _batch_results(self, job: dict) -> list[dict]:
        """Finished items, not in the order of the requests: custom_id is what joins them."""
        results = []
        for item in reversed(job["requests"]):
            id, body = f"batch_req_{next(self._numbers)}", {"model": job["model"], **item["body"]}
            one: dict[str, Any] = {"id": id, "custom_id": item["custom_id"], "response": None}
            one["error"] = None
            if message := self.item_errors.get(item["custom_id"]):
                one["error"] = {"message": message, "type": "server_error", "param": None}
                results.append(one)
                continue
            call = Call("POST", "/api/v1/batches", {}, {}, body)
            if job["kind"] == "embeddings":
                answer = json.loads(self.embeddings(call).body)
            else:
                answer = self._batch_answer(call, job["kind"])
            job["cost"] += answer["usage"].get("cost", 0) / 2
            for name in ("cost", "cost_details", "is_byok"):  # only the whole batch has a price
                answer["usage"].pop(name, None)
            one["response"] = {"status_code": 200, "request_id": self._id("req"), "body": answer}
            results.append(one)
        return results

    def _batch_answer(self, call: Call, kind: str) -> dict:
        """One item's answer, in the shape of its endpoint."""
        body, id = call.body, self._id("gen-batch")
        answer = self._compose(call, None)
        answer.model = body["model"]
        if kind == "responses":
            chat = {"messages": [{"content": input_text(body)}]}
            usage = response_usage(self._usage(chat, body["model"], answer, (0, 0.0), 0))
            return self._response(body, id, answer, usage)
        message = {"role": "assistant", "content": answer.content, "refusal": answer.refusal}
        if answer.tool_calls:
            message["tool_calls"] = answer.tool_calls
        ends = dict.fromkeys(("finish_reason", "native_finish_reason"), answer.finish_reason)
        return {
            "id": id,
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "system_fingerprint": None,
            "choices": [{"index": 0, "message": message, "logprobs": None, **ends}],
            "usage": self._usage(body, body["model"], answer, (0, 0.0), 0),
        }

    @route("GET", "/batches/{id}")
    def batch_status(self, call: Call, id: str) -> web.Response:
        job = self._job(id)
        states = job["states"]
        job["status"] = states.pop(0) if len(states) > 1 else states[0]
        if job["status"] == "completed" and job["results"] is None:
            job["results"] = self._batch_results(job)
            failed = sum(1 for one in job["results"] if one["error"])
            job["request_counts"]["failed"] = failed
            job["request_counts"]["completed"] = len(job["results"]) - failed
            bodies = [one["response"]["body"] for one in job["results"] if one["response"]]
            usages = [body["usage"] for body in bodies]
            total = {
                name: sum(usage.get(name, usage.get(other, 0)) for usage in usages)
                for name, other in (
                    ("prompt_tokens", "input_tokens"),
                    ("completion_tokens", "output_tokens"),
                    ("total_tokens", ""),
                )
            }
            total |= {"cost": round(job["cost"], 9), "is_byok": False}
            job |= {"usage": total, "finalized_at": int(time.time())}
            job["provider"] = "OpenAI"
        elif job["status"] in ("failed", "expired", "cancelled"):
            job["error"] = {"message": self.batch_error}
            job["finalized_at"] = int(time.time())
        return reply(shown(job))

    @route("GET", "/batches")
    def batch_list(self, call: Call) -> web.Response:
        if unknown := set(call.query) - {
            "limit", "after", "status", "created_after", "created_before",
        }:  # fmt: skip
            raise Refusal(400, f"unknown query parameters {sorted(unknown)}")
        jobs = [job for id, job in self._jobs.items() if id.startswith("batch_")][::-1]
        items = [{**shown(job), "results": None} for job in jobs]
        first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
        whole = {"object": "list", "data": items, "first_id": first, "last_id": last}
        return reply({**whole, "has_more": False})

    @route("DELETE", "/batches/{id}")
    def batch_delete(self, call: Call, id: str) -> web.Response:
        if self._job(id)["status"] not in ("completed", "failed", "expired", "cancelled"):
            raise Refusal(409, "The batch is not finished")
        del self._jobs[id]
        return reply({"id": id, "object": "batch", "deletion": {"openrouter": "deleted"}})

    # ------------------------------------------------------------------ catalogue

    def _listed(self, call: Call) -> web.Response:
        found = select(call.query)
        total, query = len(found), call.query
        following = None
        if "offset" in query or "limit" in query:
            start, count = int(query.get("offset", 0)), int(query.get("limit", 500))
            if not 1 <= count <= 1000:
                raise Refusal(400, "limit must be between 1 and 1000")
            found = found[start : start + count]
            if start + count < total:
                following = f"/api/v1/models?offset={start + count}&limit={count}"
        return reply({"data": found, "links": {"next": following}, "total_count": total})

    @route("GET", "/models", schema="models", public=True)
    def models(self, call: Call) -> web.Response:
        return self._listed(call)

    @route("GET", "/models/user", schema="user models")
    def user_models(self, call: Call) -> web.Response:
        return self._listed(call)

    @route("GET", "/models/count", public=True)
    def count(self, call: Call) -> web.Response:
        return reply({"data": {"count": len(select(call.query))}})

    @route("GET", "/embeddings/models", public=True)
    def embedding_models(self, call: Call) -> web.Response:
        found = select({"output_modalities": "embeddings"})
        return reply({"data": found, "links": {"next": None}, "total_count": len(found)})

    @route("GET", "/images/models", public=True)
    def image_models(self, call: Call) -> web.Response:
        return reply({"data": IMAGE_MODELS})

    @route("GET", "/videos/models", public=True)
    def video_models(self, call: Call) -> web.Response:
        return reply({"data": VIDEO_MODELS})

    @route("GET", "/model/{author}/{slug}", public=True)
    def one_model(self, call: Call, author: str, slug: str) -> web.Response:
        if f"{author}/{slug}" not in BY_ID:
            raise Refusal(404, "Model not found")
        return reply({"data": BY_ID[f"{author}/{slug}"]})

    @route("GET", "/models/{author}/{slug}/endpoints", public=True)
    def endpoints(self, call: Call, author: str, slug: str) -> web.Response:
        entry = BY_ID.get(f"{author}/{slug}")
        if entry is None:
            raise Refusal(404, "Model not found")
        known = call.key in (KEY, MANAGEMENT_KEY)
        data = {
            "id": entry["id"],
            "name": entry["name"],
            "created": entry["created"],
            "description": entry["description"],
            "architecture": entry["architecture"],
            "endpoints": []
            if entry["architecture"]["tokenizer"] == "Router"
            else [
                endpoint(entry, "DeepInfra", "deepinfra/fp8", 1, known),
                endpoint(entry, "Together", "together", 2, known),
            ],
        }
        return reply({"data": data})

    # ------------------------------------------------------------------ account

    @route("GET", "/key")
    def key_data(self, call: Call) -> web.Response:
        management = call.key == MANAGEMENT_KEY
        spent = {"": 1.25, "_daily": 0.05, "_weekly": 0.3, "_monthly": 0.9}
        data = {
            "label": "sk-or-v1-abc...xyz",
            "limit": 10.0,
            "limit_remaining": 8.75,
            "limit_reset": "monthly",
            "include_byok_in_limit": False,
            "is_free_tier": False,
            "is_management_key": management,
            "is_provisioning_key": management,
            "expires_at": None,
            "creator_user_id": "user_2standin",
            "organization_id": None,
            "workspace_id": "00000000-0000-4000-8000-000000000000",
            "allowed_data_regions": ["global"],
            "budgets": [],
            "effective_budget": None,
            "free_model_daily_requests": {"limit": 1000, "used": 12, "remaining": 988},
            "rate_limit": {"requests": -1, "interval": "10s", "note": "deprecated"},
            **{f"usage{name}": value for name, value in spent.items()},
            **{f"byok_usage{name}": 0 for name in spent},
            **self.key_info,
        }
        return reply({"data": data})

    @route("GET", "/credits")
    def credit_data(self, call: Call) -> web.Response:
        if call.key != MANAGEMENT_KEY:
            raise Refusal(403, "Only management keys can perform this operation")
        return reply({"data": self.credits})

    @route("GET", "/generation")
    def generation(self, call: Call) -> web.Response:
        if set(call.query) != {"id"}:
            self._violation(call, "the query must be id")
            raise Refusal(400, "id is required")
        found = self._generations.get(call.query["id"])
        if self.generation_misses > 0 or not found:
            self.generation_misses -= 1
            raise Refusal(404, f"Generation {call.query['id']} not found")
        nulls = dict.fromkeys(
            (
                "app_id", "external_user", "http_referer", "moderation_latency", "num_fetches",
                "num_input_audio_prompt", "num_media_completion", "num_media_prompt",
                "num_search_results", "preset_id", "provider_responses", "request_id",
                "service_tier", "upstream_id", "upstream_inference_cost", "web_search_engine",
                "workspace_id",
            )
        )  # fmt: skip
        data = {
            **nulls,
            "cancelled": False,
            "created_at": datetime.now(timezone.utc).isoformat(),
            "data_region": "global",
            "generation_time": 1200,
            "is_byok": False,
            "latency": 350,
            "native_tokens_completion_images": 0,
            "native_tokens_reasoning": 0,
            "origin": "",
            **found,
        }
        return reply({"data": data})


# --------------------------------------------------------------------------------------- helpers


def model_of(call: Call) -> str:
    found = call.body.get("model", "") if isinstance(call.body, dict) else ""
    return found if isinstance(found, str) else ""


def aliases_of(schema: str) -> dict[str, str]:
    return aliases(REQUEST_TYPES[schema])


def emptied(data: dict) -> dict:
    """A reply without its substance: no items, no text."""
    return {
        name: [] if isinstance(value, list) else "" if name == "text" else value
        for name, value in data.items()
    }


def thinking(text: str) -> dict:
    return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}


def cache_key(call: Call) -> str:
    """Order counts, white space doesn't: guides/features/response-caching.mdx."""
    return hashlib.sha256(f"{call.key} {call.path} ".encode() + encode(call.body)).hexdigest()


def lifetime(call: Call) -> int:
    digits = re.match(r"\d+", call.headers.get("x-openrouter-cache-ttl", "300"))
    return min(86400, max(1, int(digits[0]))) if digits else 300


def zeroed(usage: dict) -> dict:
    return {
        name: zeroed(value)
        if isinstance(value, dict)
        else value * 0
        if isinstance(value, int | float)
        else value
        for name, value in usage.items()
    } | {"is_byok": False}


def shown(job: dict) -> dict:
    return {
        name: value
        for name, value in job.items()
        if name not in ("states", "requests", "kind", "cost")
    }


def input_text(body: dict) -> str:
    """The text of a request to /responses."""
    given = body.get("input") or ""
    if isinstance(given, str):
        return given
    return "\n".join(text_of(item.get("content")) for item in given if isinstance(item, dict))


def response_usage(usage: dict) -> dict:
    """A completion's usage by the names of /responses."""
    costs = usage["cost_details"]
    whole = {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {
            "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
            "cache_write_tokens": usage["prompt_tokens_details"]["cache_write_tokens"],
        },
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {
            "reasoning_tokens": usage["completion_tokens_details"]["reasoning_tokens"]
        },
        "total_tokens": usage["total_tokens"],
        "cost": usage["cost"],
        "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": None,
            "upstream_inference_input_cost": costs["upstream_inference_prompt_cost"],
            "upstream_inference_output_cost": costs["upstream_inference_completions_cost"],
        },
    }
    for name in ("server_tool_use", "server_tool_use_details"):
        if name in usage:
            whole[name] = usage[name]
    return whole


def output_items(answer: Answer, number: int) -> list[dict]:
    """An answer as the output of /responses."""
    items: list[dict] = []
    if answer.reasoning:
        content = [{"type": "reasoning_text", "text": answer.reasoning}]
        item = {"type": "reasoning", "id": f"rs_{number}", "summary": [], "content": content}
        items.append(item)
    if answer.content is not None:
        notes = [
            {"type": "url_citation", **note["url_citation"]}
            for note in answer.annotations or []
            if note["type"] == "url_citation"
        ]
        part = {"type": "output_text", "text": answer.content, "annotations": notes}
        whole = answer.finish_reason in ("stop", "tool_calls")
        items.append(
            {
                "type": "message",
                "id": f"msg_{number}",
                "role": "assistant",
                "status": "completed" if whole else "incomplete",
                "content": [{**part, "logprobs": []}],
            }
        )
    for call in answer.tool_calls or []:
        items.append(
            {
                "type": "function_call",
                "id": f"fc_{number}_{call['id']}",
                "call_id": call["id"],
                "name": call["function"]["name"],
                "arguments": call["function"]["arguments"],
                "status": "completed",
            }
        )
    return items


def response_events(whole: dict, fault: str | None) -> Iterator:
    """A response as its stream of events, with the fault at its end."""
    numbers = itertools.count()

    def send(kind: str, **more) -> bytes:
        return event({"type": kind, **more, "sequence_number": next(numbers)})

    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    begun |= {"error": None, "incomplete_details": None, "completed_at": None}
    begun.pop("error_type", None)
    begun.pop("openrouter_metadata", None)
    yield PROCESSING
    yield send("response.created", response=begun)
    yield send("response.in_progress", response=begun)
    for index, item in enumerate(whole["output"]):
        where = {"output_index": index, "item_id": item["id"]}
        kind = item["type"]
        start = {**item, "arguments": ""} if kind == "function_call" else {**item, "content": []}
        if kind != "reasoning":
            start["status"] = "in_progress"
        yield send("response.output_item.added", output_index=index, item=start)
        if kind == "function_call":
            for piece in pieces(item["arguments"], 2):
                yield send("response.function_call_arguments.delta", **where, delta=piece)
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield send("response.function_call_arguments.done", **where, **done)
        else:
            part = item["content"][0]
            where["content_index"] = 0
            name = "output_text" if kind == "message" else "reasoning_text"
            logprobs = {"logprobs": []} if kind == "message" else {}
            blank = {**part, "text": ""} | ({"annotations": []} if kind == "message" else {})
            yield send("response.content_part.added", **where, part=blank)
            for piece in pieces(part["text"]):
                yield send(f"response.{name}.delta", **where, delta=piece, **logprobs)
            if kind == "message" and fault == "keepalive":
                yield WAIT
            if kind == "message" and fault == "drop":
                yield CUT
            if kind == "message" and fault == "bad_chunk":
                yield b'data: {"type":"response.output_text.delta","delta":"\n\n'
            if kind == "message" and fault == "mid_stream":
                error = {"code": "server_error", "message": whole["error"]["message"]}
                yield send("error", error=error)
            if kind == "message" and fault in ("cut", "mid_stream"):
                return
            for number, note in enumerate(part.get("annotations", [])):
                more = {"annotation": note, "annotation_index": number}
                yield send("response.output_text.annotation.added", **where, **more)
            yield send(f"response.{name}.done", **where, text=part["text"], **logprobs)
            yield send("response.content_part.done", **where, part=part)
        yield send("response.output_item.done", output_index=index, item=item)
    yield send(f"response.{whole['status']}", response=whole)
    yield DONE


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
