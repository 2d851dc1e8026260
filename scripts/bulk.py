# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Answer thousands of prompts, many at once; run it again to go on where it stopped.

  python scripts/bulk.py lines.txt -o answers.jsonl --prompt prompts/summarize.txt
  python scripts/bulk.py prompts.jsonl -o answers.jsonl -o max_tokens=300 --max-cost 5

A line of the input is {"id": 7, "input": "text"}, a whole chat body with "messages" (and an id),
or, in a .txt file, plain text. Without an id, its number is used: then, don't insert lines between
two runs. Each item becomes a line of the output once it is answered, and is not sent again.
https://openrouter.ai/docs/api_reference/errors-and-debugging
"""

import asyncio
import math
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from dotenv import load_dotenv
from openai import APIError, AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
CONCURRENCY = 50  # requests in flight
CONNECTIONS = 25  # of one client, which looks at all of them for each request
FREE_RPM = 20  # requests a minute, OpenRouter's limit for free models
TRIES = 6  # of one item; the pause between two doubles from a second
LONGEST_PAUSE = 900  # seconds; a limit that lasts longer ends the run
ITEM_SECONDS = 600  # for one reply: keep-alives reset the client's own timeout


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


def cost(usage: object) -> float | None:
    """Return USD, with your own key at a provider (BYOK) also its charge; None if unknown."""
    is_byok = getattr(usage, "is_byok", False)
    try:
        charge = usage.cost_details["upstream_inference_cost"] if is_byok else 0
        usd = float(usage.cost) + float(charge)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    return usd if 0 <= usd < 1e9 else None


@dataclass
class Run:
    """What all requests share: where results go, the limits, how far it is and why it stopped."""

    save: Callable  # gets id, reply, error (or None), seconds, and whether another run may help
    rpm: float | None = None  # requests a minute
    max_cost: float = math.inf  # USD
    spent: float = 0.0
    max_cost_seen: float | None = None  # of one reply
    unpriced: int = 0  # replies that name no cost
    answered: int = 0
    failed: int = 0
    in_flight: int = 0
    next_start: float = 0.0  # monotonic seconds
    stop_reason: Exception | str = ""


async def answer_all(client: OpenAI, items: Iterator[tuple], run: Run, concurrency: int) -> None:
    """Send items (id, chat body) until none is left or run.stop_reason says why; save each."""
    settings = {"base_url": client.base_url, "api_key": client.api_key, "timeout": client.timeout}
    clients = [AsyncOpenAI(max_retries=0, **settings) for _ in range(0, concurrency, CONNECTIONS)]
    items = iter(items)  # which the workers share
    workers = [work(clients[n % len(clients)], items, run) for n in range(concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:  # also after Ctrl-C or a full disk: no worker goes on with a closed client
        run.stop_reason = run.stop_reason or "done"
        await asyncio.gather(*(each.close() for each in clients))


async def work(client: AsyncOpenAI, items: Iterator[tuple], run: Run) -> None:
    """Answer one item after the other; save what is answered, or failed for good, once."""
    for item_id, body in items:
        pause = 0.0
        for attempt in range(TRIES):
            await wait_turn(run, body["model"], time.monotonic() + pause)
            if run.stop_reason:
                return
            start = time.monotonic()
            run.in_flight += 1
            reply, error = await send(client, body)
            run.in_flight -= 1
            usage = getattr(reply, "usage", None)
            if usage or not error:
                spend(run, cost(usage))
            pause = retry_pause(run, error, attempt) if error else None
            if pause is None:
                break
        if error and run.stop_reason:
            return  # what blocks the whole run is not this item's failure
        run.answered += not error
        run.failed += bool(error)
        run.save(item_id, reply, error, time.monotonic() - start, pause is not None)


async def send(client: AsyncOpenAI, body: dict) -> tuple[ChatCompletion | None, Exception | None]:
    """Return the reply to a chat body and, unless it is a whole answer, what is wrong."""
    reply = None
    try:  # the body goes out as it stands: create() has no room for OpenRouter's own fields
        request = client.post("/chat/completions", cast_to=ChatCompletion, body=body)
        reply = await asyncio.wait_for(request, ITEM_SECONDS)
        check(reply, tools=True)
    except Exception as error:  # this item's; the others go on
        return reply, error
    return reply, None


def spend(run: Run, price: float | None) -> None:
    """Count what a reply cost (USD); stop a run whose limit can't be kept without it."""
    if price is None:
        run.unpriced += 1
        if run.max_cost < math.inf:
            run.stop_reason = "a reply names no cost, so --max-cost can't be kept"
    else:
        run.spent += price
        run.max_cost_seen = max(run.max_cost_seen or 0, price)


