# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Ask one or more PDFs, files or URLs, with a parser that is free.

  python scripts/pdf.py "What is different?" old.pdf https://example.com/new.pdf
  python scripts/pdf.py "What is the total?" scan.pdf --engine mistral-ocr     (costs)

https://openrouter.ai/docs/guides/overview/multimodal/pdfs
"""

import os
import re
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletion

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
ENGINE = "cloudflare-ai"  # free; without an engine, OpenRouter may choose one that costs


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


def pdf_part(source: str) -> dict:
    """Return the message part for a PDF: a URL as it is, a file as a data URL."""
    url = source
    if not source.startswith(("https://", "http://")):
        data = Path(source).read_bytes()
        if b"%PDF-" not in data[:1024]:  # some programs write a few bytes before it
            raise ValueError(f"{source} is not a PDF")
        url = f"data:application/pdf;base64,{b64encode(data).decode()}"
    return {"type": "file", "file": {"filename": Path(source).name, "file_data": url}}


def ask(
    client: OpenAI, model: str, question: str, sources: list[str], engine: str = ENGINE
) -> ChatCompletion:
    """Return the completion for a question about PDFs; APIError unless it is whole."""
    content = [{"type": "text", "text": question}, *map(pdf_part, sources)]
    parser = {"id": "file-parser", "pdf": {"engine": engine}}
    completion = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": content}],
        extra_body={"plugins": [parser]},
    )
    check(completion)
    return completion


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter

PROMPT = Path(__file__).resolve().parent.parent / "prompts" / "pdf.txt"
FACTS = {"model": True, "provider": True, "usage": {"total_tokens", "cost", "cost_details"}}


def main() -> None:
    """Read the command line, ask, print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", help='what to ask ("-": read it from the pipe)')
    parser.add_argument("source", nargs="+", help="files or URLs")
    parser.add_argument("--engine", default=ENGINE, help="mistral-ocr (reads scans), native")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", type=Path, default=PROMPT, metavar="FILE")
    args = parser.parse_args()
    question = args.question
    if question == "-":
        question = sys.stdin.buffer.read().decode("utf-8-sig")
    question = f"{args.prompt.read_text(encoding='utf-8-sig')}\n{question}"
    client, start = connect(), time.monotonic()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    completion = ask(client, model, question, args.source, args.engine)
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
