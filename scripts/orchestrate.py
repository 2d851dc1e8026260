# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Have a task planned, worked on in parallel, checked and put together by several models.

  python scripts/orchestrate.py "Compare three ways to store time zones in a database"
  python scripts/orchestrate.py "Plan a week in Busan" --worker MODEL --worker MODEL
  git log -50 | python scripts/orchestrate.py "Write release notes"

Two to four requests per step and two more.
https://openrouter.ai/docs/guides/features/structured-outputs
"""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from threading import Lock, Thread

from dotenv import load_dotenv
from openai import APIError, OpenAI
from pydantic import BaseModel

MODEL = "openrouter/free"  # picks a free model that can do what the request needs


class Step(BaseModel, extra="forbid"):
    """One step: what to do, the names of the steps whose results it needs, the model."""

    name: str
    task: str
    needs: list[str]
    model: str


class Plan(BaseModel, extra="forbid"):
    """What the planner answers."""

    steps: list[Step]


class Verdict(BaseModel, extra="forbid"):
    """What the critic answers."""

    critique: str
    accepted: bool


@dataclass
class Run:
    """What all requests share: prompts are those of plan, work, check and final."""

    client: OpenAI
    model: str  # plans, checks and puts together
    workers: list[str]  # the models for steps
    prompts: dict[str, str]
    steps: int
    requests: int  # left
    usd: float  # left; a reply of unknown cost leaves nothing of it
    log: Callable[[str], None]
    lock: Lock


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


def ask(run: Run, stage: str, model: str, values: dict, turns: list, form: type | None) -> str:
    """Return the answer to a stage's prompt; APIError unless it is whole and the budget lasts."""
    with run.lock:
        reserve = 0 if stage == "final" else 1  # a request is kept for the end
        if run.requests <= reserve or run.usd <= 0:
            raise APIError("The budget is used up", None, body=None)
        run.requests -= 1
    prompt = "".join(values.get(part, part) for part in re.split("({{.*?}})", run.prompts[stage]))
    request = {"model": model, "messages": [{"role": "user", "content": prompt}, *turns]}
    if form:
        schema = {"name": stage, "strict": True, "schema": form.model_json_schema()}
        request["response_format"] = {"type": "json_schema", "json_schema": schema}
        request["extra_body"] = {"provider": {"require_parameters": True}}  # it knows schemas
    completion = run.client.chat.completions.create(**request)
    price = cost(getattr(completion, "usage", None))
    with run.lock:
        run.usd -= run.usd if price is None else price
    check(completion)
    run.log(f"[{stage}: {completion.model}, {'unknown' if price is None else price} USD]")
    return completion.choices[0].message.content.encode(errors="replace").decode()


def read_plan(run: Run, text: str) -> dict[str, Step]:
    """Return the steps by name; ValueError for a plan that can't be worked on."""
    found = Plan.model_validate_json(text).steps
    steps = {step.name: step for step in found}
    needed = {name for step in steps.values() for name in step.needs}
    unknown = needed - steps.keys() | {step.model for step in steps.values()} - {*run.workers}
    if unknown or not 0 < len(steps) == len(found) <= run.steps:
        raise ValueError(f"1 to {run.steps} steps, no name twice; unknown names: {unknown}")
    TopologicalSorter({name: step.needs for name, step in steps.items()}).prepare()  # no cycles
    return steps


def make_plan(run: Run, task: str) -> dict[str, Step]:
    """Return the steps by name; a plan that makes no sense is asked for once more."""
    values = {"{{task}}": task, "{{steps}}": str(run.steps), "{{models}}": ", ".join(run.workers)}
    turns = []
    for _ in range(2):
        answer = ask(run, "plan", run.model, values, turns, Plan)
        try:
            return read_plan(run, answer)
        except ValueError as error:
            problem = f"The plan makes no sense: {error}"
        turns = [{"role": "assistant", "content": answer}, {"role": "user", "content": problem}]
    raise APIError(problem, None, body=None)


