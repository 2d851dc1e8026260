"""Proves that bulk loses nothing and pays nothing twice: random faults, kills, full disks, clocks.

  KILLS=1000 SEEDS=10 python -m pytest tests/test_hostile.py

A server answers some three of ten requests with a fault; bulk is killed at random moments and
started again until everything is done.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from conftest import wait_until

KILLS = int(os.environ.get("KILLS", "20"))
SEEDS = int(os.environ.get("SEEDS", "3"))
TRIES = 6
FAST = {
    "PAUSE = 1.0": "PAUSE = 0.02",
    "Timeout(120, connect=10)": "Timeout(3, connect=5)",
    "max(reset - now, 1), 60)": "max(reset - now, 0.1), 0.3)",
}
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")


class Hostile:
    """A raw server whose replies are late, wrong or broken, by a seed.

    requests: how often each question came in this round; answered: how often its answer went out
    as a whole, in all rounds. forbidden: questions that must not come any more; wrong: those that
    came all the same. most: requests in flight at one time.
    """

    def __init__(self, seed: int = 0, faults: float = 0.0, delay: float = 0.02, size: int = 200):
        self.random, self.faults, self.delay, self.size = random.Random(seed), faults, delay, size
        self.requests, self.answered = Counter(), Counter()
        self.forbidden: set[str] = set()
        self.wrong: list[str] = []
        self.in_flight = self.most = 0
        self.lock, self.ready = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    async def serve(self) -> None:
        self.loop, self.end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0, backlog=500)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self.ready.set()
        await self.end.wait()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.end.set)
        self.thread.join(10)

    async def connection(self, reader, writer) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(size))
                question = body["messages"][0]["content"]
                with self.lock:
                    self.requests[question] += 1
                    if question in self.forbidden:
                        self.wrong.append(question)
                self.in_flight += 1
                self.most = max(self.most, self.in_flight)
                try:
                    await asyncio.sleep(self.delay * self.random.uniform(0.5, 1.5))
                    whole = await self.reply(reader, writer, question)
                finally:
                    self.in_flight -= 1
                if not whole:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def reply(self, reader, writer, question: str) -> bool:
        """Send a good reply, or a bad one; tell whether the connection can be used again."""
        good = json.dumps(completion(f"Re: {question} {'x' * self.size}")).encode()
        if reader.at_eof():  # the client was killed, or gave up
            return False
        if self.random.random() >= self.faults:
            with self.lock:
                self.answered[question] += 1
            await send(writer, good)
            return True
        error, headers, status = {"message": "Some trouble"}, {}, 200
        match self.random.choice(FAULTS):
            case "hang":
                await reader.read(1)  # until the client gives up
                return False
            case "close":
                return False
            case "cut":
                await send(writer, good, cut=self.random.randrange(len(good)))
                return False
            case "headers":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-")
                await writer.drain()
                return False
            case "garbage":
                data = self.random.choice(GARBAGE)
                await send(writer, data, kind=self.random.choice(["application/json", "text/html"]))
                return True
            case "minute":
                now = int(time.time() * 1000)
                headers = {"X-RateLimit-Reset": str(now + 100), "X-RateLimit-Remaining": "0"}
                status = 429
            case "wait":
                headers, status = {"Retry-After": "0.1"}, self.random.choice([429, 503])
            case "half":
                reply = completion("half an answer", self.random.choice(["error", None]))
                await send(writer, json.dumps(reply).encode())
                return True
            case "empty":
                await send(writer, json.dumps(completion("")).encode())
                return True
            case "inside":
                error["code"] = self.random.choice([429, 500, 502, 503])
            case number:
                status = number
        body = {"error": {"code": status, **error}}
        await send(writer, json.dumps(body).encode(), status, headers=headers)
        return True


FAULTS = [408, 429, 500, 502, 503, 504, 524, 529, "hang", "close", "cut", "headers", "garbage"]
FAULTS += ["minute", "wait", "half", "empty", "inside", "garbage", "cut"]
GARBAGE = [
    b"",
    b"<html>Bad gateway</html>",
    b"\xff\xfe\x00",
    b'{"choices": [{"mess',
    b"[]",
    b"null",
]
GARBAGE += [b"7", b'"text"', b"{}", b'{"choices": []}', b'{"choices": [null]}', b'{"choices": 5}']
GARBAGE += [b'{"choices": null, "error": "x"}', b'{"choices": [{"message": null}]}']


def completion(text: str, finish_reason: str | None = "stop") -> dict:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10, "cost": 0.001}
    return {"id": "gen-1", "model": "a/b", "provider": "P", "choices": [choice], "usage": usage}


async def send(writer, data, status=200, cut=None, kind="application/json", headers=None) -> None:
    head = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
    head += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*head, "", ""]).encode() + data[:cut])
    await writer.drain()


@pytest.fixture
def hostile():
    """hostile(seed, …) -> Hostile, stopped at the end."""
    servers = []

    def start(*args, **options) -> Hostile:
        servers.append(Hostile(*args, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def bulk(command, tmp_path):
    """bulk(server, count, …) -> Popen of a run on so many items."""
    running = []

    def start(server, count, *args, edit=None, env=None, **options) -> subprocess.Popen:
        lines = (json.dumps({"id": n, "input": f"Question {n}"}) for n in range(count))
        (tmp_path / "prompts.jsonl").write_text("\n".join(lines))
        arguments, environment, folder = command(
            "bulk", "prompts.jsonl", "-o", "answers.jsonl", "-m", "a/b", "--rpm", "0", *args,
            edit=FAST | (edit or {}), base_url=server.url, cwd=tmp_path, env=env,
        )  # fmt: skip
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE} | options
        process = subprocess.Popen(
            arguments, env=environment, cwd=folder, stderr=subprocess.PIPE, **options
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def written(tmp_path):
    """written() -> the whole lines of the output, of which only the last may be cut."""

    def read() -> list[dict]:
        file = tmp_path / "answers.jsonl"
        *whole, _cut = (file.read_bytes() if file.exists() else b"").split(b"\n")
        return [json.loads(line) for line in whole]

    return read


def check_output(lines: list[dict], count: int) -> None:
    """Every id once, with its own answer."""
    assert sorted(line["id"] for line in lines) == list(range(count))
    for line in lines:
        assert "error" not in line
        assert line["answer"].startswith(f"Re: Question {line['id']} ")


# ----------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("seed", range(SEEDS))
def test_faults_alone(hostile, bulk, written, seed):
    server, count = hostile(seed, faults=0.3), 300
    for _ in range(10):
        server.requests.clear()
        process = bulk(server, count, "--concurrency", "20")
        _, err = process.communicate(timeout=120)
        assert b"Traceback" not in err, err.decode()
        assert process.returncode in (0, 1), err.decode()
        assert max(server.requests.values()) <= TRIES
        server.forbidden = {f"Question {one['id']}" for one in written() if "error" not in one}
        if process.returncode == 0:
            break
    check_output(written(), count)
    assert server.wrong == []
    assert set(server.answered.values()) == {1}, "something was answered twice"


@posix
def test_kills(hostile, bulk, written, tmp_path):
    """Kill bulk again and again: what is in the output is never asked for again."""
    seed = int(os.environ.get("SEED", random.randrange(1000)))
    print("seed", seed)
    chance, places, kills = random.Random(seed), 10, 0
    count = 100
    server = hostile(seed, faults=0.3, size=5_000)
    while True:
        server.requests.clear()
        process = bulk(server, count, "--concurrency", str(places))
        if kills < KILLS and chance.random() < 0.9:
            wait_until(lambda: server.requests, 30)
        time.sleep(chance.uniform(0, 0.25))
        if kills < KILLS:
            process.send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=300)
        assert b"Traceback" not in err, err.decode()
        assert process.returncode in (0, 1, -signal.SIGKILL), err.decode()
        kills += process.returncode == -signal.SIGKILL
        lines = [one for one in written() if "error" not in one]
        assert len({one["id"] for one in lines}) == len(lines), "an id came twice"
        assert max(server.requests.values(), default=0) <= TRIES
        server.forbidden = {f"Question {one['id']}" for one in lines}
        if process.returncode == 0:
            if kills == KILLS:
                break
            count += 50
    print(f"{kills} kills, {sum(server.answered.values())} answers for {count} items")
    check_output(written(), count)
    assert server.wrong == [], "what was finished was asked for again"
    # Paid for more than once: only what was in flight when a kill came.
    assert sum(server.answered.values()) - count <= kills * places
    assert sorted(path.name for path in tmp_path.iterdir() if "edit" not in path.name) == [
        "answers.jsonl", "prompts.jsonl",
    ]  # fmt: skip


def test_requests_in_flight(hostile, bulk):
    """As many as were allowed, never more, and a wait holds no place."""
    server = hostile(1, delay=0.1)
    process = bulk(server, 300, "--concurrency", "30")
    assert process.wait(60) == 0
    assert server.most == 30


# ------------------------------------------------------------------------------- disks and clocks


@posix
def test_a_full_disk(hostile, bulk, written, tmp_path):
    """What does not fit into the output comes out on stdout; together nothing is missing."""
    import resource

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    server = hostile(1)
    process = bulk(server, 100, "--concurrency", "10", preexec_fn=small)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err.decode()
    assert b"Traceback" not in err
    assert b"can't be written" in err and b"stdout" in err
    assert out.count(b"\n") >= 1
    with (tmp_path / "answers.jsonl").open("ab") as file:
        file.write(out)
    assert len(written()) == sum(server.answered.values())
    assert bulk(server, 100).wait(60) == 0
    check_output(written(), 100)
    assert set(server.answered.values()) == {1}


CLOCK = """
import random, time
real, start, jumps = time.time, time.monotonic(), random.Random(1)
def jumping():
    return real() + (jumps.uniform(-1e5, 1e5) if time.monotonic() - start > 1 else 0)
time.time = jumping
"""


def test_a_clock_that_jumps(hostile, bulk, written, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CLOCK)
    paths = [str(tmp_path / "site"), os.environ.get("TEST_PYTHONPATH", "")]
    env = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    server = hostile(7, faults=0.3)
    for _ in range(10):
        process = bulk(server, 200, "--concurrency", "20", env=env)
        _, err = process.communicate(timeout=60)
        assert b"Traceback" not in err, err.decode()
        if process.returncode == 0:
            break
    check_output(written(), 200)
    assert set(server.answered.values()) == {1}


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-s"]))
