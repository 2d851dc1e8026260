"""Proves that each text file is a command, filled in one pass, and that misfits are all named."""

import pytest
from conftest import ROOT, SCRIPTS, copied, lines
from stand_in import TEXT

NASTY = '한국어 🙂 {{language}} {{x}} {"a":1} $5 \\1 \\g<0> %s {0}'


def write(tmp_path, text):
    (tmp_path / "mine.txt").write_bytes(text.encode())
    return str(tmp_path / "mine.txt")


def test_prompt_is_filled_in_one_pass_sent_and_answered(run, stand_in, tmp_path):
    file = write(tmp_path, "\ufeffInto {{language}} ({{tone=plain}}, {{x=}}):\r\n\r\n{{input}}\r\n")
    values = ["--set", "language={{input}} = 1", "-o", "max_tokens=300", "-m", "acme/muse-2"]
    done = run("prompt", file, "Good", "morning", *values, stdin=f"\ufeff{NASTY}\n")

    assert (done.code, done.out) == (0, f"{TEXT}\n"), done.err
    text = f"Into {{{{input}}}} = 1 (plain, ):\n\nGood morning\n\n{NASTY}"
    assert stand_in.requests[0].body == {
        "model": "acme/muse-2",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 300,
    }
    (facts,) = lines(done.err)
    assert facts.startswith('{"model":"acme/muse-2"')


def test_show_sends_nothing_and_needs_no_key(run, stand_in, tmp_path):
    done = run(
        "prompt", write(tmp_path, "Say {{input=안녕}} {{b}}"), "--set", "b=c", "--show", key=""
    )
    assert (done.code, done.out, done.err, stand_in.requests) == (0, "Say 안녕 c\n", "", [])


@pytest.mark.parametrize(
    ("template", "args", "names"),
    [
        ("{{a}} {{b}} {{b}}", ["--set", "c=1"], ["'a'", "'b'", "'c'"]),
        ("{{input}} {{a=}}", [], ["'input'"]),
        ("No place", ["text"], ["'input'"]),
        ("{{input}}", ["text", "--set", "input=text"], ["--set input="]),
    ],
)
def test_every_misfit_is_named_at_once(run, stand_in, tmp_path, template, args, names):
    done = run("prompt", write(tmp_path, template), *args)
    assert (done.code, done.out, stand_in.requests) == (1, "", []) and len(lines(done.err)) == 1
    assert all(name in done.err for name in names)


@pytest.mark.parametrize("data", [None, "비밀".encode("cp949")])
def test_prompt_file_that_can_not_be_read_is_one_line(run, stand_in, tmp_path, data):
    if data:
        (tmp_path / "no-such").write_bytes(data)
    done = run("prompt", "no-such", "text", cwd=tmp_path)
    assert (done.code, done.out, stand_in.requests) == (1, "", []) and len(lines(done.err)) == 1


def test_a_new_file_is_a_new_command_and_is_listed(run, stand_in, tmp_path):
    script = copied(SCRIPTS / "prompt.py", tmp_path / "copy")
    new = script.parent.parent / "prompts" / "하이쿠.txt"
    new.write_text("\ufeff짧은 시를 써.\n{{input}} {{tone=calm}}", encoding="utf-8")
    listed = run("prompt", script_path=script, key="")
    (line,) = (line for line in lines(listed.out) if line.startswith("하이쿠"))
    assert "input, tone" in line and line.endswith("짧은 시를 써.")
    assert len(lines(listed.out)) == 1 + len([*(ROOT / "prompts").glob("*.txt")])
    run("prompt", "하이쿠", "가을", script_path=script)
    assert stand_in.requests[0].body["messages"][0]["content"] == "짧은 시를 써.\n가을 calm"
