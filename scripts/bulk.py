# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Answer thousands of prompts, many at once; run it again to go on where it stopped.

  python scripts/bulk.py prompts.jsonl -o answers.jsonl
  python scripts/bulk.py lines.txt -o answers.jsonl --prompt summarize
  python scripts/bulk.py prompts.jsonl -o answers.jsonl -m MODEL --max-cost 5

A line of the input is {"id": 7, "input": "text"}, a whole chat body with "messages" (and an id),
or, in a .txt file, plain text. Without an id, the line's number is the id. Each item becomes a
line of JSON in the output as soon as it is answered, and is not sent again.
It costs what the model costs. https://openrouter.ai/docs/api_reference/limits
"""

import asyncio
import gc
import heapq
import json
import math
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from dotenv import load_dotenv
from openai import (
    APIError,
    APITimeoutError,
    AsyncOpenAI,
    DefaultHttpxClient,
    OpenAI,
    OpenAIError,
    Timeout,
)
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
CONCURRENCY = 50  # requests in flight
FREE_RPM = 20  # requests a minute, OpenRouter's limit for free models
TRIES = 6
PAUSE = 1.0  # seconds before the second try; doubles from there
LONGEST_PAUSE = 900.0  # a limit that lasts longer ends the run
WAITING = 100  # items between two tries, or as many as requests: more would need more memory
POOL = 50  # connections; with each request a pool looks at all of its own, so several are faster
STOPPED = "Stopped: the same command goes on from here."
START = b'{"id": '  # of each line of the output


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


@dataclass
class Job:
    """An item of the input on its way to an answer."""

    id: str | int
    input_hash: str
    body: dict
    tries: int = 0


@dataclass
class Run:
    """What all requests share: the settings, what was done so far, and why it is over."""

    output: BinaryIO
    concurrency: int
    rpm: float | None
    max_cost: float | None
    total: int
    answered: int
    failed: int
    spent: float
    dearest: float
    in_flight: int = 0
    next_start: float = 0.0
    waiting: list[tuple[float, int, Job]] = field(default_factory=list)
    drained: bool = False
    over: str = ""
    trouble: str = ""
    unsaved: list[bytes] = field(default_factory=list)


async def answer_all(client: OpenAI, run: Run, jobs: Iterator[Job]) -> None:
    """Keep run.concurrency requests in flight until the jobs are done or run.over says why not."""
    settings = {"base_url": client.base_url, "api_key": client.api_key, "max_retries": 0}
    count = math.ceil(run.concurrency / POOL)
    pools = [AsyncOpenAI(timeout=client.timeout, **settings) for _ in range(count)]
    watcher = asyncio.create_task(watch(run))
    await asyncio.gather(*(work(pools[n % count], run, jobs) for n in range(run.concurrency)))
    watcher.cancel()
    with suppress(asyncio.CancelledError):
        await watcher
    for pool in pools:
        await pool.close()


async def work(client: AsyncOpenAI, run: Run, jobs: Iterator[Job]) -> None:
    """Do one job after the other; a job that has to wait leaves its place to the next."""
    while not run.over and not (run.drained and not run.waiting):
        job = take(run, jobs)
        if job:
            start = time.monotonic()
            reply, error = await ask(client, job.body)
            settle(run, job, reply, error, time.monotonic() - start)
        else:
            start = max(run.next_start, run.waiting[0][0] if run.waiting else 0)
            await asyncio.sleep(min(max(start - time.monotonic(), 0.01), 0.25))


async def ask(client: AsyncOpenAI, body: dict) -> tuple[ChatCompletion, Exception | None]:
    """Return the reply to a chat body and, unless it is a whole answer, what is wrong."""
    reply, loop = None, asyncio.get_running_loop()
    # wait_for() would make a new task, in which the client needs a fifth more time.
    timer = loop.call_later(REPLY_SECONDS, asyncio.current_task().cancel)
    try:
        # The body goes out as it stands: create() has no room for OpenRouter's own fields.
        reply = await client.post("/chat/completions", cast_to=ChatCompletion, body=body)
        check(reply)
    except asyncio.CancelledError:
        if loop.time() < timer.when():
            raise
        return reply, APIError(f"Too long: no end in {REPLY_SECONDS} s", None, body=None)
    except FAILURES as error:
        return reply, error
    except (AttributeError, TypeError, ValueError):  # bytes and fields of any kind
        return reply, APIError("The reply has not the documented form", None, body=None)
    finally:
        timer.cancel()
    return reply, None


def take(run: Run, jobs: Iterator[Job]) -> Job | None:
    """Return a job to send now; None while a pause, the pace or the cost limit forbids it."""
    now, job = time.monotonic(), None
    if now < run.next_start:
        return None
    if run.max_cost is not None:
        # What is in flight may cost as much as the dearest so far, so the first go out slowly.
        if run.in_flight and run.in_flight >= run.answered:
            return None
        if run.spent + run.dearest * (run.in_flight + 1) > run.max_cost:
            if not run.in_flight:
                run.over = f"What is left of ${run.max_cost:g} may not pay for another answer."
            return None
    if run.waiting and run.waiting[0][0] <= now:
        job = heapq.heappop(run.waiting)[2]
    elif len(run.waiting) < max(WAITING, run.concurrency):
        job = next(jobs, None)
        run.drained = job is None
    if job:
        run.in_flight, job.tries = run.in_flight + 1, job.tries + 1
        free = job.body["model"] == MODEL or str(job.body["model"]).endswith(":free")
        if rpm := run.rpm if run.rpm is not None else FREE_RPM if free else 0:
            run.next_start = now + 61 / rpm  # a second's grace: requests arrive unevenly
    return job


def settle(run: Run, job: Job, reply: object, error: Exception | None, seconds: float) -> None:
    """Write a job's answer or error to the output, let it wait for another try, or end the run."""
    run.in_flight -= 1
    line = result(job.id, job.input_hash, job.body["model"], reply) | {"seconds": round(seconds, 3)}
    run.spent += line["cost"] or 0
    run.dearest = max(run.dearest, line["cost"] or 0)
    if not error:
        run.answered += 1
        return write(run, line)
    run.trouble = explain(error)
    code, pause, scope = judge(error, line["finish_reason"], job.tries, run.answered)
    if scope == "run":
        end = time.strftime("%H:%M", time.localtime(time.time() + pause))
        again = f". The limit ends at {end}: run this again then." if pause else ""
        run.over = run.over or run.trouble + again
    elif pause is None or job.tries == TRIES:
        run.failed += 1
        failure = {"code": code or None, "message": run.trouble, "retry": pause is not None}
        write(run, line | {"error": failure})
    else:
        due = time.monotonic() + pause
        run.next_start = max(run.next_start, due if scope == "all" else 0)
        heapq.heappush(run.waiting, (due + pause * random.random() / 2, id(job), job))


