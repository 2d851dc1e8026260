# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Get a key by way of the browser and write it into .env.

  python scripts/login.py
  python scripts/login.py --no-browser     (SSH, container: paste the code that the page shows)

https://openrouter.ai/docs/guides/overview/auth/oauth
"""

import os
import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qsl, urlencode, urlsplit

from dotenv import load_dotenv
from openai import APIError, Omit, OpenAI

WAIT_SECONDS = 300
KEY_LINE = r"(?m)^([\ufeff\s]*(?:export\s+)?OPENROUTER_API_KEY\s*=)(.*?)(?=\s+#|\s*$)"
PAGE = b"<!doctype html><title>Login</title><p>You can close this tab; the terminal has the rest."


def connect_without_key() -> OpenAI:
    """Return the official client set up for the requests to OpenRouter that need no key."""
    with suppress(UnicodeDecodeError):
        load_dotenv(encoding="utf-8-sig")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        os.environ.pop(name, None)  # the client would send these, too
    url = os.environ.get("OPENROUTER_BASE_URL", "").strip() or "https://openrouter.ai/api/v1"
    return OpenAI(base_url=url, api_key="not sent", timeout=120, max_retries=0)


def login_page(client: OpenAI, verifier: str, **query: str) -> str:
    """Return the address where a user permits a new key; the code comes to the callback_url.

    Without a callback_url, the page shows the code: https://openrouter.ai/docs/guides/overview/auth/oauth
    """
    digest = sha256(verifier.encode()).digest()
    query["code_challenge"] = urlsafe_b64encode(digest).decode().rstrip("=")
    query["code_challenge_method"] = "S256"
    site = str(client.base_url).removesuffix("/").removesuffix("/api/v1")
    return f"{site}/auth?{urlencode(query)}"


def exchange(client: OpenAI, code: str, verifier: str) -> str:
    """Return the new key for a code from the login page, which is good for one try."""
    body = {"code": code, "code_verifier": verifier, "code_challenge_method": "S256"}
    without_key = {"headers": {"Authorization": Omit()}}
    reply = client.post("/auth/keys", cast_to=object, body=body, options=without_key)
    fields = reply if isinstance(reply, dict) else {}
    key = fields.get("key")
    if not isinstance(key, str) or not re.fullmatch(r"[\w.-]+", key, re.ASCII):
        raise APIError("The reply has no usable key", None, body=fields.get("error"))
    return key


class Callback(BaseHTTPRequestHandler):
    """Answers the browser when it comes back from the login page."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path != "/callback":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE)
        self.server.answer = dict(parse_qsl(address.query)) or {"error": "no code came"}

    def log_message(self, *args: object) -> None:
        """Print nothing: the address has the code in it."""


class CallbackServer(ThreadingHTTPServer):
    """Has the answer of the login page as soon as the browser has brought it."""

    answer = None
    timeout = 0.2  # seconds between two looks at the clock

    def handle_error(self, *args: object) -> None:
        """Print nothing: a browser opens connections that it drops."""


def log_in(client: OpenAI, open_page: Callable[[str], object], port: int = 0) -> str:
    """Have the login page opened and return the new key; port 0 is a free one of localhost."""
    verifier = secrets.token_urlsafe(48)
    with CallbackServer(("127.0.0.1", port), Callback) as server:
        callback = f"http://localhost:{server.server_port}/callback"
        page = login_page(client, verifier, callback_url=callback)
        Thread(target=open_page, args=[page], daemon=True).start()  # some browsers block
        end = time.monotonic() + WAIT_SECONDS
        while server.answer is None and time.monotonic() < end:
            server.handle_request()
    answer = server.answer or {"error": f"nothing came back within {WAIT_SECONDS} seconds"}
    if "code" not in answer:
        raise APIError(f"The login failed: {answer.get('error', 'no code came')}", None, body=None)
    return exchange(client, answer["code"], verifier)


def read_env(file: Path) -> str:
    """Return the text of a .env file as it stands, "" if there is none."""
    try:
        return file.read_bytes().decode("utf-8") if file.exists() else ""
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8 text: save it as UTF-8") from None


def save_key(file: Path, key: str) -> None:
    """Write the key into a .env file, which keeps its other lines; only its owner may read it."""
    text = read_env(file)
    newline = "\r\n" if "\r\n" in text else "\n"
    if text and not text.endswith("\n"):
        text += newline
    if not re.search(KEY_LINE, text):
        text += f"OPENROUTER_API_KEY={newline}"
    part = file.with_name(".env.part")
    part.touch()
    part.chmod(0o600)
    part.write_bytes(re.sub(KEY_LINE, rf"\g<1>{key}", text).encode())
    part.replace(file)


# --- The command line. Leave out what follows when you copy. ---

import sys
import webbrowser
from argparse import ArgumentParser, RawDescriptionHelpFormatter


def main() -> None:
    """Read the command line, log in, save the key."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--no-browser", action="store_true", help="read the code from the terminal")
    parser.add_argument("--port", type=int, default=0, help="of localhost (default: a free one)")
    args = parser.parse_args()
    file = (Path(__file__).resolve().parent.parent / ".env").resolve()
    if any(value.strip(" \"'") for _, value in re.findall(KEY_LINE, read_env(file))):
        print(f"{file} has a key. Replace it? [y/N] ", end="", file=sys.stderr, flush=True)
        if input().strip().lower() not in ("y", "yes"):
            sys.exit("The key was not replaced.")
    file.with_name(".env.part").touch()  # a place that can't be written to is found before it costs
    client = connect_without_key()
    if args.no_browser:
        verifier = secrets.token_urlsafe(48)
        address = login_page(client, verifier, key_label="openrouter scripts")
        print(f"Log in at {address}\nThen paste the code: ", end="", file=sys.stderr, flush=True)
        key = exchange(client, input().strip(), verifier)
    else:
        key = log_in(client, open_page, args.port)
    save_key(file, key)
    print(f"OPENROUTER_API_KEY is in {file}.")


def open_page(address: str) -> None:
    """Open the page in the browser, and print its address in case none opens."""
    print(f"Log in at {address}", file=sys.stderr)
    webbrowser.open(address)


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
