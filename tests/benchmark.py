"""Measure the scripts beside the bare client and beside other ways, against a server on loopback.

  python tests/benchmark.py                    (all of it: about 20 minutes)
  python tests/benchmark.py --quick            (2 minutes, too short to rely on)
  python tests/benchmark.py --only bulk cpu --others ../venv/bin/python

Prints Markdown: the tables, and whether each goal holds. llm, litellm and openrouter are measured
where they are installed: for this Python, or for the one named with --others. Programs run in
turns, since a machine's speed changes; of times the lowest counts, of ratios the middle one.
"""

import argparse
import asyncio
import json
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"
KEY = "benchmark"
PARTS = ("start", "bulk", "others", "cpu", "memory")


# ----------------------------------------------------------------------------------------- server

TEXT = "The sky is blue because air scatters short waves more than long ones. "
USAGE = {"prompt_tokens": 20, "completion_tokens": 100, "total_tokens": 120, "cost": 0.00012}
USAGE |= {
    "is_byok": False,
    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
    "cost_details": {"upstream_inference_cost": None, "upstream_inference_prompt_cost": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "image_tokens": 0},
}
COMMON = {"id": "gen-1", "created": 1790000000, "model": "a/b", "provider": "P"}
COMMON |= {"system_fingerprint": None}


def reply() -> bytes:
    message = {"role": "assistant", "content": TEXT * 6, "refusal": None, "reasoning": None}
    choice = {"index": 0, "logprobs": None, "finish_reason": "stop", "message": message}
    body = COMMON | {"object": "chat.completion", "choices": [choice], "usage": USAGE}
    return http(json.dumps(body).encode())


def http(body: bytes) -> bytes:
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return (head % len(body)).encode() + body


def stream() -> bytes:
    """The rest of a stream after its head: ten chunks, the usage, the end."""
    chunks = []
    for number in range(10):
        choice = {"index": 0, "delta": {"role": "assistant", "content": TEXT}}
        choice["finish_reason"] = "stop" if number == 9 else None
        chunks.append(COMMON | {"object": "chat.completion.chunk", "choices": [choice]})
    chunks.append(COMMON | {"object": "chat.completion.chunk", "choices": [], "usage": USAGE})
    events = b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    events += b"data: [DONE]\n\n"
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(events), events)


REPLY, STREAM = reply(), stream()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Answers(asyncio.Protocol):
    """Answers each request after self.delay seconds, with hardly any work of its own.

    GET /stats?DELAY tells what happened since the last look, and sets the delay.
    """

    delay: float
    stats: dict

    def connection_made(self, transport):
        self.transport, self.data = transport, b""

    def data_received(self, data):
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            start = head.find(b"content-length:")
            size = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self.data) < end + 4 + size:
                return
            body, self.data = self.data[end + 4 : end + 4 + size], self.data[end + 4 + size :]
            self.request(head, body)

    def request(self, head: bytes, body: bytes):
        if head.startswith(b"get /stats"):
            self.transport.write(http(json.dumps(Answers.stats).encode()))
            Answers.delay = float(head.split(b"?")[1].split(b" ")[0])
            Answers.stats = {"requests": 0, "in_flight": 0, "most": 0}
            return
        if head.startswith(b"get"):
            self.transport.write(http(b'{"data": []}'))
            return
        stats = Answers.stats
        stats.setdefault("first", time.monotonic())
        stats["requests"] += 1
        stats["in_flight"] += 1
        stats["most"] = max(stats["most"], stats["in_flight"])
        streams = b'"stream":true' in body.replace(b" ", b"")
        if streams:
            self.transport.write(HEAD)
        answer = STREAM if streams else REPLY
        if Answers.delay:
            asyncio.get_running_loop().call_later(Answers.delay, self.answer, answer)
        else:
            self.answer(answer)

    def answer(self, data: bytes):
        Answers.stats["last"] = time.monotonic()
        Answers.stats["in_flight"] -= 1
        self.transport.write(data)


