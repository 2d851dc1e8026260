# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Let a model think before it answers: its thoughts on stderr, the answer on stdout.

  python scripts/reasoning.py "A bat and a ball cost 1.10, the bat 1 more than the ball. The ball?"
  python scripts/reasoning.py "Is 1001 prime?" --model "~openai/gpt-mini-latest" --effort low
  python scripts/reasoning.py "Is 1001 prime?" -m "~anthropic/claude-haiku-latest" --budget 2000

Costs what the model costs, and thoughts cost as much as the answer; the default is free.
https://openrouter.ai/docs/guides/best-practices/reasoning-tokens
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
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
    omit,
)
from openai.types.chat import ChatCompletionChunk

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
PROMPT = "chat"
EFFORTS = ["max", "xhigh", "high", "medium", "low", "minimal", "none"]


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


def check_model(client: OpenAI, model: str, effort: str | None) -> None:
    """Raise ValueError when the catalogue says that a model can't reason with such an effort.

    Effort None is the model's own, "none" means not to reason at all
    (https://openrouter.ai/docs/guides/best-practices/reasoning-tokens).
    """
    try:
        facts = field(client.get(f"/model/{model}", cast_to=object), "data")
    except NotFoundError:  # a preset, or no model: the request will tell
        return
    can, options = facts.get("supported_parameters"), facts.get("reasoning") or {}
    efforts = [name for name in options.get("supported_efforts") or [] if name]
    router = model.startswith("openrouter/")  # may choose a model that reasons
    if effort == "none":
        if options.get("mandatory"):
            raise ValueError(f"{model} can't answer without reasoning: choose another model.")
    elif can and "reasoning" not in can and not router:
        raise ValueError(f"{model} can't reason: python scripts/models.py --reasoning lists some.")
    elif effort and efforts and effort not in efforts:
        raise ValueError(f"{model} knows other efforts: {', '.join(efforts)}.")


def ask(
    client: OpenAI, model: str, messages: list[dict], reasoning: dict, max_tokens: int | None
) -> Iterator[ChatCompletionChunk]:
    """Yield a completion's chunks as they come; APIError at the end unless the answer is whole.

    Reasoning is {"effort": "low"}, {"max_tokens": 2000} or {"enabled": True}, and the thoughts
    come as delta.reasoning; max_tokens is for thoughts and answer together.
    """
    text, end, thoughts = "", None, False
    with client.chat.completions.create(
        model=model,
        messages=messages,
        stream=True,
        max_tokens=max_tokens or omit,
        extra_body={"reasoning": reasoning},
    ) as stream:
        if "event-stream" not in stream.response.headers.get("content-type", ""):
            text = stream.response.read().decode(errors="replace")
            raise APIError(f"No stream came, but {text or 'an empty reply'}", None, body=None)
        for chunk in stream:
            for choice in chunk.choices or []:  # none comes with the usage, last
                text += choice.delta.content or ""
                end = chunk if choice.finish_reason else end
                thoughts = thoughts or bool(getattr(choice.delta, "reasoning", None))
            thoughts = thoughts or count_thoughts(chunk.usage) > 0
            yield chunk
    if thoughts and not text and end and end.choices[0].finish_reason == "length":
        what = "No answer: the reasoning used up all tokens: allow more of them, or less reasoning"
        raise APIError(what, None, body=None)
    check(end, text)


def count_thoughts(usage: object) -> int:
    """Return how many of a completion's tokens were thoughts, also of a model that hides them."""
    details = getattr(usage, "completion_tokens_details", None)
    return getattr(details, "reasoning_tokens", None) or 0


def answer(chunks: Iterator[ChatCompletionChunk]) -> ChatCompletionChunk:
    """Print thoughts (stderr) and answer (stdout) as they come; return the last chunk."""
    dim, plain = ("\x1b[2m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
    thinking = text = False
    try:
        for chunk in chunks:
            for choice in chunk.choices or []:
                if thought := getattr(choice.delta, "reasoning", None):
                    print(f"{dim}{thought}{plain}", end="", file=sys.stderr, flush=True)
                    thinking = True
                if choice.delta.content:
                    print("\n" if thinking else "", end="", file=sys.stderr, flush=True)
                    print(choice.delta.content, end="", flush=True)
                    thinking, text = False, True
    finally:
        print("\n" if thinking else "", end="", file=sys.stderr)
        print("\n" if text else "", end="")
    return chunk


def main() -> None:
    """Read the command line and stdin, ask, print thoughts and answer."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", default=PROMPT, help="prompt file, by name or path")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--effort", choices=EFFORTS, help="default: what the model is set to")
    how.add_argument("--budget", type=int, metavar="TOKENS", help="for the thoughts, at most")
    parser.add_argument("--max-tokens", type=int, help="for thoughts and answer, at most")
    args = parser.parse_args()
    if args.budget is not None and (args.max_tokens or args.budget + 1) <= args.budget:
        raise ValueError("--max-tokens must be more than --budget, to leave some for the answer.")
    reasoning = {"effort": args.effort} if args.effort else {"enabled": True}
    reasoning = reasoning if args.budget is None else {"max_tokens": args.budget}
    question, system = read_input(args.question), read_prompt(args.prompt)
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    client, start = connect(), time.monotonic()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    check_model(client, model, args.effort)
    last = answer(ask(client, model, messages, reasoning, args.max_tokens))
    thoughts = count_thoughts(last.usage)
    if last.usage:
        rest = last.usage.completion_tokens - thoughts
        print(f"[{thoughts} tokens of thoughts, {rest} of answer]", file=sys.stderr)
    print(report(last, start), file=sys.stderr)


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
