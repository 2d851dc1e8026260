# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Turn free text into a checked object: notes in, a summary and tasks as JSON out.

  python scripts/structured_output.py tests/data/meeting.txt
  echo "Minji sends the offer by Friday." | python scripts/structured_output.py

Change the two classes and prompts/structured_output.txt to extract something else.
https://openrouter.ai/docs/guides/features/structured-outputs
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, ConfigDict, ValidationError

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
PROMPT = "structured_output"


class Task(BaseModel):
    """One thing to do."""

    model_config = ConfigDict(extra="forbid")
    who: str
    what: str
    due: str | None


class Notes(BaseModel):
    """What the text says, in short."""

    model_config = ConfigDict(extra="forbid")
    summary: str
    tasks: list[Task]


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


def fill(template: str, values: dict[str, str]) -> str:
    """Return the template with each {{name}} replaced, in one pass; ValueError names all misfits.

    Values are never scanned again, so that a text with {{x}} in it is safe.
    """
    names = set(re.findall(r"{{(\w+)}}", template))
    wrong = [f"{name} has no value (--set {name}=...)" for name in sorted(names - values.keys())]
    wrong += [
        f"{name} has no {{{{{name}}}}} in the prompt" for name in sorted(values.keys() - names)
    ]
    if wrong:
        raise ValueError(f"The prompt and the values do not fit: {', '.join(wrong)}.")
    return re.sub(r"{{(\w+)}}", lambda match: values[match[1]], template)


def complete(client: OpenAI, model: str, messages: list[dict]) -> ChatCompletion:
    """Return a completion whose answer should be Notes as JSON; APIError unless it is whole."""
    schema = {"name": "notes", "strict": True, "schema": Notes.model_json_schema()}
    completion = client.chat.completions.create(
        model=model,
        messages=messages,
        response_format={"type": "json_schema", "json_schema": schema},
        extra_body={
            "provider": {"require_parameters": True},  # no provider that ignores the schema
            "plugins": [{"id": "response-healing"}],  # mends broken JSON syntax
        },
    )
    check(completion)
    return completion


def extract(client: OpenAI, model: str, prompt: str) -> tuple[Notes, ChatCompletion]:
    """Return the checked object and the last completion; one repair turn, then APIError."""
    messages = [{"role": "user", "content": prompt}]
    completion = complete(client, model, messages)
    answer = completion.choices[0].message.content
    try:
        return Notes.model_validate_json(answer), completion
    except ValidationError as error:
        repair = f"That does not fit the schema: {error}\nReply with the corrected JSON only."
    messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": repair}]
    completion = complete(client, model, messages)
    try:
        return Notes.model_validate_json(completion.choices[0].message.content), completion
    except ValidationError as error:
        what = f"The answer does not fit the schema, even after one repair: {error}"
        raise APIError(what, None, body=None) from None


def main() -> None:
    """Read the text, extract, print JSON."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", default="-", help='a text file ("-": the pipe)')
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", default=PROMPT, help="prompt file, by name or path")
    args = parser.parse_args()
    text = read_input(["-"]) if args.file == "-" else Path(args.file).read_text("utf-8-sig")
    if not text.strip():
        raise ValueError(f"There is no text in {args.file}.")
    prompt = fill(read_prompt(args.prompt), {"input": text})
    client, start = connect(), time.monotonic()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    notes, completion = extract(client, model, prompt)
    print(notes.model_dump_json(indent=2))
    print(report(completion, start), file=sys.stderr)


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
