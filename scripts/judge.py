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


def judge(client: OpenAI, model: str, prompt: str) -> tuple[str, str]:
    """Return the verdict in the last line of a judge's reply ("A", "B" or "TIE") and its text."""
    messages = [{"role": "user", "content": prompt}]
    completion = client.chat.completions.create(model=model, messages=messages)
    check(completion)
    text = completion.choices[0].message.content
    verdict = re.search(r"verdict\W+(A|B|tie)\W*$", text.strip(), re.IGNORECASE)
    return verdict[1].upper() if verdict else "TIE", text


def judge_pair(
    client: OpenAI, model: str, template: str, question: str, answers: list[str]
) -> tuple[int | None, list[str]]:
    """Return the winner of two answers, 0, 1 or None for a tie, and the judge's two texts.

    Judges favour a place: only the answer that wins in both orders is the winner.
    """
    winners, texts = [], []
    for first, second in ((0, 1), (1, 0)):
        values = {"{{question}}": question}
        values |= {"{{first}}": answers[first], "{{second}}": answers[second]}
        prompt = "".join(values.get(part, part) for part in re.split("({{.*?}})", template))
        verdict, text = judge(client, model, prompt)
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


def main() -> None:
    """Read the answers, judge each pair, print the ranking."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", default="-", help='JSON of compare.py ("-": the pipe)')
    parser.add_argument("-m", "--model", help=f"the judge; default: OPENROUTER_MODEL, else {MODEL}")
    parser.add_argument("--prompt", type=Path, default=PROMPT, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="data instead of lines")
    args = parser.parse_args()
    data = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
    compared = json.loads(data.decode("utf-8-sig"))
    answers = {row["asked"]: row["answer"] for row in compared["answers"] if not row["error"]}
    if len(answers) < 2:
        sys.exit("There are fewer than two whole answers to compare.")
    template = args.prompt.read_text(encoding="utf-8-sig")
    client = connect()
    model = args.model or os.environ.get("OPENROUTER_MODEL") or MODEL
    points, pairs = dict.fromkeys(answers, 0.0), []
    for pair in combinations(answers, 2):
        texts = [answers[name] for name in pair]
        winner, reasons = judge_pair(client, model, template, compared["prompt"], texts)
        for place, name in enumerate(pair):
            points[name] += 0.5 if winner is None else float(winner == place)
        result = "tie" if winner is None else pair[winner]
        pairs.append({"models": pair, "winner": result, "texts": reasons})
        print(f"[{' or '.join(pair)}: {result}]", *reasons, sep="\n", file=sys.stderr)
    names = sorted(points, key=points.get, reverse=True)
    if args.json:
        ranking = [{"model": name, "points": points[name]} for name in names]
        print(json.dumps({"ranking": ranking, "pairs": pairs}, ensure_ascii=False, indent=2))
    else:
        print("\n".join(f"{points[name]:4.1f}  {name}" for name in names))


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
