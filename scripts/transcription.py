# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Write down what is said in a sound file.

  python scripts/transcription.py interview.mp3
  python scripts/transcription.py meeting.m4a --language ko -o meeting.txt

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
    with suppress(UnicodeDecodeError):  # without its key, the error below names .env
        load_dotenv(encoding="utf-8-sig")
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    if not re.fullmatch("[!-~]+", key):  # api_key=None would send OPENAI_API_KEY to OpenRouter
        raise ValueError("OPENROUTER_API_KEY is missing or malformed (environment or UTF-8 .env)")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        os.environ.pop(name, None)  # the client would send these, too
    url = os.environ.get("OPENROUTER_BASE_URL", "").strip() or "https://openrouter.ai/api/v1"
    return OpenAI(base_url=url, api_key=key, timeout=120, max_retries=0)  # retries use up quota


def field(reply: object, name: str) -> list:
    """Return a list in a JSON reply; APIError with the server's error where there is none."""
    found = reply.get(name) if isinstance(reply, dict) else None
    if not found or not isinstance(found, list):
        error = reply.get("error") if isinstance(reply, dict) else None
        raise APIError(f"The reply has no {name}: {reply}", None, body=error)
    return found


def cheapest(client: OpenAI, kind: str) -> dict:
    """Return the catalogue's cheapest model with this kind of output, free ones first.

    https://openrouter.ai/docs/guides/overview/models
    """
    query = {"output_modalities": kind, "sort": "pricing-low-to-high"}
    reply = client.get("/models", cast_to=object, options={"params": query})
    models = [model for model in field(reply, "data") if isinstance(model.get("id"), str)]
    return next(model for model in models if not model["id"].endswith(":batch"))


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

NETWORK = "OPENROUTER_BASE_URL|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_FILE"


def main() -> None:
    """Read the command line, transcribe, print or write."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("file", help="wav, mp3, flac, m4a, ogg, webm or aac")
    parser.add_argument("--language", metavar="CODE", help="en, ko, ...: else it is recognized")
    parser.add_argument("-o", "--output", type=Path, help="a file for the text, too")
    parser.add_argument("-m", "--model", help="default: the cheapest, free ones first")
    args = parser.parse_args()
    client, start = connect(), time.monotonic()
    model = args.model
    if not model:
        choice = cheapest(client, "transcription")
        model = choice["id"]
        print(f"[{model}, prices in USD: {choice.get('pricing')}]", file=sys.stderr)
    reply = transcribe(client, model, args.file, args.language)
    print(reply.text.strip())
    if args.output:
        part = args.output.with_name(f"{args.output.name}.part")
        part.write_text(f"{reply.text.strip()}\n", encoding="utf-8", errors="replace")
        part.replace(args.output)
    usage = getattr(reply, "usage", None)
    facts = [f"{name} {getattr(usage, name, '?')}" for name in ("seconds", "cost")]
    print(f"[{model}, {', '.join(facts)}, {time.monotonic() - start:.1f} s]", file=sys.stderr)


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
