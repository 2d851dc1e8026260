# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Order lines, or paragraphs, by how well they answer a question. It costs a little.

  python scripts/rerank.py "Who may work from home?" rules.txt --paragraphs --top 3
  git log --oneline | python scripts/rerank.py "fixes of the login" --top 10

The price is printed. For more text than a few hundred lines: scripts/embeddings.py first.
https://openrouter.ai/docs/cookbook/evaluate-and-optimize/rag
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from itertools import groupby
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout

MODEL = "cohere/rerank-v3.5"


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


def field(reply: object, name: str) -> object:
    """Return one field of a JSON reply; APIError when HTTP 200 brought an error or no JSON."""
    if isinstance(reply, dict) and reply.get(name) is not None:
        return reply[name]
    error = reply.get("error") if isinstance(reply, dict) else None
    raise APIError(f"The reply has no {name}: is OPENROUTER_BASE_URL right?", None, body=error)


def split(text: str, paragraphs: bool) -> list[tuple[int, str]]:
    """Return a text's lines, or its paragraphs, without empty ones, each with its line number."""
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    if not paragraphs:
        return [(number, line) for number, line in lines if line]
    groups = [list(group) for full, group in groupby(lines, lambda pair: pair[1] != "") if full]
    return [(group[0][0], "\n".join(line for _, line in group)) for group in groups]


def rerank(
    client: OpenAI, model: str, question: str, documents: list[str], top: int | None = None
) -> tuple[list[tuple[float, int]], dict]:
    """Return (relevance, place in the documents) of the best, best first, and the whole reply.

    https://openrouter.ai/docs/api/api-reference/rerank/submit-a-rerank-request
    """
    body = {"model": model, "query": question, "documents": documents}
    if top:
        body["top_n"] = top
    reply = client.post("/rerank", cast_to=object, body=body)
    try:
        found = [(float(one["relevance_score"]), one["index"]) for one in field(reply, "results")]
        places = {place for _, place in found if documents[place]}
    except (IndexError, KeyError, TypeError, ValueError):
        places = set()
    if not places or len(places) != len(found) or min(places) < 0:
        raise APIError("The ranking does not fit the documents that were sent", None, body=None)
    return sorted(found, reverse=True), reply


def main() -> None:
    """Read the command line and the documents, have them ranked, print them."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", help="what the text should answer")
    parser.add_argument("file", nargs="*", help='text files; none, or "-": read the pipe')
    parser.add_argument("--paragraphs", action="store_true", help="order paragraphs, not lines")
    parser.add_argument("--top", type=int, metavar="N", help="only the best (default: all)")
    parser.add_argument("--json", action="store_true", help="score, file, line and text of each")
    parser.add_argument("-m", "--model", default=MODEL, help=f"default: {MODEL}")
    args = parser.parse_intermixed_args()  # files may come after options
    if not args.file and sys.stdin.isatty():
        raise ValueError("There is nothing to order: name files, or pipe the lines in.")
    passages = []
    for name in args.file or ["-"]:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        pieces = split(data.decode("utf-8-sig"), args.paragraphs)
        passages += [{"file": name, "line": line, "text": text} for line, text in pieces]
    if not passages:
        raise ValueError("There is nothing to order: the input is empty.")
    client, start = connect(), time.monotonic()
    documents = [passage["text"] for passage in passages]
    found, reply = rerank(client, args.model, args.question, documents, args.top)
    ranked = [{"score": score, **passages[place]} for score, place in found]
    if args.json:
        print(json.dumps(ranked, ensure_ascii=False, indent=2))
    else:
        for one in ranked:
            place = "" if one["file"] == "-" else f"{one['file']}:{one['line']}  "
            print(f"{one['score']:.3f}  {place}{' '.join(one['text'].split())}")
    cost = (reply.get("usage") or {}).get("cost")
    cost = "cost unknown" if cost is None else f"${cost:.6f}"
    facts = [reply.get("model"), reply.get("provider"), f"{len(documents)} documents", cost]
    print(f"[{', '.join(filter(None, facts))}, {time.monotonic() - start:.1f} s]", file=sys.stderr)


# From here on, the same in every script.


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
