# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Turn free text into a checked object: notes in, a summary and tasks as JSON out.

  python scripts/structured_output.py tests/data/meeting.txt
  echo "Minji sends the offer by Friday." | python scripts/structured_output.py

Change the two classes and prompts/structured_output.txt to extract something else.
https://openrouter.ai/docs/guides/features/structured-outputs
"""

import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, ValidationError

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
EXTRAS = {
    "provider": {"require_parameters": True},  # only providers that know schemas
    "plugins": [{"id": "response-healing"}],  # repairs broken JSON syntax
}


class Task(BaseModel, extra="forbid"):
    """One thing to do."""

    who: str
    what: str
    due: str | None


class Notes(BaseModel, extra="forbid"):
    """What the text says, in short."""

    summary: str
    tasks: list[Task]


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


def extract(client: OpenAI, model: str, prompt: str) -> tuple[Notes, ChatCompletion]:
    """Return the validated object and the last completion; APIError if one repair fails, too."""
    schema = {"name": "notes", "strict": True, "schema": Notes.model_json_schema()}
    form = {"type": "json_schema", "json_schema": schema}
    messages = [{"role": "user", "content": prompt}]
    for _ in range(2):
        completion = client.chat.completions.create(
            model=model, messages=messages, response_format=form, extra_body=EXTRAS
        )
        check(completion)
        answer = completion.choices[0].message.content or ""
        answer = answer.encode(errors="replace").decode()  # half a character can't be sent back
        try:
            return Notes.model_validate_json(answer), completion
        except ValidationError as error:
            problem = f"The answer does not fit the schema: {error}"
        repair = f"{problem}\nReply with the corrected JSON only."
        messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": repair}]
    raise APIError(f"Even after one repair: {problem}", None, body=None)


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

PROMPT = Path(__file__).resolve().parent.parent / "prompts" / "structured_output.txt"
FACTS = {"model": True, "provider": True, "usage": {"total_tokens", "cost", "cost_details"}}


def main() -> None:
    """Read the text, extract, print JSON."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", default="-", help='a text file; "-": read the pipe')
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", type=Path, default=PROMPT, metavar="FILE")
    args = parser.parse_args()
    data = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
    text = data.decode("utf-8-sig").strip()
    if not text:
        sys.exit("There is no text to extract from.")
    template = args.prompt.read_text(encoding="utf-8-sig")
    if "{{input}}" not in template:
        sys.exit(f"{args.prompt} has no {{{{input}}}}, where the text goes.")
    client, start = connect(), time.monotonic()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    notes, completion = extract(client, model, template.replace("{{input}}", text, 1))
    print(notes.model_dump_json(indent=2))
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
