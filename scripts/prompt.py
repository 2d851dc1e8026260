# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Run a prompt file as a command. A new text file in prompts/ is a new command.

  python scripts/prompt.py                          (lists the prompts)
  python scripts/prompt.py translate "Good morning" --set language=Korean
  git diff | python scripts/prompt.py review
  python scripts/prompt.py summarize "Some text" --show       (no key needed)

https://openrouter.ai/docs/api_reference/overview
"""

import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletion

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
PLACEHOLDER = re.compile(r"{{(\w+)(?:=([^{}]*))?}}")  # {{name}} or {{name=default}}


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


def fill(template: str, values: dict[str, str]) -> str:
    """Return the template with its placeholders replaced; ValueError lists all that do not fit.

    What is inserted is not searched for placeholders again.
    """
    defaults = dict(PLACEHOLDER.findall(template))
    required = {match[1] for match in PLACEHOLDER.finditer(template) if match[2] is None}
    missing, unknown = sorted(required - values.keys()), sorted(values.keys() - defaults.keys())
    if missing or unknown:
        raise ValueError(f"Without a value: {missing}. Not in the prompt: {unknown}")
    return PLACEHOLDER.sub(lambda match: values.get(match[1], match[2]), template)


def complete(client: OpenAI, model: str, prompt: str, /, **parameters: object) -> ChatCompletion:
    """Return the completion of one prompt; APIError unless its answer is whole."""
    messages = [{"role": "user", "content": prompt}]
    completion = client.chat.completions.create(
        model=model, messages=messages, extra_body=parameters
    )
    check(completion)
    return completion


# --- The command line. Leave out what follows when you copy. ---

import json
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

PROMPTS = Path(__file__).resolve().parent.parent / "prompts"
FACTS = {"model": True, "provider": True, "usage": {"total_tokens", "cost", "cost_details"}}


def main() -> None:
    """Read the command line and stdin, fill the prompt, send it, print the answer."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", help="a prompt in prompts/, or any file")
    parser.add_argument("text", nargs="*", help="what {{input}} stands for; piped text follows it")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--show", action="store_true", help="print the prompt, send nothing")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("-o", type=parameter, action="append", default=[], metavar="NAME=JSON")
    args = parser.parse_args()
    if not args.name:
        list_prompts()
        return
    path = PROMPTS / f"{args.name}.txt"
    template = (path if path.is_file() else Path(args.name)).read_text(encoding="utf-8-sig")
    values = dict(setting.partition("=")[::2] for setting in args.set)
    text = " ".join(args.text)
    if "{{input" in template and "input" not in values and not sys.stdin.isatty():
        text += "\n\n" + sys.stdin.buffer.read().decode("utf-8-sig")
    if text and "input" in values:
        sys.exit("Give the text as an argument or with --set input=, not both.")
    if text.strip():
        values["input"] = text.strip()
    prompt = fill(template.strip(), values)
    if args.show:
        print(prompt)
        return
    client, start = connect(), time.monotonic()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    completion = complete(client, model, prompt, **dict(args.o))
    print(completion.choices[0].message.content)
    facts = completion.model_dump_json(include=FACTS, exclude_none=True, warnings=False)
    print(f"{facts} {time.monotonic() - start:.1f} s", file=sys.stderr)


def list_prompts() -> None:
    """Print a line per prompt: its name, its placeholders, its first line."""
    for path in sorted(PROMPTS.glob("*.txt")):
        text = path.read_text(encoding="utf-8-sig", errors="replace").strip()
        names = ", ".join(dict(PLACEHOLDER.findall(text)))
        print(f"{path.stem:20}  {names:20}  {text.partition(chr(10))[0][:60]}")


def parameter(text: str) -> tuple[str, object]:
    """Return name and value of NAME=JSON; a value that is not JSON is text."""
    name, value = text.split("=", 1)
    with suppress(ValueError):
        value = json.loads(value)
    return name, value


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
