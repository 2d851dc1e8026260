# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Make images from a text, and from other images. It costs: some cents an image.

  python scripts/image_generation.py "A red panda in space" -o panda
  python scripts/image_generation.py "As a watercolor" panda.png -o paper --aspect 16:9
  python scripts/image_generation.py --models       (what each model can do, at no cost)

The price is printed at the end; the file's suffix is that of the image that came.
https://openrouter.ai/docs/guides/overview/multimodal/image-generation
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from base64 import b64decode, b64encode
from itertools import product
from pathlib import Path

from dotenv import load_dotenv
from openai import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    DefaultHttpxClient,
    OpenAI,
    OpenAIError,
    Timeout,
)

MODEL = "bytedance-seed/seedream-4.5"
MAX_MEGABYTES = 20
SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
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


def generate(
    client: OpenAI, model: str, prompt: str, images: list[str], options: dict
) -> tuple[list[dict], dict]:
    """Return the images as they came ({"b64_json", "media_type"}) and the usage (cost in USD).

    Images are reference files or URLs; options are n, size, resolution, aspect_ratio, quality:
    https://openrouter.ai/docs/guides/overview/multimodal/image-generation
    """
    body = {"model": model, "prompt": prompt, **options}
    if images:
        body["input_references"] = [image_part(image) for image in images]
    wait = {"timeout": Timeout(REPLY_SECONDS, connect=10)}  # images come after minutes of silence
    try:
        reply = client.post("/images", cast_to=object, body=body, options=wait)
    except APIConnectionError as error:
        what = "No image came, but if the request arrived, it may have been billed"
        what = f"{what}: look at https://openrouter.ai/activity before you try again"
        raise APIError(what, None, body=None) from error.__cause__ or error
    made = field(reply, "data")
    if not made or not all(isinstance(image, dict) for image in made):
        raise APIError("The reply holds no image", None, body=reply.get("error"))
    return made, reply.get("usage") or {}


def decode(image: dict) -> tuple[bytes, str]:
    """Return an image's bytes and file suffix; ValueError when it is empty or not base64."""
    data = b64decode(str(image.get("b64_json") or ""), validate=True)
    if not data:
        raise ValueError("empty")
    suffix = SUFFIXES.get(image.get("media_type")) or SUFFIXES.get(image_type(data))
    return data, suffix or ".bin"


def list_models(client: OpenAI) -> list[dict]:
    """Return the image models, each with what it takes."""
    return field(client.get("/images/models", cast_to=object), "data")


def describe(model: dict) -> str:
    """Return an image model's inputs, and its parameters with their values, in a line."""
    facts = [" ".join((model.get("architecture") or {}).get("input_modalities") or [])]
    for name, kind in (model.get("supported_parameters") or {}).items():
        values = kind.get("values") or [kind[end] for end in ("min", "max") if end in kind]
        facts.append(f"{name} {' '.join(map(str, values))}".strip())
    return f"{model.get('id')}: {', '.join(facts)}"


def place(path: Path, index: int, number: int, suffix: str) -> Path:
    """Return the file for one of several images: NAME.png, or NAME-1.png, NAME-2.png."""
    return path.with_name(f"{path.name}-{index}{suffix}" if number > 1 else path.name + suffix)


def main() -> None:
    """Read the command line, have the images made, write them."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="?", help="what to show; piped text follows it")
    parser.add_argument("image", nargs="*", help="reference images, files or URLs")
    parser.add_argument("-o", "--output", metavar="NAME", help="the suffix is added")
    parser.add_argument("--force", action="store_true", help="overwrite files")
    parser.add_argument(
        "-n", "--number", type=int, default=1, choices=range(1, 11), metavar="N", help="how many"
    )
    parser.add_argument("--size", help="2048x2048, for example")
    parser.add_argument("--resolution", help="1K, 2K, 4K")
    parser.add_argument("--aspect", dest="aspect_ratio", metavar="RATIO", help="16:9, for example")
    parser.add_argument("--quality", help="low, medium, high")
    parser.add_argument("-m", "--model", default=MODEL, help=f"default: {MODEL}")
    parser.add_argument("--models", action="store_true", help="list what each model can do")
    args = parser.parse_intermixed_args()  # images may come after options
    if args.models:
        return print("\n".join(map(describe, list_models(connect()))))
    if not args.output:
        raise ValueError("Name the file to write: -o NAME.")
    path = Path(args.output)
    if path.is_dir():
        path /= "image"
    elif path.suffix.lower() in (*SUFFIXES.values(), ".jpeg"):
        path = path.with_suffix("")
    if not os.access(path.parent, os.W_OK):  # better known before it costs
        raise ValueError(f"{path.parent} is no folder to write to: make it, or change -o.")
    for index, suffix in product(range(1, args.number + 1), SUFFIXES.values()):
        file = place(path, index, args.number, suffix)
        if file.exists() and not args.force:
            raise ValueError(f"{file} exists: choose another name, or overwrite it with --force.")
    wanted = {
        name: getattr(args, name) for name in ("size", "resolution", "aspect_ratio", "quality")
    }
    wanted["n"] = args.number if args.number > 1 else None
    options = {name: value for name, value in wanted.items() if value}
    prompt = read_input([args.prompt] if args.prompt else [])
    client, start = connect(), time.monotonic()
    images, usage = generate(client, args.model, prompt, args.image, options)
    bad, number = [], max(args.number, len(images))
    for index, image in enumerate(images, 1):
        try:
            data, suffix = decode(image)
            file = place(path, index, number, suffix)
            save(file, data)
            print(file)
        except ValueError as error:
            bad.append(f"Image {index} of {len(images)} came damaged: {error}")
    cost = "cost unknown" if usage.get("cost") is None else f"${usage['cost']:.6f}"
    count, seconds = f"{len(images) - len(bad)} of {len(images)}", time.monotonic() - start
    print(f"[{args.model}, {count} images, {cost}, {seconds:.1f} s]", file=sys.stderr)
    if bad:
        raise APIError(". ".join(bad), None, body=None)


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
