# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Show what the key may do and has used: limits, spending, free requests left today.

  python scripts/key.py
  python scripts/key.py --json

With a management key in OPENROUTER_API_KEY, also the credits of the account.
https://openrouter.ai/docs/api_reference/limits
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout


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


def field(reply: object, name: str) -> object:
    """Return one field of a JSON reply; APIError when HTTP 200 brought an error or no JSON."""
    if isinstance(reply, dict) and reply.get(name) is not None:
        return reply[name]
    error = reply.get("error") if isinstance(reply, dict) else None
    raise APIError(f"The reply has no {name}: is OPENROUTER_BASE_URL right?", None, body=error)


def read_key(client: OpenAI) -> dict:
    """Return what OpenRouter knows of the key, and "credits" when it is a management key.

    Amounts are USD; null limits mean none (https://openrouter.ai/docs/api_reference/limits).
    """
    key = field(client.get("/key", cast_to=object), "data")
    if key.get("is_management_key"):
        key["credits"] = field(client.get("/credits", cast_to=object), "data")
    return key


def describe(key: dict) -> str:
    """Return the facts of read_key() as lines for a person."""
    limit, left = key.get("limit"), key.get("limit_remaining")
    free, credits = key.get("free_model_daily_requests"), key.get("credits")
    lines = [
        f"key          {key.get('label')}",
        f"used         ${key.get('usage') or 0:.4f} in all, "
        + ", ".join(
            f"${key.get(f'usage_{t}') or 0:.4f} {t}" for t in ("daily", "weekly", "monthly")
        ),
        "limit        "
        + ("none" if limit is None else f"${limit:.2f}, ${left or 0:.4f} left")
        + (f", resets {key['limit_reset']}" if key.get("limit_reset") else ""),
    ]
    if free and free.get("remaining") is not None:
        lines.append(
            f"free today   {free['remaining']} of {free.get('limit')} requests left (to 00:00 UTC)"
        )
    lines.append(f"free tier    {'yes' if key.get('is_free_tier') else 'no'}")
    if key.get("expires_at"):
        lines.append(f"expires      {key['expires_at']}")
    if credits and {"total_credits", "total_usage"} <= credits.keys():
        lines.append(f"credits      ${credits['total_credits'] - credits['total_usage']:.4f} left")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, ask about the key, print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="everything the API says")
    args = parser.parse_args()
    key = read_key(connect())
    print(json.dumps(key, ensure_ascii=False, indent=2) if args.json else describe(key))


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
