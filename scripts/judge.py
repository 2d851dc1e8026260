# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=2", "python-dotenv>=1"]
# ///
"""Rank the answers that compare.py collected: every pair, in both orders, names hidden.

  python scripts/compare.py "Why is the sky blue?" --free 2 --json | python scripts/judge.py
  python scripts/judge.py answers.json -m MODEL

N answers take N x (N - 1) requests. A judge that changes its mind with the order means a tie.
https://openrouter.ai/docs/api_reference/overview
"""

import json
import os
import re
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from itertools import combinations
from pathlib import Path

from dotenv import load_dotenv
from openai import APIError, APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError, Timeout

MODEL = "openrouter/free"  # picks a free model that can do what the request needs
PROMPT = "judge"


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


def judge(client: OpenAI, model: str, prompt: str) -> tuple[str, str, str]:
    """Return a verdict ("A", "B", "TIE", or "" if unreadable), the judge's text and its model."""
    messages = [{"role": "user", "content": prompt}]
    completion = client.chat.completions.create(model=model, messages=messages)
    check(completion)
    text = completion.choices[0].message.content
    verdicts = re.findall(r"verdict\W+(A(?! tie)|B|tie)\b", text, flags=re.IGNORECASE)
    return verdicts[-1].upper() if verdicts else "", text, completion.model


def judge_pair(client: OpenAI, model: str, template: str, question: str, pair: list[dict]) -> dict:
    """Return {"models", "winner", "texts", "judges"}; winner 0 or 1, None for a tie.

    Judges favour a place: both orders are asked, and only the same winner twice is a winner.
    """
    winners, texts, judges = [], [], []
    for first, second in ((0, 1), (1, 0)):
        values = {"first": pair[first]["answer"], "second": pair[second]["answer"]}
        prompt = fill(template, {"question": question} | values)
        verdict, text, judged_by = judge(client, model, prompt)
        winners.append({"A": first, "B": second}.get(verdict))
        texts.append(text if verdict else f"{text}\n(no verdict found: counts as a tie)")
        judges.append(judged_by)
    winner = winners[0] if winners[0] == winners[1] else None
    models = [answer["model"] for answer in pair]
    return {"models": models, "winner": winner, "texts": texts, "judges": judges}


def read_answers(text: str) -> tuple[str, list[dict]]:
    """Return the question and the whole answers that compare.py --json wrote; ValueError if not."""
    try:
        data = json.loads(text)
        answers = [a for a in data["answers"] if a["answer"] and a["model"] and not a["error"]]
        question = data["prompt"]
        texts = [question, *(a[part] for a in answers for part in ("answer", "model"))]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise ValueError("The input is not what compare.py --json writes.") from None
    if len(answers) < 2:
        raise ValueError("There are fewer than two whole answers to compare.")
    return question, answers


def main() -> None:
    """Read the answers, judge each pair, print the ranking."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", default="-", help='JSON of compare.py ("-": the pipe)')
    parser.add_argument("-m", "--model", help=f"the judge; default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", default=PROMPT, help="prompt file, by name or path")
    parser.add_argument("--json", action="store_true", help="data instead of lines")
    args = parser.parse_args()
    text = read_input(["-"]) if args.file == "-" else Path(args.file).read_text("utf-8-sig")
    question, answers = read_answers(text)
    client, template = connect(), read_prompt(args.prompt)
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    points, results = [0.0] * len(answers), []
    try:
        for one, two in combinations(range(len(answers)), 2):
            pair = [answers[one], answers[two]]
            result = judge_pair(client, model, template, question, pair)
            results.append(result)
            for number, index in enumerate((one, two)):
                points[index] += {None: 0.5, number: 1.0}.get(result["winner"], 0.0)
            print(told(result), file=sys.stderr)
    finally:  # a request that fails does not take away what was judged before it
        order = sorted(zip(points, (a["model"] for a in answers), strict=True), reverse=True)
        ranking = [{"model": name, "points": score} for score, name in order]
        data = json.dumps({"ranking": ranking, "pairs": results}, ensure_ascii=False, indent=2)
        lines = [f"{item['points']:4.1f}  {item['model']}" for item in ranking]
        if results:
            print(data if args.json else "\n".join(lines))


def told(result: dict) -> str:
    """Return a pair's result for a person: the models, the judge's words, a warning if need be."""
    winner, (one, two) = result["winner"], result["models"]
    lines = [f"[{one} or {two}: {'tie' if winner is None else result['models'][winner]}]"]
    lines += result["texts"]
    for own in sorted(set(result["judges"]) & set(result["models"])):
        lines.append(f"[Warning: {own} judged its own answer; name another judge with -m.]")
    return "\n".join(lines)


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
