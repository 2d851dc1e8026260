# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Ask several models the same at once; compare answers, speed and cost.

  python scripts/compare.py "Why is the sky blue?" --free 3
  python scripts/compare.py "Why is the sky blue?" -m MODEL -m MODEL --html page.html
  python scripts/compare.py "Why is the sky blue?" --free 2 --json | python scripts/judge.py

https://openrouter.ai/docs/api_reference/streaming
"""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessage

USAGE = {"include_usage": True}  # OpenRouter needs no asking, other servers do


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


async def ask(client: AsyncOpenAI, model: str, messages: list, /, **parameters: object) -> dict:
    """Return a model's answer, its times in seconds, its usage and, if it failed, the error."""
    start, end = time.monotonic(), None
    message = ChatCompletionMessage(role="assistant", content="", refusal="")
    result = {"asked": model, "model": model, "provider": None, "answer": "", "error": None}
    result |= {"first_token": None, "seconds": None, "usage": None}
    try:
        async with await client.chat.completions.create(
            model=model, messages=messages, stream=True, stream_options=USAGE, extra_body=parameters
        ) as chunks:
            async for chunk in chunks:
                choice = chunk.choices[0] if chunk.choices else None  # the usage comes without one
                delta = getattr(choice, "delta", None)
                text = getattr(delta, "content", None) or ""
                message.content += text
                message.refusal += getattr(delta, "refusal", None) or ""
                end = chunk if getattr(choice, "finish_reason", None) else end
                result["answer"] += text
                result["model"] = chunk.model or model
                result["provider"] = getattr(chunk, "provider", None) or result["provider"]
                result["usage"] = chunk.usage or result["usage"]
                if result["first_token"] is None and (text or getattr(delta, "reasoning", None)):
                    result["first_token"] = time.monotonic() - start
        check(end, message)
        result["seconds"] = time.monotonic() - start
    except Exception as error:  # the other models go on
        result["error"] = error
    return result


async def ask_all(
    client: OpenAI, models: list[str], messages: list, /, **parameters: object
) -> AsyncIterator[dict]:
    """Yield what ask() returns for each model, the fastest first."""
    settings = {"base_url": client.base_url, "api_key": client.api_key, "timeout": client.timeout}
    async with AsyncOpenAI(max_retries=0, **settings) as async_client:
        tasks = [ask(async_client, model, messages, **parameters) for model in models]
        for task in asyncio.as_completed(tasks):
            yield await task


def cost(usage: object) -> float | None:
    """Return USD, with your own key at a provider (BYOK) also its charge; None if unknown."""
    is_byok = getattr(usage, "is_byok", False)
    try:
        charge = usage.cost_details["upstream_inference_cost"] if is_byok else 0
        usd = float(usage.cost) + float(charge)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    return usd if 0 <= usd < 1e9 else None


# --- The command line. Leave out what follows when you copy. ---

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from html import escape
from pathlib import Path

PROMPT = Path(__file__).resolve().parent.parent / "prompts" / "compare.txt"
COLUMNS = {  # of the table and the page: a row's key, its title, how it is written
    "first_token": ("first token", "{:.2f} s"),
    "seconds": ("total", "{:.2f} s"),
    "tokens_per_second": ("speed", "{:.0f} tokens/s"),
    "tokens": ("length", "{:,} tokens"),
    "cost": ("cost", "${:.6f}"),
}


