# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Ask one or more PDFs, files or URLs. Follow-up questions don't pay for the parsing again.

  python scripts/pdf.py "What does it cost?" offer.pdf
  python scripts/pdf.py "Summarize it." https://bitcoin.org/bitcoin.pdf --then "Who wrote it?"
  python scripts/pdf.py "What is the total?" scan.pdf --engine mistral-ocr

Free with the default parser; the price of another one is printed before it is used.
https://openrouter.ai/docs/guides/overview/multimodal/pdfs
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from base64 import b64encode
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout
from openai.types.chat import ChatCompletion

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
PROMPT = "pdf"
ENGINE = "cloudflare-ai"  # without an engine, OpenRouter may choose one that costs
PRICES = {
    "cloudflare-ai": "free",
    "mistral-ocr": "$2 per 1,000 pages",
    "native": "the price of the input tokens",
}
MAX_MEGABYTES = 20  # OpenRouter names no limit, but providers have one


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


def pdf_part(source: str) -> dict:
    """Return the message part for a PDF: a URL as it is, a file as a data URL."""
    if source.startswith(("https://", "http://")):
        name = Path(unquote(urlsplit(source).path)).name or "document.pdf"
        return {"type": "file", "file": {"filename": name, "file_data": source}}
    size = Path(source).stat().st_size / 1_000_000
    if size > MAX_MEGABYTES:
        raise ValueError(f"{source} has {size:.1f} MB, more than {MAX_MEGABYTES}: split it first.")
    data = Path(source).read_bytes()
    if b"%PDF-" not in data[:1024]:  # readers allow for something before it
        raise ValueError(f"{source} is no PDF: convert it first.")
    url = f"data:application/pdf;base64,{b64encode(data).decode()}"
    return {"type": "file", "file": {"filename": Path(source).name, "file_data": url}}


def ask(client: OpenAI, model: str, engine: str, messages: list[dict]) -> ChatCompletion:
    """Return the completion of messages with PDFs; APIError unless its answer is whole.

    The message in it has annotations, the parsed text: sent back with the next question, they
    save another parsing.
    """
    parser = {"id": "file-parser", "pdf": {"engine": engine}}
    completion = client.chat.completions.create(
        model=model, messages=messages, extra_body={"plugins": [parser]}
    )
    check(completion)
    return completion


def main() -> None:
    """Read the command line, ask each question, print each answer."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", help='what to ask ("-": read it from the pipe)')
    parser.add_argument("pdf", nargs="+", help="files or URLs")
    parser.add_argument("--then", action="append", default=[], help="another question, repeatable")
    parser.add_argument("--engine", choices=PRICES, default=ENGINE, help="mistral-ocr reads scans")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", default=PROMPT, help="prompt file, by name or path")
    args = parser.parse_args()
    question, system = read_input([args.question]), read_prompt(args.prompt)
    pdfs = [pdf_part(source) for source in args.pdf]
    client = connect()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    if args.engine != ENGINE:
        print(f"[parsing by {args.engine}: {PRICES[args.engine]}]", file=sys.stderr)
    messages = [{"role": "system", "content": system}]
    first = [{"type": "text", "text": question}, *pdfs]
    for content in [first, *args.then]:
        start = time.monotonic()
        messages.append({"role": "user", "content": content})
        completion = ask(client, model, args.engine, messages)
        message = completion.choices[0].message
        messages.append(message.to_dict())  # whole, its annotations included
        print(message.content)
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
