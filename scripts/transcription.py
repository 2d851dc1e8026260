# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Write down what is said in a sound file.

  python scripts/transcription.py interview.mp3
  python scripts/transcription.py meeting.m4a --language ko > meeting.txt

https://openrouter.ai/docs/guides/overview/multimodal/stt
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, OpenAI, omit
from openai.types.audio import Transcription


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


def transcribe(client: OpenAI, model: str, file: str, language: str | None = None) -> Transcription:
    """Return what is said in a sound file (its text is not empty); APIError without words.

    The suffix names the format, the language is a code of ISO 639-1; 25 MB at most:
    https://openrouter.ai/docs/guides/overview/multimodal/stt
    """
    path = Path(file)
    sound = (f"sound{path.suffix.lower()}", path.read_bytes())
    reply = client.audio.transcriptions.create(model=model, file=sound, language=language or omit)
    text = getattr(reply, "text", None)
    if not isinstance(text, str) or not text.strip():
        raise APIError(f"No words came back: {reply}", None, body=getattr(reply, "error", None))
    return reply


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter


def main() -> None:
    """Read the command line, transcribe, print or write."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("file", help="wav, mp3, flac, m4a, ogg, webm or aac")
    parser.add_argument("--language", metavar="CODE", help="en, ko, ...: else it is recognized")
    parser.add_argument("-o", "--output", type=Path, help="a file for the text, too")
    parser.add_argument("-m", "--model", help="default: the cheapest, free ones first")
    args = parser.parse_args()
    client, start = connect(), time.monotonic()
    model = (
        {"id": args.model} if args.model else cheapest(client, output_modalities="transcription")
    )
    print(model, file=sys.stderr)
    reply = transcribe(client, model["id"], args.file, args.language)
    print(reply.text.strip())
    if args.output:
        part = args.output.with_name(f"{args.output.name}.part")
        part.write_text(f"{reply.text.strip()}\n", encoding="utf-8", errors="replace")
        part.replace(args.output)
    facts = reply.model_dump_json(include={"usage"}, warnings=False)
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
