# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Choose the providers that may answer: the cheapest, the fastest, the ones that keep nothing.

  python scripts/routing.py "Name three rivers." --no-collection
  python scripts/routing.py "Name three rivers." -m openai/gpt-oss-20b --sort price --zdr
  python scripts/routing.py "Name three rivers." -m openai/gpt-oss-20b --max-price 0.1 0.5

Costs what the model costs; the default is free. Prices are US dollars per million tokens.
https://openrouter.ai/docs/guides/routing/provider-selection
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from decimal import Decimal
from pathlib import Path

from dotenv import load_dotenv
from openai import (
    APIError,
    APITimeoutError,
    DefaultHttpxClient,
    NotFoundError,
    OpenAI,
    OpenAIError,
    Timeout,
)
from openai.types.chat import ChatCompletion

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
PROMPT = "chat"


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


def price(model: dict, kind: str) -> Decimal | None:
    """Return a price ("prompt", "completion") in USD per million tokens; None when it varies."""
    text = (model.get("pricing") or {}).get(kind) or "-1"
    return None if text.startswith("-") else Decimal(text) * 1_000_000


def list_providers(client: OpenAI, model: str) -> list[dict]:
    """Return the providers of a model, each as a dict in the API's own form; none for a router.

    https://openrouter.ai/docs/api/api-reference/endpoints/list-all-endpoints-for-a-model
    """
    try:
        reply = client.get(f"/models/{model}/endpoints", cast_to=object)
    except NotFoundError:
        return []
    return field(field(reply, "data"), "endpoints")


def ask_provider(
    client: OpenAI, model: str, messages: list[dict], wishes: dict, parameters: dict
) -> ChatCompletion:
    """Return the completion of a provider that meets the wishes: sort, only, zdr and so on.

    completion.openrouter_metadata says who was tried. NotFoundError when no provider is left:
    see ruled_out(). https://openrouter.ai/docs/guides/routing/provider-selection
    """
    completion = client.chat.completions.create(
        model=model,
        messages=messages,
        extra_body={"provider": wishes},
        extra_headers={"X-OpenRouter-Metadata": "enabled"},
        **parameters,
    )
    check(completion)
    return completion


def ruled_out(error: NotFoundError) -> str:
    """Return which wishes left no provider, and whom they ruled out; "" when not said.

    https://openrouter.ai/docs/api_reference/errors-and-debugging
    """
    body = error.body if isinstance(error.body, dict) else {}
    why = body.get("availability") or {}
    facts = [*(why.get("excluded_by") or []), (why.get("constraint") or {}).get("detail")]
    facts = "; ".join(filter(None, facts))
    providers = ", ".join(why.get("affected_providers") or ["every provider"])
    return f"{providers} ruled out by {facts}" if facts else ""


def row(endpoint: dict) -> list[str]:
    """Return a provider's tag, prices, context, and its uptime, latency and speed (medians)."""
    prices = [price(endpoint, kind) for kind in ("prompt", "completion")]
    uptime = endpoint.get("uptime_last_30m")
    latency = (endpoint.get("latency_last_30m") or {}).get("p50")
    speed = (endpoint.get("throughput_last_30m") or {}).get("p50")
    return [
        endpoint.get("tag") or endpoint.get("provider_name") or "?",
        *("?" if usd is None else "free" if usd == 0 else f"{usd.normalize():f}" for usd in prices),
        f"{endpoint.get('context_length') or 0:,}",
        "?" if uptime is None else f"{uptime:.1f}%",
        "?" if latency is None else f"{latency / 1000:.2f} s",
        "?" if speed is None else f"{speed:.0f}/s",
        endpoint.get("quantization") or "",
    ]


