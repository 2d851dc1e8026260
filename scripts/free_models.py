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
    with suppress(UnicodeDecodeError):  # one that is not UTF-8 counts as missing
        load_dotenv(encoding="utf-8-sig")
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    if not re.fullmatch("[!#-&(-~]+", key):  # visible ASCII, no quotes; None sends OPENAI_API_KEY
        raise ValueError("OPENROUTER_API_KEY is missing or malformed (environment or UTF-8 .env)")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        os.environ.pop(name, None)  # the client would send these, too
    url = os.environ.get("OPENROUTER_BASE_URL", "").strip() or "https://openrouter.ai/api/v1"
    return OpenAI(base_url=url, api_key=key, timeout=120, max_retries=0)  # retries use up quota


def check(reply: object, streamed: object = None, tools: bool = False) -> None:
    """Raise APIError unless the reply is a whole answer; HTTP 200 can bring an error, too."""
    choice = reply.choices[0] if getattr(reply, "choices", None) else None
    message = streamed or getattr(choice, "message", None)
    content, reason = getattr(message, "content", None), getattr(choice, "finish_reason", None)
    text = content if isinstance(content, str) else ""
    calls = getattr(message, "tool_calls", None) if tools else None
    whole = {"stop": text.strip() or calls, "tool_calls": calls}.get(reason)
    server_error = getattr(reply, "error", None) or getattr(choice, "error", None)
    if server_error or not whole:
        what = f"The answer is not whole (finish_reason: {reason})"
        error = APIError(what, None, body=server_error or getattr(message, "refusal", None))
        error.partial = f"{text}\n" if text and not streamed else ""
        raise error


def field(reply: object, name: str) -> list:
    """Return a list in a JSON reply; APIError with the server's error where there is none."""
    fields = reply if isinstance(reply, dict) else {}
    if not isinstance(fields.get(name), list):
        raise APIError(f"The reply has no {name}: {reply}", None, body=fields.get("error"))
    return fields[name]


def find_free(client: OpenAI, search: str = "") -> list[str]:
    """Return the ids of the free models, the popular ones first."""
    params = {"sort": "most-popular", "q": search}
    models = field(client.get("/models", cast_to=object, options={"params": params}), "data")
    ids = [str(model.get("id")) for model in models if isinstance(model, dict)]
    return [name for name in ids if name.endswith(":free")]


def probe(client: OpenAI, model: str) -> float:
    """Return the seconds that a model takes for a tiny answer; raise what is wrong with it."""
    start = time.monotonic()
    messages = [{"role": "user", "content": "Say OK and nothing else."}]
    completion = client.with_options(timeout=ANSWER_SECONDS).chat.completions.create(
        model=model, messages=messages
    )
    check(completion)
    return time.monotonic() - start


# --- The command line. Leave out what follows when you copy. ---

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter


def main() -> None:
    """Read the command line, ask each model, print."""
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
            if getattr(error, "status_code", None) == 401 or "per-day" in str(error):
                raise  # the others would fail as well
            print(f"fails             {model}  {explain(error)}")
    if not answering:
        sys.exit("No free model answers.")


def explain(error: Exception) -> str:
    """Return an error as one line: what the server, the provider or the system said."""
    body, cause = getattr(error, "body", None), error.__cause__
    fields = body if isinstance(body, dict) else {}
    message = fields.get("message") or body or f"{type(error).__name__}: {error}"
    code, more = getattr(error, "status_code", fields.get("code")), fields.get("metadata")
    is_network = cause or getattr(error, "filename", "") is None or "proxy" in str(error)
    names = "OPENROUTER_BASE_URL|.*_PROXY|SSL_CERT_FILE" if is_network else "OPENROUTER_BASE_URL"
    settings = [name for name in os.environ if re.fullmatch(names, name, re.I)]
    parts = [f"{name}={os.environ[name].rpartition('@')[2]}" for name in settings]  # no passwords
    key = os.environ.get("OPENROUTER_API_KEY", "").strip() or "[key]"
    texts = [str(part).replace(key, "[key]")[:600] for part in (code, message, more, cause, *parts)]
    return " ".join(": ".join(text for text in texts if text not in ("", "None")).split())


if __name__ == "__main__":
    try:
        for stream in filter(None, (sys.stdin, sys.stdout, sys.stderr)):
            stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
        sys.exit(main())
    except (KeyboardInterrupt, BrokenPipeError) as stop:  # Ctrl-C; a reader that left, as `head`
        os._exit(130 if isinstance(stop, KeyboardInterrupt) else 0)
    except Exception as error:
        if sys.flags.dev_mode:  # python -X dev
            raise
        with suppress(OSError):  # the text that came before the failure
            print(getattr(error, "partial", ""), end="")
        print(explain(error), file=sys.stderr)
        os._exit(1)  # a stdout that failed would fail again at the end