async def wait_turn(run: Run, model: str, due: float) -> None:
    """Return when a request may start, at due (monotonic seconds) or later, or the run stops."""
    while not run.stop_reason:
        delay = max(due, run.next_start) - time.monotonic()
        expected = run.spent + (run.max_cost_seen or 0) * (run.in_flight + 1)
        if expected > run.max_cost and not run.in_flight:
            run.stop_reason = f"what is left of ${run.max_cost:g} may not pay for another answer"
        is_unknown = run.max_cost < math.inf and run.max_cost_seen is None  # then one goes alone
        must_wait = run.in_flight and (is_unknown or expected > run.max_cost)
        if delay <= 0 and not must_wait:
            break
        await asyncio.sleep(min(max(delay, 0.01), 0.25))
    is_free = model == MODEL or str(model).endswith(":free")
    rpm = FREE_RPM if run.rpm is None and is_free else run.rpm
    run.next_start = time.monotonic() + 61 / (rpm or math.inf)  # 61: requests arrive unevenly


def retry_pause(run: Run, error: Exception, attempt: int) -> float | None:
    """Return the seconds before another try, None where none helps; stop a run that is blocked."""
    details = error.body if isinstance(getattr(error, "body", None), dict) else {}
    code = str(getattr(error, "status_code", details.get("code")))
    if code in ("401", "402") or (code == "404" and not run.answered):
        run.stop_reason = error
    is_cut = re.search("finish_reason: (?!None|error|stop)", str(error))
    is_refused = code.startswith("4") and code not in ("408", "409", "425", "429")
    if is_cut or is_refused:
        return None
    pause, message = requested_pause(error), str(details.get("message"))
    if "per-min" in message:
        pause = min(pause or 60, 60)
        run.next_start = time.monotonic() + pause
    if "per-day" in message or pause > LONGEST_PAUSE:
        run.stop_reason = error
    return pause or 2**attempt * random.uniform(1, 1.5)


def requested_pause(error: Exception) -> float:
    """Return the seconds that the server asks to wait, 0 if it asks for none."""
    headers, pause = getattr(getattr(error, "response", None), "headers", {}), 0.0
    with suppress(TypeError, ValueError):
        pause = float(headers.get("x-ratelimit-reset")) / 1000 - time.time()
    with suppress(OverflowError, TypeError, ValueError):
        pause = parsedate_to_datetime(headers.get("retry-after")).timestamp() - time.time()
    with suppress(TypeError, ValueError):
        pause = float(headers.get("retry-after"))
    return pause if 0 < pause < 1e7 else 0.0


# --- The command line. Leave out what follows when you copy. ---

import io
import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from functools import partial
from pathlib import Path
from typing import BinaryIO


