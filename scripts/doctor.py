# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Find out why it doesn't work: settings, key, quota, data policy, model, one free request.

  python scripts/doctor.py
  python scripts/doctor.py -m MODEL          (is that model there, and how long?)
  python scripts/doctor.py --no-request      (without the request)

https://openrouter.ai/docs/api_reference/errors-and-debugging
"""

import os
import platform
import re
from contextlib import suppress
from datetime import date, timedelta
from difflib import get_close_matches
from functools import cache
from importlib.metadata import version

try:
    from dotenv import dotenv_values, find_dotenv, load_dotenv
    from openai import APIError, OpenAI
except ImportError as error:
    raise SystemExit(f"problem  {error}: pip install -U openai python-dotenv") from None

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
WARN_DAYS = 60  # before a model ends


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


def check(reply: object, streamed: object = None, tools: bool = False) -> None:
    """Raise APIError unless the reply is a whole answer; HTTP 200 can bring an error, too."""
    choice = reply.choices[0] if getattr(reply, "choices", None) else None
    message = streamed or getattr(choice, "message", None)
    content, reason = getattr(message, "content", None), getattr(choice, "finish_reason", None)
    text = content if isinstance(content, str) else ""
    calls = getattr(message, "tool_calls", None) if tools else None
    whole = {"stop": text.strip() or calls, "tool_calls": calls}.get(reason)
    server_error = getattr(reply, "error", None) or getattr(choice, "error", None)
    if server_error or not whole:
        what = f"The answer is not whole (finish_reason: {reason})"
        error = APIError(what, None, body=server_error or getattr(message, "refusal", None))
        error.partial = f"{text}\n" if text and not streamed else ""
        raise error


class Problem(Exception):
    """Something to put right; its text says what and how."""


def read(client: OpenAI, path: str, kind: type) -> dict | list:
    """Return the data of a path; APIError with the server's error if it has none of this kind."""
    reply = client.get(path, cast_to=object)
    fields = reply if isinstance(reply, dict) else {}
    if not fields.get("data") or not isinstance(fields["data"], kind):
        raise APIError(f"The reply has no data: {reply}", None, body=fields.get("error"))
    return fields["data"]


def check_versions() -> str:
    """Return the versions of Python and the packages; Problem if the client is too old."""
    if int(version("openai").partition(".")[0]) < 3:
        raise Problem(f"openai {version('openai')} is too old: pip install -U openai")
    return f"Python {platform.python_version()}, openai {version('openai')}"


def check_env_file() -> str:
    """Return which .env is read; Problem if it can't be, or has no key where one is needed."""
    outer, file = os.environ.get("OPENROUTER_API_KEY"), find_dotenv()
    if not file:
        return "no .env file"
    try:
        inner = dotenv_values(file, encoding="utf-8-sig").get("OPENROUTER_API_KEY")
        load_dotenv(encoding="utf-8-sig")  # for the checks to come
    except UnicodeDecodeError:
        raise Problem(f"{file} is not UTF-8 text: save it as UTF-8") from None
    if inner and outer == "":
        raise Problem(f"an empty OPENROUTER_API_KEY in the environment overrides {file}: unset it")
    if not inner and not outer:
        raise Problem(f"{file} has no line OPENROUTER_API_KEY=sk-or-...")
    is_overridden = inner and outer not in (None, inner)
    return f"{file}, overridden by another key in the environment" if is_overridden else file


def check_network() -> str:
    """Return the variables of proxies and certificates; Problem for those that can't be used."""
    names = [n for n in os.environ if re.fullmatch("(HTTPS?|ALL|NO)_PROXY|SSL_CERT_FILE", n, re.I)]
    values, broken = {name: os.environ.pop(name) for name in names}, {}
    for name, value in values.items():
        os.environ[name] = value  # each alone
        try:
            OpenAI(api_key="unused", base_url="https://openrouter.ai/api/v1")
            if name.upper() == "NO_PROXY" and re.search(r"[^\w.:*/,\s\[\]-]", value):
                raise ValueError("it takes hosts with commas between them")
        except Exception as error:
            broken[name] = error
        del os.environ[name]
    os.environ.update(values | dict.fromkeys(broken, ""))  # the other checks go on without them
    if broken:
        raise Problem("; ".join(f"{name}={values[name]}: {broken[name]}" for name in broken))
    return ", ".join(f"{name}={value}" for name, value in values.items()) or "no proxy"


def check_address() -> str:
    """Return the address of the API; Problem for an odd one, which is then used as mended here."""
    url = os.environ.get("OPENROUTER_BASE_URL", "").strip()
    mended = re.sub(r"\s|/chat/completions/?$|/$", "", url)
    mended = re.sub(r"(openrouter\.ai)(/api)?$", r"\1/api/v1", mended)
    mended = re.sub("^(?=.)(?!https?://)", "https://", mended)
    os.environ["OPENROUTER_BASE_URL"] = mended
    if mended != url.removesuffix("/"):
        raise Problem(f"OPENROUTER_BASE_URL is {url!r}, write {mended}")
    return mended or "https://openrouter.ai/api/v1"


