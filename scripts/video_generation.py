# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Make a video from a text, or from a first frame. It takes minutes and costs money.

  python scripts/video_generation.py "A paper boat on a brook" -o boat.mp4 --duration 4
  python scripts/video_generation.py "It starts to rain" -o rain.mp4 --image street.jpg
  python scripts/video_generation.py -o boat.mp4 --resume ID     (goes on; starts nothing new)

https://openrouter.ai/docs/guides/overview/multimodal/video-generation
"""

import mimetypes
import os
import re
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, HttpxBinaryResponseContent, OpenAI

POLL_SECONDS = 30


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


def video_prices(client: OpenAI, model: str) -> object:
    """Return what a video model charges, in USD, or in cents where a name says so."""
    models = field(client.get("/videos/models", cast_to=object), "data")
    return {entry["id"]: entry.get("pricing_skus") for entry in models}.get(model, "unknown")


def submit(client: OpenAI, model: str, prompt: str, image: str | None, parameters: dict) -> str:
    """Return the id of a new job; image is the first frame, a file or a URL.

    Parameters are duration (seconds), resolution, aspect_ratio and others:
    https://openrouter.ai/docs/guides/overview/multimodal/video-generation
    """
    body = {"model": model, "prompt": prompt, **parameters}
    if image and not image.startswith(("https://", "http://")):
        data = b64encode(Path(image).read_bytes()).decode()
        image = f"data:{mimetypes.guess_type(image)[0]};base64,{data}"
    if image:
        frame = {"type": "image_url", "image_url": {"url": image}, "frame_type": "first_frame"}
        body["frame_images"] = [frame]
    reply = client.post("/videos", cast_to=object, body=body)
    job = reply.get("id") if isinstance(reply, dict) else None
    if not job or not isinstance(job, str):
        raise APIError(f"The reply has no job id: {reply}", None, body=None)
    return job


def watch(client: OpenAI, job: str) -> Iterator[dict]:
    """Yield a job's state every 30 s, last when it is completed; APIError if it ends otherwise."""
    status = None
    while status != "completed":
        time.sleep(POLL_SECONDS if status else 0)
        state = client.get(f"/videos/{job}", cast_to=object)
        status = state.get("status") if isinstance(state, dict) else None
        if status not in ("pending", "in_progress", "completed"):
            raise APIError(f"Job {job}, status {status}: {state}", None, body=None)
        yield state


def download(client: OpenAI, job: str) -> bytes:
    """Return the video of a completed job; APIError when something else comes."""
    reply = client.get(f"/videos/{job}/content", cast_to=HttpxBinaryResponseContent)
    kind = reply.response.headers.get("content-type", "")
    if not kind.startswith("video/") or not reply.content:
        raise APIError(f"No video came, but {kind}: {reply.text}", None, body=None)
    return reply.content


# --- The command line. Leave out what follows when you copy. ---

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter


def main() -> None:
    """Read the command line, have the video made or go on with a job, write the file."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="?", default="-", help='"-", or none: read the pipe')
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument("--image", help="the first frame, a file or URL")
    parser.add_argument("--duration", type=int, metavar="SECONDS")
    parser.add_argument("--resolution", help="720p, for example")
    parser.add_argument("--aspect", dest="aspect_ratio", metavar="RATIO", help="16:9, for example")
    parser.add_argument("--resume", metavar="ID", help="go on with this job")
    parser.add_argument("-m", "--model", help="default: the cheapest, free ones first")
    args = parser.parse_args()
    if args.output.exists() and not args.force:
        sys.exit(f"{args.output} exists: choose another name, or overwrite it with --force.")
    part = args.output.with_name(f"{args.output.name}.part")
    part.touch()  # a place that can't be written to is found before it costs
    part.unlink()
    names = ("duration", "resolution", "aspect_ratio")
    parameters = {name: getattr(args, name) for name in names if getattr(args, name)}
    client, start, job = connect(), time.monotonic(), args.resume
    if not job:
        prompt = args.prompt
        if prompt == "-":
            prompt = sys.stdin.buffer.read().decode("utf-8-sig")
        model = args.model or cheapest(client, output_modalities="video")["id"]
        print(f"[{model}, prices: {video_prices(client, model)}]", file=sys.stderr)
        job = submit(client, model, prompt, args.image, parameters)
    print(f"[job {job}; after a failure or Ctrl-C: --resume {job}]", file=sys.stderr)
    for state in watch(client, job):
        print(f"[{state['status']}, {time.monotonic() - start:.0f} s]", file=sys.stderr)
    part.write_bytes(download(client, job))
    print(part.replace(args.output))
    print(f"[usage {state.get('usage')}]", file=sys.stderr)


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
