"""Proves that chat asks, streams at once, holds a conversation, and stops when told to."""

import os
import subprocess
import time

import pytest
from conftest import lines, posix, wait_until
from stand_in import PARTIAL, TEXT

KOREAN = '한국어 🙂 "{{x}}" {"a":1} $5 \\n %s'


def messages(stand_in, number=-1):
    return stand_in.requests[number].body["messages"]


def system(text="You are a helpful assistant."):
    return {"role": "system", "content": text}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


# --------------------------------------------------------------------------------- one question


def test_question_is_answered(run, stand_in):
    done = run("chat", "Why is the sky blue?")

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    assert len(stand_in.requests) == 1
    assert stand_in.requests[0].route == "/chat/completions"
    assert stand_in.requests[0].body == {
        "model": "openrouter/free",
        "messages": [system(), user("Why is the sky blue?")],
        "stream": True,
    }


def test_who_answered_and_the_price_are_on_stderr(run, stand_in):
    stand_in.say({"content": "Hi", "model": "acme/muse-2", "usage": {"cost": 0.00123}})
    done = run("chat", "Hello", "-m", "openai/gpt-5-mini")

    assert done.out == "Hi\n"
    assert len(lines(done.err)) == 1
    assert done.err.startswith("[acme/muse-2, Chutes, ")
    assert " tokens, $0.001230, " in done.err
    assert done.err.endswith(" s]\n")


def test_words_need_no_quotes(run, stand_in):
    run("chat", "Why", "is", "the", "sky", "blue?")

    assert messages(stand_in) == [system(), user("Why is the sky blue?")]


def test_any_text_arrives_as_it_is(run, stand_in):
    stand_in.say(KOREAN)
    done = run("chat", KOREAN, stdin=KOREAN)

    assert messages(stand_in)[1] == user(f"{KOREAN}\n\n{KOREAN}")
    assert done.out == f"{KOREAN}\n"


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        ([], "piped text"),
        (["What is this?"], "What is this?\n\npiped text"),
        (["-"], "piped text"),
        (["What is this?", "-"], "What is this?\n\npiped text"),
    ],
    ids=["alone", "after-the-question", "dash", "question-and-dash"],
)
def test_text_from_a_pipe(run, stand_in, args, asked):
    done = run("chat", *args, stdin="piped text\r\n\n")

    assert done.code == 0, done.err
    assert messages(stand_in) == [system(), user(asked)]


@pytest.mark.parametrize(
    ("args", "stdin"), [([], None), ([], " \n\t\n"), ([""], None), (["-"], ""), (["  "], " ")]
)
def test_no_question_is_one_sentence(run, stand_in, args, stdin):
    done = run("chat", *args, stdin=stdin)

    assert done.code == 2
    assert len(lines(done.err)) == 1
    assert "no text" in done.err
    assert stand_in.requests == []


@pytest.mark.parametrize(
    ("args", "variable", "model"),
    [
        ([], "", "openrouter/free"),
        ([], "acme/from-env", "acme/from-env"),
        (["-m", "acme/named"], "acme/from-env", "acme/named"),
        (["--model", "acme/named"], "", "acme/named"),
    ],
)
def test_model_is_named_or_from_the_environment_or_free(run, stand_in, args, variable, model):
    run("chat", "Hello", *args, env={"OPENROUTER_MODEL": variable})

    assert stand_in.requests[0].body["model"] == model


@pytest.mark.parametrize("option", ["--system", "--prompt"])
def test_system_prompt_by_name(run, stand_in, option):
    run("chat", "Hello", option, "vision")

    assert messages(stand_in)[0]["content"].startswith("Answer from what can be seen")


def test_system_prompt_from_a_file(run, stand_in, tmp_path):
    file = tmp_path / "말투.txt"
    file.write_bytes("\ufeff존댓말로 답하세요. {{x}} $5\r\n둘째 줄\r\n".encode())
    run("chat", "Hello", "--system", str(file))

    assert messages(stand_in)[0] == system("존댓말로 답하세요. {{x}} $5\n둘째 줄")


