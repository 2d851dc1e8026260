# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Move a program from another provider to OpenRouter: the lines that change, and a trial.

  python scripts/migrate.py                               (nine providers, what differs)
  python scripts/migrate.py groq                          (the lines that change)
  python scripts/migrate.py groq "Why is the sky blue?"   (asks both, costs well under a cent)

A trial needs OPENROUTER_API_KEY and, for the other side, the provider's own key.
https://openrouter.ai/docs/guides/community/openai-sdk
"""

import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletion

PROVIDERS = {  # as of November 2026; "breaks" is what it refuses or ignores
    "openrouter": {
        "base_url": "https://openrouter.ai/api/v1",
        "key": "OPENROUTER_API_KEY",
        "model": "openrouter/free",
        "on_openrouter": "openrouter/free",
        "breaks": "drops what a model lacks",
    },
    "groq": {
        "base_url": "https://api.groq.com/openai/v1",
        "key": "GROQ_API_KEY",
        "model": "openai/gpt-oss-20b",
        "on_openrouter": "openai/gpt-oss-20b",
        "breaks": "no n > 1, logprobs, embeddings",
    },
    "gemini": {
        "base_url": "https://generativelanguage.googleapis.com/v1beta/openai/",
        "key": "GEMINI_API_KEY",
        "model": "gemini-3.5-flash-lite",
        "on_openrouter": "google/gemini-3.5-flash-lite",
        "breaks": "no seed, store or penalties",
    },
    "mistral": {
        "base_url": "https://api.mistral.ai/v1",
        "key": "MISTRAL_API_KEY",
        "model": "mistral-small-2603",
        "on_openrouter": "mistralai/mistral-small-2603",
        "breaks": "no max_completion_tokens, stream_options, seed",
    },
    "huggingface": {
        "base_url": "https://router.huggingface.co/v1",
        "key": "HF_TOKEN",
        "model": "openai/gpt-oss-20b:cheapest",
        "on_openrouter": "openai/gpt-oss-20b",
        "breaks": "chat only, no embeddings",
    },
    "deepseek": {
        "base_url": "https://api.deepseek.com",
        "key": "DEEPSEEK_API_KEY",
        "model": "deepseek-flash",
        "on_openrouter": "deepseek/deepseek-v4.1-flash",
        "breaks": "no json_schema, no embeddings",
    },
    "openai": {
        "base_url": "https://api.openai.com/v1",
        "key": "OPENAI_API_KEY",
        "model": "gpt-6-luna",
        "on_openrouter": "openai/gpt-6-luna",
        "breaks": "no max_tokens, mostly no temperature",
    },
    "anthropic": {
        "base_url": "https://api.anthropic.com/v1/",
        "key": "ANTHROPIC_API_KEY",
        "model": "claude-haiku-5-5",
        "on_openrouter": "anthropic/claude-haiku-5.5",
        "breaks": "no temperature; ignores response_format",
    },
    "xai": {
        "base_url": "https://api.x.ai/v1",
        "key": "XAI_API_KEY",
        "model": "grok-4.3",
        "on_openrouter": "x-ai/grok-4.3",
        "breaks": "no frequency_penalty, stop, embeddings",
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


def check(reply: object, streamed: object = None, tools: bool = False) -> None:
    """Raise APIError unless the reply is a whole answer; HTTP 200 can bring an error, too."""
    choice = reply.choices[0] if getattr(reply, "choices", None) else None
    message = streamed or getattr(choice, "message", None)
    content, reason = getattr(message, "content", None), getattr(choice, "finish_reason", None)
    text = content if isinstance(content, str) else ""
    calls = getattr(message, "tool_calls", None) if tools else None
    whole = {"stop": text.strip() or calls, "tool_calls": calls}.get(reason)
    server_error = getattr(reply, "error", None) or getattr(choice, "error", None)
    if server_error or not whole:
        what = f"The answer is not whole (finish_reason: {reason})"
        error = APIError(what, None, body=server_error or getattr(message, "refusal", None))
        error.partial = f"{text}\n" if text and not streamed else ""
        raise error


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
    completion = client.chat.completions.create(model=model, messages=messages)
    check(completion)
    return completion


# --- The command line. Leave out what follows when you copy. ---

import json
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter

FACTS = {"model", "provider", "usage"}


def main() -> None:
    """Read the command line, then print the table, the lines that change, or both answers."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("provider", nargs="?", choices=PROVIDERS)
    parser.add_argument("prompt", nargs="*", help='asks both sides ("-": read it from the pipe)')
    parser.add_argument("-m", "--model", help="model on OpenRouter, such as openrouter/free")
    parser.add_argument("--json", action="store_true", help="the table, or the trial, as data")
    args = parser.parse_args()
    provider = PROVIDERS.get(args.provider)
    prompt = " ".join(args.prompt)
    if prompt == "-":
        prompt = sys.stdin.buffer.read().decode("utf-8-sig")
    if prompt:
        compare(provider, args.model, prompt, args.json)
    elif provider and not args.json:
        print(f"[{args.provider}: {provider['breaks']}]", file=sys.stderr)
        print(changes(provider))
    else:
        rows = {args.provider: provider} if provider else PROVIDERS
        table = [f"{name}\n  " + "\n  ".join(row.values()) for name, row in rows.items()]
        print(json.dumps(rows, indent=2) if args.json else "\n".join(table))


def compare(provider: dict, model: str | None, prompt: str, as_json: bool) -> None:
    """Ask both sides, or OpenRouter alone without the provider's key; print the answers."""
    client, key = connect(), os.environ.get(provider["key"], "").strip()
    sides, failures = [(client, model or provider["on_openrouter"])], 0
    if not key:
        print(f"[{provider['key']} is not set: only OpenRouter is asked]", file=sys.stderr)
    elif provider is not PROVIDERS["openrouter"]:
        other = client.with_options(base_url=provider["base_url"], api_key=key)
        sides.insert(0, (other, provider["model"]))
    results = []
    for side, name in sides:
        start = time.monotonic()
        try:
            completion = ask(side, name, prompt)
        except Exception as error:  # the other side goes on
            print(getattr(error, "partial", ""), end="")
            text = explain(error)
            for part in key.split():  # one of two lines would be shown in two parts
                text = text.replace(part, "[key]")
            print(f"{name}: {text}", file=sys.stderr)
            failures += 1
            continue
        seconds, answer = time.monotonic() - start, completion.choices[0].message.content
        facts = completion.model_dump_json(include=FACTS, exclude_none=True, warnings=False)
        result = {"url": str(side.base_url), "model": name, "seconds": round(seconds, 3)}
        results.append(result | {"answer": answer, "usage": json.loads(facts).get("usage")})
        if not as_json:
            print(f"--- {name}\n{answer}\n{facts} {seconds:.1f} s\n")
    if as_json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
    sys.exit(min(failures, 1))


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
