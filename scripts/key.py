# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Show what the key may do and has used: spending, limits, free requests left today.

  python scripts/key.py

Amounts are in USD, days end at 00:00 UTC, "-" means none. A management key in
OPENROUTER_API_KEY also shows the account's credits.
https://openrouter.ai/docs/api_reference/limits
"""

import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI


def connect() -> OpenAI:
    """Return the official client set up for OpenRouter; ValueError without a usable key."""
    with suppress(UnicodeDecodeError):  # without its key, the error below names .env
        load_dotenv(encoding="utf-8-sig")
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    if not re.fullmatch("[!-~]+", key):  # api_key=None would send OPENAI_API_KEY to OpenRouter
        raise ValueError("OPENROUTER_API_KEY is missing or malformed (environment or UTF-8 .env)")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        os.environ.pop(name, None)  # the client would send these, too
    url = os.environ.get("OPENROUTER_BASE_URL", "").strip() or "https://openrouter.ai/api/v1"
    return OpenAI(base_url=url, api_key=key, timeout=120, max_retries=0)


def fetch(client: OpenAI, path: str) -> dict:
    """Return the data that a path has; APIError with the server's error where there is none."""
    reply = client.get(path, cast_to=object)
    data = reply.get("data") if isinstance(reply, dict) else None
    if not data or not isinstance(data, dict):
        error = reply.get("error") if isinstance(reply, dict) else None
        raise APIError(f"The reply has no data: {reply}", None, body=error)
    return data


def read_key(client: OpenAI) -> dict:
    """Return limits and usage of the key in USD, of a management key also the account's credits.

    A limit of None means no limit: https://openrouter.ai/docs/api_reference/limits
    """
    facts = fetch(client, "/key")
    if facts.get("is_management_key") is True:
        facts |= fetch(client, "/credits")
    return facts


# --- The command line. Leave out what follows when you copy. ---

import math
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter

NETWORK = "OPENROUTER_BASE_URL|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_FILE"
ROWS = {
    "label": "key",
    "usage": "used in all",
    "usage_daily": "used today",
    "usage_weekly": "used this week",
    "usage_monthly": "used this month",
    "byok_usage": "used with your providers' keys",
    "limit": "limit",
    "limit_remaining": "left of the limit",
    "limit_reset": "limit resets",
    "expires_at": "expires",
    "is_free_tier": "free tier",
    "total_credits": "credits bought",
    "total_usage": "credits used",
}


def main() -> None:
    """Read the command line, ask about the key, print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.parse_args()
    facts = read_key(connect())
    for name, title in ROWS.items():
        if name in facts:
            print(f"{title:32}{plain(facts[name])}")
    free = facts.get("free_model_daily_requests")
    if isinstance(free, dict):
        left, limit = plain(free.get("remaining")), plain(free.get("limit"))
        print(f"{'free requests left today':32}{left} of {limit}")


def plain(value: object) -> str:
    """Return a value for a person to read; "?" for what is neither text nor a number."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)) and math.isfinite(value):
        return f"{value:.8g}"
    return value if isinstance(value, str) else "?"


def explain(error: Exception) -> str:
    """Return an error as one line: what the server, the provider or the system said."""
    body = getattr(error, "body", None)
    fields = body if isinstance(body, dict) else {}
    said = fields.get("message", body) or f"{type(error).__name__}: {error}"
    parts = [getattr(error, "status_code", fields.get("code")), said, fields.get("metadata")]
    is_network = error.__cause__ or getattr(error, "filename", "") is None
    names = NETWORK if is_network else "OPENROUTER_BASE_URL"
    settings = [f"{k}={v}" for k, v in os.environ.items() if v and re.fullmatch(names, k, re.I)]
    parts = [str(part)[:300] for part in [*parts, error.__cause__, *settings] if part]
    key = os.environ.get("OPENROUTER_API_KEY", "").strip() or "[key]"
    return re.sub("//[^/@]*@", "//", " ".join(": ".join(parts).split()).replace(key, "[key]"))


if __name__ == "__main__":
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader has left, as in `| head -1`
        os._exit(0)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        print(getattr(error, "partial", ""), end="")
        sys.exit(explain(error))
