# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Move a program from another provider to OpenRouter: the lines that change, and a trial.

  python scripts/migrate.py                               (nine providers, what differs)
  python scripts/migrate.py groq                          (the lines that change)
  python scripts/migrate.py groq "Why is the sky blue?"   (asks both, costs well under a cent)

A trial needs OPENROUTER_API_KEY and, for the other side, the provider's own key.
https://openrouter.ai/docs/guides/community/openai-sdk
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout
from openai.types.chat import ChatCompletion

# Checked in autumn 2026, the free tier on the date in its row. "usd" is the provider's price of a
# million tokens, in and out, where it is dearest; "breaks" is what it refuses or ignores.
PROVIDERS = {
    "openrouter": {
        "base_url": "https://openrouter.ai/api/v1",
        "key": "OPENROUTER_API_KEY",
        "model": "openrouter/free",
        "on_openrouter": "openrouter/free",
        "usd": [0, 0],
        "free": "free models: 20 requests a minute, 50 a day; 1,000 after 10 credits (2026-10-17)",
        "breaks": "drops what a model lacks, unless provider.require_parameters is true",
    },
    "groq": {
        "base_url": "https://api.groq.com/openai/v1",
        "key": "GROQ_API_KEY",
        "model": "openai/gpt-oss-20b",
        "on_openrouter": "openai/gpt-oss-20b",
        "usd": [0.075, 0.30],
        "free": "30 requests and 8,000 tokens a minute, 1,000 requests a day (2026-10-01)",
        "breaks": "refuses n > 1, logprobs, logit_bias, messages[].name; no embeddings",
    },
    "gemini": {
        "base_url": "https://generativelanguage.googleapis.com/v1beta/openai/",
        "key": "GEMINI_API_KEY",
        "model": "gemini-3.5-flash-lite",
        "on_openrouter": "google/gemini-3.5-flash-lite",
        "usd": [0.30, 2.50],
        "free": "Flash, Flash-Lite, Gemma; limits in AI Studio, may train on it (2026-10-07)",
        "breaks": "refuses seed, store, penalties; an error's body is a list",
    },
    "mistral": {
        "base_url": "https://api.mistral.ai/v1",
        "key": "MISTRAL_API_KEY",
        "model": "mistral-small-2603",
        "on_openrouter": "mistralai/mistral-small-2603",
        "usd": [0.15, 0.60],
        "free": "a free mode, in doubt since autumn; may train on it (2026-08-21)",
        "breaks": "refuses max_completion_tokens, stream_options, seed, user, store",
    },
    "huggingface": {
        "base_url": "https://router.huggingface.co/v1",
        "key": "HF_TOKEN",
        "model": "openai/gpt-oss-20b:cheapest",
        "on_openrouter": "openai/gpt-oss-20b",
        "usd": [0.10, 0.50],
        "free": "uncertain: $0.10 of credit a month, or none any more (2026-09-02)",
        "breaks": "chat only, no embeddings; the rest depends on the provider it picks",
    },
    "deepseek": {
        "base_url": "https://api.deepseek.com",
        "key": "DEEPSEEK_API_KEY",
        "model": "deepseek-flash",
        "on_openrouter": "deepseek/deepseek-v4.1-flash",
        "usd": [0.30, 1.20],
        "free": "none (2026-11-12)",
        "breaks": "refuses json_schema, ignores max_completion_tokens; no embeddings",
    },
    "openai": {
        "base_url": "https://api.openai.com/v1",
        "key": "OPENAI_API_KEY",
        "model": "gpt-6-luna",
        "on_openrouter": "openai/gpt-6-luna",
        "usd": [0.10, 0.50],
        "free": "none (2026-09-29)",
        "breaks": "refuses max_tokens, and temperature and top_p unless reasoning_effort is none",
    },
    "anthropic": {
        "base_url": "https://api.anthropic.com/v1/",
        "key": "ANTHROPIC_API_KEY",
        "model": "claude-haiku-5-5",
        "on_openrouter": "anthropic/claude-haiku-5.5",
        "usd": [0.10, 0.50],
        "free": "none (2026-10-11)",
        "breaks": "refuses temperature, top_p, n > 1; ignores response_format; no embeddings",
    },
    "xai": {
        "base_url": "https://api.x.ai/v1",
        "key": "XAI_API_KEY",
        "model": "grok-4.3",
        "on_openrouter": "x-ai/grok-4.3",
        "usd": [1.25, 2.50],
        "free": "none (2026-08-19)",
        "breaks": "refuses frequency_penalty and stop; no embeddings",
    },
}

