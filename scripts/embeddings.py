# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Search a text file, or a folder of text files, by meaning instead of by words.

  python scripts/embeddings.py "How do I change my password?" manual.txt
  python scripts/embeddings.py "holidays" docs --top 3 --json

It costs a little: the texts are sent once and kept as numbers in a hidden file beside them, then
only what is new, and the question. What is interrupted goes on where it stopped.
https://openrouter.ai/docs/api_reference/embeddings
"""

import json
import math
import os
import re
import sqlite3
import sys
import textwrap
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from array import array
from collections.abc import Iterator
from hashlib import sha256
from operator import mul
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout

MODEL = "openai/text-embedding-3-small"
SIZE = 1000  # characters, of a passage at most
BATCH = 100  # passages in a request


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


def split(text: str) -> Iterator[tuple[int, str]]:
    """Yield a text's paragraphs, the long ones in parts, each with the number of its first line.

    A Markdown heading stays with what follows.
    """
    start, lines = 0, []
    for number, line in enumerate(text.split("\n"), 1):
        for piece in textwrap.wrap(line, SIZE) if len(line) > SIZE else [line.rstrip()]:
            heading = len(lines) == 1 and lines[0].startswith("#")
            full = len("\n".join([*lines, piece])) > SIZE
            if lines and (full or (not piece and not heading)):
                yield start, "\n".join(lines)
                start, lines = 0, []
            if piece:
                start = start or number
                lines.append(piece)
    if lines:
        yield start, "\n".join(lines)


def read_passages(path: Path) -> tuple[list[tuple[Path, int, str]], list[Path]]:
    """Return the passages (file, line, text) of a file or folder, and the files that are no text.

    Hidden files and folders are left out.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    passages, skipped = [], []
    for file in files:
        if any(part.startswith(".") for part in file.relative_to(path).parts):
            continue
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            skipped.append(file)
        else:
            passages += [(file, line, passage) for line, passage in split(text)]
    return passages, skipped


def unit(numbers: list[float]) -> bytes:
    """Return a vector, of any length, with the length 1, as float32 bytes."""
    length = math.hypot(*numbers) or 1
    return array("f", [number / length for number in numbers]).tobytes()


def embed(client: OpenAI, model: str, texts: list[str]) -> tuple[list[bytes], float | None]:
    """Return the texts' vectors, made by unit(), and the cost in USD, None where it is not said."""
    # Without a format, the client would ask for base64, which not every provider gives.
    reply = client.embeddings.create(model=model, input=texts, encoding_format="float")
    try:
        data = sorted(reply.data, key=lambda item: getattr(item, "index", None) or 0)
        vectors = [unit(item.embedding) for item in data]
    except (AttributeError, TypeError):
        vectors = []
    if len(vectors) != len(texts) or not all(vectors):
        what = f"The reply has {len(vectors)} vectors for {len(texts)} texts"
        what += ": is OPENROUTER_BASE_URL right?"
        raise APIError(what, None, body=getattr(reply, "error", None))
    return vectors, getattr(getattr(reply, "usage", None), "cost", None)


def update(
    client: OpenAI, model: str, texts: dict[bytes, str], index: sqlite3.Connection
) -> Iterator[tuple[int, float | None]]:
    """Bring an index {key: vector} up to date; yield the number and cost of each batch."""
    index.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")
    known = {key for (key,) in index.execute("SELECT key FROM vectors")}
    new = [key for key in texts if key not in known]
    for start in range(0, len(new), BATCH):
        keys = new[start : start + BATCH]
        vectors, cost = embed(client, model, [texts[key] for key in keys])
        with index:  # each batch is kept, whatever happens to the next
            index.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?)", zip(keys, vectors, strict=True)
            )
        yield len(keys), cost
    with index:
        gone = [(key,) for key in known - texts.keys()]
        index.executemany("DELETE FROM vectors WHERE key = ?", gone)


def rank(question: bytes, vectors: list[bytes]) -> list[float]:
    """Return the cosine similarity, -1 to 1, of a question's vector to each of the others."""
    if any(len(vector) != len(question) for vector in vectors):
        raise ValueError("The index is another model's of the same name: delete it.")
    numbers = array("f", question)  # half a second for 10,000 vectors of 1,024 numbers
    return [sum(map(mul, numbers, array("f", vector))) for vector in vectors]


def main() -> None:
    """Read the command line, bring the index up to date, print what is nearest."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", help='what to look for ("-": read it from the pipe)')
    parser.add_argument("path", type=Path, help="a text file, or a folder of them")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="how many (default: 5)")
    parser.add_argument("--json", action="store_true", help="score, file, line and text of each")
    parser.add_argument("--index", metavar="FILE", help="another place for the index")
    parser.add_argument("-m", "--model", default=MODEL, help=f"default: {MODEL}")
    args = parser.parse_args()
    question, path = read_input([args.question]), args.path
    name = ".embeddings.sqlite3" if path.is_dir() else f".{path.name}.embeddings.sqlite3"
    file = args.index or (path if path.is_dir() else path.parent) / name
    passages, skipped = read_passages(path)
    if skipped:
        names = ", ".join(map(str, skipped[:5])) + (", ..." if len(skipped) > 5 else "")
        print(f"[left out, no UTF-8 text: {len(skipped)} files: {names}]", file=sys.stderr)
    if not passages:
        raise ValueError(f"There is no text in {path}.")
    client, start = connect(), time.monotonic()
    keys = [sha256(f"{args.model}\n{text}".encode()).digest() for _, _, text in passages]
    texts = dict(zip(keys, (text for _, _, text in passages), strict=True))
    done, costs = 0, []
    try:
        index = sqlite3.connect(file)
        for count, cost in update(client, args.model, texts, index):
            done += count
            costs.append(cost)
            print(f"[{done} of {len(texts)} passages]", file=sys.stderr)
        known = dict(index.execute("SELECT key, vector FROM vectors"))
    except sqlite3.Error as error:
        raise OSError(f"{file}: {error}: delete it, or name another with --index.") from None
    (vector,), cost = embed(client, args.model, [question])
    scores = rank(vector, [known[key] for key in keys])
    order = sorted(zip(scores, passages, strict=True), key=lambda pair: -pair[0])[: args.top]
    found = [
        {"score": round(score, 4), "file": str(source), "line": line, "text": text}
        for score, (source, line, text) in order
    ]
    if args.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for one in found:
            print(f"{one['score']:.3f}  {one['file']}:{one['line']}\n{one['text']}\n")
    costs.append(cost)
    cost = "cost unknown" if None in costs else f"${sum(costs):.6f}"
    seconds = time.monotonic() - start
    print(f"[{args.model}, {done} passages embedded, {cost}, {seconds:.1f} s]", file=sys.stderr)


# From here on, the same in every script.


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