def main() -> None:
    """Read the command line and stdin, list the providers, ask, print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", default=PROMPT, help="prompt file, by name or path")
    first = parser.add_mutually_exclusive_group()
    first.add_argument("--sort", choices=["price", "throughput", "latency"], help="best first")
    first.add_argument("--order", action="append", metavar="PROVIDER", help="repeat for each")
    parser.add_argument("--only", action="append", metavar="PROVIDER", help="repeat for each")
    parser.add_argument("--ignore", action="append", metavar="PROVIDER", help="repeat for each")
    parser.add_argument("--no-fallbacks", action="store_true", help="the first provider or none")
    parser.add_argument("--max-price", nargs=2, type=float, metavar=("IN", "OUT"), help="in USD")
    parser.add_argument("--no-collection", action="store_true", help="none that keeps your data")
    parser.add_argument("--zdr", action="store_true", help="only with zero data retention")
    parser.add_argument("--quantization", action="append", metavar="BITS", help="fp8, bf16, ...")
    parser.add_argument("--seed", type=int, help="a parameter that some providers don't know")
    parser.add_argument("--require-parameters", action="store_true", help="only who knows them")
    args = parser.parse_args()
    most = dict(zip(("prompt", "completion"), map(str, args.max_price or []), strict=False))
    wishes = {
        "sort": args.sort,
        "order": args.order,
        "only": args.only,
        "ignore": args.ignore,
        "allow_fallbacks": False if args.no_fallbacks else None,
        "max_price": most or None,
        "data_collection": "deny" if args.no_collection else None,
        "zdr": args.zdr or None,
        "quantizations": args.quantization,
        "require_parameters": args.require_parameters or None,
    }
    wishes = {name: wish for name, wish in wishes.items() if wish is not None}
    parameters = {} if args.seed is None else {"seed": args.seed}
    question, system = read_input(args.question), read_prompt(args.prompt)
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    client = connect()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    providers = list_providers(client, model)
    head = ["provider", "$ in", "$ out", "context", "uptime", "latency", "speed", "bits"]
    for line in [head, *map(row, providers)] if providers else []:
        print("{:26} {:>7} {:>7} {:>10} {:>7} {:>8} {:>7}  {}".format(*line), file=sys.stderr)
    if not providers:
        print(f"[{model} has no providers of its own: a router, or no model]", file=sys.stderr)
    start = time.monotonic()
    try:
        completion = ask_provider(client, model, messages, wishes, parameters)
    except NotFoundError as error:
        if facts := ruled_out(error):
            print(f"[{facts}]", file=sys.stderr)
            print("[not your wish? https://openrouter.ai/settings/privacy]", file=sys.stderr)
        raise
    print(completion.choices[0].message.content)
    metadata = getattr(completion, "openrouter_metadata", None) or {}
    for attempt in metadata.get("attempts") or []:
        print(f"[tried {attempt.get('provider')}: {attempt.get('status')}]", file=sys.stderr)
    if metadata.get("summary"):
        print(f"[{metadata['summary']}]", file=sys.stderr)
    print(report(completion, start), file=sys.stderr)


# From here on, the same in every script.


def read_prompt(name: str) -> str:
    """Return a prompt's text: NAME.txt in prompts/ or beside this script, or any file."""
    here = Path(__file__).resolve().parent
    files = [folder / f"{name}.txt" for folder in (here.parent / "prompts", here / "prompts", here)]
    file = next((file for file in files if file.is_file()), Path(name))
    return file.read_text(encoding="utf-8-sig").strip()


def read_input(words: list[str]) -> str:
    """Return the words of the command line, then what was piped in; ValueError without any."""
    text = " ".join(word for word in words if word != "-")
    if "-" in words or not sys.stdin.isatty():
        text += "\n\n" + sys.stdin.buffer.read().decode("utf-8-sig")
    if not text.strip():
        raise ValueError("There is no text: write it after the command, or pipe it in.")
    return text.strip()


def report(reply: object, start: float) -> str:
    """Return who answered and at what price: model, provider, tokens in + out, USD, seconds."""
    usage, facts = getattr(reply, "usage", None), [reply.model, getattr(reply, "provider", None)]
    if usage:
        facts.append(f"{usage.prompt_tokens} + {usage.completion_tokens} tokens")
        facts.append(f"${usage.cost:.6f}" if getattr(usage, "cost", None) is not None else None)
    return f"[{', '.join(filter(None, facts))}, {time.monotonic() - start:.1f} s]"


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
