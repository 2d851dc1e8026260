# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Ask through the Responses API, and go on: the whole conversation is sent each time.

  python scripts/responses.py "What is the capital of France?" --then "Since when?"

https://openrouter.ai/docs/api_reference/responses/overview
"""

import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI
from openai.types.responses import Response

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


def check_response(response: object) -> None:
    """Raise APIError unless the response is a whole answer; HTTP 200 can bring an error, too."""
    text = response.output_text if getattr(response, "output", None) else ""
    status, said = getattr(response, "status", None), getattr(response, "error", None)
    if said or not text.strip() or status != "completed":
        why = getattr(response, "incomplete_details", None) or getattr(response, "output", None)
        body = said.to_dict(warnings=False) if hasattr(said, "to_dict") else said
        error = APIError(f"The answer is not whole ({status}): {why}", None, body=body)
        error.partial = f"{text}\n" if text else ""
        raise error


def ask(
    client: OpenAI, model: str, instructions: str, items: list[dict], question: str
) -> tuple[Response, list[dict]]:
    """Return the response and the items with question and answer added, to be passed next time.

    OpenRouter remembers nothing. Answers that are sent back need an id and a status:
    https://openrouter.ai/docs/api_reference/responses/basic-usage
    """
    part = {"type": "input_text", "text": question}
    items = [*items, {"type": "message", "role": "user", "content": [part]}]
    response = client.responses.create(model=model, instructions=instructions, input=items)
    check_response(response)
    text = response.output_text.encode(errors="replace").decode()  # no half characters
    answer = {"type": "message", "role": "assistant", "id": f"msg_{len(items)}"}
    part = {"type": "output_text", "text": text, "annotations": []}
    return response, [*items, {**answer, "status": "completed", "content": [part]}]


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

PROMPT = Path(__file__).resolve().parent.parent / "prompts" / "chat.txt"
FACTS = {"model": True, "provider": True, "usage": {"total_tokens", "cost", "cost_details"}}


def main() -> None:
    """Read the command line and stdin, ask, go on, print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("--then", action="append", default=[], help="what to ask next; repeat it")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", type=Path, default=PROMPT, metavar="FILE")
    args = parser.parse_args()
    question = " ".join(args.question)
    if not sys.stdin.isatty():
        question = f"{question}\n\n{sys.stdin.buffer.read().decode('utf-8-sig')}".strip()
    if not question:
        sys.exit("Give a question as an argument or through a pipe.")
    instructions = args.prompt.read_text(encoding="utf-8-sig")
    client, items = connect(), []
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    for text in [question, *args.then]:
        start = time.monotonic()
        response, items = ask(client, model, instructions, items, text)
        print(response.output_text)
        facts = response.model_dump_json(include=FACTS, exclude_none=True, warnings=False)
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
