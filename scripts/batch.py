# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Answer thousands of prompts within a day, at about half the price: OpenRouter's Batch API.

  python scripts/batch.py submit prompts.jsonl -o answers.jsonl -m MODEL
  python scripts/batch.py status -o answers.jsonl
  python scripts/batch.py fetch -o answers.jsonl
  python scripts/batch.py list

Input and output are those of bulk.py. What is under way stands in a file beside the output; fetch
can be repeated until all has ended, and submit then sends what failed. It costs money.
https://openrouter.ai/docs/guides/features/batch-api
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletion

REQUESTS = 5000  # in one batch, which is the limit
BYTES = 150_000_000  # a batch that is larger gets no more requests; the limit is 200 MB
ENDED = ("completed", "failed", "expired", "cancelled")


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


def cost(usage: object) -> float | None:
    """Return USD, with your own key at a provider (BYOK) also its charge; None if unknown."""
    is_byok = getattr(usage, "is_byok", False)
    try:
        charge = usage.cost_details["upstream_inference_cost"] if is_byok else 0
        usd = float(usage.cost) + float(charge)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    return usd if 0 <= usd < 1e9 else None


def field(reply: object, name: str) -> list:
    """Return a list in a JSON reply; APIError with the server's error where there is none."""
    fields = reply if isinstance(reply, dict) else {}
    if not isinstance(fields.get(name), list):
        raise APIError(f"The reply has no {name}: {reply}", None, body=fields.get("error"))
    return fields[name]


def cheapest_batch_model(client: OpenAI) -> dict:
    """Return id and pricing of the cheapest model of the Batch API that writes text."""
    params = {"sort": "pricing-low-to-high", "output_modalities": "text"}
    for model in field(client.get("/models", cast_to=object, options={"params": params}), "data"):
        if model["id"].endswith(":batch"):
            return {"id": model["id"], "pricing": model["pricing"]}
    raise APIError("The catalogue has no model of the Batch API", None, body=None)


def split(items: Iterator[tuple]) -> Iterator[tuple[str, list[tuple]]]:
    """Yield models, each with as many of its items (id, chat body) as fit into a batch."""
    parts = {}
    for item_id, body in items:
        model = body.pop("model")
        part = parts.setdefault(model, {"size": 0, "items": []})
        part["items"].append((item_id, body))
        part["size"] += len(json.dumps(body))
        if len(part["items"]) == REQUESTS or part["size"] > BYTES:
            yield model, parts.pop(model)["items"]
    yield from ((model, part["items"]) for model, part in parts.items())


def submit(client: OpenAI, model: str, bodies: list[dict], name: str = "item") -> str:
    """Submit chat bodies as a batch, NAME-0, NAME-1 ... as their custom_ids; return the batch's id.

    OpenRouter reads the body as a stream and wants the requests last.
    """
    requests = [{"custom_id": f"{name}-{place}", "body": body} for place, body in enumerate(bodies)]
    body = {"endpoint": "/v1/chat/completions", "model": model.removesuffix(":batch")}
    reply = client.post("/batches", cast_to=object, body={**body, "requests": requests})
    batch_id = reply.get("id") if isinstance(reply, dict) else None
    if not batch_id or not isinstance(batch_id, str):
        raise APIError(f"The reply has no batch id: {reply}", None, body=None)
    return batch_id


def list_batches(client: OpenAI) -> list[dict]:
    """Return the account's latest batches, 100 at most."""
    options = {"params": {"limit": 100}}
    return field(client.get("/batches", cast_to=object, options=options), "data")


def find_lost(client: OpenAI, lost: dict, known: list[str]) -> str | None:
    """Return the id of a batch whose submission broke off, by its time and size; None if none."""
    for batch in list_batches(client):
        is_new = batch["created_at"] > lost["time"] - 600  # ten minutes: clocks differ
        is_same = batch["request_counts"]["total"] == len(lost["ids"])
        if is_new and is_same and batch["id"] not in known:
            return batch["id"]
    return None


