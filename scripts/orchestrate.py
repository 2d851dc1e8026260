# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Have a task planned, worked on in parallel, checked and put together by several models.

  python scripts/orchestrate.py "Compare three ways to store time zones in a database"
  python scripts/orchestrate.py "Plan a week in Busan" --worker MODEL --worker MODEL
  git log -50 | python scripts/orchestrate.py "Write release notes" --trace run.jsonl

Two to four requests per step and two more. A paid model needs a --cost that allows its prices.
https://openrouter.ai/docs/guides/features/structured-outputs
"""

import json
import os
import re
import sys
import threading
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout
from pydantic import BaseModel, ValidationError, ValidationInfo, model_validator

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
PROMPT = "orchestrate"  # _plan, _work, _check and _final
TOKENS = 8000  # the longest answer, reasoning included


class Step(BaseModel, extra="forbid"):
    """One step: what to do, the names of the steps whose results it needs, the model."""

    name: str
    task: str
    needs: list[str]
    model: str


class Plan(BaseModel, extra="forbid"):
    """Steps in an order that can be kept, with the "models" and the most "steps" of the context."""

    steps: list[Step]

    @model_validator(mode="after")
    def can_be_done(self, info: ValidationInfo) -> "Plan":
        """Refuse too many steps, equal or unknown names, and steps that wait for each other."""
        graph, most = {step.name: step.needs for step in self.steps}, info.context["steps"]
        names = {name for needs in graph.values() for name in needs} - graph.keys()
        models = {step.model for step in self.steps} - set(info.context["models"])
        if len(graph) < len(self.steps) or not 0 < len(graph) <= most:
            raise ValueError(f"1 to {most} steps, please, each with a name of its own")
        if names or models:
            raise ValueError(f"there is no {', '.join(sorted(names | models))}")
        order = list(TopologicalSorter(graph).static_order())  # a cycle is a ValueError, too
        self.steps.sort(key=lambda step: order.index(step.name))
        return self


class Verdict(BaseModel, extra="forbid"):
    """What the critic says of a result."""

    critique: str
    accepted: bool


@dataclass
class Run:
    """What all requests share: client, chief model, prompts, what is left to spend, the log."""

    client: OpenAI
    model: str
    prompts: dict[str, str]
    requests: int
    usd: float
    tell: Callable[..., None]
    lock: threading.Lock


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


def fill(template: str, values: dict[str, str]) -> str:
    """Return the template with each {{name}} replaced, in one pass; ValueError names all misfits.

    Values are never scanned again, so that a text with {{x}} in it is safe.
    """
    names = set(re.findall(r"{{(\w+)}}", template))
    wrong = [f"{name} has no value (--set {name}=...)" for name in sorted(names - values.keys())]
    wrong += [
        f"{name} has no {{{{{name}}}}} in the prompt" for name in sorted(values.keys() - names)
    ]
    if wrong:
        raise ValueError(f"The prompt and the values do not fit: {', '.join(wrong)}.")
    return re.sub(r"{{(\w+)}}", lambda match: values[match[1]], template)


def ask(run: Run, stage: str, step: Step | None, values: dict, talk: list) -> str:
    """Return the answer to a stage's prompt and the talk since; APIError unless it is whole.

    Every request has an equal share of the money left, and its price is capped so that it stays
    within (https://openrouter.ai/docs/guides/routing/provider-selection#max-price).
    """
    model, start = step.model if stage == "work" else run.model, time.monotonic()
    messages = [{"role": "user", "content": fill(run.prompts[stage], values)}, *talk]
    request = {"model": model, "messages": messages, "max_tokens": TOKENS}
    if shape := {"plan": Plan, "check": Verdict}.get(stage):
        schema = {"name": stage, "strict": True, "schema": shape.model_json_schema()}
        request["response_format"] = {"type": "json_schema", "json_schema": schema}
    # A token is at least a byte, and what a chat template adds is less than 1000 tokens.
    size = len(json.dumps(request, ensure_ascii=False).encode()) + 1000 + TOKENS
    with run.lock:
        if run.requests < 1 + (stage != "final") or run.usd < 0:  # the end has one kept for it
            raise ValueError("the budget is used up")
        share = run.usd / run.requests
        run.requests, run.usd = run.requests - 1, run.usd - share
    cap = f"{share / size * 1_000_000:.9f}"  # USD per million tokens
    prices = {"prompt": cap, "completion": cap, "request": "0"}
    extra = {"provider": {"max_price": prices, "require_parameters": True}}
    completion = run.client.chat.completions.create(**request, extra_body=extra)
    cost = getattr(getattr(completion, "usage", None), "cost", None)
    with run.lock:
        run.usd += 0 if cost is None else share - cost
    check(completion)
    answer, note = completion.choices[0].message.content, report(completion, start)[1:-1]
    run.tell(stage, step, note, model=model, messages=messages, answer=answer)
    return answer


def make_plan(run: Run, task: str, context: dict) -> Plan:
    """Return a plan; one that makes no sense is refused, with the reason, and asked for again."""
    values = {"task": task, "steps": str(context["steps"]), "models": ", ".join(context["models"])}
    talk = []
    for _ in range(2):
        answer = ask(run, "plan", None, values, talk)
        try:
            return Plan.model_validate_json(answer, context=context)
        except ValidationError as error:
            wrong = "; ".join(f"{e['msg']} {e['loc'] or ''}".strip() for e in error.errors())
        run.tell("plan", None, f"refused: {wrong}")
        talk = [{"role": "assistant", "content": answer}, {"role": "user", "content": wrong}]
    raise APIError(f"No plan that makes sense: {wrong}", None, body=None)


def take_step(run: Run, task: str, step: Step, running: dict, results: dict) -> None:
    """Wait for what the step needs, work, have it checked, redo it once; fill in its result."""
    for name in step.needs:
        running[name].join()
    given, result, talk = {name: results[name] for name in step.needs}, results[step.name], []
    values = {"task": task, "step": step.task, "results": list_results(given)}
    try:
        if missing := [name for name in given if not given[name]["answer"]]:
            raise ValueError(f"no result of {', '.join(missing)}")
        for _ in range(2):
            answer = ask(run, "work", step, values, talk)
            result.update(answer=answer, doubt="not checked")
            text = ask(run, "check", step, {**values, "answer": answer}, [])
            verdict = Verdict.model_validate_json(text)
            result["doubt"] = "" if verdict.accepted else f"not accepted: {verdict.critique}"
            if verdict.accepted:
                return
            run.tell("check", step, result["doubt"])
            talk = [{"role": "assistant", "content": answer}]
            talk += [{"role": "user", "content": verdict.critique}]
    except (*FAILURES, ValueError) as error:
        why = explain(error) if isinstance(error, FAILURES) else error
        result["doubt"] += f" ({why})"
        run.tell("step", step, result["doubt"])


def list_results(results: dict[str, dict]) -> str:
    """Return results as text, those in doubt marked."""
    marks = {name: "UNCERTAIN: " if result["doubt"] else "" for name, result in results.items()}
    texts = (f"# {mark}{name}\n{results[name]['answer']}" for name, mark in marks.items())
    return "\n\n".join(texts) or "-"


def orchestrate(run: Run, task: str, context: dict, results: dict) -> str:
    """Return the answer to the task; results fills with each step's "answer" and "doubt"."""
    plan, running = make_plan(run, task, context), {}
    for step in plan.steps:
        run.tell("plan", step, f"for {step.model}, needs {', '.join(step.needs) or 'nothing'}")
        results[step.name] = {"answer": "", "doubt": "not done"}
        job = (run, task, step, running, results)
        running[step.name] = threading.Thread(target=take_step, args=job, daemon=True)
    for thread in running.values():
        thread.start()
    while any(thread.is_alive() for thread in running.values()):
        time.sleep(0.05)  # on Windows, Ctrl-C would have to wait for join()
    if not any(result["answer"] for result in results.values()):
        raise APIError("No step was done", None, body=None)
    return ask(run, "final", None, {"task": task, "results": list_results(results)}, [])


def main() -> int:
    """Read the command line and the task, orchestrate, print the answer and what is uncertain."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="*", help="what to do; piped text follows it")
    parser.add_argument("-m", "--model", help="plans, checks and puts together")
    parser.add_argument("--worker", action="append", help="a model for steps (default: -m)")
    parser.add_argument("--steps", type=int, default=6, help="at most (default: 6)")
    parser.add_argument("--requests", type=int, default=20, help="at most (default: 20)")
    parser.add_argument("--cost", type=float, default=0.05, help="USD at most (default: 0.05)")
    parser.add_argument("--trace", metavar="FILE", help="every request, added as JSON lines")
    parser.add_argument("--prompt", default=PROMPT, help="prompt files, without _plan and so on")
    args = parser.parse_args()
    task, stages = read_input(args.task), ("plan", "work", "check", "final")
    prompts = {stage: read_prompt(f"{args.prompt}_{stage}") for stage in stages}
    client = connect()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL

    def tell(stage: str, step: Step | None, note: str, **more: object) -> None:
        line = {"time": time.time(), "stage": stage, "step": step and step.name, "note": note}
        with run.lock:
            print(f"[{stage}{' ' + step.name if step else ''}: {note}]", file=sys.stderr)
            if args.trace:
                with Path(args.trace).open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**line, **more}, ensure_ascii=False) + "\n")

    context = {"models": args.worker or [model], "steps": args.steps}
    budget, results = (args.requests, args.cost), {}
    run = Run(client, model, prompts, *budget, tell, threading.Lock())
    try:
        print(orchestrate(run, task, context, results))
    except (*FAILURES, ValueError, KeyboardInterrupt):
        if results:
            print(list_results(results))
        raise
    if doubts := [f"- {name}: {r['doubt']}" for name, r in results.items() if r["doubt"]]:
        print("\nUncertain:", *doubts, sep="\n")
    return int(not all(result["answer"] for result in results.values()))


# From here on, the same in every script.


def read_prompt(name: str) -> str:
    """Return a prompt's text: NAME.txt in prompts/ or beside this script, or any file."""
    here = Path(__file__).resolve().parent
    files = [folder / f"{name}.txt" for folder in (here.parent / "prompts", here / "prompts", here)]
    file = next((file for file in files if file.is_file()), Path(name))
    return file.read_text(encoding="utf-8-sig").strip()


def read_input(words: list[str]) -> str:
    """Return the words of the command line, then what was piped in; ValueError without any."""
    text = " ".join(word for word in words if word != "-")
    if "-" in words or not sys.stdin.isatty():
        text += "\n\n" + sys.stdin.buffer.read().decode("utf-8-sig")
    if not text.strip():
        raise ValueError("There is no text: write it after the command, or pipe it in.")
    return text.strip()


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
