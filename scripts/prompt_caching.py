# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Ask several questions about one long text, and see what the cache does to their cost.

  python scripts/prompt_caching.py "What is it for?" "What can go wrong?" scripts/chat.py
  cat book.txt | python scripts/prompt_caching.py "Who dies?" "Who is to blame?" -

Costs money. Most models cache texts from 1,024 tokens on, some from 4,096; writing to the cache can
cost more, reading from it costs a half to a tenth.
https://openrouter.ai/docs/guides/best-practices/prompt-caching
"""

import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletion

MODEL = "~openai/gpt-luna-latest"  # cheap, and it caches; a free model has nothing to save


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


def ask_about(client: OpenAI, model: str, text: str, question: str, session: str) -> ChatCompletion:
    """Return the completion for a question about a text; APIError unless it is whole.

    Everything up to cache_control is the same in each request and is cached, by models that need
    no such mark as well. One session keeps one provider, which has the cache.
    """
    cached = {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
    completion = client.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": [cached]}, {"role": "user", "content": question}],
        extra_body={"session_id": session},
    )
    check(completion)
    return completion


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from uuid import uuid4

PROMPT = Path(__file__).resolve().parent.parent / "prompts" / "prompt_caching.txt"
FACTS = {"model", "provider", "usage", "cache_discount"}


def main() -> None:
    """Read the command line and the text, ask, print answers, cached tokens and costs."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="+", help="two or more show what the cache does")
    parser.add_argument("file", help='the long text; "-": read the pipe')
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", type=Path, default=PROMPT, metavar="FILE")
    args = parser.parse_args()
    data = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
    if not data.strip():
        sys.exit("There is no text to ask about.")
    text = args.prompt.read_text(encoding="utf-8-sig") + data.decode("utf-8-sig")
    client, session = connect(), uuid4().hex
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    for question in args.question:
        start = time.monotonic()
        completion = ask_about(client, model, text, question, session)
        print(completion.choices[0].message.content)
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
