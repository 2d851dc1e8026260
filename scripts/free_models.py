# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Find out which free models answer right now: one tiny request to each.

  python scripts/free_models.py
  python scripts/free_models.py qwen --limit 10 --json

Each probe is one of the 50 free requests of a day (1,000 once $10 of credits were bought),
so few models are asked by default, and no more than 20 in a minute.
https://openrouter.ai/docs/api_reference/limits
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from datetime import datetime
from decimal import Decimal

from dotenv import load_dotenv
from openai import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    DefaultHttpxClient,
    Omit,
    OpenAI,
    OpenAIError,
    Timeout,
)

LIMIT = 5
SECONDS_BETWEEN = 3.0  # 20 requests a minute
ANSWER_SECONDS = 60


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


def find_models(client: OpenAI, query: dict) -> list[dict]:
    """Return the models that match the query, each as a dict in the API's own form.

    Queries are q, sort, context, max_price (USD per million tokens), supported_parameters and
    others: https://openrouter.ai/docs/api_reference/list-available-models
    """
    try:  # no key is sent: the catalogue is public
        page = client.models.list(extra_query=query, extra_headers={"Authorization": Omit()})
    except AttributeError:  # what the client makes of a web page
        page = None
    if getattr(page, "data", None) is None:
        what = "The reply holds no models: does OPENROUTER_BASE_URL end in /api/v1?"
        raise APIError(what, None, body=getattr(page, "error", None))
    return [model.to_dict() for model in page.data]


def is_free(model: dict) -> bool:
    """Tell whether a model costs nothing, whatever its name says."""
    prices = (model.get("pricing") or {}).items()
    costs = [text for kind, text in prices if kind != "web_search" and isinstance(text, str)]
    return bool(costs) and all(Decimal(text) == 0 for text in costs)


def probe(client: OpenAI, model: str) -> dict:
    """Return {"model", "status", "seconds", "detail"} of one tiny request.

    Raises APIError when the model is not to blame: a wrong key, no network, a wrong address.
    """
    start, status, detail = time.monotonic(), "answers", ""
    try:
        completion = client.with_options(timeout=ANSWER_SECONDS).chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Say OK."}], max_tokens=16
        )
        choice = next(iter(getattr(completion, "choices", None) or []), None)
        if getattr(choice, "finish_reason", None) != "length":  # cut after 16 tokens is alive, too
            check(completion)
    except FAILURES as error:
        status, detail = blame(error), explain(error)
    seconds = round(time.monotonic() - start, 2)
    return {"model": model, "status": status, "seconds": seconds, "detail": detail}


def blame(error: Exception) -> str:
    """Return what an error says of a free model; raise it when it says nothing of the model.

    See https://openrouter.ai/docs/api_reference/errors-and-debugging
    """
    if isinstance(error, APITimeoutError):
        return "silent"
    body = getattr(error, "body", None)
    body = body if isinstance(body, dict) else {}
    code, message = getattr(error, "status_code", body.get("code")), str(body.get("message"))
    if code == 401 or isinstance(error, APIConnectionError):
        raise error
    if code == 429:
        return ("day over" if "per-day" in message else "busy") + until(error)
    if code in (402, 403) or "data policy" in message:
        return "not allowed"
    return "gone" if code in (400, 404) else "fails"


def until(error: Exception) -> str:
    """Return when a limit ends, in local time, or "" when the server does not say."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    reset, wait = headers.get("x-ratelimit-reset", ""), headers.get("retry-after", "")
    seconds = (
        int(reset) / 1000 - time.time() if reset.isdigit() else int(wait) if wait.isdigit() else 0
    )
    if not 0 < seconds < 1e6:
        return ""
    return f" until {datetime.fromtimestamp(time.time() + seconds):%H:%M}"


def about(model: dict) -> dict:
    """Return {"context", "abilities"}: tokens, and what a model takes besides text and can do."""
    takes = (model.get("architecture") or {}).get("input_modalities") or []
    names = {"tools": "tools", "structured_outputs": "json", "reasoning": "reasoning"}
    does = [name for key, name in names.items() if key in (model.get("supported_parameters") or [])]
    abilities = [kind for kind in takes if kind != "text"] + does
    return {"context": model.get("context_length"), "abilities": abilities}


def line(result: dict) -> str:
    """Return a result as a line: status, seconds, context, model, abilities or what went wrong."""
    words = result["detail"] or " ".join(result["abilities"])
    facts = f"{result['seconds']:5.1f} s  {result['context'] or 0:>9,}  {result['model']}"
    return f"{result['status']:<20} {facts}  {words}".rstrip()


def main() -> int:
    """Read the command line, choose free models, ask each, print; 1 when none answers."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("search", nargs="?", help="words in the name or description")
    parser.add_argument("--limit", type=int, default=LIMIT, help=f"how many (default {LIMIT})")
    parser.add_argument("--json", action="store_true", help="data instead of lines")
    args = parser.parse_args()
    client, query = (
        connect(),
        {"sort": "most-popular"} | ({"q": args.search} if args.search else {}),
    )
    models = [m for m in find_models(client, query) if is_free(m)]
    models = [m for m in models if not m["id"].startswith("openrouter/")][
        : args.limit
    ]  # no routers
    results = []
    try:
        for number, model in enumerate(models):
            time.sleep(SECONDS_BETWEEN if number else 0)
            print(
                f"[{number + 1}/{len(models)}] {model['id']}", end="\r", file=sys.stderr, flush=True
            )
            results.append(probe(client, model["id"]) | about(model))
            if not args.json:
                print(line(results[-1]))
            if results[-1]["status"].startswith("day over"):
                break
    finally:
        if args.json:
            print(json.dumps(results, ensure_ascii=False, indent=2))
    answers = sum(result["status"] == "answers" for result in results)
    print(f"[{answers} of {len(results)} answer]", file=sys.stderr)
    return 0 if answers else 1


# From here on, the same in every script.


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
