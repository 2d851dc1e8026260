# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Find out why it doesn't work: set-up, key, address, quota, models, one free request.

  python scripts/doctor.py
  python scripts/doctor.py --no-request
  python scripts/doctor.py --explain "Provider returned error"

https://openrouter.ai/docs/api_reference/errors-and-debugging
"""

import difflib
import io
import json
import os
import platform
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

INSTALL = "pip install -U openai python-dotenv, with Python 3.10 or newer"
try:
    if sys.version_info < (3, 10):  # noqa: UP036 (people run it with what they have)
        raise ImportError(f"Python {platform.python_version()} is too old")
    from dotenv import dotenv_values, find_dotenv, load_dotenv
    from openai import (
        APIError,
        APITimeoutError,
        DefaultHttpxClient,
        Omit,
        OpenAI,
        OpenAIError,
        Timeout,
    )
    from openai.types.chat import ChatCompletion
except ImportError as error:
    sys.exit(f"problem  {error}: {INSTALL}")

MODEL = "openrouter/free"  # picks a free model that can do what the request needs

TROUBLES = """\
### `Set OPENROUTER_API_KEY`
There is no key. Make one at https://openrouter.ai/keys and write `OPENROUTER_API_KEY=sk-or-...`
into a file named `.env` in the folder above `scripts`.

### `Missing credentials`
The client was given no key. Don't set `OPENAI_API_KEY`, as the message says: that key would be
sent to OpenRouter. Pass `api_key=os.environ["OPENROUTER_API_KEY"]`.

### `401 User not found` or `401 No auth credentials found`
OpenRouter doesn't know the key: cut off, deleted, expired, in quotes, or another provider's. The
variable `OPENROUTER_API_KEY` goes before the line in `.env`, even when it is empty.

### `402 Insufficient credits` or `402 This request requires more credits, or fewer max_tokens`
The longest possible answer costs more than the balance or the key's limit leaves. Set
`max_tokens`, add credits, or use `openrouter/free`. A negative balance stops free models, too.

### `403 Your input was flagged` or `403 Request blocked`
Moderation, or a guardrail of your account, refuses the text. Change the text or the model.

### `403 Management keys cannot be used for completions`
The key administers an account and can't ask models. Make an ordinary one.

### `404 No endpoints found matching your data policy`
What is left logs or trains on prompts, as many free models do, and your settings forbid that.
Allow it at https://openrouter.ai/settings/privacy or use a paid model.

### `404 No endpoints found that support tool use` or `that support image input`
The model can't do that. `python scripts/models.py --free --tools` (or `--vision`) lists those that
can, and `openrouter/free` picks one of them by itself.

### `is not a valid model ID` or `404 No endpoints found for` or `The free period of has ended`
There is no such model, or no longer: free ones go within months. An id is `author/name`, without
`openrouter/` before it. Search with `python scripts/models.py NAME`.

### `429 Rate limit exceeded: free-models-per-day`
Today's free requests are used up; failed ones count, so don't retry. They come back at 00:00 UTC.
Whoever has ever bought 10 credits gets 1,000 a day instead of 50.

### `429 Rate limit exceeded: free-models-per-min`
More than 20 free requests in a minute. Wait one, send fewer at a time, and set `max_retries=0`:
the client retries after a second, and each attempt counts.

### `429 is temporarily rate-limited upstream`
The model's provider is busy with everybody's requests. Use `openrouter/free`, or name models to
fall back on: `extra_body={"models": [...]}`.

### `Provider returned error`
The provider failed, not OpenRouter. Its own words are in `error.body["metadata"]["raw"]`; the
scripts print them. Try again, or another model.

### `500 Internal Server Error` or `502 Bad Gateway` or `503 There is no available model provider`
A provider or OpenRouter is in trouble. Wait, or use another model.

### `This endpoint's maximum context length is`
The text is too long for the model. `python scripts/models.py --free --sort context` lists those
that take more.

### `The answer is empty: token limit, reasoning included`
The model spent all its tokens on thinking. Raise `max_tokens`, leave it out, or let the model
think less: `reasoning_effort="low"`.

### `The answer is incomplete: it broke off` or `The answer is incomplete: error`
The provider stopped in the middle. HTTP 200 can't tell that: programs must look at
`finish_reason`, and whether there is one. Ask again.

### `'NoneType' object is not subscriptable` or `'NoneType' object is not iterable`
An error came with HTTP 200, so there are no choices. Check before `completion.choices[0]`; the
reason is in `completion.error`.

### `'str' object has no attribute 'choices'` or `a web page, no API` or `OPENROUTER_BASE_URL`
A web page came instead of JSON: the base URL is wrong. It ends in `/api/v1`; the client adds
`/chat/completions`.