def judge(
    error: Exception, end: str | None, tries: int, answered: int
) -> tuple[str, float | None, str]:
    """Return a failure's code, the pause before another try and what has to pause.

    The pause is in seconds, None where another try can't help. It is for the "item", for "all"
    requests, or so long, or the trouble so general, that the "run" has to end.
    https://openrouter.ai/docs/api_reference/errors-and-debugging
    """
    body = error.body if isinstance(getattr(error, "body", None), dict) else {}
    more, available = body.get("metadata") or {}, body.get("availability") or {}
    code = str(getattr(error, "status_code", None) or body.get("code") or "")
    said = f"{body.get('message')} {more.get('limit_source')}".lower()
    final = end in ("length", "content_filter")
    final |= code.startswith("4") and code not in ("408", "409", "425", "429")
    if not available.get("retryable", not final):
        model = not answered and (code == "404" or available)
        general = code in ("401", "402") or "key limit" in said or model
        return (code, 0, "run") if general else (code, None, "item")
    headers = getattr(getattr(error, "response", None), "headers", None) or more.get("headers")
    headers = {name.lower(): text for name, text in (headers or {}).items()}
    now, reset = time.time(), headers.get("x-ratelimit-reset", "")
    reset = int(reset) / 1000 if reset.isdecimal() else 0
    if "per-day" in said or "daily" in said:
        return code, (reset or (now // 86400 + 1) * 86400) - now, "run"
    if reset:  # of the account's limit for a minute; a clock that is wrong can't make it longer
        return code, min(max(reset - now, 1), 60), "all"
    waits = (
        headers.get("retry-after"),
        available.get("retry_after"),
        more.get("retry_after_seconds"),
    )
    wait = next((float(text) for text in waits if re.fullmatch(r"\d+(\.\d+)?", str(text))), 0)
    return code, wait or PAUSE * 2 ** (tries - 1), "run" if wait > LONGEST_PAUSE else "item"


def write(run: Run, line: dict) -> None:
    """Append a line to the output, whole or not at all; what can't be written stays in memory."""
    data = encode(line)
    size = run.output.seek(0, os.SEEK_END)
    try:
        if not run.unsaved and run.output.write(data) == len(data):
            return
        why = "the disk is full"
    except OSError as error:
        why = error.strerror
    run.output.truncate(size)
    run.unsaved.append(data)
    run.over = run.over or f"{run.output.name} can't be written: {why}."


async def watch(run: Run) -> None:
    """Four times a second, put what was written on the disk and show how far it is."""
    start, first = time.monotonic(), run.answered + run.failed
    while True:
        await asyncio.sleep(0.25)
        await asyncio.to_thread(os.fsync, run.output.fileno())
        if sys.stderr.isatty():
            done = run.answered + run.failed
            speed = (done - first) / (time.monotonic() - start)
            left = f", {(run.total - done) / speed / 60:.1f} min left" if speed else ""
            text = f"{done}/{run.total}, {speed:.1f}/s, {run.failed} failed, ${run.spent:.4f}{left}"
            text = f"[{f'finishing {run.in_flight} in flight' if run.over else text}]"
            print(f"\r{text:79}", end="", file=sys.stderr, flush=True)


def stop(run: Run, *_: object) -> None:
    """Send nothing more; a second Ctrl-C does not wait for what is in flight."""
    run.over = STOPPED
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> int:
    """Read the command line, check the input and the output, answer what is missing."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("input", help="JSON lines, plain lines in a .txt file, or - for stdin")
    parser.add_argument("-o", "--output", type=Path, required=True, help="what it holds stays")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", help="prompt file that each line fills, by name or path")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="for it")
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY, metavar="N")
    parser.add_argument("--rpm", type=float, metavar="N", help=f"free models: {FREE_RPM}")
    parser.add_argument("--max-cost", type=float, metavar="USD", help="for the whole output")
    parser.add_argument("--skip-bad", action="store_true", help="leave out lines that are no items")
    args = parser.parse_args()
    template = read_prompt(args.prompt) if args.prompt else "{{input}}"
    values = dict(pair.partition("=")[::2] for pair in args.set)
    client, start = connect(), time.monotonic()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    read = partial(read_item, args.input.endswith(".txt"), template, values, model)
    with open_input(args.input) as source, open_items(args.output) as db:
        if Path(f"{args.output.resolve()}.batches").exists():
            raise ValueError(f"{args.output} has batches under way: fetch them first.")
        note_input(source, read, db, args.skip_bad)
        counts = note_output(args.output.resolve(), db, again=True)
        with args.output.open("ab", buffering=0) as output:
            run = Run(output, max(1, args.concurrency), args.rpm, args.max_cost, *counts)
            signal.signal(signal.SIGINT, partial(stop, run))
            gc.freeze()  # what is loaded by now is not looked at for garbage any more
            try:
                jobs = (Job(*item) for item in open_jobs(source, read, db))
                asyncio.run(answer_all(client, run, jobs))
            finally:
                tell(run, time.monotonic() - start)
                os.fsync(output.fileno())
    return 130 if run.over == STOPPED else int(run.answered < run.total)


def tell(run: Run, seconds: float) -> None:
    """Print how it went, why it ended, and on stdout what could not be written to the output."""
    left = run.total - run.answered - run.failed
    text = f"{run.answered} answered, {run.failed} failed, {left} left, ${run.spent:.6f}"
    text = f"[{text}, {seconds:.1f} s]"
    print(f"\r{text:79}" if sys.stderr.isatty() else text, file=sys.stderr)
    if run.over or (run.failed and run.trouble):
        print(run.over or f"The last failure: {run.trouble}", file=sys.stderr)
    if run.unsaved:
        print("The finished lines are on stdout: add them to the output.", file=sys.stderr)
        sys.stdout.buffer.writelines(run.unsaved)


# From here on, the same in batch.py.


@contextmanager
def open_input(name: str) -> Iterator[BinaryIO]:
    """Open the input; of what is piped in, a copy, since it is read twice."""
    with tempfile.TemporaryFile() if name == "-" else Path(name).open("rb") as source:
        if name == "-":
            shutil.copyfileobj(sys.stdin.buffer, source)
        yield source


def read_lines(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each line that is not blank, read as it is needed."""
    source.seek(0)
    yield from ((number, line) for number, line in enumerate(source, 1) if line.strip())


def read_item(
    plain: bool, template: str, values: dict, model: str, line: bytes, number: int
) -> tuple[str | int, str, dict]:
    """Return an input line's id, its hash and its request body; ValueError if it is no item."""
    text = line.decode("utf-8-sig").strip()
    names = {"input", *re.findall(r"{{(\w+)}}", template)}
    try:
        item = json.loads(text)
    except json.JSONDecodeError:
        item = None
    if not isinstance(item, dict) or not item.keys() & {"messages", "body", *names}:
        if not plain:
            raise ValueError('no JSON object with "input" or "messages"')
        item = {"input": text}
    id = item.pop("id", item.pop("custom_id", number))
    if isinstance(id, bool) or not isinstance(id, (str, int)):
        raise ValueError("the id is neither text nor a whole number")
    given = {name: item[name] for name in names & item.keys()}
    body = item.get("body", item)
    if given or template != "{{input}}":
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in given.items()}
        body = {"messages": [{"role": "user", "content": fill(template, values | texts)}]}
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise ValueError('"messages" is no list')
    body = {"model": model} | {k: v for k, v in body.items() if not k.startswith("stream")}
    json.dumps(body, ensure_ascii=False, allow_nan=False).encode()  # can it be sent at all?
    return id, blake2b(line.strip(), digest_size=8).hexdigest(), body


@contextmanager
def open_items(output: Path) -> Iterator[sqlite3.Connection]:
    """Keep other runs off the output; yield a database of its items that vanishes at the end."""
    if output.exists() and not output.is_file():
        raise ValueError(f"{output} is no file.")
    lock = Path(f"{output.resolve()}.lock")
    lock.touch()
    db = sqlite3.connect(lock, timeout=0, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("BEGIN EXCLUSIVE")  # the system ends it with this process, however that ends
    except sqlite3.Error as error:
        raise ValueError(f"{lock}: {error}. Is another run writing {output.name}?") from None
    try:
        db.execute("CREATE TEMP TABLE item (id TEXT PRIMARY KEY, hash TEXT, state INT, cost REAL)")
        yield db
    finally:
        db.close()
        with suppress(OSError):  # on Windows, while another run looks at it
            lock.unlink()


def note_input(source: BinaryIO, read: Callable, db: sqlite3.Connection, skip_bad: bool) -> None:
    """Note the items of the input; ValueError names all lines that are none or come again."""
    wrong = []
    for number, line in read_lines(source):
        try:
            id, input_hash, _ = read(line, number)
            row = (str(id), input_hash)
            if not db.execute("INSERT OR IGNORE INTO item VALUES (?, ?, 0, 0)", row).rowcount:
                raise ValueError(f"the id {id} again")
        except UnicodeError:
            wrong.append(f"line {number}: not UTF-8")
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
    if wrong and not skip_bad:
        raise ValueError(
            "\n".join([*wrong, "Nothing was sent. --skip-bad leaves these lines out."])
        )
    for line in wrong:
        print(line, file=sys.stderr)


def note_output(
    output: Path, db: sqlite3.Connection, again: bool
) -> tuple[int, int, int, float, float]:
    """Note what the output holds; take out half a line and, again, failures worth another try.

    Return the numbers of all items, of answers and of failures, their cost and the highest cost.
    """

    def keep(line: bytes) -> bytes:
        try:
            done = json.loads(line)
            id, input_hash, error = str(done["id"]), done["input_hash"], done.get("error")
        except (ValueError, TypeError, KeyError):
            if line.endswith(b"\n") or not START.startswith(line.strip(b"\0")[: len(START)]):
                raise ValueError(f"{output} holds other things: name another file.") from None
            return b""
        known = db.execute("SELECT hash FROM item WHERE id = ?", (id,)).fetchone()
        if again and error and known and (error["retry"] or known[0] != input_hash):
            return b""
        if not known or known[0] != input_hash:
            raise ValueError(f"{output} belongs to another input, see the id {id}.")
        new = (2 if error else 1, done.get("cost") or 0, id)
        db.execute("UPDATE item SET state = ?, cost = ? WHERE id = ?", new)
        return line.rstrip(b"\n") + b"\n"

    if output.exists():
        with output.open("rb") as old:
            changed = sum(keep(line) != line for line in old)
            if changed:
                old.seek(0)
                part = output.with_name(f"{output.name}.part")
                with part.open("wb") as new:
                    new.writelines(map(keep, old))
                    os.fsync(new.fileno())
        if changed:
            part.replace(output)
    return db.execute(
        "SELECT count(*), ifnull(sum(state = 1), 0), ifnull(sum(state = 2), 0), total(cost), "
        "ifnull(max(cost), 0) FROM item"
    ).fetchone()


def open_jobs(
    source: BinaryIO, read: Callable, db: sqlite3.Connection
) -> Iterator[tuple[str | int, str, dict]]:
    """Yield id, hash and body of what is not done, reading the input as it is needed."""
    for number, line in read_lines(source):
        with suppress(ValueError):  # note_input has told
            id, input_hash, body = read(line, number)
            sql = "UPDATE item SET state = 3 WHERE id = ? AND hash = ? AND state = 0"
            if db.execute(sql, (str(id), input_hash)).rowcount:
                yield id, input_hash, body


def result(id: str | int, input_hash: str, model: str, reply: object) -> dict:
    """Return an item's line for the output; what the reply lacks is null."""
    choices = getattr(reply, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    message, usage = getattr(choice, "message", None), getattr(reply, "usage", None)
    usage = usage.to_dict() if isinstance(usage, CompletionUsage) else {}
    line = {
        "id": id,
        "answer": getattr(message, "content", None),
        "model": getattr(reply, "model", None) or model,
        "provider": getattr(reply, "provider", None),
        "finish_reason": getattr(choice, "finish_reason", None),
        "usage": usage or None,
        "cost": usage["cost"] if isinstance(usage.get("cost"), (int, float)) else None,
        "input_hash": input_hash,
    }
    calls = getattr(message, "tool_calls", None)
    return line | ({"tool_calls": message.to_dict()["tool_calls"]} if calls else {})


def encode(line: dict) -> bytes:
    """Return a line for the output: JSON, readable where it is not English."""
    return json.dumps(line, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


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
