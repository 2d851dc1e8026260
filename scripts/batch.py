# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Answer thousands of prompts within a day, at about half the price: OpenRouter's Batch API.

  python scripts/batch.py submit prompts.jsonl -o answers.jsonl -m MODEL
  python scripts/batch.py status prompts.jsonl -o answers.jsonl
  python scripts/batch.py fetch prompts.jsonl -o answers.jsonl

Input and output are those of bulk.py, text only; a finished batch is fetched within 30 days.
Fetch can be repeated until it succeeds, and submit then sends what failed. It costs money.
https://openrouter.ai/docs/batch-quickstart
"""

import json
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from dotenv import load_dotenv
from openai import (
    APIError,
    APIStatusError,
    APITimeoutError,
    DefaultHttpxClient,
    NotFoundError,
    OpenAI,
    OpenAIError,
    Timeout,
)
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion

MODEL = "openai/gpt-5-mini"  # there are no batches for free
REQUESTS = 10_000  # in one batch: its results come in one piece
BYTES = 50_000_000
START = b'{"id": '  # of each line of the output
ENDED = ("completed", "failed", "expired", "cancelled")
PASSING = "rate_limit|overload|unavailable|server|timeout|expired|^5|^408|^429"  # errors


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


def field(reply: object, name: str) -> object:
    """Return one field of a JSON reply; APIError when HTTP 200 brought an error or no JSON."""
    if isinstance(reply, dict) and reply.get(name) is not None:
        return reply[name]
    error = reply.get("error") if isinstance(reply, dict) else None
    raise APIError(f"The reply has no {name}: is OPENROUTER_BASE_URL right?", None, body=error)


def submit(client: OpenAI, model: str, requests: list[dict]) -> str:
    """Submit requests, each {"custom_id": ..., "body": chat body}, as a batch; return its id."""
    # OpenRouter reads the body as a stream and wants the requests last.
    body = {"endpoint": "/v1/chat/completions", "model": model, "requests": requests}
    return field(client.post("/batches", cast_to=object, body=body), "id")


def read_batch(client: OpenAI, id: str) -> dict:
    """Return a batch as it is now: "status", "request_counts" and, when completed, "results"."""
    batch = client.get(f"/batches/{id}", cast_to=object)
    field(batch, "status")
    return batch


def find_lost(client: OpenAI, batches: list[dict]) -> list[dict]:
    """Return the batches that exist: a submission that broke off may have reached OpenRouter.

    ValueError when OpenRouter does not tell.
    """
    for lost in (batch for batch in batches if not batch["id"]):
        try:
            listed = client.get("/batches", cast_to=object, options={"params": {"limit": 100}})
        except NotFoundError:
            raise ValueError(
                "A submission broke off, and whether it arrived can't be found out: see "
                "https://openrouter.ai/activity, delete the .batches file to submit again."
            ) from None
        known = {batch["id"] for batch in batches}
        for one in field(listed, "data"):
            new = one["id"] not in known and one["created_at"] > lost["time"] - 600  # clocks differ
            size = (one.get("request_counts") or {}).get("total")
            if new and (one.get("model"), size) == (lost["model"], lost["requests"]):
                lost["id"] = one["id"]
                break
    return [batch for batch in batches if batch["id"]]


def read_text_item(*args: object) -> tuple[str | int, str, dict]:
    """Do what read_item() does; ValueError also for what no batch takes."""
    item = read_item(*args)
    found = re.search(r'"type": "(image_url|input_audio|file|video_url)"', json.dumps(item[2]))
    if found or item[2].keys() & {"modalities", "audio", "image_config"}:
        raise ValueError("batches are text only")
    return item


def parts(items: Iterator[tuple]) -> Iterator[tuple[str, list[dict]]]:
    """Yield models, each with as many of its requests as one batch should have."""
    found: dict[str, list[dict]] = {}
    sizes: dict[str, int] = {}
    for id, _, body in items:
        model = body.pop("model")
        found.setdefault(model, []).append({"custom_id": str(id), "body": body})
        sizes[model] = sizes.get(model, 0) + len(json.dumps(body))
        if len(found[model]) == REQUESTS or sizes[model] > BYTES:
            sizes[model] = 0
            yield model, found.pop(model)
    yield from found.items()


def settle(id: str | int, input_hash: str, model: str, batch: dict, one: dict) -> dict:
    """Return an item's line for the output, from its result in a batch."""
    response, error = one.get("response") or {}, one.get("error") or {}
    reply = ChatCompletion.construct(**(response.get("body") or {"error": error}))
    line = result(id, input_hash, model, reply)
    line |= {"provider": batch.get("provider"), "seconds": None}
    try:
        check(reply)
    except APIError as caught:
        code = str(error.get("error_type") or error.get("type") or response.get("status_code"))
        retry = bool(re.search(PASSING, code))
        line["error"] = {"code": code, "message": explain(caught), "retry": retry}
    return line


