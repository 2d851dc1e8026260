# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Ask about one or more sound files: speech, music, noise.

  python scripts/audio_input.py "What is said, and in which mood?" call.mp3
  python scripts/audio_input.py "Which of the two is louder?" a.wav b.wav

https://openrouter.ai/docs/guides/overview/multimodal/audio
"""

import os
import re
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletion


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


def field(reply: object, name: str) -> list:
    """Return a list in a JSON reply; APIError with the server's error where there is none."""
    fields = reply if isinstance(reply, dict) else {}
    if not isinstance(fields.get(name), list):
        raise APIError(f"The reply has no {name}: {reply}", None, body=fields.get("error"))
    return fields[name]


def cheapest(client: OpenAI, **query: str) -> dict:
    """Return id and pricing of the cheapest model that fits the query, free ones first.

    https://openrouter.ai/docs/guides/overview/models
    """
    params = {"sort": "pricing-low-to-high", **query}
    for model in field(client.get("/models", cast_to=object, options={"params": params}), "data"):
        if not model["id"].endswith(":batch") and "-1" not in model["pricing"].values():  # a router
            return {"id": model["id"], "pricing": model["pricing"]}
    raise APIError(f"The catalogue has no model with {query}", None, body=None)


def audio_part(file: str) -> dict:
    """Return the message part for a sound file; its suffix names the format."""
    data = b64encode(Path(file).read_bytes()).decode()
    kind = Path(file).suffix.removeprefix(".").lower()
    return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}


def listen(client: OpenAI, model: str, question: str, files: list[str]) -> ChatCompletion:
    """Return the completion for a question about sound files; APIError unless it is whole."""
    content = [{"type": "text", "text": question}, *map(audio_part, files)]
    messages = [{"role": "user", "content": content}]
    completion = client.chat.completions.create(model=model, messages=messages)
    check(completion)
    return completion


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter

PROMPT = Path(__file__).resolve().parent.parent / "prompts" / "audio_input.txt"
FACTS = {"model": True, "provider": True, "usage": {"total_tokens", "cost", "cost_details"}}


def main() -> None:
    """Read the command line, ask, print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("question", help='what to ask ("-": read it from the pipe)')
    parser.add_argument("file", nargs="+", help="wav, mp3, flac, m4a, ogg, aac or aiff")
    parser.add_argument("-m", "--model", help="default: OPENROUTER_MODEL, else the cheapest")
    parser.add_argument("--prompt", type=Path, default=PROMPT, metavar="FILE")
    args = parser.parse_args()
    question = args.question
    if question == "-":
        question = sys.stdin.buffer.read().decode("utf-8-sig")
    question = f"{args.prompt.read_text(encoding='utf-8-sig')}\n{question}"
    client, start = connect(), time.monotonic()
    name = args.model or os.environ.get("OPENROUTER_MODEL")
    model = {"id": name} if name else cheapest(client, input_modalities="audio")
    print(model, file=sys.stderr)
    completion = listen(client, model["id"], question, args.file)
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
