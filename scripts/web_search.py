# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Answer a question from the web, with its sources.

  python scripts/web_search.py "What is new in the latest Python release?"
  python scripts/web_search.py "What is new in Python?" --allow python.org --fetch

Searches cost money, with free models, too: most $0.007 each, and a model may search several times.
https://openrouter.ai/docs/guides/features/server-tools/web-search
"""

import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletion

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
MAX_USES = 3  # searches for one question, and pages to fetch


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


def search(
    client: OpenAI, model: str, messages: list[dict], domains: list[str], fetch: bool = False
) -> ChatCompletion:
    """Return a completion that is based on web searches; APIError unless it is whole.

    The model decides whether to search, in these domains only if there are any, and whether to
    fetch whole pages: https://openrouter.ai/docs/guides/features/server-tools/web-fetch
    """
    parameters = {"max_uses": MAX_USES}
    if domains:
        parameters["allowed_domains"] = domains
    names = ["web_search", "web_fetch"] if fetch else ["web_search"]
    tools = [{"type": f"openrouter:{name}", "parameters": parameters} for name in names]
    completion = client.chat.completions.create(model=model, messages=messages, tools=tools)
    check(completion)
    return completion


def sources(completion: ChatCompletion) -> dict[str, str]:
    """Return {URL: title} of the pages that the answer cites, in its order."""
    pages = {}
    for note in completion.choices[0].message.annotations or []:
        citation = getattr(note, "url_citation", None)
        url, title = getattr(citation, "url", None), getattr(citation, "title", None)
        if isinstance(url, str):
            pages.setdefault(url, title if isinstance(title, str) else "")
    return pages


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

PROMPT = Path(__file__).resolve().parent.parent / "prompts" / "web_search.txt"
FACTS = {"model", "provider", "usage"}


def main() -> None:
    """Read the command line and stdin, search, print the answer, its sources and the cost."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("--allow", action="append", default=[], metavar="DOMAIN", help="no other")
    parser.add_argument("--fetch", action="store_true", help="let the model read whole pages, too")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", type=Path, default=PROMPT, metavar="FILE")
    args = parser.parse_args()
    question = " ".join(args.question)
    if not sys.stdin.isatty():
        question = f"{question}\n\n{sys.stdin.buffer.read().decode('utf-8-sig')}".strip()
    if not question:
        sys.exit("Give a question as an argument or through a pipe.")
    system = args.prompt.read_text(encoding="utf-8-sig")
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    client, start = connect(), time.monotonic()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    print(f"[up to {MAX_USES} searches, most cost $0.007 each]", file=sys.stderr)
    completion = search(client, model, messages, args.allow, args.fetch)
    print(completion.choices[0].message.content)
    pages = sources(completion)
    print(end="\n" if pages else "")
    for number, (url, title) in enumerate(pages.items(), 1):
        print(f"[{number}] {' '.join([*title.split(), url])}")
    facts = completion.model_dump_json(include=FACTS, exclude_none=True, warnings=False)
    print(f"{facts} {time.monotonic() - start:.1f} s", file=sys.stderr)


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