PROGRAM = """\
client = OpenAI(
    base_url="{base_url}",
    api_key=os.environ["{key}"],
)
completion = client.chat.completions.create(
    model="{model}",
    messages=messages,
)"""


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


def changes(provider: dict) -> str:
    """Return a program for the provider as a diff to the same program for OpenRouter."""
    after = {**PROVIDERS["openrouter"], "model": provider["on_openrouter"]}
    pairs = zip(*(PROGRAM.format(**row).splitlines() for row in (provider, after)), strict=True)
    return "\n".join(f" {old}" if old == new else f"-{old}\n+{new}" for old, new in pairs)


def ask(client: OpenAI, model: str, prompt: str) -> ChatCompletion:
    """Return the completion of one prompt; APIError unless its answer is whole.

    Nothing optional is sent: no two providers take the same max_tokens or temperature.
    """
    messages = [{"role": "user", "content": prompt}]
    try:
        completion = client.chat.completions.create(model=model, messages=messages)
    except APIError as error:
        if isinstance(error.body, list):  # Gemini: [{"error": ...}]
            error.body = next((part["error"] for part in error.body if "error" in part), None)
        raise
    check(completion)
    return completion


def measure(client: OpenAI, model: str, prompt: str, usd: list[float]) -> dict:
    """Ask, and return the answer with model, seconds, tokens in and out, and cost in USD.

    The cost is the server's own word, as OpenRouter's, else tokens times usd per million.
    """
    start = time.monotonic()
    completion = ask(client, model, prompt)
    took, usage = time.monotonic() - start, completion.usage
    asked = getattr(usage, "prompt_tokens", None) or 0
    # Gemini and xAI leave reasoning out of completion_tokens, but not out of the total.
    tokens = [asked, (getattr(usage, "total_tokens", None) or asked) - asked]
    cost = getattr(usage, "cost", None)
    if cost is None:
        cost = sum(count * price for count, price in zip(tokens, usd, strict=True)) / 1_000_000
    answer = completion.choices[0].message.content
    return {"model": model, "seconds": took, "tokens": tokens, "usd": cost, "answer": answer}


def describe(name: str, provider: dict) -> str:
    """Return one provider's row of the table as lines for a person."""
    row = provider | {"usd": "{} in, {} out".format(*provider["usd"])}
    return "\n".join([name, *(f"  {key:15}{value}" for key, value in row.items())])


def main() -> None:
    """Read the command line, then print the table, the lines that change, or both answers."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("provider", nargs="?", choices=PROVIDERS)
    parser.add_argument("prompt", nargs="*", help="asks both sides; piped text follows it")
    parser.add_argument("-m", "--model", help="model on OpenRouter, such as openrouter/free")
    parser.add_argument("--json", action="store_true", help="the table, or the trial, as data")
    args = parser.parse_args()
    if not args.provider or (args.json and not args.prompt):
        rows = {name: PROVIDERS[name] for name in PROVIDERS if args.provider in (None, name)}
        table = "\n\n".join(describe(name, row) for name, row in rows.items())
        return print(json.dumps(rows, indent=2) if args.json else table)
    provider = PROVIDERS[args.provider]
    if not args.prompt:
        print(f"[{args.provider} {provider['breaks']}]", file=sys.stderr)
        return print(changes(provider))
    prompt, client = read_input(args.prompt), connect()
    sides = {"openrouter": (client, args.model or provider["on_openrouter"])}
    key = os.environ.get(provider["key"], "").strip()
    if not re.fullmatch("[!-~]+", key):
        print(f"[{provider['key']} is not set: only OpenRouter is asked]", file=sys.stderr)
    elif args.provider != "openrouter":
        other = client.with_options(base_url=provider["base_url"], api_key=key)
        sides = {args.provider: (other, provider["model"]), **sides}
    results = {}
    for name, (side, model) in sides.items():
        try:
            results[name] = measure(side, model, prompt, provider["usd"])
        except FAILURES as error:
            print(f"{name}: {explain(error)}", file=sys.stderr)
        else:
            print(end="" if args.json else f"--- {name}\n{results[name]['answer']}\n\n")
    if args.json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
    else:
        for name, side in results.items():
            tokens = " + ".join(map(str, side["tokens"]))
            about = " " if name == "openrouter" else "~"  # by the price list
            facts = f"{side['seconds']:5.1f} s  {tokens:>13} tokens {about}${side['usd']:.6f}"
            print(f"{name:11}  {facts}  {side['model']}")
    sys.exit(len(results) < len(sides))


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