@pytest.mark.parametrize("name", ["no-such-prompt", "prompts", "."])
def test_system_prompt_that_cannot_be_read_is_one_sentence(run, stand_in, tmp_path, name):
    (tmp_path / "empty" / "prompts").mkdir(parents=True)
    done = run("chat", "Hello", "--system", name)

    assert done.code == 2
    assert len(lines(done.err)) == 1
    assert name in done.err
    assert stand_in.requests == []


def test_system_prompt_that_is_not_utf8_is_one_sentence(run, stand_in, tmp_path):
    (tmp_path / "old.txt").write_bytes("존댓말".encode("cp949"))
    done = run("chat", "Hello", "--system", str(tmp_path / "old.txt"))

    assert done.code == 2
    assert len(lines(done.err)) == 1
    assert "UTF-8" in done.err
    assert stand_in.requests == []


@posix
def test_bytes_that_are_no_text_are_one_sentence(run, stand_in):
    done = run("chat", os.fsdecode(b"what is \xff\xfe?"))

    assert done.code == 2
    assert len(lines(done.err)) == 1
    assert stand_in.requests == []


def test_every_chunk_is_printed_when_it_comes(begin, stand_in):
    stand_in.say("가나다라마바사아자차카타")  # comes in four pieces
    stand_in.pace = 0.4
    process = begin("chat", "Hello")
    came, text = [], b""
    while piece := os.read(process.stdout.fileno(), 1000):
        text += piece
        came.append(time.monotonic())
    assert process.wait(30) == 0

    assert text.decode() == "가나다라마바사아자차카타\n"
    assert len(came) >= 4, "several pieces came at once"
    # Between the first piece and the end, the stand-in waits eight times.
    assert came[-1] - came[0] > 1.5


@posix
def test_interrupted_answer_stays_on_stdout(begin, stand_in):
    stand_in.pace = 1.0
    process = begin("chat", "Hello")
    first = os.read(process.stdout.fileno(), 1000)
    process.send_signal(2)
    rest, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert TEXT.startswith((first + rest).decode().strip())
    assert b"Traceback" not in err
    assert wait_until(lambda: stand_in.requests[0].gone)


# ------------------------------------------------------------------------------- a conversation


@pytest.fixture
def talk(command):
    """talk(*args) -> a conversation in a terminal, after its first prompt."""
    pexpect = pytest.importorskip("pexpect", reason="a conversation needs a terminal: pexpect")
    started = []

    def start(*args, **options):
        (program, *arguments), environment, folder = command("chat", *args, **options)
        child = pexpect.spawn(
            program,
            arguments,
            env=environment,
            cwd=str(folder),
            encoding="utf-8",
            timeout=30,
            echo=False,
        )
        started.append(child)
        child.expect_exact("> ")
        return child

    yield start
    for child in started:
        child.close(force=True)


def leave(child):
    """Press Ctrl-D; return the exit code."""
    child.sendeof()
    child.expect(child_end())
    child.close()
    return child.exitstatus


def child_end():
    import pexpect

    return pexpect.EOF


@posix
def test_conversation_remembers(talk, stand_in):
    stand_in.say(["첫째 답", "Second answer", "third"])
    child = talk()
    for question, answer in [
        ("안녕?", "첫째 답"),
        ("And {{x}}?", "Second answer"),
        ("Bye", "third"),
    ]:
        child.sendline(question)
        child.expect_exact(answer)
        child.expect_exact(" s]")  # who answered, as after one question
        child.expect_exact("> ")

    assert messages(stand_in, 0) == [system(), user("안녕?")]
    assert messages(stand_in, 2) == [
        system(),
        user("안녕?"),
        assistant("첫째 답"),
        user("And {{x}}?"),
        assistant("Second answer"),
        user("Bye"),
    ]
    assert not any(call.gone for call in stand_in.requests), "each reply was read to its end"
    assert leave(child) == 0


