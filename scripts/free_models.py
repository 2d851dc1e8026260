# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Ask which free models answer right now, the popular ones first. It takes 3 seconds a model.

  python scripts/free_models.py --limit 3
  python scripts/free_models.py qwen

Each model takes one of your free requests of today.
https://openrouter.ai/docs/api_reference/limits
"""

import os
import re
import time
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI

SECONDS_BETWEEN = 3.1  # 20 requests a minute are allowed
ANSWER_SECONDS = 60


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
    return OpenAI(base_url=url, api_key=key, timeout=120, max_retries=0)  # retries use up quota


def check(reply: object, streamed: object = None) -> None:
    """Raise APIError unless the reply is a whole answer; HTTP 200 can bring an error, too."""
    choice = reply.choices[0] if getattr(reply, "choices", None) else None
    message = streamed or getattr(choice, "message", None)
    content, reason = getattr(message, "content", None), getattr(choice, "finish_reason", None)
    text = content if isinstance(content, str) else ""
    whole = {"stop": text, "tool_calls": getattr(message, "tool_calls", None)}.get(reason)
    said = getattr(reply, "error", None) or getattr(choice, "error", None)
    if said or not whole:
        what = f"The answer is not whole (finish_reason: {reason})"
        error = APIError(what, None, body=said or getattr(message, "refusal", None))
        error.partial = f"{text}\n" if text and not streamed else ""
        raise error


def field(reply: object, name: str) -> list:
    """Return a list in a JSON reply; APIError with the server's error where there is none."""
    found = reply.get(name) if isinstance(reply, dict) else None
    if not found or not isinstance(found, list):
        error = reply.get("error") if isinstance(reply, dict) else None
        raise APIError(f"The reply has no {name}: {reply}", None, body=error)
    return found


def find_free(client: OpenAI, search: str = "") -> list[str]:
    """Return the ids of the free models, the popular ones first."""
    query = {"sort": "most-popular", "q": search} if search else {"sort": "most-popular"}
    models = field(client.get("/models", cast_to=object, options={"params": query}), "data")
    return [model["id"] for model in models if str(model.get("id")).endswith(":free")]


def probe(client: OpenAI, model: str) -> float:
    """Return the seconds that a model takes for a tiny answer; raise what is wrong with it."""
    start = time.monotonic()
    completion = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Say OK."}],
        max_tokens=16,  # some providers refuse less
        timeout=ANSWER_SECONDS,
    )
    try:
        check(completion)
    except APIError as error:
        if "finish_reason: length" not in str(error):  # one that is cut after 16 tokens works, too
            raise
    return time.monotonic() - start


# --- The command line. Leave out what follows when you copy. ---

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter

NETWORK = "OPENROUTER_BASE_URL|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_FILE"


def main() -> int:
    """Read the command line, ask each model, print; return 1 when none answers."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("search", nargs="?", default="", help="words in the name or description")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="how many (default 10)")
    args = parser.parse_args()
    client, answering = connect(), 0
    for number, model in enumerate(find_free(client, args.search)[: args.limit]):
        time.sleep(SECONDS_BETWEEN if number else 0)
        try:
            print(f"answers  {probe(client, model):5.1f} s  {model}")
            answering += 1
        except Exception as error:
            if blocks_all(error):
                raise
            print(f"fails             {model}  {explain(error)}")
    return 0 if answering else 1


def blocks_all(error: Exception) -> bool:
    """Return True if no model can answer: a wrong key, no network, or the day's limit."""
    status = getattr(error, "status_code", None)
    if status is None and error.__cause__ and "timed out" not in str(error):
        return True
    return status == 401 or "per-day" in str(getattr(error, "body", None))


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
