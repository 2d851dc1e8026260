# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Make a video from a text, or from a first frame. It takes minutes and costs money.

  python scripts/video_generation.py "A paper boat on a brook" -o boat.mp4 --duration 4
  python scripts/video_generation.py "It starts to rain" -o rain.mp4 --image street.jpg
  python scripts/video_generation.py --models       (what each one can do, and its prices)

The price is shown before and after. What is interrupted goes on with --resume ID -o boat.mp4.
https://openrouter.ai/docs/guides/overview/multimodal/video-generation
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from dotenv import load_dotenv
from openai import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    DefaultHttpxClient,
    HttpxBinaryResponseContent,
    InternalServerError,
    OpenAI,
    OpenAIError,
    RateLimitError,
    Timeout,
)

MODEL = "google/veo-3.1-lite"
POLL_SECONDS = 30
PATIENCE_SECONDS = 600  # how long polls may fail in a row
MAX_MEGABYTES = 20


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


def image_part(source: str) -> dict:
    """Return the message part for an image: a URL as it is, a file as a data URL."""
    if source.startswith(("https://", "http://")):
        return {"type": "image_url", "image_url": {"url": source}}
    size = Path(source).stat().st_size / 1_000_000
    if size > MAX_MEGABYTES:
        raise ValueError(f"{source} has {size:.0f} MB, more than {MAX_MEGABYTES}: make it smaller.")
    data = Path(source).read_bytes()
    kind = image_type(data)
    if not kind:
        raise ValueError(f"{source} is no PNG, JPEG, GIF or WebP image: convert it first.")
    url = f"data:{kind};base64,{b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def list_models(client: OpenAI) -> list[dict]:
    """Return the video models, each with what it can do and costs."""
    return field(client.get("/videos/models", cast_to=object), "data")


def submit(client: OpenAI, model: str, prompt: str, image: str | None, options: dict) -> str:
    """Return the id of a new job; image is the first frame, a file or a URL.

    Options are duration (seconds), resolution, aspect_ratio and others:
    https://openrouter.ai/docs/guides/overview/multimodal/video-generation
    """
    body = {"model": model, "prompt": prompt, **options}
    if image:
        body["frame_images"] = [{**image_part(image), "frame_type": "first_frame"}]
    try:
        return str(field(client.post("/videos", cast_to=object, body=body), "id"))
    except APIConnectionError as error:
        what = "No reply came, but if the request arrived, the video will be made and billed"
        what = f"{what}: look at https://openrouter.ai/activity before you try again"
        raise APIError(what, None, body=None) from error.__cause__ or error


def poll(client: OpenAI, job: str) -> Iterator[dict]:
    """Yield a job's state ({"status", "usage", "error"}) again and again until it has ended.

    A poll costs nothing, so failures that pass are waited out. Jobs without end are ended by
    OpenRouter, as expired.
    """
    seen = time.monotonic()
    while True:
        try:
            state = client.get(f"/videos/{quote(job, safe='')}", cast_to=object)
            field(state, "status")
            seen = time.monotonic()
        except (APIConnectionError, InternalServerError, RateLimitError):
            if time.monotonic() - seen > PATIENCE_SECONDS:
                raise
            state = {"status": "no answer, trying again"}
        yield state
        if state["status"] in ("completed", "failed", "cancelled", "expired"):
            return
        time.sleep(POLL_SECONDS)


def download(client: OpenAI, job: str) -> bytes:
    """Return the video (MP4) of a completed job; APIError when something else comes."""
    path = f"/videos/{quote(job, safe='')}/content"
    reply = client.get(path, cast_to=HttpxBinaryResponseContent)
    kind = reply.response.headers.get("content-type", "")
    if not reply.content or kind.startswith(("application/json", "text/")):
        field(reply.json() if "json" in kind else None, "video")  # says what came instead
    return reply.content


def describe(model: dict) -> str:
    """Return what a video model can do and costs, in a line."""
    facts = [f"{name} ${price}" for name, price in (model.get("pricing_skus") or {}).items()]
    for name in ("durations", "resolutions", "aspect_ratios", "frame_images"):
        if values := model.get(f"supported_{name}"):
            facts.append(f"{name} {' '.join(map(str, values))}")
    return f"{model.get('id')}: {', '.join(facts)}"


def main() -> None:
    """Read the command line, have the video made or go on with a job, write the file."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="?", help="what happens in it; piped text follows it")
    parser.add_argument("-o", "--output", type=Path, help="the file to write, NAME.mp4")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument("--image", help="the first frame, a file or URL")
    parser.add_argument("--duration", type=int, metavar="SECONDS")
    parser.add_argument("--resolution", help="720p, for example")
    parser.add_argument("--aspect", dest="aspect_ratio", metavar="RATIO", help="16:9, for example")
    parser.add_argument("--resume", metavar="ID", help="go on with this job; starts no other")
    parser.add_argument("-m", "--model", default=MODEL, help=f"default: {MODEL}")
    parser.add_argument("--models", action="store_true", help="list what each model can do")
    args = parser.parse_args()
    if args.models:
        return print("\n".join(map(describe, list_models(connect()))))
    path = args.output
    if not path:
        raise ValueError("Name the file to write: -o NAME.mp4.")
    if path.exists() and not args.force:
        raise ValueError(f"{path} exists: choose another name, or overwrite it with --force.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent}: make it first.")
    wanted = {name: getattr(args, name) for name in ("duration", "resolution", "aspect_ratio")}
    options = {name: value for name, value in wanted.items() if value}
    prompt = None if args.resume else read_input([args.prompt] if args.prompt else [])
    client, start, job = connect(), time.monotonic(), args.resume
    if not job:
        models = {model.get("id"): describe(model) for model in list_models(client)}
        print(f"[{models.get(args.model, f'{args.model}: price unknown')}]", file=sys.stderr)
        job = submit(client, args.model, prompt, args.image, options)
    try:
        for state in poll(client, job):
            seconds = time.monotonic() - start
            print(f"[{job}: {state['status']}, {seconds:.0f} s]", file=sys.stderr)
        if state["status"] == "completed":
            save(path, download(client, job))
    except (KeyboardInterrupt, *FAILURES, OSError):
        more = " --force" if args.force else ""
        print(f'[to go on: python {sys.argv[0]} --resume {job} -o "{path}"{more}]', file=sys.stderr)
        raise
    if state["status"] != "completed":
        why = state.get("error") or "no reason given"
        raise APIError(f"The job ended as {state['status']}: {why}", None, body=None)
    print(path)
    cost = (state.get("usage") or {}).get("cost")
    cost = "cost unknown" if cost is None else f"${cost:.6f}"
    print(f"[{cost}, {time.monotonic() - start:.1f} s]", file=sys.stderr)


# From here on, the same in every script.


def image_type(data: bytes) -> str | None:
    """Return the media type that an image's first bytes tell, None for what is no such image."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    starts = {b"\x89PNG\r\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
    return next((kind for start, kind in starts.items() if data.startswith(start)), None)


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
