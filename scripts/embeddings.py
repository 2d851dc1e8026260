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
    with suppress(UnicodeDecodeError):  # without its key, the error below names .env
        load_dotenv(encoding="utf-8-sig")
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    if not re.fullmatch("[!-~]+", key):  # api_key=None would send OPENAI_API_KEY to OpenRouter
        raise ValueError("OPENROUTER_API_KEY is missing or malformed (environment or UTF-8 .env)")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        os.environ.pop(name, None)  # the client would send these, too
    url = os.environ.get("OPENROUTER_BASE_URL", "").strip() or "https://openrouter.ai/api/v1"
    return OpenAI(base_url=url, api_key=key, timeout=120, max_retries=0)


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


def read_passages(path: Path) -> tuple[list[tuple[Path, int, str]], list[Path]]:
    """Return (file, line, text) of each passage, and the files that are not text; none hidden."""
    passages, others = [], []
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        hidden = [part for part in file.relative_to(path).parts if part.startswith(".")]
        if hidden or file.is_dir():
            continue
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            others.append(file)
        else:
            passages += [(file, line, passage) for line, passage in split_passages(text)]
    return passages, others


def split_passages(text: str) -> Iterator[tuple[int, str]]:
    """Yield first line and text of each paragraph, with its headings; long ones come in parts."""
    line, end = 1, 0
    for block in re.finditer(r"(?:#.*\n\s*)*\S[\s\S]*?(?=\n\s*\n|\Z)", text):
        for part in re.finditer(rf"\S[\s\S]{{0,{SIZE - 1}}}(?!\S)|\S{{1,{SIZE}}}", block[0]):
            start = block.start() + part.start()
            line, end = line + text.count("\n", end, start), start
            yield line, part[0].rstrip()


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

NETWORK = "OPENROUTER_BASE_URL|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_FILE"
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
        question = sys.stdin.buffer.read().decode("utf-8-sig").strip()
    passages, others = read_passages(args.path)
    if others:
        print(f"[{len(others)} files are not UTF-8 text, such as {others[0]}]", file=sys.stderr)
    if not passages:
        sys.exit(f"{args.path} has no text to search.")
    client, start = connect(), time.monotonic()
    file, model, vectors = open_index(args.path, args.model)
    if not model:
        choice = cheapest(client, "embeddings")
        model = choice["id"]
        print(f"[{model}, prices in USD: {choice.get('pricing')}]", file=sys.stderr)
    texts = [text for _, _, text in passages]
    try:
        for usage in embed(client, model, [question, *texts], vectors):
            print(f"[{model}, {usage}, {time.monotonic() - start:.1f} s]", file=sys.stderr)
    finally:  # what was paid for is kept, whatever happens to the rest
        current = {text: vectors[text] for text in texts if text in vectors}
        part = file.with_name(f"{file.name}.part")
        part.write_text(json.dumps({"model": model, "vectors": current}), encoding="utf-8")
        if current:
            part.replace(file)
    scores = [similarity(vectors[question], vectors[text]) for text in texts]
    ranked = sorted(zip(scores, passages, strict=True), reverse=True)
    for score, (source, line, text) in ranked[: args.top]:
        print(f"{score:.3f}  {source}:{line}\n{text}\n")


def open_index(path: Path, model: str | None) -> tuple[Path, str | None, dict]:
    """Return file, model and vectors of the index of a path; no vectors for another model."""
    file = path / INDEX if path.is_dir() else path.with_name(f".{path.name}{INDEX}")
    file.with_name(f"{file.name}.part").touch()  # an unwritable place is found before it costs
    index = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"vectors": {}}
    if index["vectors"] and model in (None, index["model"]):
        return file, index["model"], index["vectors"]
    return file, model, {}


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