### `The reply is not JSON`
It was empty or cut off, or a proxy answered in OpenRouter's place. Try again, then look at
`OPENROUTER_BASE_URL` and `HTTPS_PROXY`.

### `has no attribute 'reasoning_content'` or `has no attribute 'cost'`
Fields that only OpenRouter has can be missing: `getattr(message, "reasoning", None)`,
`getattr(usage, "cost", None)`. Thoughts are in `reasoning`, not in `reasoning_content`.

### `Function call is missing a thought_signature`
A tool loop wrote the model's message anew and lost `reasoning_details`. Append
`completion.choices[0].message` itself.

### `json.decoder.JSONDecodeError: Expecting value`
Tool arguments may be empty or broken. Use `json.loads(arguments or "{}")` and send the error back
as the tool's result.

### `ValidationError: Invalid JSON` or `ValidationError: Field required`
The provider ignored the JSON schema. Send
`extra_body={"provider": {"require_parameters": True}}` and check the reply all the same.

### `No embedding data received`
The reply was an error, or the model makes no embeddings. Use one that
`python scripts/models.py --output embeddings` lists, with `encoding_format="float"`.

### `404 Not Found: /api/v1/images/generations`
OpenRouter has no such path, so `client.images.generate()` can't work. Use
`client.post("/images", ...)` as in `scripts/image_generation.py`.

### `usage.cost is not 0`
A part of the request costs even with a free model: the engine `mistral-ocr` that reads a PDF by
default (`cloudflare-ai` is free), or a web search.

### `The same model answers differently each time`
Several providers serve it, some with less precision. `completion.provider` says which one did;
`scripts/routing.py` keeps to one.

### `Connection error`
Nothing was reached: no network, a firewall, or a line break in the key. `error.__cause__` is the
cause; the scripts print it.

### `Name or service not known` or `getaddrinfo failed` or `nodename nor servname provided`
There is no network, or no host of that name: look at `OPENROUTER_BASE_URL` and `HTTPS_PROXY`.

### `Connection refused` or `the target machine actively refused it`
Nobody listens there: the local server isn't running, or `HTTPS_PROXY` is wrong.

### `CERTIFICATE_VERIFY_FAILED`
A company's proxy or a virus scanner signs the traffic itself. Save its certificate as a PEM file
and set `SSL_CERT_FILE` to the file.

### `407 Proxy Authentication Required`
The proxy wants a login: `HTTPS_PROXY=http://name:password@host:port`.

### `Using SOCKS proxy, but the 'socksio' package is not installed`
`ALL_PROXY` or `HTTPS_PROXY` names a SOCKS proxy. Run `pip install socksio`, or name an HTTP proxy.

### `Request timed out`
No answer in time. Try again, or another model; when it never works, a firewall or a proxy is in
the way.

### `'cp949' codec can't decode byte` or `'cp949' codec can't encode character`
Windows reads and prints cp949 unless told otherwise: `open(..., encoding="utf-8-sig")`, and
`PYTHONUTF8=1` in the environment.

### `'ascii' codec can't encode character`
Headers are ASCII: an invisible character in the key, or a Korean `X-OpenRouter-Title`.

### `not UTF-8 text: save it as UTF-8` or `'utf-8' codec can't decode byte 0xff`
A file is UTF-16, as PowerShell's `>` writes it, or cp949. Save it as UTF-8.

