# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Make images from a text, and from other images. It costs, by the image.

  python scripts/image_generation.py "A red panda in space" -o panda
  python scripts/image_generation.py "As a watercolor" panda.png -o paper --aspect 16:9 -n 2

https://openrouter.ai/docs/guides/overview/multimodal/image-generation
"""

import os
import re
from base64 import b64decode, b64encode
from contextlib import suppress
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, OpenAI

SECONDS = 600  # how long an image may take


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


def image_type(data: bytes) -> str | None:
    """Return the media type by an image's first bytes: a file's name can be wrong."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    starts = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
    return next((kind for start, kind in starts.items() if data.startswith(start)), None)


def image_part(source: str) -> dict:
    """Return the request's part for an image: a URL as it is, a file as a data URL."""
    url = source
    if not source.startswith(("https://", "http://")):
        data = Path(source).read_bytes()
        if not image_type(data):
            raise ValueError(f"{source} is not a PNG, JPEG, GIF or WebP image")
        url = f"data:{image_type(data)};base64,{b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def generate(
    client: OpenAI, model: str, prompt: str, sources: list[str], /, **parameters: object
) -> tuple[list, object]:
    """Return the images as they come, for decode(), and the usage, with its cost in USD.

    Parameters are n, size, aspect_ratio and others:
    https://openrouter.ai/docs/guides/overview/multimodal/image-generation
    """
    body = {"model": model, "prompt": prompt, **parameters}
    if sources:
        body["input_references"] = [image_part(source) for source in sources]
    reply = client.post("/images", cast_to=object, body=body, options={"timeout": SECONDS})
    return field(reply, "data"), reply.get("usage")


def decode(image: dict) -> tuple[bytes, str]:
    """Return an image's bytes and file suffix, by its bytes; ValueError if it is not an image."""
    data = b64decode(image["b64_json"], validate=True)
    kind = "image/svg" if b"<svg" in data[:1000] else image_type(data)
    if not kind:
        raise ValueError(f"not an image, but {data[:100]}")
    return data, kind.replace("image/", ".").replace("jpeg", "jpg")


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter


def main() -> None:
    """Read the command line, have the images made, write them."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("prompt", help='what to show ("-": read it from the pipe)')
    parser.add_argument("source", nargs="*", help="images to begin with, files or URLs")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="NAME")
    parser.add_argument("--force", action="store_true", help="overwrite files")
    parser.add_argument("-n", "--number", dest="n", type=int, help="how many")
    parser.add_argument("--resolution", help="1K, 2K, 4K")
    parser.add_argument("--aspect", dest="aspect_ratio", metavar="RATIO", help="16:9, for example")
    parser.add_argument("--quality", help="low, medium, high")
    parser.add_argument("-m", "--model", help="default: the cheapest, free ones first")
    args = parser.parse_intermixed_args()  # images may come after options
    names = ("n", "resolution", "aspect_ratio", "quality")
    parameters = {name: getattr(args, name) for name in names if getattr(args, name)}
    prompt, base = args.prompt, args.output
    if base.suffix.lower() in (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"):
        base = base.with_suffix("")
    if prompt == "-":
        prompt = sys.stdin.buffer.read().decode("utf-8-sig")
    pattern = re.compile(rf"{re.escape(base.name)}(-\d+)?\.(?!part)\w+")
    taken = [file for file in base.parent.iterdir() if pattern.fullmatch(file.name)]
    if taken and not args.force:
        sys.exit(f"{taken[0]} exists: choose another name, or overwrite it with --force.")
    client, start = connect(), time.monotonic()
    model = {"id": args.model} if args.model else cheapest(client, output_modalities="image")
    print(model, file=sys.stderr)
    part = base.with_name(f"{base.name}.part")
    part.touch()  # a place that can't be written to is found before it costs
    part.unlink()
    images, usage = generate(client, model["id"], prompt, args.source, **parameters)
    print(f"[usage {usage}, {time.monotonic() - start:.1f} s]", file=sys.stderr)
    failures = [] if images else ["The reply has no images"]
    for number, image in enumerate(images, 1):
        try:
            data, suffix = decode(image)
        except (TypeError, LookupError, ValueError) as error:  # the other images are kept
            failures.append(f"image {number} of {len(images)}: {error}")
            continue
        name = base.name if len(images) == 1 else f"{base.name}-{number}"
        part.write_bytes(data)
        print(part.replace(base.with_name(name + suffix)))
    if failures:
        sys.exit("; ".join(failures))


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
