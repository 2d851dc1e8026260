# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Answer a question from the web, with its sources.

  python scripts/web_search.py "What is new in the latest Python release?"
  python scripts/web_search.py "What is new in Python?" --allow python.org --results 3

Costs money, with free models too: most searches cost $0.007, and a model may search several times.
https://openrouter.ai/docs/guides/features/server-tools/web-search
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout
from openai.types.chat import ChatCompletion

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
PROMPT = "web_search"
SEARCHES = 3  # at most
SEARCH_USD = 0.007  # Exa's price; a model's own search has its provider's


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


def search(client: OpenAI, model: str, messages: list[dict], options: dict) -> ChatCompletion:
    """Return a completion that the model based on web searches; it decides whether to search.

    Options are max_uses, max_results, allowed_domains, excluded_domains and others:
    https://openrouter.ai/docs/guides/features/server-tools/web-search
    """
    tool = {"type": "openrouter:web_search", "parameters": options}
    completion = client.chat.completions.create(model=model, messages=messages, tools=[tool])
    check(completion)
    if not completion.choices[0].message.content:
        raise APIError("The model asked for a tool instead of answering", None, body=None)
    return completion


def sources(completion: ChatCompletion) -> list[tuple[str, str]]:
    """Return the (title, URL) of each page that the answer cites, each page once."""
    pages = {}
    for note in completion.choices[0].message.annotations or []:
        page = getattr(note, "url_citation", None)
        if url := getattr(page, "url", None):
            pages.setdefault(url, " ".join((getattr(page, "title", None) or "").split()))
    return [(title, url) for url, title in pages.items()]


def bill(usage: object) -> tuple[int | None, float | None]:
    """Return how many searches a completion took, and about how many USD they cost; None: not said.

    The cost is what the tokens did not cost, where OpenRouter tells the two apart
    (https://openrouter.ai/docs/cookbook/administration/usage-accounting), else SEARCH_USD each.
    """
    counts = getattr(usage, "server_tool_use_details", None)
    counts = counts or getattr(usage, "server_tool_use", None) or {}  # its name in the guide
    count, parts = counts.get("web_search_requests"), getattr(usage, "cost_details", None) or {}
    tokens = [parts.get(f"upstream_inference_{kind}_cost") for kind in ("prompt", "completions")]
    if None not in tokens:
        rest = round((getattr(usage, "cost", None) or 0) - sum(tokens), 6)
        if rest > 0:
            return count, rest
    return count, None if count is None else count * SEARCH_USD


def main() -> None:
    """Read the command line and stdin, search, print the answer, its sources and the cost."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", default=PROMPT, help="prompt file, by name or path")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--allow", action="append", metavar="DOMAIN", help="only; repeat for each")
    where.add_argument("--exclude", action="append", metavar="DOMAIN", help="repeat for each")
    parser.add_argument("--results", type=int, metavar="N", help="per search, 1 to 25; default 5")
    parser.add_argument("--searches", type=int, default=SEARCHES, metavar="N", help="at most")
    args = parser.parse_args()
    if "/" in "".join([*(args.allow or []), *(args.exclude or [])]):
        raise ValueError("--allow and --exclude take domains such as python.org, not addresses.")
    options = {
        "max_uses": args.searches,
        "max_results": args.results,
        "allowed_domains": args.allow,
        "excluded_domains": args.exclude,
    }
    options = {name: value for name, value in options.items() if value is not None}
    question, system = read_input(args.question), read_prompt(args.prompt)
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    client, start = connect(), time.monotonic()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    cost = f"about ${SEARCH_USD} each, at most {args.searches} of them"
    print(f"[searches cost money, with free models too: {cost}]", file=sys.stderr)
    completion = search(client, model, messages, options)
    print(completion.choices[0].message.content)
    pages = [" - ".join(filter(None, page)) for page in sources(completion)]
    if pages:
        print("", *(f"[{number}] {page}" for number, page in enumerate(pages, 1)), sep="\n")
    count, usd = bill(completion.usage)
    cost = f", about ${usd:.4f}" if usd else ""
    print(f"[searches: {'not told' if count is None else count}{cost}]", file=sys.stderr)
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
