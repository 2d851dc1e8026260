# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Ask two questions about one long text, and see what its place in the cache saves.

  python scripts/prompt_caching.py "What is it for?" "What can go wrong?" scripts/chat.py
  cat book.txt | python scripts/prompt_caching.py "Who dies?" "Who is to blame?" -

Costs money: the text is sent with each question, and a third time to show that an identical
request costs nothing. Most models cache texts from 1,024 tokens on, some from 4,096.
https://openrouter.ai/docs/guides/best-practices/prompt-caching
"""

import json
import os
import re
import sys
import time
import uuid
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from decimal import Decimal
from pathlib import Path

from dotenv import load_dotenv
from openai import (
    APIError,
    APITimeoutError,
    DefaultHttpxClient,
    NotFoundError,
    OpenAI,
    OpenAIError,
    Timeout,
)
from openai.types.chat import ChatCompletion

MODEL = "~openai/gpt-mini-latest"  # a free model has nothing to save
PROMPT = "prompt_caching"
# Models that cache only up to a mark in the prompt; the others do without one.
MARKED = ("anthropic/", "qwen/", "deepseek/deepseek-v3.2")


def connect() -> OpenAI:
    """Return the official client, set up for OpenRouter; ValueError without a usable key."""
    load_dotenv(encoding="utf-8-sig")
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    if not re.fullmatch("[!-~]+", key):  # api_key=None would send OPENAI_API_KEY to OpenRouter
        raise ValueError("Set OPENROUTER_API_KEY: https://openrouter.ai/keys has free ones.")
    for name in ("ORG_ID", "PROJECT_ID", "CUSTOM_HEADERS"):  # the client would send these, too
        os.environ.pop(f"OPENAI_{name}", None)
    url = os.environ.get("OPENROUTER_BASE_URL", "").strip() or "https://openrouter.ai/api/v1"
    http = DefaultHttpxClient(timeout=Timeout(120, connect=10), event_hooks={"response": [limit]})
    return OpenAI(base_url=url, api_key=key, http_client=http, max_retries=0)  # retries cost quota


def check(reply: object, text: str = "") -> None:
    """Raise APIError unless the reply is a whole answer: HTTP 200 brings errors, too."""
    choice = next(iter(getattr(reply, "choices", None) or []), None)
    message, end = getattr(choice, "message", None), getattr(choice, "finish_reason", None)
    answer = text or getattr(message, "content", None) or getattr(message, "tool_calls", None)
    error = getattr(reply, "error", None) or getattr(choice, "error", None)
    if error or not answer or end not in ("stop", "tool_calls"):
        why = {"length": "token limit, reasoning included", "stop": "no text", None: "it broke off"}
        what = f"The answer is {'incomplete' if answer else 'empty'}: {why.get(end, end)}"
        raise APIError(what, None, body=reply if isinstance(reply, str) else error)


def field(reply: object, name: str) -> object:
    """Return one field of a JSON reply; APIError when HTTP 200 brought an error or no JSON."""
    if isinstance(reply, dict) and reply.get(name) is not None:
        return reply[name]
    error = reply.get("error") if isinstance(reply, dict) else None
    raise APIError(f"The reply has no {name}: is OPENROUTER_BASE_URL right?", None, body=error)


def price(model: dict, kind: str) -> Decimal | None:
    """Return a price ("prompt", "completion") in USD per million tokens; None when it varies."""
    text = (model.get("pricing") or {}).get(kind) or "-1"
    return None if text.startswith("-") else Decimal(text) * 1_000_000


def share(model: str, instructions: str, text: str) -> list[dict]:
    """Return the parts of a message that both questions share, with a mark if the cache needs it.

    https://openrouter.ai/docs/guides/best-practices/prompt-caching
    """
    part = {"type": "text", "text": text}
    if model.lstrip("~").startswith(MARKED):
        part["cache_control"] = {"type": "ephemeral"}
    return [{"type": "text", "text": instructions}, part]


def ask_about(
    client: OpenAI, model: str, shared: list[dict], question: str, session: str
) -> tuple[ChatCompletion, str]:
    """Return a completion, and "HIT" if OpenRouter answered itself, "MISS" if not, "" if unknown.

    One session keeps one provider, which has the cache of the prompt. The header is for the other
    cache: identical requests (https://openrouter.ai/docs/guides/features/response-caching).
    """
    raw = client.chat.completions.with_raw_response.create(
        model=model,
        messages=[{"role": "system", "content": shared}, {"role": "user", "content": question}],
        extra_body={"session_id": session},
        extra_headers={"X-OpenRouter-Cache": "true"},
    )
    completion = raw.parse()
    check(completion)
    return completion, raw.headers.get("x-openrouter-cache-status", "")


def cached(completion: ChatCompletion) -> tuple[int, int]:
    """Return how many tokens of the prompt came from the cache, and how many went into it."""
    details = getattr(completion.usage, "prompt_tokens_details", None)
    read = getattr(details, "cached_tokens", None)
    return read or 0, getattr(details, "cache_write_tokens", None) or 0


def recorded_saving(client: OpenAI, completion: ChatCompletion) -> Decimal | None:
    """Return the USD that the cache saved (below 0: cost) as OpenRouter recorded it, else None."""
    query = {"params": {"id": completion.id}}
    for seconds in (0, 1, 2):  # the record comes some time after the answer
        time.sleep(seconds)
        try:
            record = field(client.get("/generation", cast_to=object, options=query), "data")
        except NotFoundError:
            continue
        usd = record.get("cache_discount")
        return None if usd is None else Decimal(str(usd))
    return None


def reckoned_saving(client: OpenAI, completion: ChatCompletion) -> Decimal | None:
    """Return the same in tokens times the prices of the catalogue; None where it has no prices."""
    try:
        model = field(client.get(f"/model/{completion.model}", cast_to=object), "data")
    except NotFoundError:
        return None
    names = ("prompt", "input_cache_read", "input_cache_write")
    (read, written), (full, reading, writing) = cached(completion), [price(model, n) for n in names]
    if full is None or (read and reading is None):
        return None
    writing = full if writing is None else writing  # no price of its own
    return (read * (full - (reading or 0)) - written * (writing - full)) / 1_000_000


def main() -> None:
    """Read the command line and the text, ask, print answers, tokens and savings."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs=2, metavar="QUESTION")
    parser.add_argument("file", help="the long text; - is what is piped in")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", default=PROMPT, help="prompt file, by name or path")
    args = parser.parse_args()
    path = Path(args.file)
    text = read_input(["-"]) if args.file == "-" else path.read_text(encoding="utf-8-sig")
    if not text.strip():
        raise ValueError(f"{args.file} has no text.")
    instructions = read_prompt(args.prompt)
    client, session = connect(), uuid.uuid4().hex
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    shared, asked = share(model, instructions, text), []
    for question in [*args.questions, args.questions[1]]:
        start = time.monotonic()
        completion, status = ask_about(client, model, shared, question, session)
        if len(asked) < 2:  # the third is the second again
            print(completion.choices[0].message.content)
        print(report(completion, start), file=sys.stderr)
        print(f"[response cache: {status or 'none'}]", file=sys.stderr)
        asked.append(completion)
    for number, completion in enumerate(asked[:2], 1):
        read, written = cached(completion)
        note = f"question {number}: {read:,} tokens from the cache, {written:,} into it"
        if read or written:
            usd, teller = recorded_saving(client, completion), "OpenRouter's record"
            if usd is None:
                usd, teller = reckoned_saving(client, completion), "the catalogue's prices"
            if usd is None:
                note += ", what it saved is unknown"
            else:
                money = f"saved ${usd:.6f}" if usd >= 0 else f"${-usd:.6f} more than without"
                note += f", {money} by {teller}"
        print(f"[{note}]", file=sys.stderr)
    if not read:
        print("[nothing was read: too short a text, or another provider]", file=sys.stderr)


# From here on, the same in every script.


def read_prompt(name: str) -> str:
    """Return a prompt's text: NAME.txt in prompts/ or beside this script, or any file."""
    here = Path(__file__).resolve().parent
    files = [folder / f"{name}.txt" for folder in (here.parent / "prompts", here / "prompts", here)]
    file = next((file for file in files if file.is_file()), Path(name))
    return file.read_text(encoding="utf-8-sig").strip()


def read_input(words: list[str]) -> str:
    """Return the words of the command line, then what was piped in; ValueError without any."""
    text = " ".join(word for word in words if word != "-")
    if "-" in words or not sys.stdin.isatty():
        text += "\n\n" + sys.stdin.buffer.read().decode("utf-8-sig")
    if not text.strip():
        raise ValueError("There is no text: write it after the command, or pipe it in.")
    return text.strip()


def report(reply: object, start: float) -> str:
    """Return who answered and at what price: model, provider, tokens in + out, USD, seconds."""
    usage, facts = getattr(reply, "usage", None), [reply.model, getattr(reply, "provider", None)]
    if usage:
        facts.append(f"{usage.prompt_tokens} + {usage.completion_tokens} tokens")
        facts.append(f"${usage.cost:.6f}" if getattr(usage, "cost", None) is not None else None)
    return f"[{', '.join(filter(None, facts))}, {time.monotonic() - start:.1f} s]"


REPLY_SECONDS = 600


def limit(response: object) -> None:
    """Give a whole reply a time limit: keep-alives reset the timeout, which is one of silence."""
    parts, end = response.iter_raw, time.monotonic() + REPLY_SECONDS

    def in_time(part: bytes) -> bytes:
        if time.monotonic() > end:
            raise APITimeoutError(response.request)
        return part

    response.iter_raw = lambda *size: map(in_time, parts(*size))


# What a request can raise; before openai 3 a stream that breaks raises httpx's own error.
httpx = sys.modules.get("httpx2") or sys.modules["httpx"]
FAILURES = (OpenAIError, httpx.HTTPError, httpx.InvalidURL, json.JSONDecodeError)


def explain(error: Exception) -> str:
    """Return a failure in one line: what the server and the provider said, and what to do."""
    body = getattr(error, "body", None)
    if not isinstance(body, dict):
        page = "<html" in str(body or error).lower()
        body = {"message": "a web page, no API (OPENROUTER_BASE_URL?)" if page else body or error}
    code, more = getattr(error, "status_code", body.get("code")), body.get("metadata") or {}
    bad_json = isinstance(error, json.JSONDecodeError) and "The reply is not JSON"
    said = [bad_json, code, body.get("message"), more.get("raw"), error.__cause__]
    said = ": ".join(" ".join(str(part).split())[:300].rstrip(".") for part in said if part)
    do = {401: "check OPENROUTER_API_KEY", 402: "add credits", 429: "wait a minute, or to 0:00 UTC"}
    hint = "check the network" if error.__cause__ else "retry, or change request or model"
    if models := (body.get("availability") or {}).get("fallback_models"):
        hint = f"use {' or '.join(models)}"
    return f"{said} ({do.get(code, hint)})"


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader has left, as in `| head -1`
        os._exit(0)
    except FAILURES as error:
        sys.exit(explain(error))
    except (ImportError, OSError, ValueError) as error:
        wrong = "A prompt, the input or .env is not UTF-8 text: save it as UTF-8."
        print(wrong if isinstance(error, UnicodeError) else error, file=sys.stderr)
        sys.exit(2)
