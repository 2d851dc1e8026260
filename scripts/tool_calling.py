# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Let a model call functions until it can answer: the time somewhere, files in a folder.

  python scripts/tool_calling.py "What time is it in Seoul and in Lisbon?"
  python scripts/tool_calling.py "Which prompt here is the shortest?" --folder prompts

Only files below --folder can be read. Add a function to tools_for() to give the model another.
https://openrouter.ai/docs/guides/features/tool-calling
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout
from openai.types.chat import ChatCompletion

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
PROMPT = "tool_calling"
MAX_STEPS = 8
MAX_CHARACTERS = 20_000  # of a file, so that it fits into the context


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


def current_time(utc_offset: float) -> str:
    """Return date, time and weekday where clocks are utc_offset hours ahead of UTC (Seoul: 9)."""
    return f"{datetime.now(timezone(timedelta(hours=utc_offset))):%Y-%m-%d %H:%M %A}"


def list_files(folder: Path) -> str:
    """Return the names of the files that can be read."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return "\n".join(sorted(file.as_posix() for file in files if not hidden(file)))


def hidden(file: Path) -> bool:
    """Tell whether a file, or a folder above it, is hidden, such as .env with its key."""
    return any(part.startswith(".") for part in file.parts)


def read_file(folder: Path, name: str) -> str:
    """Return the text of a file, by a name from list_files."""
    path = (folder / name).resolve()
    root = folder.resolve()
    if not path.is_relative_to(root) or hidden(path.relative_to(root)):  # a model is not trusted
        raise ValueError(f"{name} is outside the folder, or hidden")
    return path.read_text(encoding="utf-8-sig")[:MAX_CHARACTERS]


def tools_for(folder: Path | None) -> dict[str, tuple[Callable, dict]]:
    """Return {name: (function, its parameters as JSON schema properties)}."""
    tools = {"current_time": (current_time, {"utc_offset": {"type": "number"}})}
    if folder:
        tools["list_files"] = (partial(list_files, folder), {})
        tools["read_file"] = (partial(read_file, folder), {"name": {"type": "string"}})
    return tools


def define(name: str, function: Callable, parameters: dict) -> dict:
    """Return the definition of a tool as the API wants it; its description is the docstring."""
    description = getattr(function, "func", function).__doc__
    schema = {"type": "object", "properties": parameters, "required": list(parameters)}
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def call_tool(tools: dict, name: str, arguments: str) -> str:
    """Return a tool's result, or what is wrong with the call, for the model to read."""
    try:
        if name not in tools:
            raise ValueError(f"there is no tool {name}, only {', '.join(tools)}")
        return str(tools[name][0](**json.loads(arguments or "{}")))
    except (
        TypeError,
        ValueError,
        OSError,
        OverflowError,
    ) as error:  # a bad call, not a bad program
        return f"Error: {error}"


def run(
    client: OpenAI, model: str, messages: list, tools: dict, tell: Callable[[str], object]
) -> ChatCompletion:
    """Return the completion that answers, after all tool calls that the model wanted.

    Calls and results are told to tell() and added to messages. APIError after MAX_STEPS.
    """
    definitions = [define(name, *tool) for name, tool in tools.items()]
    for _ in range(MAX_STEPS):
        completion = client.chat.completions.create(
            model=model, messages=messages, tools=definitions
        )
        check(completion)
        message = completion.choices[0].message
        if not message.tool_calls:
            return completion
        messages.append(message)  # whole, since some models need their reasoning_details back
        for call in message.tool_calls:
            result = call_tool(tools, call.function.name, call.function.arguments)
            tell(f"[{call.function.name} {call.function.arguments} -> {result[:200]}]")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    raise APIError(f"The model still wanted tools after {MAX_STEPS} steps", None, body=None)


def main() -> None:
    """Read the command line, run the loop, print the answer."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="*", help="what to ask; piped text follows it")
    parser.add_argument("--folder", type=Path, help="let the model read the files below it")
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", default=PROMPT, help="prompt file, by name or path")
    args = parser.parse_args()
    question, system = read_input(args.question), read_prompt(args.prompt)
    if args.folder and not args.folder.is_dir():
        raise ValueError(f"{args.folder} is no folder.")
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    client, start = connect(), time.monotonic()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    tell = partial(print, file=sys.stderr)
    completion = run(client, model, messages, tools_for(args.folder), tell)
    print(completion.choices[0].message.content)
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
