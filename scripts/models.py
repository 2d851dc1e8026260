# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Search, filter and sort the catalogue of models. It needs no key.

  python scripts/models.py --free --tools
  python scripts/models.py qwen --vision --sort context
  python scripts/models.py --output embeddings --free
  python scripts/models.py --batch

https://openrouter.ai/docs/guides/overview/models
"""

import math
import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, Omit, OpenAI

SORTS = {
    "price": "pricing-low-to-high",
    "context": "context-high-to-low",
    "newest": "newest",
    "throughput": "throughput-high-to-low",
    "latency": "latency-low-to-high",
    "popular": "most-popular",
    "intelligence": "intelligence-high-to-low",
    "coding": "coding-high-to-low",
}


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


def find_models(client: OpenAI, query: dict) -> list[dict]:
    """Return the models that match the query, as the API describes them.

    Queries are q, sort, context, max_price (USD per million tokens), supported_parameters and
    others: https://openrouter.ai/docs/api/api-reference/models/list-all-models-and-their-properties
    """
    options = {"params": query, "headers": {"Authorization": Omit()}}  # the catalogue is public
    models = field(client.get("/models", cast_to=object, options=options), "data")
    return [m for m in models if isinstance(m, dict) and isinstance(m.get("id"), str)]


def price(model: dict, kind: str) -> float:
    """Return a price ("prompt", "completion" ...) in USD per million tokens; NaN if unknown."""
    try:
        usd = float(model["pricing"][kind]) * 1e6
    except (LookupError, TypeError, ValueError):
        return math.nan
    return usd if usd >= 0 else math.nan  # a router's is -1


def is_free(model: dict) -> bool:
    """Return True if the model is free; a web search costs in any case."""
    kinds = set(model.get("pricing") or []) - {"web_search"}
    return bool(kinds) and all(price(model, kind) == 0 for kind in kinds)


# --- The command line. Leave out what follows when you copy. ---

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter


def main() -> None:
    """Read the command line, ask for the models, print them."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("search", nargs="?", help="words in the name or description")
    parser.add_argument("--free", action="store_true", help="all prices are 0")
    parser.add_argument("--tools", action="store_true", help="calls tools")
    parser.add_argument("--structured", action="store_true", help="keeps to a JSON schema")
    parser.add_argument("--reasoning", action="store_true", help="thinks before it answers")
    parser.add_argument("--vision", action="store_true", help="takes images")
    parser.add_argument("--video", action="store_true", help="takes videos")
    parser.add_argument("--zdr", action="store_true", help="with zero data retention")
    parser.add_argument("--output", metavar="KIND", help="image, embeddings, speech, video, ...")
    parser.add_argument("--context", type=int, metavar="TOKENS", help="at least")
    parser.add_argument("--max-price", type=float, metavar="USD", help="per million tokens in")
    parser.add_argument("--sort", choices=SORTS)
    parser.add_argument("--limit", type=int, metavar="N")
    parser.add_argument("--batch", action="store_true", help="models of the Batch API instead")
    parser.add_argument("--json", action="store_true", help="everything the API says")
    args = parser.parse_args()
    wanted = {"tools": args.tools, "structured_outputs": args.structured}
    wanted["reasoning"] = args.reasoning
    inputs = {"image": args.vision, "video": args.video}
    query = {
        "q": args.search,
        "supported_parameters": ",".join(name for name in wanted if wanted[name]),
        "input_modalities": ",".join(name for name in inputs if inputs[name]),
        "output_modalities": args.output,
        "zdr": args.zdr,
        "context": args.context,
        "max_price": args.max_price,
        "sort": SORTS.get(args.sort),
    }
    os.environ["OPENROUTER_API_KEY"] = "unused"  # find_models() sends none
    models = find_models(connect(), {name: value for name, value in query.items() if value})
    models = [model for model in models if model["id"].endswith(":batch") == args.batch]
    models = [model for model in models if is_free(model) or not args.free][: args.limit]
    if args.json:
        print(json.dumps(models, ensure_ascii=False, indent=2))
    else:
        for model in models:
            print(row(model))
    print(f"[{len(models)} models; USD per million tokens in and out]", file=sys.stderr)


def row(model: dict) -> str:
    """Return a model's id, prices, context length, other inputs than text, and abilities."""
    architecture = model.get("architecture") or {}
    prices = [price(model, kind) for kind in ("prompt", "completion")]
    costs = " ".join(f"{usd:8g}" if usd >= 0 else f"{'?':>8}" for usd in prices)
    takes = set(architecture.get("input_modalities") or []) - {"text"}
    abilities = {"tools", "structured_outputs", "reasoning"}
    does = abilities & set(model.get("supported_parameters") or [])
    context = model.get("context_length")
    context = context if isinstance(context, int) else "?"
    return f"{model['id']:50} {costs} {context:>10}  {' '.join(sorted(takes | does))}".rstrip()


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
