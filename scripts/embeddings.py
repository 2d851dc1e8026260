# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Search a text file, or a folder of text files, by meaning instead of by words.

  python scripts/embeddings.py "How do I change my password?" manual.txt
  python scripts/embeddings.py "holidays" docs --top 3

A hidden file beside the texts keeps their vectors: only new and changed passages are sent.
https://openrouter.ai/docs/api_reference/embeddings
"""

import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from operator import mul
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, OpenAI

SIZE = 1000  # characters, the most in a passage
BATCH = 100  # passages in a request


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


def read_passages(path: Path) -> list[tuple[Path, str]]:
    """Return the file and the text of each passage: a paragraph, or a part of a long one.

    In a folder, files that are hidden or not UTF-8 text are left out.
    """
    passages = []
    for file in sorted(path.rglob("[!.]*")) if path.is_dir() else [path]:
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.is_file() and not hidden:
            with suppress(UnicodeDecodeError):
                text = file.read_text(encoding="utf-8-sig")
                for block in re.split(r"\n\s*\n", text):
                    parts = re.findall(rf"\S[\s\S]{{0,{SIZE - 1}}}(?!\S)|\S{{1,{SIZE}}}", block)
                    passages += [(file, part.rstrip()) for part in parts]
    return passages


def embed(client: OpenAI, model: str, texts: list[str], vectors: dict) -> Iterator[object]:
    """Add a vector of length 1 for each text that has none; yield the usage of each request.

    https://openrouter.ai/docs/api_reference/embeddings
    """
    new = [text for text in dict.fromkeys(texts) if text not in vectors]
    for start in range(0, len(new), BATCH):
        batch = new[start : start + BATCH]
        # Without a format, the client asks for base64, which not every provider gives.
        reply = client.embeddings.create(model=model, input=batch, encoding_format="float")
        found = {item.index: item.embedding for item in getattr(reply, "data", None) or []}
        lengths = [math.hypot(*found.get(place, [])) for place in range(len(batch))]
        if len(found) != len(batch) or not all(0 < length < math.inf for length in lengths):
            raise APIError("The reply lacks vectors", None, body=getattr(reply, "error", None))
        for place, length in enumerate(lengths):
            vectors[batch[place]] = [round(number / length, 7) for number in found[place]]
        yield getattr(reply, "usage", None)


def similarity(one: list[float], other: list[float]) -> float:
    """Return the cosine, -1 to 1, of two vectors of length 1; ValueError for different models'."""
    if len(one) != len(other):
        raise ValueError(f"Vectors of {len(one)} and {len(other)} numbers: delete the index")
    return sum(map(mul, one, other))


# --- The command line. Leave out what follows when you copy. ---

import json
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter

INDEX = ".embeddings.json"  # the file with the vectors, or the end of its name


def main() -> None:
    """Read the command line and the texts, bring the index up to date, print what is nearest."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", help='what to look for ("-": read it from the pipe)')
    parser.add_argument("path", type=Path, help="a text file, or a folder of them")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="how many (default: 5)")
    parser.add_argument("-m", "--model", help="default: the index's, else the cheapest")
    args = parser.parse_args()
    question = args.question
    if question == "-":
        question = sys.stdin.buffer.read().decode("utf-8-sig")
    passages = read_passages(args.path)
    if not passages:
        sys.exit(f"{args.path} is missing, or has no UTF-8 text to search.")
    path = args.path
    file = path / INDEX if path.is_dir() else path.with_name(f".{path.name}{INDEX}")
    part = file.with_name(f"{file.name}.part")
    part.touch()  # a place that can't be written to is found before it costs
    part.unlink()
    index = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"model": None}
    client, start = connect(), time.monotonic()
    name = args.model or index["model"]
    model = {"id": name} if name else cheapest(client, output_modalities="embeddings")
    print(model, file=sys.stderr)
    vectors = index["vectors"] if index["model"] == model["id"] else {}
    texts = [text for _, text in passages]
    try:
        for usage in embed(client, model["id"], [question, *texts], vectors):
            print(f"[{usage}, {time.monotonic() - start:.1f} s]", file=sys.stderr)
    finally:  # what was paid for is kept, whatever happens to the rest
        current = {text: vectors[text] for text in texts if text in vectors}
        if current:
            index = {"model": model["id"], "vectors": current}
            part.write_text(json.dumps(index), encoding="utf-8")
            part.replace(file)
    scores = [similarity(vectors[question], vectors[text]) for text in texts]
    ranked = sorted(zip(scores, passages, strict=True), reverse=True)
    for score, (source, text) in ranked[: args.top]:
        print(f"{score:.3f}  {source}\n{text}\n")


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
