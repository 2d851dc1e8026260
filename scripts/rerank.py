# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Order lines, or paragraphs, by how well they answer a question.

  python scripts/rerank.py "Who may work from home?" rules.txt --paragraphs --top 3
  git log --oneline | python scripts/rerank.py "fixes of the login" --top 10

For more text than a few hundred lines: scripts/embeddings.py first.
https://openrouter.ai/docs/cookbook/evaluate-and-optimize/rag
"""

import math
import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI


def connect() -> OpenAI:
    """Return the official client set up for OpenRouter; ValueError without a usable key."""
    with suppress(UnicodeDecodeError):  # without its key, the error below names .env
        load_dotenv(encoding="utf-8-sig")
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    if not re.fullmatch("[!-~]+", key):  # api_key=None would send OPENAI_API_KEY to OpenRouter
        raise ValueError("OPENROUTER_API_KEY is missing or malformed (environment or UTF-8 .env)")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        os.environ.pop(name, None)  # the client would send these, too
    url = os.environ.get("OPENROUTER_BASE_URL", "").strip() or "https://openrouter.ai/api/v1"
    return OpenAI(base_url=url, api_key=key, timeout=120, max_retries=0)  # retries use up quota


def field(reply: object, name: str) -> list:
    """Return a list in a JSON reply; APIError with the server's error where there is none."""
    found = reply.get(name) if isinstance(reply, dict) else None
    if not found or not isinstance(found, list):
        error = reply.get("error") if isinstance(reply, dict) else None
        raise APIError(f"The reply has no {name}: {reply}", None, body=error)
    return found


def cheapest(client: OpenAI, kind: str) -> dict:
    """Return the catalogue's cheapest model with this kind of output, free ones first.

    https://openrouter.ai/docs/guides/overview/models
    """
    query = {"output_modalities": kind, "sort": "pricing-low-to-high"}
    reply = client.get("/models", cast_to=object, options={"params": query})
    models = [model for model in field(reply, "data") if isinstance(model.get("id"), str)]
    return next(model for model in models if not model["id"].endswith(":batch"))


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
    ranked = [(result["relevance_score"], result["index"]) for result in field(reply, "results")]
    places = {place for _, place in ranked}
    fits = len(places) == len(ranked) and places <= set(range(len(documents)))
    if not fits or not all(math.isfinite(score) for score, _ in ranked):
        raise APIError(f"The ranking does not fit the documents: {ranked}", None, body=None)
    return sorted(ranked, reverse=True), reply


# --- The command line. Leave out what follows when you copy. ---

import json
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

NETWORK = "OPENROUTER_BASE_URL|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_FILE"


def main() -> None:
    """Read the command line and the documents, have them ranked, print them."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", help="what the text should answer")
    parser.add_argument("file", nargs="*", help='text files; none, or "-": read the pipe')
    parser.add_argument("--paragraphs", action="store_true", help="order paragraphs, not lines")
    parser.add_argument("--top", type=int, metavar="N", help="only the best (default: all)")
    parser.add_argument("--json", action="store_true", help="score, file, line and text of each")
    parser.add_argument("-m", "--model", help="default: the cheapest, free ones first")
    args = parser.parse_intermixed_args()  # files may come after options
    passages = []
    for name in args.file or ["-"]:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        for line, text in split(data.decode("utf-8-sig"), args.paragraphs):
            passages.append({"file": name, "line": line, "text": text})
    if not passages:
        sys.exit("There is no text to order.")
    client, start = connect(), time.monotonic()
    model = args.model
    if not model:
        choice = cheapest(client, "rerank")
        model = choice["id"]
        print(f"[{model}, prices in USD: {choice.get('pricing')}]", file=sys.stderr)
    documents = [passage["text"] for passage in passages]
    ranked, reply = rerank(client, model, args.question, documents, args.top)
    results = [{"score": score, **passages[place]} for score, place in ranked]
    if args.json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
    else:
        for result in results:
            place = "" if result["file"] == "-" else f"{result['file']}:{result['line']}  "
            print(f"{result['score']:.3f}  {place}{' '.join(result['text'].split())}")
    seconds = time.monotonic() - start
    print(f"[{reply.get('model')}, usage {reply.get('usage')}, {seconds:.1f} s]", file=sys.stderr)


def split(text: str, paragraphs: bool) -> list[tuple[int, str]]:
    """Return line number and text of each line, or of each paragraph, that is not blank."""
    passages, line = [], 1
    for passage in re.split(r"(\n\s*\n)" if paragraphs else r"(\n)", text):
        if passage.strip():
            passages.append((line, passage.strip()))
        line += passage.count("\n")
    return passages


def explain(error: Exception) -> str:
    """Return an error as one line: what the server, the provider or the system said."""
    body = getattr(error, "body", None)
    fields = body if isinstance(body, dict) else {}
    said = fields.get("message", body) or f"{type(error).__name__}: {error}"
    parts = [getattr(error, "status_code", fields.get("code")), said, fields.get("metadata")]
    is_network = error.__cause__ or getattr(error, "filename", "") is None
    names = NETWORK if is_network else "OPENROUTER_BASE_URL"
    settings = [f"{k}={v}" for k, v in os.environ.items() if v and re.fullmatch(names, k, re.I)]
    parts = [str(part)[:300] for part in [*parts, error.__cause__, *settings] if part]
    key = os.environ.get("OPENROUTER_API_KEY", "").strip() or "[key]"
    return re.sub("//[^/@]*@", "//", " ".join(": ".join(parts).split()).replace(key, "[key]"))


if __name__ == "__main__":
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader has left, as in `| head -1`
        os._exit(0)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        print(getattr(error, "partial", ""), end="")
        sys.exit(explain(error))
