# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Ask about one or more sound files: speech, music, noise.

  python scripts/audio_input.py "What is said, and in which mood?" call.mp3
  python scripts/audio_input.py "Which of the two is louder?" a.wav b.wav

Free: without -m and OPENROUTER_MODEL, it finds a free model that takes sound.
https://openrouter.ai/docs/guides/overview/multimodal/audio
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from base64 import b64encode
from decimal import Decimal
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, Omit, OpenAI, OpenAIError, Timeout
from openai.types.chat import ChatCompletion

PROMPT = "audio_input"
MAX_MEGABYTES = 20  # OpenRouter names no limit, but providers have one
FORMATS = {  # how a file begins: what the API calls its format
    rb"RIFF....WAVE": "wav",
    rb"ID3|\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd]": "mp3",
    rb"fLaC": "flac",
    rb"OggS": "ogg",
    rb"....ftyp(M4|mp4|iso|3g|dash|qt)": "m4a",
    rb"\xff[\xf0\xf1\xf8\xf9]": "aac",
    rb"FORM....AIF[FC]": "aiff",
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


def price(model: dict, kind: str) -> Decimal | None:
    """Return a price ("prompt", "completion") in USD per million tokens; None when it varies."""
    text = (model.get("pricing") or {}).get(kind) or "-1"
    return None if text.startswith("-") else Decimal(text) * 1_000_000


def is_free(model: dict) -> bool:
    """Tell whether a model costs nothing, whatever its name says."""
    prices = (model.get("pricing") or {}).items()
    costs = [text for kind, text in prices if kind != "web_search" and isinstance(text, str)]
    return bool(costs) and all(Decimal(text) == 0 for text in costs)


def find_listener(client: OpenAI) -> str:
    """Return the id of a free model that takes sound; ValueError when there is none.

    The free router is documented to look for image input, tools and schemas, not for sound:
    https://openrouter.ai/docs/guides/routing/routers/free-router
    """
    query = {"input_modalities": "audio", "sort": "pricing-low-to-high"}
    models = find_models(client, query)
    free = [model["id"] for model in models if is_free(model) and not price(model, "audio")]
    if not free:
        paid = [model["id"] for model in models if price(model, "prompt")][:3]
        others = ", ".join(paid) or "none is known"
        raise ValueError(f"No free model takes sound now: choose one with -m ({others}).")
    return free[0]


def audio_part(file: str) -> dict:
    """Return the message part for a sound file, its format told from its first bytes."""
    if file.startswith(("https://", "http://")):
        raise ValueError(f"OpenRouter takes no URLs of sound: download {file} first.")
    size = Path(file).stat().st_size / 1_000_000
    if size > MAX_MEGABYTES:
        raise ValueError(f"{file} has {size:.1f} MB, more than {MAX_MEGABYTES}: make it smaller.")
    data = Path(file).read_bytes()
    kind = next((FORMATS[start] for start in FORMATS if re.match(start, data, re.DOTALL)), None)
    if not kind:
        raise ValueError(f"{file} is none of {', '.join(FORMATS.values())}: convert it first.")
    return {
        "type": "input_audio",
        "input_audio": {"data": b64encode(data).decode(), "format": kind},
    }


def listen(
    client: OpenAI, model: str, system: str, question: str, sounds: list[dict]
) -> ChatCompletion:
    """Return the completion for a question about sounds; APIError unless its answer is whole."""
    content = [{"type": "text", "text": question}, *sounds]
    messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
    completion = client.chat.completions.create(model=model, messages=messages)
    check(completion)
    return completion


def main() -> None:
    """Read the command line, ask, print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", help='what to ask ("-": read it from the pipe)')
    parser.add_argument("file", nargs="+", help="sound files")
    parser.add_argument("-m", "--model", help="default: OPENROUTER_MODEL, else a free model")
    parser.add_argument("--prompt", default=PROMPT, help="prompt file, by name or path")
    args = parser.parse_args()
    question, system = read_input([args.question]), read_prompt(args.prompt)
    sounds = [audio_part(file) for file in args.file]
    client, start = connect(), time.monotonic()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or find_listener(client)
    completion = listen(client, model, system, question, sounds)
    print(completion.choices[0].message.content)
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