@posix
def test_control_d_leaves_at_once(talk, stand_in):
    assert leave(talk()) == 0
    assert stand_in.requests == []


@posix
def test_control_c_at_the_prompt_leaves(talk, stand_in):
    child = talk()
    child.sendintr()
    child.expect(child_end())
    child.close()

    assert child.exitstatus == 130
    assert "Traceback" not in child.before
    assert stand_in.requests == []


@posix
def test_empty_line_asks_nothing(talk, stand_in):
    child = talk()
    child.sendline("")
    child.expect_exact("> ")
    child.sendline("   ")
    child.expect_exact("> ")

    assert stand_in.requests == []
    assert leave(child) == 0


@posix
def test_control_c_stops_a_reply_and_closes_its_stream(talk, stand_in):
    stand_in.say(["하나 둘 셋 넷", "Second answer"])
    stand_in.pace = 2.0
    child = talk()
    child.sendline("Count.")
    child.expect_exact("하나")
    child.sendintr()
    child.expect_exact("[stopped]")
    child.expect_exact("> ")

    # The script still runs, so it is the stream that was closed and not the process that ended.
    assert child.isalive()
    assert wait_until(lambda: stand_in.requests[0].gone), "the reply went on, and its bill"
    assert "넷" not in child.before

    stand_in.pace = 0
    child.sendline("Again?")
    child.expect_exact("Second answer")
    assert messages(stand_in) == [system(), user("Again?")]
    child.expect_exact("> ")
    assert leave(child) == 0


@posix
def test_control_c_works_before_the_first_word(talk, stand_in):
    stand_in.delay = 20
    child = talk()
    child.sendline("Count.")
    assert wait_until(lambda: stand_in.requests)
    child.sendintr()
    child.expect_exact("[stopped]", timeout=10)
    child.expect_exact("> ")

    assert wait_until(lambda: stand_in.requests[0].gone)
    assert leave(child) == 0


@posix
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("429_day", "free-models-per-day"),
        ("cut", "broke off"),
        ("mid_stream", "engine crashed"),
        ("drop", "check the network|retry"),
        ("html", "web page"),
    ],
)
def test_failed_turn_is_told_and_not_remembered(talk, stand_in, fault, said):
    stand_in.say("Second answer")
    stand_in.fail(fault, times=1)
    child = talk()
    child.sendline("First?")
    child.expect(said)
    child.expect_exact("> ")
    child.sendline("Second?")
    child.expect_exact("Second answer")
    child.expect_exact("> ")

    assert messages(stand_in) == [system(), user("Second?")]
    assert "Traceback" not in child.before
    assert leave(child) == 0


@posix
def test_failed_turn_keeps_the_turns_before_it(talk, stand_in):
    stand_in.say("Good answer")
    child = talk()
    child.sendline("First?")
    child.expect_exact("Good answer")
    child.expect_exact("> ")
    stand_in.fail("cut", times=1)
    child.sendline("Second?")
    child.expect_exact(PARTIAL)  # what arrived is shown
    child.expect_exact("broke off")
    child.expect_exact("> ")
    child.sendline("Third?")
    child.expect_exact("Good answer")

    before = [system(), user("First?"), assistant("Good answer")]
    assert messages(stand_in) == [*before, user("Third?")]
    child.expect_exact("> ")
    assert leave(child) == 0


@posix
def test_conversation_prints_only_answers_on_stdout(command, stand_in):
    import pty

    stand_in.say(["첫째 답", "Second answer"])
    arguments, environment, folder = command("chat")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        arguments,
        env=environment,
        cwd=folder,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    os.write(ours, "하나?\n둘?\n\x04".encode())
    out, err = process.communicate(timeout=60)
    os.close(ours)

    assert process.returncode == 0, err
    assert out.decode() == "첫째 답\nSecond answer\n"
    assert err.decode().count("> ") == 3