### `Push cannot contain secrets`
A key is in a commit. Delete it at https://openrouter.ai/keys, make a new one, and keep it in
`.env`, which belongs in `.gitignore`.
"""


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


def check(reply: object, text: str = "") -> None:
    """Raise APIError unless the reply is a whole answer: HTTP 200 brings errors, too."""
    choice = next(iter(getattr(reply, "choices", None) or []), None)
    message, end = getattr(choice, "message", None), getattr(choice, "finish_reason", None)
    answer = text or getattr(message, "content", None) or getattr(message, "tool_calls", None)
    error = getattr(reply, "error", None) or getattr(choice, "error", None)
    if error or not answer or end not in ("stop", "tool_calls"):
        why = {"length": "token limit, reasoning included", "stop": "no text", None: "it broke off"}
        what = f"The answer is {'incomplete' if answer else 'empty'}: {why.get(end, end)}"
        raise APIError(what, None, body=reply if isinstance(reply, str) else error)


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


def is_free(model: dict) -> bool:
    """Tell whether a model costs nothing, whatever its name says."""
    prices = (model.get("pricing") or {}).items()
    costs = [text for kind, text in prices if kind != "web_search" and isinstance(text, str)]
    return bool(costs) and all(Decimal(text) == 0 for text in costs)


def advise(text: str) -> str:
    """Return an error text and what TROUBLES says of it, if a message there has its words."""
    said, best = set(re.findall(r"[^\W\d]\w*", text.lower())), (0, "")
    for trouble in TROUBLES[4:].split("\n\n### "):
        title, _, advice = trouble.partition("\n")
        for message in re.findall("`(.+?)`", title):
            words = set(re.findall(r"[^\W\d]\w*", message.lower()))
            if len(words & said) > 0.75 * len(words):
                best = max(best, (len("".join(words & said)), " ".join(advice.split())))
    return f"{text} -> {best[1]}" if best[0] else text


def look_at_setup() -> Iterator[tuple[bool, str]]:
    """Yield whether all is well and a line, for: versions, .env, the key, other variables."""
    openai, dotenv = version("openai"), version("python-dotenv")
    told = f"Python {platform.python_version()}, openai {openai}, python-dotenv {dotenv}"
    old = int(openai.split(".")[0]) < 2
    yield not old, f"{told}: {INSTALL}" if old else told

    before = os.environ.get("OPENROUTER_API_KEY")
    file = "" if os.environ.get("PYTHON_DOTENV_DISABLED") else find_dotenv()
    try:
        text = Path(file).read_text(encoding="utf-8-sig") if file else ""
    except UnicodeError:
        yield False, advise(f"{file} is not UTF-8 text: save it as UTF-8")
        return
    written = dotenv_values(stream=io.StringIO(text)).get("OPENROUTER_API_KEY")
    if written is None and re.search("^[^#\n]*OPENROUTER_API_KEY", text, re.MULTILINE):
        yield False, f"{file}: its key can't be read, write OPENROUTER_API_KEY=sk-or-..."
    elif written and before == "":
        yield False, f"{file}: an empty variable OPENROUTER_API_KEY goes before it, unset that"
    elif written and before not in (None, written):
        yield True, f"{file}: another key, in the environment, goes before the one in it"
    elif not file and Path(".env").is_file():
        yield bool(before), f"{Path('.env').resolve()} isn't read, its place is above scripts"
    else:
        yield True, file or "no .env file"

    load_dotenv(encoding="utf-8-sig")
    value, url = os.environ.get("OPENROUTER_API_KEY", ""), os.environ.get("OPENROUTER_BASE_URL")
    key, source = value.strip(), "the environment" if before else ".env"
    if not key:
        yield False, advise("Set OPENROUTER_API_KEY")
    elif not re.fullmatch("[!-~]+", key) or key[0] in "\"'":
        yield False, f"the key from {source} holds quotes or odd characters: copy it once more"
    elif not url and not key.startswith("sk-or-"):
        yield False, f"the key from {source} doesn't begin with sk-or-: is it another provider's?"
    else:
        yield True, f"key from {source}" + (", without the space around it" if key != value else "")

    kinds = "OPENAI_(API_KEY|ADMIN_KEY|ORG_ID|PROJECT_ID|CUSTOM_HEADERS|BASE_URL)"
    names = [name for name in os.environ if re.fullmatch(kinds, name)]
    told = f"{', '.join(names)}: never sent by these scripts, but by OpenAI(api_key=None)"
    yield True, told if names else "no OPENAI_ variables"


def look_at_key(client: OpenAI) -> Iterator[tuple[bool, str]]:
    """Yield the same for what the key may do: its kind, its limit, free requests, data policy."""
    key = field(client.get("/key", cast_to=object), "data")
    left, free = key.get("limit_remaining"), key.get("free_model_daily_requests") or {}
    if key.get("is_management_key"):
        yield False, advise("403 Management keys cannot be used for completions")
    if left is not None and left <= 0:
        yield False, advise("402 Insufficient credits, the limit of the key is spent")
    elif free.get("remaining") == 0:
        yield False, advise("429 Rate limit exceeded: free-models-per-day")
    else:
        limit = "no limit" if left is None else f"${left:.2f} left"
        today = f", {free.get('remaining')} of {free.get('limit')} free requests left today"
        yield True, f"the key works: {limit}{today if free else ''}"
    try:
        mine = field(client.get("/models/user", cast_to=object), "data")
    except FAILURES as error:
        yield True, f"the data policy is not told: {explain(error)}"
        return
    free = [id for id in (m.get("id", "") for m in mine if is_free(m)) if id[:11] != "openrouter/"]
    policy = advise("404 No endpoints found matching your data policy")
    yield bool(free), f"{len(free)} free models fit the data policy" if free else policy


def look_at_models(ids: list[str]) -> Iterator[tuple[bool, str]]:
    """Yield the same for the default model and those in prompts: are they among the ids?"""
    named = {os.environ.get("OPENROUTER_MODEL") or MODEL: "OPENROUTER_MODEL", MODEL: "default"}
    for file in sorted(Path(__file__).resolve().parent.parent.glob("prompts/*.txt")):
        for id in re.findall(r"~?[\w.-]+/[\w.:-]*\w", file.read_text("utf-8-sig", "replace")):
            if id.split("/")[0] in {id.split("/")[0] for id in ids}:
                named[id] = file.name
    for id, where in named.items():
        # Presets are the account's own, and of all variants only :free is in the catalogue.
        plain = id if id.endswith(":free") else id.partition(":")[0]
        if plain in ids or "@" in id:
            yield True, f"model {id} ({where})"
        else:
            near = difflib.get_close_matches(id.removesuffix(":free"), ids) or [MODEL]
            yield False, f"model {id} ({where}) is gone, use {' or '.join(near)}"


def ask(client: OpenAI, model: str) -> ChatCompletion:
    """Return the completion of a tiny request; APIError unless its answer is whole."""
    messages = [{"role": "user", "content": "Reply with the word OK."}]
    completion = client.chat.completions.create(model=model, messages=messages)
    check(completion)
    return completion


def examine(send: bool) -> Iterator[tuple[bool, str]]:
    """Yield whether all is well and a line, check after check, as far as it goes."""
    yield from look_at_setup()
    keyed = re.fullmatch("[!-~]+", os.environ.get("OPENROUTER_API_KEY", "").strip())
    if not keyed:
        os.environ["OPENROUTER_API_KEY"] = "unused"  # find_models() sends no key
    way, base = "", os.environ.get("OPENROUTER_BASE_URL", "")
    if re.search(r"\s", base):
        yield False, "OPENROUTER_BASE_URL holds white space: take it out"
        return
    try:
        client = connect()
        url = client.base_url
        proxy = "" if proxy_bypass(url.host) else getproxies().get(url.scheme)
        way = f" (through the proxy {urlsplit(proxy).hostname})" if proxy else ""
        models = {model["id"]: model for model in find_models(client, {"output_modalities": "all"})}
    except UnicodeError:  # in .env, told above
        return
    except (*FAILURES, ValueError, ImportError) as error:
        wrong = " (is OPENROUTER_BASE_URL right?)" if "status_code" in vars(error) else ""
        said = explain(error) if isinstance(error, FAILURES) else str(error)
        yield False, advise(said + wrong + way)
        return
    ours = any("pricing" in model for model in models.values())
    yield True, f"{url.host}{url.path} answers{way}, it has {', '.join([*models][:3])} ..."
    if ours and keyed:
        yield from look_at_key(client)
    if ours:
        yield from look_at_models(list(models))
    wanted = os.environ.get("OPENROUTER_MODEL") or MODEL
    if ours and not (is_free(models.get(wanted, {})) or wanted.endswith(":free")):
        wanted = MODEL  # a trial is free
    if send and keyed:
        start = time.monotonic()
        yield True, f"one request: {report(ask(client, wanted), start)}"


def main() -> int:
    """Read the command line, examine or explain, print; 1 when something must be put right."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--no-request", action="store_true", help="ask no model")
    parser.add_argument("--explain", nargs="?", const="", metavar="MESSAGE", help="or all of them")
    args = parser.parse_args()
    if args.explain is not None:
        text = advise(args.explain) if args.explain else TROUBLES.rstrip()
        if text == args.explain:
            raise ValueError("No known message is like it. Run doctor.py without --explain.")
        print(text)
        return 0
    bad = 0
    try:
        for good, line in examine(not args.no_request):
            print("ok      " if good else "problem ", line)
            bad += not good
    except FAILURES as error:
        print("problem ", advise(explain(error)))
        bad += 1
    print(f"[{bad} to put right]" if bad else "[all is well]", file=sys.stderr)
    return int(bad > 0)


# From here on, the same in every script.


def report(reply: object, start: float) -> str:
    """Return who answered and at what price: model, provider, tokens in + out, USD, seconds."""
    usage, facts = getattr(reply, "usage", None), [reply.model, getattr(reply, "provider", None)]
    if usage:
        facts.append(f"{usage.prompt_tokens} + {usage.completion_tokens} tokens")
        facts.append(f"${usage.cost:.6f}" if getattr(usage, "cost", None) is not None else None)
    return f"[{', '.join(filter(None, facts))}, {time.monotonic() - start:.1f} s]"


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