def check_key_text() -> str:
    """Return that the key looks like one; Problem if there is none or it has odd characters."""
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    if not key:
        raise Problem("OPENROUTER_API_KEY is not set: python scripts/login.py brings a key")
    if not re.fullmatch("[!#-&(-~]+", key):
        raise Problem("OPENROUTER_API_KEY has quotes, spaces or odd characters: copy it once more")
    return "OPENROUTER_API_KEY is set"


@cache
def read_catalogue(client: OpenAI) -> dict[str, dict]:
    """Return the text models by their id: https://openrouter.ai/docs/api_reference/models"""
    models = read(client, "/models", list)
    return {model.get("id"): model for model in models if isinstance(model, dict)}


def is_openrouter(client: OpenAI) -> bool:
    """Return True if the address is OpenRouter's: other servers have no prices."""
    return any("pricing" in entry for entry in read_catalogue(client).values())


def check_catalogue(client: OpenAI, model: str) -> str:
    """Return how many models the address has."""
    return f"{client.base_url} answers, it has {len(read_catalogue(client))} models"


def check_key(client: OpenAI, model: str) -> str:
    """Return what the key may still use: https://openrouter.ai/docs/api_reference/limits"""
    key = read(client, "/key", dict)
    left, free = key.get("limit_remaining"), key.get("free_model_daily_requests")
    if isinstance(left, (int, float)) and left <= 0:
        raise Problem("the key's limit is used up: raise it at https://openrouter.ai/keys")
    if isinstance(free, dict) and free.get("remaining") == 0:
        raise Problem("today's free requests are used up, failed ones count: wait for 00:00 UTC")
    return f"it works, limit_remaining {left}, free_model_daily_requests {free}"


def check_data_policy(client: OpenAI, model: str) -> str:
    """Return how many free models the account's privacy settings permit; Problem if none."""
    models = read(client, "/models/user", list)
    free = [entry for entry in models if str(dict(entry).get("id")).endswith(":free")]
    if not free:
        raise Problem("they leave no free model: https://openrouter.ai/settings/privacy")
    return f"{len(free)} free models fit the privacy settings"


def check_model(client: OpenAI, model: str) -> str:
    """Return that the model is there to stay; Problem, with what is similar, if it is not."""
    models, name = read_catalogue(client), re.sub(":(?!free).*", "", model)  # as it is listed
    if model.endswith(":batch"):
        raise Problem(f"{model} takes batches only (scripts/batch.py), use {name}")
    if model.startswith("@") or (name in models and not ends_soon(models[name])):
        return model
    stay = [key for key, entry in models.items() if not ends_soon(entry) and ":batch" not in key]
    similar = " or ".join(get_close_matches(name.removesuffix(":free"), stay)) or MODEL
    if name in models:
        raise Problem(f"{model} ends on {models[name]['expiration_date']}, use {similar}")
    raise Problem(f"there is no {model}, use {similar}")


def ends_soon(entry: dict) -> bool:
    """Return True if the model has an expiration_date (YYYY-MM-DD) within WARN_DAYS."""
    return "" < str(entry.get("expiration_date") or "") <= str(date.today() + timedelta(WARN_DAYS))


def check_request(client: OpenAI, model: str) -> str:
    """Return which model gave a whole answer to a tiny request; on OpenRouter a free one does."""
    free = model if model.endswith(":free") or not is_openrouter(client) else MODEL
    messages = [{"role": "user", "content": "Reply with the word OK."}]
    completion = client.chat.completions.create(model=free, messages=messages)
    check(completion)
    return f"{completion.model} answers"


# --- The command line. Leave out what follows when you copy. ---

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable

SETTINGS = [check_versions, check_env_file, check_network, check_address, check_key_text]
REQUESTS = [check_key, check_data_policy, check_model, check_request]


def main() -> None:
    """Read the command line, run the checks, print a line for each."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", help=f"default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--no-request", action="store_true", help="ask no model")
    args = parser.parse_args()
    passed = {check: passes(check) for check in SETTINGS}
    if not passed[check_key_text]:
        os.environ["OPENROUTER_API_KEY"] = "no-usable-key"  # what follows needs none
    client = connect().with_options(timeout=20)
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    passed[check_catalogue] = passes(check_catalogue, client, model)
    checks = REQUESTS if passed[check_key_text] else [check_model]
    if not passed[check_catalogue]:
        checks = []
    elif not is_openrouter(client):
        checks = [check_request]
    for check in checks:
        if not (args.no_request and check is check_request):
            passed[check] = passes(check, client, model)
    problems = list(passed.values()).count(False)
    sys.exit(f"[{problems} to put right]" if problems else 0)


def passes(check: Callable[..., str], *args: object) -> bool:
    """Run a check, print its line, return True if it found no problem."""
    result, name = "ok", check.__name__.removeprefix("check_").replace("_", " ")
    try:
        text = check(*args)
    except Exception as error:
        result, text = "problem", error if isinstance(error, Problem) else explain(error)
    text = re.sub(r"(//|=)\S*@", r"\1", str(text))  # no passwords
    print(f"{result:9}{name:13}{text}")
    return result == "ok"


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