async def serve() -> None:
    Answers.delay, Answers.stats = 0.0, {"requests": 0, "in_flight": 0, "most": 0}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answers, "127.0.0.1", 0, backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def server():
    """The server as a process of its own; yields its base URL."""
    process = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/api/v1"
    finally:
        process.kill()
        process.communicate()


def look(url: str, delay: float = 0.0) -> dict:
    """What the server saw since the last look; from here on it answers after so many seconds."""
    with urllib.request.urlopen(f"{url.removesuffix('/api/v1')}/stats?{delay}") as reply:
        return json.load(reply)


# ----------------------------------------------------------------------------------- contestants

START = """
import os, sys
URL, KEY = os.environ["OPENROUTER_BASE_URL"], os.environ["OPENROUTER_API_KEY"]
MESSAGES = [{"role": "user", "content": "hi"}]
"""

CHAT = {
    "the bare client": """
from openai import OpenAI
client = OpenAI(base_url=URL, api_key=KEY)
stream = client.chat.completions.create(model="a/b", messages=MESSAGES, stream=True)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
""",
    "openrouter (package)": """
from openrouter import OpenRouter
with OpenRouter(api_key=KEY, server_url=URL) as client:
    with client.chat.send(model="a/b", messages=MESSAGES, stream=True) as stream:
        for event in stream:
            if event.choices:
                print(event.choices[0].delta.content or "", end="", flush=True)
""",
    "litellm": """
import litellm
stream = litellm.completion(
    model="openai/a/b", api_base=URL, api_key=KEY, messages=MESSAGES, stream=True)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
""",
}

LOOP = """
import asyncio
places, items = int(sys.argv[1]), iter(range(int(sys.argv[2])))

async def work(ask):
    for number in items:
        await ask([{"role": "user", "content": f"Question {number}"}])

async def run(ask):
    await asyncio.gather(*(work(ask) for _ in range(places)))
"""

BULK = {
    "the bare client": """
from openai import AsyncOpenAI
client = AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0)
asyncio.run(run(lambda m: client.chat.completions.create(model="a/b", messages=m)))
""",
    "threads and the bare client": """
from concurrent.futures import ThreadPoolExecutor
from openai import OpenAI
client = OpenAI(base_url=URL, api_key=KEY, max_retries=0)

def ask(number):
    messages = [{"role": "user", "content": f"Question {number}"}]
    client.chat.completions.create(model="a/b", messages=messages)

with ThreadPoolExecutor(places) as pool:
    list(pool.map(ask, items))
""",
    "litellm.acompletion": """
import litellm
asyncio.run(run(lambda m: litellm.acompletion(
    model="openai/a/b", api_base=URL, api_key=KEY, messages=m, max_retries=0)))
""",
    "openrouter (package), async": """
from openrouter import OpenRouter

async def main():
    async with OpenRouter(api_key=KEY, server_url=URL) as client:
        await run(lambda m: client.chat.send_async(model="a/b", messages=m))

asyncio.run(main())
""",
}

Outcome = dict[str, float]  # wall and cpu: seconds; memory: MiB; and what the server saw


