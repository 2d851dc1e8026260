# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Ask through the Responses API, and go on: the whole conversation is sent each time.

  python scripts/responses.py "What is the capital of France?"
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
    with suppress(UnicodeDecodeError):  # without its key, the error below names .env
        load_dotenv(encoding="utf-8-sig")
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    if not re.fullmatch("[!-~]+", key):  # api_key=None would send OPENAI_API_KEY to OpenRouter
        raise ValueError("OPENROUTER_API_KEY is missing or malformed (environment or UTF-8 .env)")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        os.environ.pop(name, None)  # the client would send these, too
    url = os.environ.get("OPENROUTER_BASE_URL", "").strip() or "https://openrouter.ai/api/v1"
    return OpenAI(base_url=url, api_key=key, timeout=120, max_retries=0)


def check_response(response: Response) -> None:
    """Raise APIError unless the response is a whole answer; HTTP 200 can bring an error, too.

    https://openrouter.ai/docs/api_reference/responses/error-handling
    """
    output = getattr(response, "output", None) or []
    error, status = getattr(response, "error", None), getattr(response, "status", None)
    text = response.output_text if output else ""
    if text and status == "completed" and not error:
        return
    parts = [part for item in output for part in getattr(item, "content", None) or []]
    body = next((part.refusal for part in parts if part.type == "refusal"), None)
    if error:
        fields = {name: getattr(error, name, None) for name in ("code", "message", "metadata")}
        body = error if isinstance(error, str) else fields
    reason = getattr(getattr(response, "incomplete_details", None), "reason", None)
    failure = APIError(f"The answer is not whole ({reason or status})", None, body=body)
    failure.partial = f"{text}\n" if text else ""
    raise failure


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
NETWORK = "OPENROUTER_BASE_URL|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_FILE"


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
        question += "\n\n" + sys.stdin.buffer.read().decode("utf-8-sig")
    if not question.strip():
        sys.exit("Give a question as an argument or through a pipe.")
    instructions = args.prompt.read_text(encoding="utf-8-sig")
    client, items = connect(), []
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    for text in [question.strip(), *args.then]:
        start = time.monotonic()
        response, items = ask(client, model, instructions, items, text)
        print(response.output_text)
        print(report_response(response, start), file=sys.stderr)


def report_response(response: Response, start: float) -> str:
    """Return who answered, tokens, cost in USD (BYOK: what the provider charges, too), seconds."""
    usage = getattr(response, "usage", None)
    names = ["input_tokens", "output_tokens", "cost"]
    names += ["cost_details"] if getattr(usage, "is_byok", False) else []
    facts = [f"{name} {getattr(usage, name, '?')}" for name in names]
    return f"[{', '.join([str(response.model), *facts])}, {time.monotonic() - start:.1f} s]"


def explain(error: Exception) -> str:
    """Return an error as one line: what the server, the provider or the system said."""
    body = getattr(error, "body", None)
    fields = body if isinstance(body, dict) else {}
    said = fields.get("message", body) or f"{type(error).__name__}: {error}"
    parts = [getattr(error, "status_code", fields.get("code")), said, fields.get("metadata")]
    is_network = error.__cause__ or getattr(error, "filename", "") is None
    names = NETWORK if is_network else "OPENROUTER_BASE_URL"
    settings = [f"{k}={v}" for k, v in os.environ.items() if v and re.fullmatch(names, k, re.I)]
    parts = [str(part)[:300] for part in [*parts, error.__cause__, *settings] if part]
    key = os.environ.get("OPENROUTER_API_KEY", "").strip() or "[key]"
    return re.sub("//[^/@]*@", "//", " ".join(": ".join(parts).split()).replace(key, "[key]"))


if __name__ == "__main__":
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader has left, as in `| head -1`
        os._exit(0)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        print(getattr(error, "partial", ""), end="")
        sys.exit(explain(error))
