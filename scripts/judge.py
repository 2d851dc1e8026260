# /// script
# requires-python = ">=3.10"
# dependencies = ["openai>=3", "python-dotenv>=1"]
# ///
"""Rank the answers that compare.py collected: every pair, in both orders, names hidden.

  python scripts/compare.py "Why is the sky blue?" --free 2 --json | python scripts/judge.py
  python scripts/judge.py answers.json -m MODEL

N answers take N x (N - 1) requests. A judge that changes its mind with the order means a tie.
https://openrouter.ai/docs/api_reference/overview
"""

import os
import re
from contextlib import suppress

from dotenv import load_dotenv
from openai import APIError, OpenAI

MODEL = "openrouter/free"  # picks a free model that can do what the request needs


def connect() -> OpenAI:
    """Return the official client set up for OpenRouter; ValueError without a usable key."""
    with suppress(UnicodeDecodeError):  # without its key, the error below names .env
        load_dotenv(encoding="utf-8-sig")
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    if not re.fullmatch("[!-~]+", key):  # api_key=None would send OPENAI_API_KEY to OpenRouter
        raise ValueError("OPENROUTER_API_KEY is missing or malformed (environment or UTF-8 .env)")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        os.environ.pop(name, None)  # the client would send these, too
    url = os.environ.get("OPENROUTER_BASE_URL", "").strip() or "https://openrouter.ai/api/v1"
    return OpenAI(base_url=url, api_key=key, timeout=120, max_retries=0)  # retries use up quota


def check(reply: object, streamed: object = None) -> None:
    """Raise APIError unless the reply is a whole answer; HTTP 200 can bring an error, too."""
    choice = reply.choices[0] if getattr(reply, "choices", None) else None
    message = streamed or getattr(choice, "message", None)
    content, reason = getattr(message, "content", None), getattr(choice, "finish_reason", None)
    text = content if isinstance(content, str) else ""
    whole = {"stop": text, "tool_calls": getattr(message, "tool_calls", None)}.get(reason)
    said = getattr(reply, "error", None) or getattr(choice, "error", None)
    if said or not whole:
        what = f"The answer is not whole (finish_reason: {reason})"
        error = APIError(what, None, body=said or getattr(message, "refusal", None))
        error.partial = f"{text}\n" if text and not streamed else ""
        raise error


def judge(client: OpenAI, model: str, prompt: str) -> tuple[str, str]:
    """Return the verdict in the last line of a judge's reply ("A", "B" or "TIE") and its text."""
    messages = [{"role": "user", "content": prompt}]
    completion = client.chat.completions.create(model=model, messages=messages)
    check(completion)
    text = completion.choices[0].message.content
    verdict = re.search(r"verdict\W+(A|B|tie)\W*$", text.strip(), re.IGNORECASE)
    return verdict[1].upper() if verdict else "TIE", text


def fill(template: str, values: dict[str, str]) -> str:
    """Return the template with each {{name}} replaced, in one pass: values are not searched."""
    return re.sub(r"{{(\w+)}}", lambda match: values.get(match[1], match[0]), template)


def judge_pair(
    client: OpenAI, model: str, template: str, question: str, answers: list[str]
) -> tuple[int | None, list[str]]:
    """Return the winner of two answers, 0, 1 or None for a tie, and the judge's two texts.

    Judges favour a place: only the answer that wins in both orders is the winner.
    """
    winners, texts = [], []
    for first, second in ((0, 1), (1, 0)):
        values = {"question": question, "first": answers[first], "second": answers[second]}
        verdict, text = judge(client, model, fill(template, values))
        winners.append({"A": first, "B": second}.get(verdict))
        texts.append(text)
    return winners[0] if winners[0] == winners[1] else None, texts


# --- The command line. Leave out what follows when you copy. ---

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from itertools import combinations
from pathlib import Path

PROMPT = Path(__file__).resolve().parent.parent / "prompts" / "judge.txt"
NETWORK = "OPENROUTER_BASE_URL|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_FILE"


def main() -> None:
    """Read the answers, judge each pair, print the ranking."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", default="-", help='JSON of compare.py ("-": the pipe)')
    parser.add_argument("-m", "--model", help=f"the judge; default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", type=Path, default=PROMPT, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="data instead of lines")
    args = parser.parse_args()
    data = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
    question, answers = read_answers(data)
    template = args.prompt.read_text(encoding="utf-8-sig")
    client = connect()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    points, pairs = [0.0] * len(answers), []
    for one, two in combinations(range(len(answers)), 2):
        texts = [answers[one]["answer"], answers[two]["answer"]]
        winner, reasons = judge_pair(client, model, template, question, texts)
        points[one] += 0.5 if winner is None else 1.0 - winner
        points[two] += 0.5 if winner is None else float(winner)
        models = [answers[one]["model"], answers[two]["model"]]
        pairs.append({"models": models, "winner": winner, "texts": reasons})
        result = "tie" if winner is None else models[winner]
        print(f"[{models[0]} or {models[1]}: {result}]", *reasons, sep="\n", file=sys.stderr)
    names = [answer["model"] for answer in answers]
    ranking = sorted(zip(points, names, strict=True), reverse=True)
    if args.json:
        rows = [{"model": name, "points": score} for score, name in ranking]
        print(json.dumps({"ranking": rows, "pairs": pairs}, ensure_ascii=False, indent=2))
    else:
        for score, name in ranking:
            print(f"{score:4.1f}  {name}")


def read_answers(data: bytes) -> tuple[str, list[dict]]:
    """Return the question and the whole answers that compare.py --json wrote."""
    try:
        compared = json.loads(data.decode("utf-8-sig"))
        answers = [answer for answer in compared["answers"] if not answer["error"]]
        texts = [compared["prompt"], *(answer["answer"] + answer["model"] for answer in answers)]
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"The input is not what compare.py --json writes: {error!r}")
    if len(answers) < 2:
        sys.exit("There are fewer than two whole answers to compare.")
    return texts[0], answers


def explain(error: Exception) -> str:
    """Return an error as one line: what the server, the provider or the system said."""
    body = getattr(error, "body", None)
    fields = body if isinstance(body, dict) else {}
    said = fields.get("message", body) or f"{type(error).__name__}: {error}"
    parts = [getattr(error, "status_code", fields.get("code")), said, fields.get("metadata")]
    is_network = error.__cause__ or getattr(error, "filename", "") is None
    names = NETWORK if is_network else "OPENROUTER_BASE_URL"
    settings = [f"{k}={v}" for k, v in os.environ.items() if v and re.fullmatch(names, k, re.I)]
    parts = [str(part)[:300] for part in [*parts, error.__cause__, *settings] if part]
    key = os.environ.get("OPENROUTER_API_KEY", "").strip() or "[key]"
    return re.sub("//[^/@]*@", "//", " ".join(": ".join(parts).split()).replace(key, "[key]"))


if __name__ == "__main__":
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader has left, as in `| head -1`
        os._exit(0)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        print(getattr(error, "partial", ""), end="")
        sys.exit(explain(error))
