# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Write down what is said in a sound file.

  python scripts/transcription.py interview.mp3
  python scripts/transcription.py meeting.m4a --language ko --timestamps > meeting.txt

Costs money, by the length of the recording; the price is printed.
https://openrouter.ai/docs/guides/overview/multimodal/stt
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout, omit
from openai.types.audio import Transcription, TranscriptionVerbose

MODEL = "openai/whisper-large-v3"  # others: scripts/models.py --output transcription
MAX_MEGABYTES = 25  # OpenRouter's limit, in units of 1024 x 1024 bytes
FORMATS = {  # how a file begins: the ending that tells the API its format
    rb"RIFF....WAVE": "wav",
    rb"ID3|\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd]": "mp3",
    rb"fLaC": "flac",
    rb"OggS": "ogg",
    rb"....ftyp(M4|mp4|iso|3g|dash|qt)": "m4a",
    rb"\xff[\xf0\xf1\xf8\xf9]": "aac",
    rb"\x1a\x45\xdf\xa3": "webm",
}


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


def read_sound(file: str) -> tuple[str, bytes]:
    """Return a name with the ending that fits the bytes, and the bytes, of a sound file."""
    size = Path(file).stat().st_size / 1024**2
    if size > MAX_MEGABYTES:
        what = f"{file} has {size:.1f} MB, more than {MAX_MEGABYTES}"
        raise ValueError(f"{what}: split it, or convert it to mp3.")
    data = Path(file).read_bytes()
    kind = next((FORMATS[start] for start in FORMATS if re.match(start, data, re.DOTALL)), None)
    if not kind:
        raise ValueError(f"{file} is none of {', '.join(FORMATS.values())}: convert it first.")
    return f"sound.{kind}", data


def transcribe(
    client: OpenAI,
    model: str,
    sound: tuple[str, bytes],
    language: str | None = None,
    timestamps: bool = False,
) -> Transcription | TranscriptionVerbose:
    """Return what is said in a sound, a (name, bytes); APIError when no words come back.

    The language is a code of ISO 639-1. With timestamps, the result has segments: start and end
    in seconds, text. Not every provider can: https://openrouter.ai/docs/guides/overview/multimodal/stt
    """
    reply = client.audio.transcriptions.create(
        model=model,
        file=sound,
        language=language or omit,
        response_format="verbose_json" if timestamps else omit,
    )
    text = getattr(reply, "text", None)
    if not text or not text.strip():
        why = "is OPENROUTER_BASE_URL right?" if text is None else "no words were heard"
        raise APIError(f"The answer is empty: {why}", None, body=getattr(reply, "error", None))
    return reply


def clock(seconds: float | None) -> str:
    """Return a time in a recording as mm:ss."""
    minutes, seconds = divmod(int(seconds or 0), 60)
    return f"{minutes:02}:{seconds:02}"


def main() -> None:
    """Read the command line, transcribe, print."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("file", help=f"{', '.join(FORMATS.values())}")
    parser.add_argument("--language", metavar="CODE", help="en, ko, ...: else it is recognized")
    parser.add_argument("--timestamps", action="store_true", help="[mm:ss] before each segment")
    parser.add_argument("--json", action="store_true", help="everything the API says")
    parser.add_argument("-m", "--model", default=MODEL, help=f"default: {MODEL}")
    args = parser.parse_args()
    sound = read_sound(args.file)
    client, start = connect(), time.monotonic()
    reply = transcribe(client, args.model, sound, args.language, args.timestamps)
    segments, usage = getattr(reply, "segments", None), getattr(reply, "usage", None)
    if args.json:
        print(json.dumps(reply.to_dict(), ensure_ascii=False, indent=2))
    elif args.timestamps and segments:
        for segment in segments:
            print(f"[{clock(segment.start)}] {(segment.text or '').strip()}")
    else:
        print(reply.text.strip())
    if args.timestamps and not segments:
        print("[this model gives no timestamps]", file=sys.stderr)
    heard, cost = getattr(usage, "seconds", None), getattr(usage, "cost", None)
    facts = [args.model, None if heard is None else f"{heard:.1f} s of sound"]
    facts.append("cost unknown" if cost is None else f"${cost:.6f}")
    print(f"[{', '.join(filter(None, facts))}, {time.monotonic() - start:.1f} s]", file=sys.stderr)


# From here on, the same in every script.


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