def read_batch(client: OpenAI, batch_id: str) -> dict:
    """Return a batch as it is now: status, request_counts and, when it has ended, results."""
    batch = client.get(f"/batches/{batch_id}", cast_to=object)
    if not isinstance(batch, dict) or not isinstance(batch.get("status"), str):
        raise APIError(f"The reply has no status: {batch}", None, body=None)
    return batch


def read_results(batch: dict) -> Iterator[tuple[str, ChatCompletion | None, Exception | None]]:
    """Yield custom_id, completion and, unless it is a whole answer, the error of each result."""
    for result in batch.get("results") or []:
        fields, completion = result if isinstance(result, dict) else {}, None
        try:
            body = (fields.get("response") or {}).get("body") or {"error": fields.get("error")}
            answer = ChatCompletion.construct(**body)
            check(answer, tools=True)
            completion, error = answer, None
        except APIError as failure:
            completion, error = answer, failure
        except Exception as failure:  # a result of another form; the others go on
            error = failure
        yield str(fields.get("custom_id")), completion, error


# --- The command line. Leave out what follows when you copy. ---

import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import BinaryIO

from openai import APIStatusError


def main() -> None:
    """Read the command line; submit what is not done, or look after what is under way."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["submit", "status", "fetch", "list"])
    parser.add_argument("input", nargs="?", help="of submit: JSON lines, or lines in a .txt file")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE")
    parser.add_argument("-m", "--model", help="default: the cheapest of the Batch API")
    parser.add_argument("--prompt", type=Path, metavar="FILE", help="each line fills its {{input}}")
    args = parser.parse_intermixed_args()  # the input may come after options
    client = connect()
    if args.action == "list":
        for batch in list_batches(client):
            print(json.dumps(batch, ensure_ascii=False))
        return
    if not args.output or (args.action == "submit" and not args.input):
        parser.error("submit needs an input, and all but list an output: -o FILE")
    state = Path(f"{args.output}.batches.json")
    batches = json.loads(state.read_text(encoding="utf-8")) if state.exists() else []
    for lost in [batch for batch in batches if not batch["id"]]:
        lost["id"] = find_lost(client, lost, [batch["id"] for batch in batches])
        batches = [batch for batch in batches if batch["id"]]
        save(state, batches)
    if args.action == "submit":
        submit_all(client, state, batches, args)
    else:
        look_after(client, state, batches, args.output if args.action == "fetch" else None)


def save(state: Path, batches: list[dict]) -> None:
    """Write down which batches are under way, as a whole."""
    part = state.with_name(f"{state.name}.part")
    part.write_text(json.dumps(batches), encoding="utf-8")
    part.replace(state)


def submit_all(client: OpenAI, state: Path, batches: list[dict], args: Namespace) -> None:
    """Submit the items that are neither in the output nor under way."""
    template = args.prompt.read_text(encoding="utf-8-sig") if args.prompt else "{{input}}"
    if "{{input}}" not in template:
        sys.exit(f"{args.prompt} has no {{{{input}}}}, where the text goes.")
    model = {"id": args.model} if args.model else cheapest_batch_model(client)
    print(model, file=sys.stderr)
    args.output.open("ab").close()  # a place that can't be written to is found before it costs
    done = {str(item_id) for batch in batches for item_id in batch["ids"]}
    done |= {str(line["id"]) for line in read_output(args.output) if not line["error"]}
    with Path(args.input).open("rb") as source:
        defaults, waiting = {"model": model["id"]}, {}
        for item_id, body in read_items(source, args.input.endswith(".txt"), template, defaults):
            if str(item_id) in waiting:
                sys.exit(f"The id {item_id} comes twice in the input.")
            waiting[str(item_id)] = (item_id, body)
    for name, part in split(waiting[key] for key in waiting if key not in done):
        batch = {"id": None, "time": time.time(), "ids": [item_id for item_id, _ in part]}
        save(state, [*batches, batch])
        try:
            batch["id"] = submit(client, name, [body for _, body in part], str(batch["time"]))
        except APIStatusError as error:
            if error.status_code < 500:  # it was refused, so there is no such batch
                save(state, batches)
            raise
        batches.append(batch)
        save(state, batches)
        print(f"{batch['id']}  {len(part)} requests")


def look_after(client: OpenAI, state: Path, batches: list[dict], output: Path | None) -> None:
    """Print each batch's state; append the results of those that have ended to an output.

    A failed item's line has an error; submit sends it again.
    """
    failures = []
    for batch in list(batches):
        try:
            found = read_batch(client, batch["id"])
        except APIError as error:  # the other batches go on
            failures.append(f"{batch['id']}: {explain(error)}")
            continue
        facts = {name: found.get(name) for name in ("status", "request_counts", "usage", "error")}
        print(batch["id"], json.dumps(facts, ensure_ascii=False))
        is_empty = found["status"] == "completed" and not found.get("results")
        failures += [f"{batch['id']} is completed without results"] if is_empty else []
        if output and found["status"] in ENDED and not is_empty:
            output.open("ab").close()
            written = {str(line["id"]) for line in read_output(output) if not line["error"]}
            ids = {f"{batch['time']}-{n}": item_id for n, item_id in enumerate(batch["ids"])}
            ids = {place: item_id for place, item_id in ids.items() if str(item_id) not in written}
            with output.open("ab") as file:
                for place, completion, error in read_results(found):
                    if place in ids:
                        item_id = ids.pop(place)
                        file.write(output_line(item_id, completion, error, {}))
                        failures += [f"{item_id} failed"] if error else []
            failures += [f"{len(ids)} of {batch['id']} have no result"] if ids else []
            batches.remove(batch)
            save(state, batches)
    if failures:
        sys.exit("; ".join(failures[:5]))


def output_line(item_id: str | int, reply: object, error: Exception | None, more: dict) -> bytes:
    """Return an item's line of the output: JSON, with what came of the answer and the error."""
    choice = reply.choices[0] if getattr(reply, "choices", None) else None
    message, usage = getattr(choice, "message", None), getattr(reply, "usage", None)
    line = {"id": item_id, "answer": getattr(message, "content", None)}
    line["tool_calls"] = getattr(message, "tool_calls", None)
    line["finish_reason"] = getattr(choice, "finish_reason", None)
    line |= {name: getattr(reply, name, None) for name in ("model", "provider")}
    line |= {"usage": usage, "cost": cost(usage), **more}
    if error:
        line["error"] = {"message": explain(error), "retry": False}
    text = json.dumps(line, ensure_ascii=False, default=lambda value: value.to_dict(warnings=False))
    return text.encode(errors="backslashreplace") + b"\n"


