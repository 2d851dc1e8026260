"""Proves that bulk loses nothing and pays nothing twice: faults, kills, full disks, hostile lines.

A server answers some three of ten requests with a fault; bulk is killed at random moments and
started again until everything is done. TEST_KILLS=1000 kills so often, TEST_SEED=7 again as then.
"""

import asyncio
import json
import os
import random
import threading
import time
from collections import Counter

import pytest
from conftest import FORKS, check_manners, lines, named, posix, run_forked, wait_until
from forked import become_script

KILLS = int(os.environ.get("TEST_KILLS", "10"))
SEED = int(os.environ.get("TEST_SEED", random.randrange(1000)))
TRIES = 6
PLACES = 10  # in flight
FAST = {"2**attempt": "2**attempt * 0.01", "timeout=120": "timeout=3"}
FAST |= {"ITEM_SECONDS = 600": "ITEM_SECONDS = 2", "CONNECTIONS = 25": "CONNECTIONS = 4"}
pytestmark = posix


class Hostile:
    """A raw server; so many of its replies (faults: 0 to 1) are late, wrong or broken.

    requests: how often a question came in this run; answered: and got its answer, in all runs.
    """

    def __init__(self, seed: int):
        self.random, self.faults = random.Random(seed), 0.0
        self.requests, self.answered = Counter(), Counter()
        self.forbidden, self.wrong = set(), []
        self.in_flight = self.most = 0
        self.ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True).start()
        assert self.ready.wait(10)

    async def serve(self) -> None:
        self.loop, self.end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0, backlog=500)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self.ready.set()
        await self.end.wait()

    async def connection(self, reader, writer) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(size))
                question = body["messages"][0]["content"]
                self.requests[question] += 1
                self.wrong += [question] if question in self.forbidden else []
                self.in_flight += 1
                self.most = max(self.most, self.in_flight)
                try:
                    await asyncio.sleep(self.random.uniform(0.01, 0.03))
                    goes_on = await self.reply(reader, writer, question)
                finally:
                    self.in_flight -= 1
                if not goes_on:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def reply(self, reader, writer, question: str) -> bool:
        """Send a good reply, or a bad one; tell whether the connection can be used again."""
        good = json.dumps(completion(f"Re: {question} {'x' * 3000}")).encode()
        if reader.at_eof():  # the client was killed, or gave up
            return False
        if self.random.random() >= self.faults:
            self.answered[question] += 1
            await send(writer, good)
            return True
        fault = self.random.choice(FAULTS)
        if fault == "hang":
            await reader.read(1)  # until the client gives up
        elif fault == "spaces":  # the live service keeps a connection open with them
            while not reader.at_eof():
                await send(writer, b" " * 10**6, cut=10)
                await asyncio.sleep(0.1)
        elif fault == "cut":
            await send(writer, good, cut=self.random.randrange(len(good)))
        if isinstance(fault, str):
            return False
        if isinstance(fault, int):
            headers = {} if self.random.random() < 0.5 else {"Retry-After": "0.1"}
            text = self.random.choice(["Some trouble", "free-models-per-min", ["odd"], None])
            body = {"error": {"code": fault, "message": text, "metadata": "odd"}}
            now = {"X-RateLimit-Reset": f"{time.time() * 1000 + 300:.0f}"}
            await send(writer, json.dumps(body).encode(), fault, headers=headers | now)
            return True
        await send(writer, fault, kind=self.random.choice(["application/json", "text/html"]))
        return True


def completion(text: str, finish_reason: str | None = "stop") -> dict:
    choice = {"index": 0, "message": {"content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10, "cost": 0.001}
    return {"id": "gen-1", "model": "a/b", "provider": "P", "choices": [choice], "usage": usage}


ODD = [[], None, 7, "text", {}, *({"choices": odd} for odd in ([], [None], [{"message": None}]))]
ODD += [{"choices": None, "error": "x"}, {"error": {"code": 429, "message": "x"}}]
ODD += [completion("half an answer", reason) for reason in ("error", None)]
FAULTS = [408, 429, 500, 502, 503, 504, 524, 529, "hang", "spaces", "close", "cut"]
FAULTS += [json.dumps(odd).encode() for odd in ODD]
FAULTS += [b"", b"<html>Bad gateway</html>", b"\xff\xfe\x00", b'{"choices": [{"mess']


async def send(writer, data, status=200, cut=None, kind="application/json", headers=None) -> None:
    head = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
    head += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*head, "", ""]).encode() + data[:cut])
    await writer.drain()


