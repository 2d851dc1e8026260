# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Ask several models the same at once; compare answers, speed and cost.

  python scripts/compare.py "Why is the sky blue?" --free 3
  python scripts/compare.py "Why is the sky blue?" -m MODEL -m MODEL --html page.html
  python scripts/compare.py "Why is the sky blue?" --free 2 --json | python scripts/judge.py

https://openrouter.ai/docs/api_reference/streaming
"""

import asyncio
import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from contextlib import suppress
from decimal import Decimal
from html import escape
from pathlib import Path
from signal import SIGINT

from dotenv import load_dotenv
from openai import (
    APIError,
    APITimeoutError,
    AsyncOpenAI,
    DefaultHttpxClient,
    Omit,
    OpenAI,
    OpenAIError,
    Timeout,
)

PROMPT = "compare"


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


COLUMNS = {  # of the table and the page: a row's key, its unit, how it is written
    "first_token": ("first token", "{:.2f} s"),
    "seconds": ("total", "{:.2f} s"),
    "tokens_per_second": ("speed", "{:.0f} tokens/s"),
    "tokens": ("length", "{:,} tokens"),
    "cost": ("cost", "${:.6f}"),
}


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


def is_free(model: dict) -> bool:
    """Tell whether a model costs nothing, whatever its name says."""
    prices = (model.get("pricing") or {}).items()
    costs = [text for kind, text in prices if kind != "web_search" and isinstance(text, str)]
    return bool(costs) and all(Decimal(text) == 0 for text in costs)


async def ask(client: AsyncOpenAI, row: dict, messages: list[dict]) -> None:
    """Stream the answer of row["asked"] into the row; APIError unless the answer is whole."""
    start, end = time.monotonic(), None
    stream = await client.chat.completions.create(
        model=row["asked"],
        messages=messages,
        stream=True,
        stream_options={"include_usage": True},  # OpenRouter needs no asking, local servers do
    )
    async with stream:
        if "event-stream" not in stream.response.headers.get("content-type", ""):
            text = (await stream.response.aread()).decode(errors="replace")
            raise APIError(f"No stream came, but {text or 'an empty reply'}", None, body=None)
        async for chunk in stream:
            row["model"] = chunk.model or row["model"]
            row["provider"] = getattr(chunk, "provider", None)
            for choice in chunk.choices or []:
                text = choice.delta.content or ""
                if row["first_token"] is None and (text or getattr(choice.delta, "reasoning", "")):
                    row["first_token"] = time.monotonic() - start
                row["answer"] += text
                end = chunk if choice.finish_reason else end
            if chunk.usage:
                row["tokens"] = chunk.usage.completion_tokens
                row["cost"] = getattr(chunk.usage, "cost", None)
    row["seconds"] = time.monotonic() - start
    if row["tokens"] and row["first_token"] and row["seconds"] > row["first_token"]:
        row["tokens_per_second"] = row["tokens"] / (row["seconds"] - row["first_token"])
    check(end, row["answer"])


async def fill_row(client: AsyncOpenAI, row: dict, messages: list[dict]) -> None:
    """Like ask(), but a failure is told in row["error"] and stops no other model."""
    try:  # keep-alive comments reset the read timeout, so the whole reply has its own limit
        await asyncio.wait_for(ask(client, row, messages), REPLY_SECONDS)
        row["error"] = ""
    except asyncio.TimeoutError:
        row["error"] = f"No end of the answer in {REPLY_SECONDS} s"
    except FAILURES as error:
        row["error"] = explain(error)
    print(f"[{row['asked']}: {row['error'] or 'done'}]", file=sys.stderr)


async def ask_all(client: OpenAI, rows: list[dict], messages: list[dict]) -> None:
    """Fill all rows at once: it takes as long as the slowest model, not as the sum."""
    with suppress(NotImplementedError):  # Python 3.10 would interrupt any line of any task
        asyncio.get_running_loop().add_signal_handler(SIGINT, asyncio.current_task().cancel)
    settings = {"base_url": client.base_url, "api_key": client.api_key, "max_retries": 0}
    async with AsyncOpenAI(timeout=client.timeout, **settings) as async_client:
        await asyncio.gather(*(fill_row(async_client, row, messages) for row in rows))


def cells(row: dict) -> list[str]:
    """Return a row's numbers as text, "-" for what is not known."""
    return [
        "-" if row[key] is None else form.format(row[key]) for key, (_, form) in COLUMNS.items()
    ]


