# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Search, filter and sort the models of OpenRouter. Works without a key.

  python scripts/models.py --free --tools
  python scripts/models.py qwen --sort context --limit 10
  python scripts/models.py --vision --max-price 0.5 --json

Prices are US dollars per million tokens, in and out.
https://openrouter.ai/docs/guides/overview/models
"""

import json
import os
import re
import shutil
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from decimal import Decimal

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, Omit, OpenAI, OpenAIError, Timeout

SORTS = {
    "price": "pricing-low-to-high",
    "context": "context-high-to-low",
    "newest": "newest",
    "throughput": "throughput-high-to-low",
    "latency": "latency-low-to-high",
    "popular": "most-popular",
}


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


def price(model: dict, kind: str) -> Decimal | None:
    """Return a price ("prompt", "completion") in USD per million tokens; None when it varies."""
    text = (model.get("pricing") or {}).get(kind) or "-1"
    return None if text.startswith("-") else Decimal(text) * 1_000_000


def is_free(model: dict) -> bool:
    """Tell whether a model costs nothing, whatever its name says."""
    prices = (model.get("pricing") or {}).items()
    costs = [text for kind, text in prices if kind != "web_search" and isinstance(text, str)]
    return bool(costs) and all(Decimal(text) == 0 for text in costs)


def row(model: dict) -> list[str]:
    """Return a model's id, prices, context length, other inputs than text, and abilities."""
    prices = [price(model, kind) for kind in ("prompt", "completion")]
    takes = (model.get("architecture") or {}).get("input_modalities") or []
    does = model.get("supported_parameters") or []
    names = {"tools": "tools", "structured_outputs": "json", "reasoning": "reasoning"}
    return [
        model["id"],
        *("?" if usd is None else "free" if usd == 0 else f"{usd.normalize():f}" for usd in prices),
        f"{model.get('context_length') or 0:,}",
        " ".join(sorted(set(takes) - {"text"})),
        " ".join(name for key, name in names.items() if key in does),
    ]


def table(rows: list[list[str]], width: int) -> str:
    """Return rows as aligned columns; the first is cut where a line would be too long."""
    columns = [max(map(len, column)) for column in zip(*rows, strict=True)]
    columns[0] = max(20, min(columns[0], width - sum(columns[1:]) - 2 * len(columns) + 1))
    lines = []
    for name, *cells in rows:
        name = name if len(name) <= columns[0] else name[: columns[0] - 1] + "…"
        numbers = [cell.rjust(size) for cell, size in zip(cells[:3], columns[1:4], strict=True)]
        words = [cell.ljust(size) for cell, size in zip(cells[3:], columns[4:], strict=True)]
        lines.append("  ".join([name.ljust(columns[0]), *numbers, *words]).rstrip()[:width])
    return "\n".join(lines)


def main() -> None:
    """Read the command line, ask for the models, print them."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("search", nargs="?", help="words in the name or description")
    parser.add_argument("--free", action="store_true", help="whatever its name, its prices are 0")
    parser.add_argument("--tools", action="store_true", help="calls tools")
    parser.add_argument("--vision", action="store_true", help="takes images")
    parser.add_argument("--structured", action="store_true", help="keeps to a JSON schema")
    parser.add_argument("--reasoning", action="store_true", help="thinks before it answers")
    parser.add_argument("--output", metavar="KIND", help="image, embeddings, speech, video, ...")
    parser.add_argument("--context", type=int, metavar="TOKENS", help="at least")
    parser.add_argument("--max-price", type=float, metavar="USD", help="per million tokens in")
    parser.add_argument("--sort", choices=SORTS)
    parser.add_argument("--limit", type=int, metavar="N")
    parser.add_argument("--json", action="store_true", help="everything the API says")
    args = parser.parse_args()
    wants = {
        "tools": args.tools,
        "structured_outputs": args.structured,
        "reasoning": args.reasoning,
    }
    query = {
        "q": args.search,
        "supported_parameters": ",".join(name for name, wanted in wants.items() if wanted) or None,
        "input_modalities": "image" if args.vision else None,
        "output_modalities": args.output,
        "context": args.context,
        "max_price": args.max_price,
        "sort": SORTS.get(args.sort),
    }
    os.environ["OPENROUTER_API_KEY"] = "unused"  # find_models() sends no key
    query = {name: value for name, value in query.items() if value is not None}
    models = [model for model in find_models(connect(), query) if is_free(model) or not args.free]
    models = models[: args.limit]
    if args.json:
        print(json.dumps(models, ensure_ascii=False, indent=2))
    elif models:
        head = ["model", "$ in", "$ out", "context", "takes", "does"]
        width = shutil.get_terminal_size((200, 24)).columns
        print(table([head, *map(row, models)], width))
    print(f"[{len(models)} models]", file=sys.stderr)


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
