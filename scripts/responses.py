# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Ask through the Responses API, and go on: the whole conversation is sent each time.

  python scripts/responses.py "What is the capital of France?"
  python scripts/responses.py "What is the capital of France?" --then "Since when?"

https://openrouter.ai/docs/api_reference/responses/overview
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout
from openai.types.responses import Response, ResponseStreamEvent

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
PROMPT = "chat"
TEXT = ("response.output_text.delta", "response.refusal.delta")  # what brings text,
ENDS = ("response.completed", "response.incomplete", "response.failed", "error")  # what ends it
# The API's kinds of errors, as the HTTP statuses they stand for.
STATUS = {"authentication": 401, "payment_required": 402, "rate_limit_exceeded": 429}


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


def respond(
    client: OpenAI, model: str, instructions: str, items: list[dict]
) -> Iterator[ResponseStreamEvent]:
    """Yield a response's events as they come; APIError at the end unless the response is whole.

    Items are all messages so far, the answers among them: OpenRouter remembers nothing
    (https://openrouter.ai/docs/api_reference/responses/basic-usage).
    """
    text, end = "", None
    with client.responses.create(
        model=model, instructions=instructions, input=items, stream=True
    ) as stream:
        if "event-stream" not in stream.response.headers.get("content-type", ""):
            text = stream.response.read().decode(errors="replace")
            raise APIError(f"No stream came, but {text or 'an empty reply'}", None, body=None)
        for event in stream:
            text += piece(event)
            end = event if event.type in ENDS else end
            yield event
    check_end(end, text)


def check_end(end: ResponseStreamEvent | None, text: str) -> None:
    """Raise APIError unless a whole response ended: HTTP 200 brings failed ones, too.

    https://openrouter.ai/docs/api_reference/responses/error-handling
    """
    response = getattr(end, "response", None)
    status = getattr(response, "status", None)
    error = end if getattr(end, "type", None) == "error" else getattr(response, "error", None)
    if error:
        kind = getattr(response, "error_type", None) or getattr(error, "code", None)
        said = getattr(error, "message", None) or "The response failed"
        raise APIError(said, None, body={"code": STATUS.get(kind, kind), "message": said})
    if status != "completed" or not text:
        reason = getattr(getattr(response, "incomplete_details", None), "reason", None) or status
        why = {
            None: "it broke off",
            "completed": "nothing was written",
            "max_output_tokens": "token limit, reasoning included",
        }.get(reason, reason)
        what = f"The answer is {'incomplete' if text else 'empty'}: {why}"
        raise APIError(what, None, body=None)


def piece(event: ResponseStreamEvent) -> str:
    """Return the text that an event adds to the answer; most add none."""
    return (getattr(event, "delta", None) or "") if event.type in TEXT else ""


def message(question: str) -> dict:
    """Return a question as an item of a conversation."""
    part = {"type": "input_text", "text": question}
    return {"type": "message", "role": "user", "content": [part]}


def answer(client: OpenAI, model: str, instructions: str, items: list[dict]) -> list[dict]:
    """Print one answer as it comes and, on stderr, who gave it; return it as items to send on."""
    start, text, answered, response = time.monotonic(), "", [], None
    try:
        for event in respond(client, model, instructions, items):
            print(piece(event), end="", flush=True)
            text += piece(event)
            response = getattr(event, "response", None) or response
            item = getattr(event, "item", None)
            if event.type == "response.output_item.done" and item.type == "message":
                answered.append({"status": "completed", **item.to_dict()})
    finally:
        if text:
            print()
    print(summary(response, start), file=sys.stderr)
    return answered


def summary(response: Response, start: float) -> str:
    """Return who answered and at what price: model, tokens in + out, USD, seconds."""
    usage, facts = response.usage, [response.model]
    if usage:
        facts.append(f"{usage.input_tokens} + {usage.output_tokens} tokens")
        facts.append(f"${usage.cost:.6f}" if getattr(usage, "cost", None) is not None else None)
    return f"[{', '.join(filter(None, facts))}, {time.monotonic() - start:.1f} s]"


def main() -> None:
    """Read the command line and stdin, ask, go on, print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("--then", action="append", default=[], help="what to ask next; repeat it")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", default=PROMPT, help="instructions: a file, by name or path")
    args = parser.parse_args()
    question, instructions = read_input(args.question), read_prompt(args.prompt)
    client = connect()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    items = []
    for text in [question, *args.then]:
        items.append(message(text))
        items += answer(client, model, instructions, items)


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
