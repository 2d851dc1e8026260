"""Proves that chat asks, streams at once, holds a conversation, and stops when told to."""

import signal
import time

import pytest
from conftest import ROOT, lines, posix, wait_until
from stand_in import PARTIAL, TEXT

KOREAN = '한국어 🙂 "{{x}}" {"a":1} $5 \\n %s'
SYSTEM = {"role": "system", "content": (ROOT / "prompts" / "chat.txt").read_text(encoding="utf-8")}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def test_question_is_answered(run, stand_in):
    stand_in.say({"content": TEXT, "model": "acme/muse-2", "usage": {"cost": 0.00123}})
    done = run("chat", "Why", KOREAN, "-o", "temperature=0.2", "-o", 'stop=["a"]', "-o", "user=me")

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    (request,) = stand_in.requests
    assert request.body == {
        "model": "openrouter/free",
        "messages": [SYSTEM, user(f"Why {KOREAN}")],
        "stream": True,
        "temperature": 0.2,
        "stop": ["a"],
        "user": "me",
    }
    (facts,) = lines(done.err)
    assert facts.startswith('{"model":"acme/muse-2"') and '"provider":"Chutes"' in facts
    assert '"cost":0.00123' in facts and facts.endswith(" s")


def test_text_from_a_pipe_with_another_prompt_and_model(run, stand_in, tmp_path):
    (tmp_path / "p.txt").write_bytes("\ufeff짧게 답해.\r\n".encode())
    settings = {"OPENROUTER_MODEL": "acme/from-env"}
    args = ["이게 뭐야?", "--system", str(tmp_path / "p.txt")]
    run("chat", *args, stdin=f"\ufeff{KOREAN}\r\n".encode(), env=settings)
    system, question = stand_in.requests[0].body["messages"]
    assert system["content"].strip() == "짧게 답해."
    assert question == user(f"이게 뭐야?\n\n\ufeff{KOREAN}".replace("\ufeff", ""))
    assert stand_in.requests[0].body["model"] == "acme/from-env"

    run("chat", "-m", "acme/named", stdin=KOREAN, env=settings)
    assert stand_in.requests[1].body["messages"][1] == user(KOREAN)
    assert stand_in.requests[1].body["model"] == "acme/named"


@pytest.mark.parametrize(
    ("args", "stdin"),
    [([], " \n\t"), ([], None), (["Hi", "--system", "no.txt"], None), (["Hi"], b"\xff\xfe")],
)
def test_what_can_not_be_asked_is_one_line(run, stand_in, args, stdin):
    done = run("chat", *args, stdin=stdin)
    assert (done.code, done.out, stand_in.requests) == (1, "", [])
    assert len(lines(done.err)) == 1


@posix
def test_every_chunk_is_printed_when_it_comes_and_stays(begin, stand_in):
    stand_in.say("하나 둘 셋 넷 다섯")
    stand_in.pace = 1.0
    process = begin("chat", "Count.")
    start = process.stdout.read(6).decode()
    assert start == "하나" and not stand_in.requests[0].gone
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130 and err == b""
    assert out.endswith(b"\n") and "다섯" not in out.decode()
    assert wait_until(lambda: stand_in.requests[0].gone), "the reply went on, and its bill"


@pytest.fixture
def talk(command):
    """A conversation in a terminal, after its first prompt."""
    pexpect = pytest.importorskip("pexpect", reason="needs a terminal: pexpect")
    (program, *arguments), environment, folder = command("chat")
    options = {"env": environment, "cwd": str(folder), "encoding": "utf-8", "timeout": 30}
    child = pexpect.spawn(program, arguments, codec_errors="replace", **options)
    child.delaybeforesend = None
    child.expect_exact("> ")
    yield child
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, "Ctrl-D leaves"


def turn(child, question, *says):
    child.sendline(question)
    for text in says:
        child.expect_exact(text)
    child.expect_exact("> ")


@posix
def test_conversation_remembers_whole_answers_and_outlives_failures(talk, stand_in):
    stand_in.say("첫째 답 \ud83d")
    turn(talk, "안녕?", "첫째 답", " s")
    stand_in.say("Second answer")
    turn(talk, "  ")
    for fault, says in (("429_day", "free-models-per-day"), ("html", "not whole")):
        stand_in.fail(fault, times=1)
        turn(talk, "Lost?", says)
    stand_in.fail("cut", times=1)
    turn(talk, "Cut?", PARTIAL, "not whole")
    talk.sendline(b"bad \xed\xa0".decode(errors="surrogateescape"))
    talk.expect_exact("> ")
    turn(talk, "And {{x}}?", "answer", " s")
    sent = stand_in.requests[-1].body["messages"]
    assert sent[:3] == [SYSTEM, user("안녕?"), assistant("첫째 답 ?")]
    assert sent[-1] == user("And {{x}}?") and user("Cut?") not in sent and user("Lost?") not in sent


@posix
def test_control_c_stops_an_answer_and_closes_its_stream(talk, stand_in):
    stand_in.say(["하나 둘 셋 넷", "Second answer"])
    stand_in.pace = 2.0
    talk.sendline("Count.")
    talk.expect_exact("하나")
    talk.sendintr()
    talk.expect_exact("[stopped]")
    talk.expect_exact("> ")
    assert wait_until(lambda: stand_in.requests[0].gone), "the reply went on, and its bill"

    stand_in.pace, stand_in.delay = 0, 20
    talk.sendline("Again?")
    assert wait_until(lambda: len(stand_in.requests) == 2)
    begun = time.monotonic()
    talk.sendintr()
    talk.expect_exact("[stopped]")
    talk.expect_exact("> ")
    assert time.monotonic() - begun < 10, "also before the first word"
    stand_in.delay = 0
    turn(talk, "Third?", "Second answer", " s")
    assert stand_in.requests[-1].body["messages"] == [SYSTEM, user("Third?")]
