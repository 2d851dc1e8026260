# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Read a text aloud into a sound file.

  python scripts/speech.py "Good morning." -o morning.mp3
  cat story.txt | python scripts/speech.py -o story.mp3 -m acme/speaker --voice anna
  python scripts/speech.py --voices -m acme/speaker

Not every model speaks every language: scripts/models.py --output speech lists them.
https://openrouter.ai/docs/guides/overview/multimodal/tts
"""

import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, HttpxBinaryResponseContent, OpenAI, omit


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


def voices(client: OpenAI, model: str) -> list[str]:
    """Return the names of a speech model's voices; none if the catalogue lists none.

    https://openrouter.ai/docs/guides/overview/models
    """
    query = {"output_modalities": "speech"}
    reply = client.get("/models", cast_to=object, options={"params": query})
    for entry in field(reply, "data"):
        if entry.get("id") == model and entry.get("supported_voices"):
            return field(entry, "supported_voices")
    return []


def speak(
    client: OpenAI, model: str, text: str, voice: str | None = None, response_format: str = "mp3"
) -> HttpxBinaryResponseContent:
    """Return a text as sound, its bytes in .content; APIError when something else comes.

    The response_format is "mp3" or "pcm" (16 bits a sample):
    https://openrouter.ai/docs/guides/overview/multimodal/tts
    """
    reply = client.audio.speech.create(
        model=model, input=text, voice=voice or omit, response_format=response_format
    )
    kind = reply.response.headers.get("content-type", "")
    if not kind.startswith("audio/") or not reply.content:
        raise APIError(f"No sound came, but {kind}: {reply.text}", None, body=None)
    return reply


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

NETWORK = "OPENROUTER_BASE_URL|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_FILE"


def main() -> None:
    """Read the command line and the text, have it spoken, write the file."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", default="-", help='"-", or none: read the pipe')
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="NAME.mp3 or NAME.pcm")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument("--voice", metavar="NAME", help="default: the model's first")
    parser.add_argument("--voices", action="store_true", help="list the model's voices")
    parser.add_argument("-m", "--model", help="default: the cheapest, free ones first")
    args = parser.parse_args()
    suffix = args.output.suffix.lower() if args.output else ""
    if suffix not in (".mp3", ".pcm") and not args.voices:
        sys.exit("Name the file to write: -o NAME.mp3 or -o NAME.pcm")
    if args.output and args.output.exists() and not args.force:
        sys.exit(f"{args.output} exists: choose another name, or overwrite it with --force.")
    client, start = connect(), time.monotonic()
    model = args.model
    if not model:
        choice = cheapest(client, "speech")
        model = choice["id"]
        print(f"[{model}, prices in USD: {choice.get('pricing')}]", file=sys.stderr)
    if args.voices:
        names = voices(client, model)
        print("\n".join(names))
        sys.exit(None if names else f"The catalogue lists no voices of {model}.")
    text = args.text
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    voice = args.voice or next(iter(voices(client, model)), None)
    part = args.output.with_name(f"{args.output.name}.part")
    part.touch()  # a place that can't be written to is found before it costs
    try:
        reply = speak(client, model, text, voice, suffix.removeprefix("."))
        facts = [reply.response.headers.get(name) for name in ("content-type", "x-generation-id")]
        facts = [model, voice, *facts, f"{time.monotonic() - start:.1f} s"]
        print(f"[{', '.join(filter(None, facts))}]", file=sys.stderr)
        part.write_bytes(reply.content)
        part.replace(args.output)
    finally:
        part.unlink(missing_ok=True)
    print(args.output)


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
