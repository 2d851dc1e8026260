# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Name several models: when the first fails, the next answers. See who did, and why.

  python scripts/fallback.py "Name three rivers." -m "~google/gemini-flash-latest" -m MODEL
  python scripts/fallback.py "Name three rivers." -m MODEL -m MODEL -o max_tokens=300

https://openrouter.ai/docs/guides/routing/model-fallbacks
"""

import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, APIStatusError, OpenAI
from openai.types.chat import ChatCompletion

MODEL = "openrouter/free"  # picks a free model that can do what the request needs


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


def ask_in_turn(
    client: OpenAI, models: list[str], messages: list[dict], /, **parameters: object
) -> ChatCompletion:
    """Return the completion of the first model that answers; completion.model tells which.

    Its openrouter_metadata, or that of an error, says what became of the others:
    https://openrouter.ai/docs/guides/features/router-metadata
    """
    spare = {"models": models[1:]} if models[1:] else {}
    client = client.with_options(default_headers={"X-OpenRouter-Metadata": "enabled"})
    try:
        completion = client.chat.completions.create(
            model=models[0], messages=messages, extra_body={**spare, **parameters}
        )
    except APIStatusError as error:
        error.body = error.response.text  # the whole: openrouter_metadata stands beside the error
        raise
    check(completion)
    return completion


# --- The command line. Leave out what follows when you copy. ---

import json
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

PROMPT = Path(__file__).resolve().parent.parent / "prompts" / "chat.txt"
FACTS = {"model", "provider", "usage", "openrouter_metadata"}


def main() -> None:
    """Read the command line and stdin, ask, print the answer and who gave it."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("-m", "--model", action="append", help="in order; repeat for each")
    parser.add_argument("-o", type=parameter, action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--prompt", type=Path, default=PROMPT, metavar="FILE")
    args = parser.parse_args()
    question = " ".join(args.question)
    if not sys.stdin.isatty():
        question = f"{question}\n\n{sys.stdin.buffer.read().decode('utf-8-sig')}".strip()
    if not question:
        sys.exit("Give a question as an argument or through a pipe.")
    system = args.prompt.read_text(encoding="utf-8-sig")
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    client, start = connect(), time.monotonic()
    models = args.model or [os.environ.get("OPENROUTER_MODEL") or MODEL]
    completion = ask_in_turn(client, models, messages, **dict(args.o))
    print(completion.choices[0].message.content)
    facts = completion.model_dump_json(include=FACTS, exclude_none=True, warnings=False)
    print(f"{facts} {time.monotonic() - start:.1f} s", file=sys.stderr)


def parameter(text: str) -> tuple[str, object]:
    """Return name and value of NAME=JSON; a value that is not JSON is text."""
    name, value = text.split("=", 1)
    with suppress(ValueError):
        value = json.loads(value)
    return name, value


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