def read_items(
    source: BinaryIO, is_text: bool, template: str, defaults: dict
) -> Iterator[tuple[str | int, dict]]:
    """Yield each line's id and chat body; ValueError names a line that has none."""
    source.seek(0)
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        try:
            text = line.decode("utf-8-sig").strip()
            item = {"input": text} if is_text else json.loads(text)
            item_id = item.pop("id", item.pop("custom_id", number))  # both leave the body
            body = item.pop("body", item)
            body = {name: body[name] for name in body if not name.startswith("stream")}
            if "messages" not in body:
                text = template.replace("{{input}}", body.pop("input"), 1)
                body["messages"] = [{"role": "user", "content": text}]
            if not isinstance(body["messages"], list):
                raise ValueError('"messages" must be a list')
            json.dumps(body, ensure_ascii=False).encode()  # half a character can't be sent
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
            raise ValueError(f"line {number} of the input: {error!r}") from None
        yield item_id, defaults | body


def read_output(path: Path) -> Iterator[dict]:
    """Yield the lines of the output; cut off a last one that is not whole."""
    end, line = 0, b"\n"
    with path.open("rb+") as output:
        for line in output:
            try:
                item = json.loads(line)
                yield {"id": item["id"], "cost": item["cost"] or 0, "error": item.get("error")}
            except (ValueError, TypeError, LookupError) as error:
                is_cut = isinstance(error, ValueError) and not line.endswith(b"\n")
                if is_cut and line.startswith(b'{"id": '[: len(line)]):
                    output.truncate(end)
                    return
                raise ValueError(f"{path} has a line of something else: {line[:60]!r}") from None
            end += len(line)
        output.write(b"" if line.endswith(b"\n") else b"\n")


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