def text_page(rows: list[dict]) -> str:
    """Return the answers, one after the other, and a table of the numbers."""
    answers = [f"=== {row['asked']}\n{row['answer'] or '-'}\n" for row in rows]
    table = [["model", "provider", *(name for name, _ in COLUMNS.values())]]
    table += [[row["model"], row["provider"] or "-", *cells(row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in table]
    return "\n".join([*answers, *lines])


def html_page(prompt: str, rows: list[dict]) -> str:
    """Return one page without scripts or outside parts; what models wrote is only text in it."""
    most = {key: max((row[key] or 0 for row in rows), default=0) or 1 for key in COLUMNS}
    cards = []
    for row in rows:
        bars = "".join(
            f'<dt>{name}<dd><i style="width:{100 * (row[key] or 0) / most[key]:.1f}%"></i>{cell}'
            for (key, (name, _)), cell in zip(COLUMNS.items(), cells(row), strict=True)
        )
        error = f"<p class=error>{escape(row['error'])}</p>" if row["error"] else ""
        who = f"<h2>{escape(row['model'])}</h2><p>{escape(row['provider'] or '')}</p>"
        cards.append(
            f"<article>{who}<dl>{bars}</dl>{error}<pre>{escape(row['answer'])}</pre></article>"
        )
    return PAGE.format(prompt=escape(prompt), cards="\n".join(cards))


PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Models compared</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 90rem }}
body {{ padding: 0 1rem }}
main {{ display: grid; gap: 1rem }}
main {{ grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)) }}
article {{ border: 1px solid #8886; border-radius: .5rem; padding: 0 1rem; min-width: 0 }}
h2 {{ font-size: 1rem; margin-bottom: 0; overflow-wrap: anywhere }}
h2 + p {{ margin: 0; opacity: .7; overflow-wrap: anywhere }}
pre {{ font: inherit; white-space: pre-wrap; overflow-wrap: anywhere }}
dl {{ display: grid; grid-template-columns: 6rem 1fr; font-size: .85rem }}
dd {{ margin: 0; position: relative; padding-left: .3rem }}
dd i {{ position: absolute; inset: 2px auto 2px 0; background: #48f4; border-radius: 3px }}
.error {{ color: #d33; overflow-wrap: anywhere }}
</style></head><body><h1>Models compared</h1><pre>{prompt}</pre><main>
{cards}
</main></body></html>
"""


def main() -> None:
    """Read the command line and stdin, ask all models, print the comparison."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("-m", "--model", action="append", default=[], help="repeat for each model")
    parser.add_argument("--free", type=int, default=0, metavar="N", help="N popular free models")
    parser.add_argument("--prompt", default=PROMPT, help="prompt file, by name or path")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page for a browser")
    parser.add_argument("--force", action="store_true", help="overwrite the page")
    parser.add_argument("--json", action="store_true", help="data, for judge.py or a program")
    args = parser.parse_args()
    if args.html and args.html.exists() and not args.force:
        raise ValueError(f"{args.html} exists: name another file, or add --force.")
    template = read_prompt(args.prompt)
    question = read_input(args.question) if "{{input}}" in template or args.question else ""
    prompt = fill(template, {"input": question} if question else {})
    client = connect()
    if args.free:
        found = [m["id"] for m in find_models(client, {"sort": "most-popular"}) if is_free(m)]
        args.model += [m for m in found if not m.startswith("openrouter/")][: args.free]
    if len(args.model) < 2:
        raise ValueError("Name two models or more (-m A -m B), or let --free 3 choose.")
    empty = dict.fromkeys(("provider", *COLUMNS)) | {"answer": "", "error": "not finished"}
    rows = [{"asked": model, "model": model} | empty for model in args.model]
    try:
        asyncio.run(ask_all(client, rows, [{"role": "user", "content": prompt}]))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:  # Ctrl-C loses nothing that came
        data = {"prompt": prompt, "answers": rows}
        print(json.dumps(data, ensure_ascii=False, indent=2) if args.json else text_page(rows))
        if args.html:
            args.html.write_text(html_page(prompt, rows), encoding="utf-8")
    if all(row["error"] for row in rows):
        sys.exit("No model gave a whole answer: the lines above say why.")


# From here on, the same in every script.


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
