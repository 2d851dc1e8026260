# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Read a text aloud into a sound file, .mp3 or .wav.

  python scripts/speech.py "Good morning." -o morning.mp3
  python scripts/speech.py --file story.txt -o story.wav --voice en_paul_neutral
  python scripts/speech.py --voices                 (what --voice may be; free, no key needed)

Costs money, by the length of the text; the price is printed. The default model speaks English,
French, German, Spanish, Italian, Portuguese, Dutch, Arabic and Hindi; for others choose one of
scripts/models.py --output speech.
https://openrouter.ai/docs/guides/overview/multimodal/tts
"""

import io
import json
import os
import re
import sys
import time
import wave
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from dotenv import load_dotenv
from openai import (
    APIError,
    APITimeoutError,
    DefaultHttpxClient,
    Omit,
    OpenAI,
    OpenAIError,
    Timeout,
    omit,
)

MODEL = "mistralai/voxtral-mini-tts-2603"
VOICE = "en_paul_neutral"  # one of MODEL's; another model's default is the first that it has
SAMPLE_RATE = 24_000  # samples a second, where the reply names no rate: what OpenAI's models give


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


def field(reply: object, name: str) -> object:
    """Return one field of a JSON reply; APIError when HTTP 200 brought an error or no JSON."""
    if isinstance(reply, dict) and reply.get(name) is not None:
        return reply[name]
    error = reply.get("error") if isinstance(reply, dict) else None
    raise APIError(f"The reply has no {name}: is OPENROUTER_BASE_URL right?", None, body=error)


def find_models(client: OpenAI, query: dict) -> list[dict]:
    """Return the models that match the query, each as a dict in the API's own form.

    Queries are q, sort, context, max_price (USD per million tokens), supported_parameters and
    others: https://openrouter.ai/docs/api_reference/list-available-models
    """
    try:  # no key is sent: the catalogue is public
        page = client.models.list(extra_query=query, extra_headers={"Authorization": Omit()})
    except AttributeError:  # what the client makes of a web page
        page = None
    if getattr(page, "data", None) is None:
        what = "The reply holds no models: does OPENROUTER_BASE_URL end in /api/v1?"
        raise APIError(what, None, body=getattr(page, "error", None))
    return [model.to_dict() for model in page.data]


def find_voices(client: OpenAI, model: str) -> list[str]:
    """Return the voices of a speech model, from the catalogue; ValueError for an unknown model."""
    models = find_models(client, {"output_modalities": "speech"})
    voices = {entry["id"]: entry.get("supported_voices") or [] for entry in models}
    if model not in voices:
        raise ValueError(f"{model} is no speech model: there are {', '.join(voices)}.")
    return voices[model]


def speak(
    client: OpenAI, model: str, text: str, voice: str | None, form: str
) -> tuple[bytes, str, str | None]:
    """Return a text as speech: its bytes, their media type, the id of the generation.

    The form is "mp3" or "pcm"; OpenRouter knows no other, and some models know only one.
    """
    reply = client.audio.speech.create(
        model=model, input=text, voice=voice or omit, response_format=form
    )
    kind = reply.response.headers.get("content-type", "")
    if not reply.content or not kind.startswith("audio/"):
        field(reply.json() if "json" in kind else None, "sound")  # says what came instead
    return reply.content, kind, reply.response.headers.get("x-generation-id")


def wrap(pcm: bytes, kind: str) -> bytes:
    """Return raw 16-bit samples as a WAV file; kind is like "audio/pcm;rate=24000;channels=1"."""
    said = dict(re.findall(r"(rate|channels)=([1-9]\d*)", kind))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(int(said.get("channels", 1)))
        sound.setsampwidth(2)
        sound.setframerate(int(said.get("rate", SAMPLE_RATE)))
        sound.writeframes(pcm)
    return file.getvalue()


def find_cost(client: OpenAI, generation: str | None) -> float | None:
    """Return what a generation cost in USD; None when OpenRouter does not say so soon."""
    query = {"params": {"id": generation}, "timeout": 5}
    for pause in (0.5, 1, 2) if generation else ():
        time.sleep(pause)  # the record comes a little after the sound
        try:
            record = field(client.get("/generation", cast_to=object, options=query), "data")
            return field(record, "total_cost")
        except FAILURES:  # not there yet
            continue
    return None


def main() -> None:
    """Read the command line and the text, have it spoken, write the file."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="*", help="what to say; piped text follows it")
    parser.add_argument("--file", help="a text file to read aloud")
    parser.add_argument("-o", "--output", type=Path, help="NAME.mp3 or NAME.wav")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument("--voice", help=f"default: {VOICE}, or the first of the model's voices")
    parser.add_argument("--voices", action="store_true", help="list the voices of the model")
    parser.add_argument("-m", "--model", default=MODEL, help=f"default: {MODEL}")
    args = parser.parse_args()
    if args.voices:
        os.environ["OPENROUTER_API_KEY"] = "unused"  # find_models() sends no key
        voices = find_voices(connect(), args.model)
        print(*voices, sep="\n")
        return print(f"[{len(voices)} voices of {args.model}]", file=sys.stderr)
    path = args.output
    if not path or path.suffix.lower() not in (".mp3", ".wav"):
        raise ValueError("Name the file to write: -o NAME.mp3 or -o NAME.wav.")
    if path.exists() and not args.force:
        raise ValueError(f"{path} exists: choose another name, or overwrite it with --force.")
    if not os.access(path.parent, os.W_OK):  # better known before it costs
        raise ValueError(f"{path.parent} is no folder to write to: make it, or change -o.")
    if args.file:
        args.text.append(Path(args.file).read_text(encoding="utf-8-sig"))
    text = read_input(args.text)
    client, start = connect(), time.monotonic()
    voice = args.voice or (VOICE if args.model == MODEL else None)
    voice = voice or next(iter(find_voices(client, args.model)), None)
    form = "mp3" if path.suffix.lower() == ".mp3" else "pcm"
    data, kind, generation = speak(client, args.model, text, voice, form)
    seconds = time.monotonic() - start
    save(path, wrap(data, kind) if "pcm" in kind else data)
    print(path)
    if ("pcm" in kind) != (form == "pcm"):
        print(f"[it came as {kind}: the name should end otherwise]", file=sys.stderr)
    cost = find_cost(client, generation)
    facts = [args.model, voice, "cost unknown" if cost is None else f"${cost:.6f}"]
    print(f"[{', '.join(filter(None, facts))}, {seconds:.1f} s]", file=sys.stderr)


# From here on, the same in every script.


def read_input(words: list[str]) -> str:
    """Return the words of the command line, then what was piped in; ValueError without any."""
    text = " ".join(word for word in words if word != "-")
    if "-" in words or not sys.stdin.isatty():
        text += "\n\n" + sys.stdin.buffer.read().decode("utf-8-sig")
    if not text.strip():
        raise ValueError("There is no text: write it after the command, or pipe it in.")
    return text.strip()


def save(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


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
