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
    with suppress(UnicodeDecodeError):  # one that is not UTF-8 counts as missing
        load_dotenv(encoding="utf-8-sig")
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    if not re.fullmatch("[!#-&(-~]+", key):  # visible ASCII, no quotes; None sends OPENAI_API_KEY
        raise ValueError("OPENROUTER_API_KEY is missing or malformed (environment or UTF-8 .env)")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        os.environ.pop(name, None)  # the client would send these, too
    url = os.environ.get("OPENROUTER_BASE_URL", "").strip() or "https://openrouter.ai/api/v1"
    return OpenAI(base_url=url, api_key=key, timeout=120, max_retries=0)  # retries use up quota


def field(reply: object, name: str) -> list:
    """Return a list in a JSON reply; APIError with the server's error where there is none."""
    fields = reply if isinstance(reply, dict) else {}
    if not isinstance(fields.get(name), list):
        raise APIError(f"The reply has no {name}: {reply}", None, body=fields.get("error"))
    return fields[name]


def cheapest(client: OpenAI, **query: str) -> dict:
    """Return id and pricing of the cheapest model that fits the query, free ones first.

    https://openrouter.ai/docs/guides/overview/models
    """
    params = {"sort": "pricing-low-to-high", **query}
    for model in field(client.get("/models", cast_to=object, options={"params": params}), "data"):
        if not model["id"].endswith(":batch") and "-1" not in model["pricing"].values():  # a router
            return {"id": model["id"], "pricing": model["pricing"]}
    raise APIError(f"The catalogue has no model with {query}", None, body=None)


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
    fits = ranked and len(places) == len(ranked) and places <= set(range(len(documents)))
    if not fits or not all(math.isfinite(score) for score, _ in ranked):
        raise APIError(f"The ranking does not fit the documents: {ranked}", None, body=None)
    return sorted(ranked, key=lambda pair: -pair[0]), reply


# --- The command line. Leave out what follows when you copy. ---

import json
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path


def main() -> None:
    """Read the command line and the documents, have them ranked, print them."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", help="what the text should answer")
    parser.add_argument("file", nargs="*", help='text files; none, or "-": read the pipe')
    parser.add_argument("--paragraphs", action="store_true", help="order paragraphs, not lines")
    parser.add_argument("--top", type=int, metavar="N", help="only the best (default: all)")
    parser.add_argument("--json", action="store_true", help="score, file and text of each")
    parser.add_argument("-m", "--model", help="default: the cheapest, free ones first")
    args = parser.parse_intermixed_args()  # files may come after options
    passages = []
    for name in args.file or ["-"]:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        for text in re.split(r"\n\s*\n" if args.paragraphs else r"\n", data.decode("utf-8-sig")):
            if text.strip():
                passages.append({"file": name, "text": text.strip()})
    if not passages:
        sys.exit("There is no text to order.")
    client, start = connect(), time.monotonic()
    model = {"id": args.model} if args.model else cheapest(client, output_modalities="rerank")
    print(model, file=sys.stderr)
    documents = [passage["text"] for passage in passages]
    ranked, reply = rerank(client, model["id"], args.question, documents, args.top)
    results = [{"score": score, **passages[place]} for score, place in ranked]
    if args.json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
    else:
        for result in results:
            place = "" if result["file"] == "-" else f"{result['file']}  "
            print(f"{result['score']:.3f}  {place}{' '.join(result['text'].split())}")
    print(f"[usage {reply.get('usage')}, {time.monotonic() - start:.1f} s]", file=sys.stderr)


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