def main() -> None:
    """Read the command line, the input and the output; answer what is missing."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("input", help="JSON lines, plain lines in a .txt file, or - for stdin")
    parser.add_argument("-o", action="append", default=[], metavar="FILE|NAME=JSON")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", type=Path, metavar="FILE", help="each line fills its {{input}}")
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY, metavar="N")
    parser.add_argument("--rpm", type=float, metavar="N", help=f"free models: {FREE_RPM}")
    parser.add_argument("--max-cost", type=float, default=math.inf, metavar="USD", help="in all")
    args = parser.parse_args()
    outputs = [Path(text) for text in args.o if "=" not in text]
    if len(outputs) != 1 or not args.max_cost >= 0:
        parser.error("name one output, -o FILE, and a --max-cost of 0 or more")
    client = connect()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    defaults = {"model": model, **dict(parameter(text) for text in args.o if "=" in text)}
    template = args.prompt.read_text(encoding="utf-8-sig") if args.prompt else "{{input}}"
    if "{{input}}" not in template:
        sys.exit(f"{args.prompt} has no {{{{input}}}}, where the text goes.")
    piped = io.BytesIO(sys.stdin.buffer.read()) if args.input == "-" else None
    with piped or Path(args.input).open("rb") as source:
        read = partial(read_items, source, args.input.endswith(".txt"), template, defaults)
        left = set()  # ids as numbers, which take a third of the memory
        for item_id, _ in read():  # all lines are checked before anything is sent
            if hash(str(item_id)) in left:
                sys.exit(f"The id {item_id} comes twice in the input.")
            left.add(hash(str(item_id)))
        total = len(left)
        with outputs[0].open("ab", 0) as output:
            run = Run(partial(save, output), args.rpm, args.max_cost)
            for line in read_output(outputs[0]):
                count(run, line, left)
            items = unfinished(read(), left, run, total)
            try:
                asyncio.run(answer_all(client, items, run, max(1, args.concurrency)))
            finally:
                print(f"\r{progress(run, total)}", file=sys.stderr)
    if isinstance(run.stop_reason, Exception):
        pause = requested_pause(run.stop_reason)
        until = time.strftime(" [until %H:%M]", time.localtime(time.time() + pause))
        sys.exit(explain(run.stop_reason) + (until if pause else ""))
    if run.stop_reason != "done":
        sys.exit(run.stop_reason)
    sys.exit(int(run.answered < total))


def progress(run: Run, total: int) -> str:
    """Return how far a run is."""
    left = total - run.answered - run.failed
    more = " and unknown costs" if run.unpriced else ""
    return f"[{run.answered} answered, {run.failed} failed, {left} left, ${run.spent:.6f}{more}]"


def count(run: Run, line: dict, left: set[int]) -> None:
    """Count a line of the output; its item is not left, unless it may be tried again."""
    if line["cost"]:
        spend(run, line["cost"])
    key, error = hash(str(line["id"])), line["error"]
    if key in left and not (error and error["retry"]):
        run.answered += not error
        run.failed += bool(error)
        left.remove(key)


def unfinished(items: Iterator[tuple], left: set, run: Run, total: int) -> Iterator[tuple]:
    """Yield the items that are left; meanwhile show a terminal how far it is."""
    for item_id, body in items:
        if hash(str(item_id)) in left:
            if sys.stderr.isatty():
                print(f"\r{progress(run, total)}", end="", file=sys.stderr, flush=True)
            yield item_id, body


def save(
    output: BinaryIO, item_id: object, reply: object, error: object, seconds: float, retry: bool
) -> None:
    """Append an item's line to the output, whole or not at all; only report one to try again."""
    if retry:
        print(f"[{item_id}: {explain(error)}]", file=sys.stderr)
        return
    data = output_line(item_id, reply, error, {"seconds": round(seconds, 3)})
    written = output.write(data)
    if written < len(data):
        output.truncate(output.tell() - written)
        raise OSError("the disk is full")


def output_line(item_id: str | int, reply: object, error: Exception | None, more: dict) -> bytes:
    """Return an item's line of the output: JSON, with what came of the answer and the error."""
    choice = reply.choices[0] if getattr(reply, "choices", None) else None
    message, usage = getattr(choice, "message", None), getattr(reply, "usage", None)
    line = {"id": item_id, "answer": getattr(message, "content", None)}
    line["tool_calls"] = getattr(message, "tool_calls", None)
    line["finish_reason"] = getattr(choice, "finish_reason", None)
    line |= {name: getattr(reply, name, None) for name in ("model", "provider")}
    line |= {"usage": usage, "cost": cost(usage), **more}
    if error:
        line["error"] = {"message": explain(error), "retry": False}
    text = json.dumps(line, ensure_ascii=False, default=lambda value: value.to_dict(warnings=False))
    return text.encode(errors="backslashreplace") + b"\n"


def read_items(
    source: BinaryIO, is_text: bool, template: str, defaults: dict
) -> Iterator[tuple[str | int, dict]]:
    """Yield each line's id and chat body; ValueError names a line that has none."""
    source.seek(0)
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        try:
            text = line.decode("utf-8-sig").strip()
            item = {"input": text} if is_text else json.loads(text)
            item_id = item.pop("id", item.pop("custom_id", number))  # both leave the body
            body = item.pop("body", item)
            body = {name: body[name] for name in body if not name.startswith("stream")}
            if "messages" not in body:
                text = template.replace("{{input}}", body.pop("input"), 1)
                body["messages"] = [{"role": "user", "content": text}]
            if not isinstance(body["messages"], list):
                raise ValueError('"messages" must be a list')
            json.dumps(body, ensure_ascii=False).encode()  # half a character can't be sent
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
            raise ValueError(f"line {number} of the input: {error!r}") from None
        yield item_id, defaults | body


def read_output(path: Path) -> Iterator[dict]:
    """Yield the lines of the output; cut off a last one that is not whole."""
    end, line = 0, b"\n"
    with path.open("rb+") as output:
        for line in output:
            try:
                item = json.loads(line)
                yield {"id": item["id"], "cost": item["cost"] or 0, "error": item.get("error")}
            except (ValueError, TypeError, LookupError) as error:
                is_cut = isinstance(error, ValueError) and not line.endswith(b"\n")
                if is_cut and line.startswith(b'{"id": '[: len(line)]):
                    output.truncate(end)
                    return
                raise ValueError(f"{path} has a line of something else: {line[:60]!r}") from None
            end += len(line)
        output.write(b"" if line.endswith(b"\n") else b"\n")


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