@pytest.fixture
def hostile():
    print("TEST_SEED", SEED)
    hostile = Hostile(SEED)
    yield hostile
    hostile.loop.call_soon_threadsafe(hostile.end.set)


@pytest.fixture
def prepared(command, hostile, tmp_path):
    """prepared(count) -> arguments, environment and folder of a run on so many items."""

    def prepare(count: int, edit: dict | None = None) -> tuple:
        items = (json.dumps({"id": n, "input": f"Question {n}"}) for n in range(count))
        (tmp_path / "prompts.jsonl").write_text("\n".join(items))
        args = f"bulk prompts.jsonl -o answers.jsonl -m a/b --concurrency {PLACES}".split()
        edit = FAST | (edit or {})
        argv, environment, folder = command(*args, edit=edit, base_url=hostile.url, cwd=tmp_path)
        return argv[1:], environment, folder

    return prepare


@pytest.fixture
def finish(prepared):
    """finish(count) -> exit code and stderr of a run that is left alone."""

    def start(*args, **options) -> tuple[int, str]:
        code, out, err = run_forked(*prepared(*args, **options), None, 120)
        check_manners(code, out, err, None)
        return code, err

    return start


@pytest.fixture
def written(tmp_path):
    """written() -> the whole lines of the output, of which only the last may be cut."""
    (tmp_path / "answers.jsonl").touch()

    def read() -> list[dict]:
        data = (tmp_path / "answers.jsonl").read_bytes()
        rows = [json.loads(line) for line in data.split(b"\n")[:-1]]
        assert [row["error"] for row in rows if "error" in row] == [], "no fault here is final"
        return rows

    return read


def check_output(lines: list[dict], count: int) -> None:
    """Every id once, with its own answer."""
    answers = sorted((line["id"], line["answer"].split(" x")[0]) for line in lines)
    assert answers == [(number, f"Re: Question {number}") for number in range(count)]


JUMPING = """import math, random, time
real, jumps = time.time, random.Random(1)
time.time = lambda: real() + jumps.uniform(-1e6, 1e6)
"""
JUMPING = {"import math\n": JUMPING, "min(pause or 60, 60)": "0.1"}


@pytest.mark.parametrize("clock", [{}, JUMPING], ids=["clock", "jumping clock"])
def test_faults_cost_tries_and_nothing_else(hostile, finish, written, clock):
    hostile.faults, count, code = 0.3, 150, 1
    while code:
        hostile.requests.clear()
        code, _ = finish(count, edit=clock)
        assert max(hostile.requests.values()) <= TRIES
        hostile.forbidden = {f"Question {line['id']}" for line in written()}
    check_output(written(), count)
    assert hostile.wrong == []
    assert set(hostile.answered.values()) == {1}, "something was answered twice"
    assert PLACES <= hostile.most <= PLACES + 4  # a client may be gone before it is seen to be


def test_after_a_kill_at_any_moment_nothing_is_asked_twice_or_missing(
    hostile, prepared, written, tmp_path
):
    hostile.faults, count, kills, chance = 0.3, 60, 0, random.Random(SEED)
    files = [str(tmp_path / name) for name in ("in", "out", "err")]
    (tmp_path / "in").touch()
    while True:
        hostile.requests.clear()
        argv, environment, folder = prepared(count)
        process = FORKS.Process(target=become_script, args=(argv, environment, str(folder), files))
        process.start()
        if kills < KILLS and chance.random() < 0.9:
            wait_until(lambda: hostile.requests, 30)
        if kills < KILLS:
            time.sleep(chance.uniform(0, 0.2))
            process.kill()
        process.join(120)
        assert process.exitcode in (0, 1, -9)
        kills += process.exitcode == -9
        finished = [line["id"] for line in written()]
        assert len(set(finished)) == len(finished), "an id came twice"
        assert max(hostile.requests.values(), default=0) <= TRIES
        hostile.forbidden = {f"Question {number}" for number in finished}
        if process.exitcode == 0 and kills == KILLS:
            break
        count += 30 if process.exitcode == 0 else 0
    print(f"{kills} kills, {hostile.answered.total()} answers for {count} items")
    check_output(written(), count)
    assert hostile.wrong == [], "what was finished was asked for again"
    # Paid for more than once: only what was in flight when a kill came.
    assert hostile.answered.total() - count <= kills * PLACES