def main() -> None:
    """Read the command line and stdin, ask all models, print the comparison."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("-m", "--model", action="append", default=[], help="repeat for each model")
    parser.add_argument(
        "--free", type=int, default=0, metavar="N", help="the N most popular free models"
    )
    parser.add_argument("-o", type=parameter, action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--prompt", type=Path, default=PROMPT, metavar="FILE")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page for a browser")
    parser.add_argument("--json", action="store_true", help="data, for judge.py or a program")
    args = parser.parse_args()
    question = " ".join(args.question)
    if not sys.stdin.isatty():
        question = f"{question}\n\n{sys.stdin.buffer.read().decode('utf-8-sig')}".strip()
    if not question:
        sys.exit("Give a question as an argument or through a pipe.")
    template = args.prompt.read_text(encoding="utf-8-sig")
    if "{{input}}" not in template:
        sys.exit(f"{args.prompt} has no {{{{input}}}}, where the text goes.")
    prompt = template.replace("{{input}}", question, 1)
    client = connect()
    popular = client.models.list(extra_query={"sort": "most-popular"}).data if args.free else []
    models = args.model + [m.id for m in popular if m.id.endswith(":free")][: args.free]
    if len(models) < 2:
        sys.exit("Name two models or more (-m A -m B), or let --free 3 choose.")
    rows = []
    try:
        asyncio.run(collect(rows, client, models, prompt, dict(args.o)))
    finally:  # Ctrl-C loses nothing that came
        data = {"prompt": prompt, "answers": rows}
        print(json.dumps(data, ensure_ascii=False, indent=2) if args.json else text_page(rows))
        if args.html:
            part = args.html.with_name(f"{args.html.name}.part")  # the page is whole or not there
            part.write_text(html_page(prompt, rows), encoding="utf-8", errors="replace")
            part.replace(args.html)
    if all(row["error"] for row in rows):
        sys.exit("No model gave a whole answer.")


async def collect(
    rows: list[dict], client: OpenAI, models: list[str], prompt: str, parameters: dict
) -> None:
    """Add a row for each model as it ends: plain values, for JSON and for the tables."""
    messages = [{"role": "user", "content": prompt}]
    async for row in ask_all(client, models, messages, **parameters):
        usage, seconds, speed = row.pop("usage"), row["seconds"], None
        tokens = getattr(usage, "completion_tokens", None)
        tokens = tokens if isinstance(tokens, int) and 0 <= tokens < 1e9 else None
        waited = row["first_token"] or 0
        if tokens and seconds and seconds > waited:
            speed = tokens / (seconds - waited)
        row |= {"tokens": tokens, "tokens_per_second": speed, "cost": cost(usage)}
        row["error"] = explain(row["error"]) if row["error"] else ""
        rows.append(row)
        print(f"[{row['asked']}: {row['error'] or 'done'}]", file=sys.stderr)


def cells(row: dict) -> list[str]:
    """Return a row's numbers as text, "?" for what is not known."""
    return ["?" if row[key] is None else fmt.format(row[key]) for key, (_, fmt) in COLUMNS.items()]


def text_page(rows: list[dict]) -> str:
    """Return the answers, one after the other, and a table of the numbers."""
    answers = [f"=== {row['asked']}  {row['error']}\n{row['answer'] or '-'}\n" for row in rows]
    table = [["model", "provider", *(title for title, _ in COLUMNS.values())]]
    table += [[str(row["model"]), str(row["provider"] or "?"), *cells(row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in table]
    return "\n".join([*answers, *lines])


def html_page(prompt: str, rows: list[dict]) -> str:
    """Return one page without scripts or outside parts; what models wrote is only text in it."""
    most = {key: max((row[key] or 0 for row in rows), default=0) or 1 for key in COLUMNS}
    cards = []
    for row in rows:
        bars = "".join(
            f'<dt>{title}<dd><i style="width:{100 * (row[key] or 0) / most[key]:.1f}%"></i>{cell}'
            for (key, (title, _)), cell in zip(COLUMNS.items(), cells(row), strict=True)
        )
        error = f"<p class=error>{escape(row['error'])}</p>" if row["error"] else ""
        who = f"<h2>{escape(str(row['model']))}</h2>{escape(str(row['provider'] or ''))}"
        answer = f"<pre>{escape(row['answer'])}</pre>"
        cards.append(f"<article>{who}<dl>{bars}</dl>{error}{answer}</article>")
    return PAGE.format(prompt=escape(prompt), cards="\n".join(cards))


PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Models compared</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 90rem; padding: 0 1rem }}
main {{ display: grid; gap: 1rem; overflow-wrap: anywhere }}
main {{ grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)) }}
article {{ border: 1px solid #8886; border-radius: .5rem; padding: 0 1rem; min-width: 0 }}
h2 {{ font-size: 1rem; margin-bottom: 0 }}
pre {{ font: inherit; white-space: pre-wrap; overflow-wrap: anywhere }}
dl {{ display: grid; grid-template-columns: 6rem 1fr; font-size: .85rem }}
dd {{ margin: 0; position: relative; padding-left: .3rem }}
dd i {{ position: absolute; inset: 2px auto 2px 0; background: #48f4; border-radius: 3px }}
.error {{ color: #d33 }}
</style></head><body><h1>Models compared</h1><pre>{prompt}</pre><main>
{cards}
</main></body></html>
"""


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
