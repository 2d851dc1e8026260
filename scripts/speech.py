# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Read a text aloud into a sound file.

  python scripts/speech.py "Good morning." -o morning.mp3
  cat story.txt | python scripts/speech.py -o story.mp3 -m acme/speaker --voice anna
  python scripts/speech.py --voices -m acme/speaker

https://openrouter.ai/docs/guides/overview/multimodal/tts
"""

import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI, omit


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


def voices(client: OpenAI, model: str) -> list[str]:
    """Return the names of a speech model's voices; none if the catalogue lists none."""
    query = {"output_modalities": "speech"}
    models = field(client.get("/models", cast_to=object, options={"params": query}), "data")
    names = {entry.get("id"): entry.get("supported_voices") for entry in models}.get(model)
    return field({"voices": names}, "voices") if names else []


def speak(
    client: OpenAI, model: str, text: str, voice: str | None = None, response_format: str = "mp3"
) -> bytes:
    """Return a text as sound, "mp3" or "pcm" (16 bits a sample); APIError when none comes.

    https://openrouter.ai/docs/guides/overview/multimodal/tts
    """
    reply = client.audio.speech.create(
        model=model, input=text, voice=voice or omit, response_format=response_format
    )
    kind = reply.response.headers.get("content-type", "")
    if not kind.startswith("audio/") or not reply.content:
        raise APIError(f"No sound came, but {kind}: {reply.text}", None, body=None)
    return reply.content


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path


def main() -> None:
    """Read the command line and the text, have it spoken, write the file."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", default="-", help='"-", or none: read the pipe')
    parser.add_argument("-o", "--output", type=Path, default="speech.mp3", metavar="FILE")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument("--voice", metavar="NAME", help="default: the model's first")
    parser.add_argument("--voices", action="store_true", help="list the model's voices")
    parser.add_argument("-m", "--model", help="default: the cheapest, free ones first")
    args = parser.parse_args()
    if args.output.exists() and not args.force and not args.voices:
        sys.exit(f"{args.output} exists: choose another name, or overwrite it with --force.")
    client, start = connect(), time.monotonic()
    model = {"id": args.model} if args.model else cheapest(client, output_modalities="speech")
    print(model, file=sys.stderr)
    names = voices(client, model["id"])
    if args.voices:
        print("\n".join(names))
        sys.exit(None if names else f"The catalogue lists no voices of {model['id']}.")
    text = args.text
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    voice = args.voice or next(iter(names), None)
    part = args.output.with_name(f"{args.output.name}.part")
    part.touch()  # a place that can't be written to is found before it costs
    part.unlink()
    part.write_bytes(speak(client, model["id"], text, voice, args.output.suffix[1:].lower()))
    print(part.replace(args.output))
    print(f"[voice {voice}, {time.monotonic() - start:.1f} s]", file=sys.stderr)


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