FULL = "import math, resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"


def test_full_disk_ends_the_run_with_whole_lines(hostile, finish, written, tmp_path):
    code, err = finish(60, edit={"import math\n": FULL})

    assert code == 1
    assert len([line for line in lines(err) if line[0] != "["]) == 1
    assert (tmp_path / "answers.jsonl").read_bytes().endswith(b"\n")
    assert len(written()) > 3
    hostile.forbidden = {f"Question {line['id']}" for line in written()}
    assert finish(60)[0] == 0
    check_output(written(), 60)
    assert hostile.wrong == []
    assert hostile.answered.total() <= 60 + PLACES


@pytest.mark.parametrize("place", [1, 4, 8, 30, 900])
def test_half_a_line_is_asked_for_again(hostile, finish, written, tmp_path, place):
    file = tmp_path / "answers.jsonl"
    assert finish(3)[0] == 0
    *whole, last = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(whole) + last[:place])
    hostile.forbidden = {f"Question {json.loads(line)['id']}" for line in whole}
    assert finish(3)[0] == 0
    check_output(written(), 3)
    assert (hostile.wrong, hostile.answered.total()) == ([], 4)


BAD = {
    "not JSON": b"Hello",
    "null": b"null",
    "no text": b'{"id": 1}',
    "messages are text": b'{"messages": "Hello"}',
    "body is text": b'{"id": 1, "body": "Hello"}',
    "half a character": b'{"input": "half \\ud83d"}',
    "cp949": '{"input": "안녕"}'.encode("cp949"),
    "deep": b'{"input": ' + b"[" * 100_000,
    "endless number": b'{"input": "Hello", "seed": 1' + b"0" * 5000 + b"}",
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD.keys())
def test_line_that_is_no_item_is_named_before_anything_is_sent(run, stand_in, tmp_path, line):
    data = b'{"id": "first", "input": "Hello"}\n\n' + line + b"\n"
    done = run("bulk", "-", "-o", "answers.jsonl", stdin=data, cwd=tmp_path / "here")

    assert (done.code, done.out) == (1, "")
    assert len(lines(done.err)) == 1
    assert named(r"\b3\b", done.err), "the number of the line"
    assert stand_in.requests == []


def test_strange_items_are_answered(run, stand_in, tmp_path):
    texts = ["\x00\x1b[31m\x7f", "\u202eright to left\u2066", "글" * 200_000]
    items = [{"id": number, "input": text} for number, text in enumerate(texts)]
    items += [{"id": odd, "input": "x"} for odd in (None, 1.5, True, [1], {"a": 1}, "\ud83d", "")]
    data = "\ufeff" + "\r\n \r\n".join(map(json.dumps, items))
    stand_in.say({"content": "half \ud83d\x00 글"})
    args, options = ("bulk", "-", "-o", "한글.jsonl", "--rpm", "0"), {"stdin": data, "edit": FAST}
    done = run(*args, **options, cwd=tmp_path)
    rows = [json.loads(row) for row in (tmp_path / "한글.jsonl").read_bytes().splitlines()]

    assert done.code == 0, done.err
    assert len(rows) == len(items) == len(stand_in.requests)
    assert {json.dumps(row["id"]) for row in rows} == {json.dumps(item["id"]) for item in items}
    assert (run(*args, **options, cwd=tmp_path).code, len(stand_in.requests)) == (0, len(items))