def submit_all(client: OpenAI, kept: Path, items: Iterator[tuple]) -> None:
    """Submit all items; what was submitted is kept in a file, before it is and after."""
    batches = []
    for model, requests in parts(items):
        new = {"id": None, "model": model, "requests": len(requests), "time": time.time()}
        keep(kept, [*batches, new])
        try:
            new["id"] = submit(client, model, requests)
        except APIStatusError as error:
            if error.status_code < 500:
                keep(kept, batches)
            raise
        batches.append(new)
        keep(kept, batches)
        print(f"{new['id']}  {model}  {len(requests)} requests")


def fetch(batch: dict, items: Iterator[tuple], output: Path) -> tuple[int, int]:
    """Append to the output what a batch has of the items; return the answers and the failures."""
    found = field(batch, "results") if batch["status"] == "completed" else []
    results, failures = {one.get("custom_id"): one for one in found}, []
    with output.open("ab") as file:
        for id, input_hash, body in items:
            if one := results.get(str(id)):
                line = settle(id, input_hash, body["model"], batch, one)
                failures.append("error" in line)
                file.write(encode(line))
        file.flush()
        os.fsync(file.fileno())
    return failures.count(False), failures.count(True)


def keep(kept: Path, batches: list[dict]) -> None:
    """Write down which batches are under way."""
    if batches:
        save(kept, json.dumps(batches).encode())
    else:
        kept.unlink(missing_ok=True)


def main() -> int:
    """Read the command line; submit what is not done yet, or look after what is under way."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["submit", "status", "fetch"])
    parser.add_argument("input", help="JSON lines, plain lines in a .txt file, or - for stdin")
    parser.add_argument("-o", "--output", type=Path, required=True, help="what it holds stays")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", help="prompt file that each line fills, by name or path")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="for it")
    parser.add_argument("--skip-bad", action="store_true", help="leave out lines that are no items")
    args = parser.parse_args()
    template = read_prompt(args.prompt) if args.prompt else "{{input}}"
    values = dict(pair.partition("=")[::2] for pair in args.set)
    client = connect()
    client = client.with_options(base_url=str(client.base_url).replace("/api/v1", "/api/beta"))
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    read = partial(read_text_item, args.input.endswith(".txt"), template, values, model)
    output = args.output.resolve()
    kept = Path(f"{output}.batches")
    with open_input(args.input) as source, open_items(output) as db:
        batches = find_lost(client, json.loads(kept.read_bytes()) if kept.exists() else [])
        keep(kept, batches)
        note_input(source, read, db, args.skip_bad)
        total, answered, failed, _, _ = note_output(output, db, args.action == "submit")
        if args.action == "submit":
            if batches:
                raise ValueError(f"{args.output} has batches under way: fetch them first.")
            submit_all(client, kept, open_jobs(source, read, db))
        for batch in list(batches):
            now = read_batch(client, batch["id"])
            counts, why = now.get("request_counts") or {}, (now.get("error") or {}).get("message")
            facts = [now["status"], *(f"{number} {name}" for name, number in counts.items())]
            facts += [f"${cost:.6f}"] if (cost := (now.get("usage") or {}).get("cost")) else []
            print(batch["id"], *facts, why or "", sep="  ")
            if args.action == "fetch" and now["status"] in ENDED:
                db.execute("UPDATE item SET state = 0 WHERE state = 3")
                good, bad = fetch(now, open_jobs(source, read, db), output)
                answered, failed = answered + good, failed + bad
                batches.remove(batch)
                keep(kept, batches)
    left = total - answered - failed
    print(f"[{answered} answered, {failed} failed, {left} left]", file=sys.stderr)
    return int(args.action == "fetch" and answered < total)


# From here on, the same in bulk.py.


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


def save(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


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