class Bench:
    """Runs programs against the server and remembers the best of each."""

    def __init__(self, url: str, folder: Path, options: argparse.Namespace):
        self.url, self.folder, self.options = url, folder, options
        self.goals: list[tuple[str, str, bool]] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if "_PROXY" not in name.upper()},
            "OPENROUTER_BASE_URL": url,
            "OPENROUTER_API_KEY": KEY,
            "OPENROUTER_MODEL": "",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LLM_USER_PATH": str(folder),
        }
        models = [{"model_id": "bench", "model_name": "a/b", "api_base": url}]
        (folder / "extra-openai-models.yaml").write_text(json.dumps(models))

    def run(self, command: list[str], delay: float = 0.0, first: bool = False) -> Outcome:
        """Run a program; first: also when the first character came out of it."""
        look(self.url, delay)
        start = time.monotonic()
        with (self.folder / "stderr").open("wb") as errors:
            process = subprocess.Popen(
                command,
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
            letter = os.read(process.stdout.fileno(), 1) if first else b""
            came = time.monotonic()
            process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or (first and not letter):
            print((self.folder / "stderr").read_text(errors="replace")[-2000:], file=sys.stderr)
            raise SystemExit(f"failed: {' '.join(command)[:300]}")
        seen = look(self.url)
        scale = 2**20 if sys.platform == "darwin" else 2**10
        return {
            "wall": time.monotonic() - start,
            "cpu": usage.ru_utime + usage.ru_stime,
            "memory": usage.ru_maxrss / scale,
            "span": seen.get("last", 0) - seen.get("first", 0),
            "most": seen["most"],
            "first": came - seen.get("last", 0),
        }

    def turns(self, commands: dict[str, list[str]], times: int, **options) -> dict[str, list]:
        """The outcomes of each program, run in turns."""
        found: dict[str, list[Outcome]] = {name: [] for name in commands}
        for _ in range(times):
            for name, command in commands.items():
                for stale in self.folder.glob("answers*"):
                    stale.unlink()
                found[name].append(self.run(command, **options))
        return found

    def best(self, commands: dict[str, list[str]], times: int, **options) -> dict[str, Outcome]:
        """The lowest numbers of each program, run in turns."""
        return {name: lowest(one) for name, one in self.turns(commands, times, **options).items()}

    def goal(self, text: str, measured: str, holds: bool) -> None:
        self.goals.append((text, measured, holds))

    # ------------------------------------------------------------------------------- programs

    def python(self, code: str, package: str = "") -> list[str] | None:
        """A command for a program; None where its package isn't installed."""
        python = sys.executable
        if package:
            find = f"import importlib.util as u; raise SystemExit(not u.find_spec({package!r}))"
            options = [sys.executable, *filter(None, [self.options.others])]
            fits = [one for one in options if not subprocess.run([one, "-c", find]).returncode]
            if not fits:
                return None
            python = fits[0]
        return [python, "-c", code]

    def programs(self, table: dict[str, str], before: str, *args: str) -> dict[str, list[str]]:
        found = {}
        for name, code in table.items():
            package = name.split(" ")[0].split(".")[0] if name.startswith(("openr", "lite")) else ""
            if command := self.python(before + code, package):
                found[name] = [*command, *args]
        return found

    def script(self, name: str, *args: str) -> list[str]:
        return [sys.executable, str(SCRIPTS / f"{name}.py"), *args]

    def bulk(self, items: int, places: int, *args: str) -> list[str]:
        source = self.folder / f"prompts-{items}.jsonl"
        if not source.exists():
            with source.open("w") as file:
                for number in range(items):
                    line = {"id": number, "input": f"Question {number}"}
                    file.write(json.dumps(line) + "\n")
        places = ["--concurrency", str(places), "--rpm", "0", "-m", "a/b"]
        return self.script("bulk", str(source), "-o", "answers.jsonl", *places, *args)

    def bare(self, items: int, places: int) -> list[str]:
        code = START + LOOP + BULK["the bare client"]
        return [sys.executable, "-c", code, str(places), str(items)]


def lowest(outcomes: list[Outcome]) -> Outcome:
    return {key: min(one[key] for one in outcomes) for key in outcomes[0]}


def ratio(key: str, ours: list[Outcome], theirs: list[Outcome]) -> float:
    """The middle one of the ratios of neighbouring runs: the machine's speed changes meanwhile."""
    return median(one[key] / other[key] for one, other in zip(ours, theirs, strict=True))


# ---------------------------------------------------------------------------------- measurements


def measure_start(bench: Bench) -> None:
    """A whole chat, from the command to its end, and how soon the first letter is seen."""
    commands = {"chat.py": bench.script("chat", "hi")}
    commands |= bench.programs(CHAT, START)
    if llm := shutil.which("llm", path=os.pathsep.join(bench.options.paths)):
        commands["llm (command)"] = [llm, "-m", "bench", "--key", KEY, "--no-log", "hi"]
    found = bench.turns(commands, 3 if bench.options.quick else 25)
    bare = found["the bare client"]
    print("\n| one question, from the command to its end | seconds | CPU seconds | times bare |")
    print("|---|---|---|---|")
    for name, outcomes in found.items():
        one, times = lowest(outcomes), ratio("wall", outcomes, bare)
        print(f"| {name} | {one['wall']:.3f} | {one['cpu']:.3f} | {times:.2f} |")
    times = ratio("wall", found["chat.py"], bare)
    bench.goal('`chat.py "hi"` at most 1.05 times the bare client', f"{times:.2f}", times <= 1.05)

    short = {name: commands[name] for name in ("chat.py", "the bare client")}
    found = bench.best(short, 3 if bench.options.quick else 10, delay=0.5, first=True)
    print("\n| from the server's first chunk to the first letter | milliseconds |")
    print("|---|---|")
    for name, one in found.items():
        print(f"| {name} | {1000 * one['first']:.1f} |")

    models = [part for name in "ABCD" for part in ("-m", f"a/{name}")]
    commands = {"compare.py": bench.script("compare", "hi", *models)}
    one = bench.best(commands, 2 if bench.options.quick else 5, delay=0.5)["compare.py"]
    print(f"\n`compare.py` with four models of 0.5 s each: {one['span']:.2f} s for all answers,")
    print(f"{one['wall']:.2f} s from the command to its end (one after the other: 2 s).")
    bench.goal("four models of 0.5 s in 0.55 s", f"{one['span']:.2f} s", one["span"] < 0.55)


def measure_bulk(bench: Bench) -> None:
    """Throughput at several latencies and numbers of requests in flight."""
    print("\n| latency | in flight | items | ideal/s | bulk.py/s | bare client/s | bulk/bare "
          "| bulk/ideal |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for delay, seconds, times in ((1.0, 20, 2), (0.05, 4, 7)):
        seconds, times = (3, 1) if bench.options.quick else (seconds, times)
        for places in (1, 10, 50, 200):
            ideal = places / delay
            items = max(3, int(min(ideal, 600) * seconds))
            commands = {"bulk": bench.bulk(items, places), "bare": bench.bare(items, places)}
            found = bench.turns(commands, times, delay=delay)
            # An ideal run takes whole rounds of places; the server's own lateness is part of it.
            best = -(-items // places) * delay
            bulk, bare = (lowest(outcomes)["span"] for outcomes in found.values())
            share = ratio("span", found["bare"], found["bulk"])
            row = [f"{delay:g} s", places, items, f"{ideal:.0f}", f"{items / bulk:.1f}"]
            row += [f"{items / bare:.1f}", f"{share:.3f}", f"{best / bulk:.3f}"]
            print("|", " | ".join(map(str, row)), "|")
            what = f"at {delay:g} s and {places} in flight"
            name = f"97 % of the bare client {what}"
            bench.goal(name, f"{100 * share:.1f} %", share >= 0.97)
            if delay == 1 and places in (50, 200):
                least = 0.95 if places == 50 else 0.85
                name = f"{100 * least:.0f} % of the ideal {what}"
                bench.goal(name, f"{100 * best / bulk:.1f} %", best / bulk >= least)


def measure_others(bench: Bench) -> None:
    """Other ways to the same answers, at 50 in flight and 50 ms."""
    places, items, delay = 50, 300 if bench.options.quick else 2000, 0.05
    commands = {"bulk.py": bench.bulk(items, places)}
    commands |= bench.programs(BULK, START + LOOP, str(places), str(items))
    found = bench.turns(commands, 1 if bench.options.quick else 5, delay=delay)
    few = bench.best({name: again(command, items, bench) for name, command in commands.items()}, 1)
    print(f"\n| {places} in flight, {1000 * delay:.0f} ms each | requests/s | bulk.py is faster by "
          "| CPU ms a request | MiB |")  # fmt: skip
    print("|---|---|---|---|---|")
    for name, outcomes in found.items():
        one, times = lowest(outcomes), ratio("span", outcomes, found["bulk.py"])
        cpu = 1000 * (one["cpu"] - few[name]["cpu"]) / (items - places)
        row = [name, f"{items / one['span']:.0f}", f"{times:.2f}", f"{cpu:.2f}"]
        print("|", " | ".join(row), f"| {one['memory']:.0f} |")
        if name not in ("bulk.py", "the bare client"):
            bench.goal(f"ahead of {name}", f"{times:.2f} times", times > 1)


def again(command: list[str], items: int, bench: Bench) -> list[str]:
    """The same program with hardly anything to do: what it costs to start it."""
    if "bulk.py" in command[1]:
        return bench.bulk(50, 50)
    return [*command[:-1], "50"]


def measure_cpu(bench: Bench) -> None:
    """Where a request's time goes: a run under the profiler, summed up by package."""
    items = 300 if bench.options.quick else 2000
    look(bench.url, 0.05)
    file = bench.folder / "profile"
    command = bench.bulk(items, 50)
    profiled = [sys.executable, "-m", "cProfile", "-o", str(file), *command[1:]]
    bench.best({"bulk.py": profiled}, 1, delay=0.05)
    sums: dict[str, float] = defaultdict(float)
    for (path, _, name), (_, _, own, _, _) in pstats.Stats(str(file)).stats.items():
        sums[package_of(path, name)] += own
    del sums["waiting"]
    total = sum(sums.values())
    print("\n| where bulk.py's time goes (with its start) | % |")
    print("|---|---|")
    for name, own in sorted(sums.items(), key=lambda pair: -pair[1])[:12]:
        print(f"| {name} | {100 * own / total:.0f} |")


def package_of(path: str, name: str) -> str:
    if "poll" in name or "select" in name or "acquire" in name:
        return "waiting"
    if path.startswith("~"):
        for part in ("socket", "json", "posix"):
            if part in name:
                return f"{part} (C)"
        return "built-ins"
    if "site-packages" in path:
        return path.split("site-packages")[1].replace("\\", "/").split("/")[1]
    if "scripts" in path:
        return Path(path).name
    return f"{Path(path).parent.name} (standard library)"


def measure_memory(bench: Bench) -> None:
    """The highest memory, by the number of items."""
    counts = (1_000, 10_000) if bench.options.quick else (1_000, 10_000, 100_000)
    print("\n| items | peak MiB | seconds |")
    print("|---|---|---|")
    peaks = []
    for count in counts:
        one = bench.best({"bulk.py": bench.bulk(count, 50)}, 1)["bulk.py"]
        peaks.append(one["memory"])
        print(f"| {count:,} | {one['memory']:.1f} | {one['wall']:.0f} |")
    more = (peaks[-1] - peaks[0]) * 2**20 / (counts[-1] - counts[0])
    bench.goal("at most 100 bytes for each further item", f"{more:.0f} bytes", more <= 100)


def size_of_scripts() -> str:
    """How large the scripts are beside their first version."""
    from test_structure import SOURCES, count_tokens

    lines = sum(text.count("\n") for text in SOURCES.values())
    tokens = sum(map(count_tokens, SOURCES.values()))
    return f"{lines:,} lines, {tokens:,} tokens (the first version: 7,828 and 58,389)"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--others", metavar="PYTHON", help="a Python that has litellm, llm, …")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return asyncio.run(serve())
    if options.others:
        options.others = str(Path(options.others).absolute())
    pythons = filter(None, [sys.executable, options.others])
    options.paths = [*(str(Path(python).parent) for python in pythons), os.environ["PATH"]]
    sys.stdout.reconfigure(line_buffering=True)
    with server() as url, tempfile.TemporaryDirectory() as folder:
        bench = Bench(url, Path(folder), options)
        version = subprocess.run(
            [sys.executable, "-c", "import openai; print(openai.__version__)"],
            capture_output=True,
            text=True,
        ).stdout.strip()
        python = ".".join(map(str, sys.version_info[:3]))
        print(f"Python {python}, openai {version}, {os.cpu_count()} CPUs, {sys.platform}")
        for part in PARTS:
            if part in options.only:
                globals()[f"measure_{part}"](bench)
    print(f"\nAll scripts: {size_of_scripts()}")
    print("\n| goal | measured | holds |")
    print("|---|---|---|")
    for text, measured, holds in bench.goals:
        print(f"| {text} | {measured} | {'yes' if holds else 'NO'} |")
    return int(not all(holds for _, _, holds in bench.goals))


if __name__ == "__main__":
    sys.exit(main())
