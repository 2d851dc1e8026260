# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Ask one question, or hold a conversation, and read the answer as it is written.

  python scripts/chat.py "Why is the sky blue?" -o temperature=0.2
  git diff | python scripts/chat.py "What does this change do?"
  python scripts/chat.py      (a conversation: Ctrl-C stops an answer, Ctrl-D leaves)

https://openrouter.ai/docs/api_reference/streaming
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletionMessage

MODEL = "openrouter/free"  # picks a free model that can do what the request needs


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


def ask(client: OpenAI, model: str, messages: list, /, **parameters: object) -> Iterator[tuple]:
    """Yield (text, chunk) for each piece of the answer; the last chunk has the usage.

    APIError at the end unless the answer is whole. Parameters are any of the API except tools:
    https://openrouter.ai/docs/api_reference/parameters
    """
    answer, end = ChatCompletionMessage(role="assistant", content="", refusal=""), None
    with client.chat.completions.create(
        model=model, messages=messages, stream=True, extra_body=parameters
    ) as stream:
        for chunk in stream:
            choice = chunk.choices[0] if chunk.choices else None  # the usage comes without one
            delta = getattr(choice, "delta", None)
            text = getattr(delta, "content", None) or ""
            answer.content += text
            answer.refusal += getattr(delta, "refusal", None) or ""
            end = chunk if getattr(choice, "finish_reason", None) else end
            yield text, chunk
    check(end, answer)


# --- The command line. Leave out what follows when you copy. ---

import json
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

PROMPT = Path(__file__).resolve().parent.parent / "prompts" / "chat.txt"
FACTS = {"model": True, "provider": True, "usage": {"total_tokens", "cost", "cost_details"}}


def main() -> None:
    """Read the command line and stdin, ask, print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("-o", type=parameter, action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--system", "--prompt", type=Path, default=PROMPT, metavar="FILE")
    args = parser.parse_args()
    messages = [{"role": "system", "content": args.system.read_text(encoding="utf-8-sig")}]
    client = connect()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    question = " ".join(args.question)
    if not sys.stdin.isatty():
        question = f"{question}\n\n{sys.stdin.buffer.read().decode('utf-8-sig')}".strip()
    elif not question:
        return converse(client, model, messages, dict(args.o))
    if not question:
        sys.exit("Give a question as an argument or through a pipe.")
    messages.append({"role": "user", "content": question})
    answer(client, model, messages, dict(args.o))


def parameter(text: str) -> tuple[str, object]:
    """Return name and value of NAME=JSON; a value that is not JSON is text."""
    name, value = text.split("=", 1)
    with suppress(ValueError):
        value = json.loads(value)
    return name, value


def answer(client: OpenAI, model: str, messages: list[dict], parameters: dict) -> str:
    """Print one answer as it comes and, on stderr, who gave it; return it."""
    start, whole = time.monotonic(), ""
    try:
        for text, last in ask(client, model, messages, **parameters):
            whole += text
            print(text, end="", flush=True)
    finally:
        print(end="\n" if whole else "")
    facts = last.model_dump_json(include=FACTS, exclude_none=True, warnings=False)
    print(f"{facts} {time.monotonic() - start:.1f} s", file=sys.stderr)
    return whole


def converse(client: OpenAI, model: str, messages: list[dict], parameters: dict) -> None:
    """Answer questions until Ctrl-D; only whole answers become part of the conversation."""
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        try:
            question = {"role": "user", "content": input()}
            if not question["content"].strip():
                continue
            text = answer(client, model, [*messages, question], parameters)
            text = text.encode(errors="replace").decode()  # half a character can't be sent back
            messages += [question, {"role": "assistant", "content": text}]
        except EOFError:
            return
        except KeyboardInterrupt:
            print("[stopped]", file=sys.stderr)
        except Exception as error:
            print(explain(error), file=sys.stderr)


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