def take_step(run: Run, task: str, step: Step, results: dict) -> None:
    """Work on a step, have it checked, redo it once; results[step.name] has answer and doubt."""
    result, turns = results[step.name], []
    needed = {name: results[name] for name in step.needs}
    values = {"{{task}}": task, "{{step}}": step.task, "{{results}}": list_results(needed)}
    try:
        for _ in range(2):
            answer = ask(run, "work", step.model, values, turns, None)
            result |= {"answer": answer, "doubt": "not checked"}
            values["{{answer}}"] = answer
            verdict = Verdict.model_validate_json(ask(run, "check", run.model, values, [], Verdict))
            doubt = "" if verdict.accepted else verdict.critique or "not accepted"
            result["doubt"] = doubt
            if not doubt:
                break
            turns = [{"role": "assistant", "content": answer}, {"role": "user", "content": doubt}]
    except Exception as error:  # the other steps go on
        result["doubt"] += f" ({getattr(error, 'body', None) or error})"
    result["doubt"] = " ".join(result["doubt"].split()).replace(run.client.api_key, "[key]")
    run.log(f"[{step.name}: {result['doubt'] or 'accepted'}]")


def list_results(results: dict[str, dict]) -> str:
    """Return results as text, those in doubt marked."""
    marks = {name: "UNCERTAIN: " if result["doubt"] else "" for name, result in results.items()}
    return "\n\n".join(f"# {marks[name]}{name}\n{results[name]['answer']}" for name in results)


def orchestrate(run: Run, task: str, results: dict) -> str:
    """Return the answer to the task; results fills with each step's "answer" and "doubt"."""
    steps = make_plan(run, task)
    order = TopologicalSorter({name: step.needs for name, step in steps.items()})
    order.prepare()
    while order.is_active():
        ready = order.get_ready()
        results |= {name: {"answer": "", "doubt": "not done"} for name in ready}
        jobs = [(run, task, steps[name], results) for name in ready]
        threads = [Thread(target=take_step, args=job, daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.05)  # on Windows, Ctrl-C would have to wait for join()
        order.done(*ready)
    if not any(result["answer"] for result in results.values()):
        raise APIError(f"No step was done: {results}", None, body=None)
    values = {"{{task}}": task, "{{results}}": list_results(results)}
    return ask(run, "final", run.model, values, [], None)


# --- The command line. Leave out what follows when you copy. ---

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from functools import partial
from pathlib import Path

PROMPTS = Path(__file__).resolve().parent.parent / "prompts"


def main() -> int:
    """Read the command line and the task, orchestrate, print the answer and what is uncertain."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="*", help="what to do; piped text follows it")
    parser.add_argument("-m", "--model", help="plans, checks and puts together")
    parser.add_argument("--worker", action="append", help="a model for steps (default: -m)")
    parser.add_argument("--steps", type=int, default=6, help="the most steps (default: 6)")
    parser.add_argument("--requests", type=int, default=20, help="the most requests (default: 20)")
    parser.add_argument("--cost", type=float, default=0.05, help="USD, about (default: 0.05)")
    parser.add_argument("--prompt", type=Path, default=PROMPTS, help="folder of the prompts")
    args = parser.parse_args()
    task = " ".join(args.task)
    if not sys.stdin.isatty():
        task = f"{task}\n\n{sys.stdin.buffer.read().decode('utf-8-sig')}".strip()
    if not task:
        sys.exit("Give a task as an argument or through a pipe.")
    prompts = {}
    for stage in ("plan", "work", "check", "final"):
        prompts[stage] = (args.prompt / f"orchestrate_{stage}.txt").read_text(encoding="utf-8-sig")
    client = connect()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    budget = (args.steps, args.requests, args.cost)
    log = partial(print, file=sys.stderr)
    run = Run(client, model, args.worker or [model], prompts, *budget, log, Lock())
    results, answer = {}, ""
    try:
        answer = orchestrate(run, task, results)
    finally:  # what came is not lost
        done = {name: result for name, result in results.items() if result["answer"]}
        text = answer or list_results(done)
        print(end=f"{text}\n" if text else "")
    doubts = [f"- {name}: {results[name]['doubt']}" for name in results if results[name]["doubt"]]
    if doubts:
        print("\nUncertain:", *doubts, sep="\n")
    return int(not all(result["answer"] for result in results.values()))


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
