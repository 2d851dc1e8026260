# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Let a model call functions until it can answer: the time somewhere, files in a folder.

  python scripts/tool_calling.py "What time is it in Seoul and in Lisbon?"
  python scripts/tool_calling.py "Which prompt is the shortest?" --folder prompts

Only files below --folder can be read. A tool is a function with types and a docstring.
https://openrouter.ai/docs/guides/features/tool-calling
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletion
from pydantic import TypeAdapter

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
MAX_STEPS = 8  # requests for one question
MAX_CHARACTERS = 20_000  # of one result, so that it fits into the context


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


def current_time(utc_offset: float) -> str:
    """Return date, time and weekday where clocks are utc_offset hours ahead of UTC (Seoul: 9)."""
    return f"{datetime.now(timezone(timedelta(hours=utc_offset))):%Y-%m-%d %H:%M %A}"


def file_tools(folder: Path) -> list[Callable]:
    """Return functions that list and read the files below a folder, and no others."""
    root = folder.resolve(strict=True)

    def is_readable(path: Path) -> bool:
        real = path.resolve()  # where links lead to
        hidden = [part for part in real.parts[len(root.parts) :] if part.startswith(".")]  # .env
        return real.is_relative_to(root) and real.is_file() and not hidden

    def list_files() -> str:
        """Return the size in bytes and the name of each file that can be read."""
        files = sorted(path for path in root.rglob("*") if is_readable(path))
        return "\n".join(f"{file.stat().st_size} {file.relative_to(root)}" for file in files)

    def read_file(name: str) -> str:
        """Return the text of a file, by a name from list_files."""
        if not is_readable(root / name):
            raise ValueError(f"{name} is not a file below the folder, or is hidden")
        return (root / name).read_text(encoding="utf-8-sig")

    return [list_files, read_file]


def define(tool: Callable) -> dict:
    """Return a function's definition as the API wants it, from its signature and docstring."""
    schema = TypeAdapter(tool).json_schema()
    function = {"name": tool.__name__, "description": tool.__doc__, "parameters": schema}
    return {"type": "function", "function": function}


def call_tool(tools: list, name: str, arguments: str) -> str:
    """Check the types and return a tool's result, or what is wrong for the model to mend it."""
    try:
        tool = {tool.__name__: tool for tool in tools}[name]
        return str(TypeAdapter(tool).validate_json(arguments or "{}"))[:MAX_CHARACTERS]
    except (ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        return f"Error: {type(error).__name__}: {error}"


def run(client: OpenAI, model: str, messages: list, tools: list) -> Iterator[ChatCompletion]:
    """Yield each completion, the last is the answer; append them, and tool results, to messages.

    Whole, with reasoning_details: https://openrouter.ai/docs/guides/best-practices/reasoning-tokens
    """
    definitions, ids = [define(tool) for tool in tools], {None, ""}
    for _ in range(MAX_STEPS):  # half a character can't be sent, so it becomes "?"
        clean = json.loads(json.dumps(messages, ensure_ascii=False).encode(errors="replace"))
        completion = client.chat.completions.create(model=model, messages=clean, tools=definitions)
        check(completion, tools=True)
        message = completion.choices[0].message.to_dict(mode="python", warnings=False)
        messages.append(message)
        yield completion
        if not message.get("tool_calls"):
            return
        for call in message["tool_calls"]:
            if call.get("id") in ids:  # a provider's can be empty, or come twice
                call["id"] = f"call_{len(messages)}"
            ids.add(call["id"])
            result = call_tool(tools, call["function"]["name"], call["function"].get("arguments"))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    raise APIError(f"The model still wanted tools after {MAX_STEPS} steps", None, body=None)


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter

PROMPT = Path(__file__).resolve().parent.parent / "prompts" / "tool_calling.txt"
FACTS = {"model": True, "provider": True, "usage": {"total_tokens", "cost", "cost_details"}}


def main() -> None:
    """Read the command line, run the loop, print the answer."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("--folder", type=Path, help="let the model read the files below it")
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
    tools = [current_time, *(file_tools(args.folder) if args.folder else [])]
    for completion in run(client, model, messages, tools):
        for call in completion.choices[0].message.tool_calls or []:
            print(f"[{call.function.name} {call.function.arguments}]", file=sys.stderr)
        facts = completion.model_dump_json(include=FACTS, exclude_none=True, warnings=False)
        print(f"{facts} {time.monotonic() - start:.1f} s", file=sys.stderr)
    print(completion.choices[0].message.content)


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
