"""Proves that each text file is a command, filled in one pass, and that misfits are all named."""

import pytest
from conftest import ROOT, SCRIPTS, copied, lines
from stand_in import TEXT

PROMPTS = sorted((ROOT / "prompts").glob("*.txt"))
NASTY = '한국어 🙂 {{language}} {{x}} {"a":1} $5 \\1 \\g<0> %s {0}'


def asked(stand_in):
    return stand_in.requests[-1].body["messages"]


def write(tmp_path, text, name="mine.txt"):
    (tmp_path / name).write_bytes(text.encode())
    return str(tmp_path / name)


def refused(done, stand_in):
    assert done.code == 2, done.err
    assert len(lines(done.err)) == 1, done.err
    assert done.out == ""
    assert stand_in.requests == []


def test_prompt_is_filled_sent_and_answered(run, stand_in, tmp_path):
    file = write(tmp_path, "Translate into {{language}}:\n\n{{input}}\n")
    done = run("prompt", file, "Good", "morning", "--set", "language=Korean")

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    assert stand_in.requests[0].body == {
        "model": "openrouter/free",
        "messages": [{"role": "user", "content": "Translate into Korean:\n\nGood morning"}],
    }
    assert len(lines(done.err)) == 1
    assert done.err.startswith("[meta-llama/") and "$0.000000" in done.err


@pytest.mark.parametrize("name", ["summarize", "translate", "review", "explain"])
def test_promised_prompts_are_there(run, stand_in, name):
    more = ["--set", "language=한국어"] if name == "translate" else []
    done = run("prompt", name, *more, stdin="the piped text")

    assert done.code == 0, done.err
    (message,) = asked(stand_in)
    template = (ROOT / "prompts" / f"{name}.txt").read_text(encoding="utf-8").strip()
    wanted = template.replace("{{language}}", "한국어").replace("{{input}}", "the piped text")
    assert message == {"role": "user", "content": wanted}


def test_pipe_follows_the_text(run, stand_in, tmp_path):
    file = write(tmp_path, "<{{input}}>")
    run("prompt", file, "before", stdin="after\n")

    assert asked(stand_in)[0]["content"] == "<before\n\nafter>"


def test_model_is_named_or_from_the_environment(run, stand_in, tmp_path):
    file = write(tmp_path, "{{input}}")
    run("prompt", file, "x", env={"OPENROUTER_MODEL": "acme/from-env"})
    run("prompt", file, "x", "-m", "acme/named", env={"OPENROUTER_MODEL": "acme/from-env"})

    assert [call.body["model"] for call in stand_in.requests] == ["acme/from-env", "acme/named"]


# ----------------------------------------------------------------------------------- the list


def test_list_has_every_prompt_with_placeholders_and_first_line(run, stand_in):
    done = run("prompt", key="")

    assert (done.code, done.err) == (0, "")
    listed = {line.split()[0]: line for line in done.out.splitlines()}
    assert list(listed) == [file.stem for file in PROMPTS]
    for file in PROMPTS:
        text = file.read_text(encoding="utf-8").strip()
        assert text.splitlines()[0][:40] in listed[file.stem]
    assert "language, input" in listed["translate"] or "input, language" in listed["translate"]
    assert "question" in listed["judge"] and "first" in listed["judge"]
    assert "input" not in listed["chat"]
    assert stand_in.requests == []


def test_new_text_file_is_a_new_command(run, stand_in, tmp_path):
    path = copied(SCRIPTS / "prompt.py", tmp_path / "house")
    (tmp_path / "house" / "prompts" / "나의것.txt").write_text(
        "Be {{tone}}.\nText: {{input}}", encoding="utf-8"
    )
    listing = run("prompt", script_path=path)
    (line,) = (line for line in listing.out.splitlines() if line.startswith("나의것"))
    assert "tone, input" in line and "Be {{tone}}." in line and "Text:" not in line

    done = run("prompt", "나의것", "hi", "--set", "tone=kind", script_path=path)
    assert done.code == 0
    assert asked(stand_in)[0]["content"] == "Be kind.\nText: hi"


# ----------------------------------------------------------------------------------- filling


def test_show_prints_the_prompt_and_sends_nothing(run, stand_in, tmp_path):
    file = write(tmp_path, "Say {{input}} in {{language}}!")
    done = run("prompt", file, NASTY, "--set", "language=한국어", "--show", key="")

    assert (done.code, done.out, done.err) == (0, f"Say {NASTY} in 한국어!\n", "")
    assert stand_in.requests == []


def test_values_are_never_scanned_again(run, stand_in, tmp_path):
    file = write(tmp_path, "{{language}} | {{input}} | {{language}}")
    run("prompt", file, NASTY, "--set", "language={{input}}")

    assert asked(stand_in)[0]["content"] == f"{{{{input}}}} | {NASTY} | {{{{input}}}}"


def test_only_the_first_equal_sign_divides(run, tmp_path):
    file = write(tmp_path, "{{a}}{{b}}")
    done = run("prompt", file, "--set", "a=x=1&y=2", "--set", "b=", "--show")

    assert done.out == "x=1&y=2\n"


def test_text_that_only_looks_like_a_placeholder_stays(run, tmp_path):
    body = '{{ spaced }} {{}} {single} ${x} {"a": {"b": 1}} $5'
    done = run("prompt", write(tmp_path, f"{body} {{{{input}}}}"), "hi", "--show")

    assert done.out == f"{body} hi\n"


def test_korean_names_are_placeholders(run, tmp_path):
    done = run(
        "prompt", write(tmp_path, "{{말투}}로: {{input}}"), "글", "--set", "말투=존댓말", "--show"
    )

    assert done.out == "존댓말로: 글\n"


def test_every_misfit_is_named_at_once(run, stand_in, tmp_path):
    file = write(tmp_path, "{{input}} {{first}} {{second}}")
    done = run("prompt", file, "x", "--set", "third=3", "--set", "fourth=4")

    refused(done, stand_in)
    for name in ("first", "second", "third", "fourth"):
        assert name in done.err
    assert "input" not in done.err


def test_text_without_a_place_is_refused(run, stand_in, tmp_path):
    done = run("prompt", write(tmp_path, "No place here."), "some text")

    refused(done, stand_in)
    assert "input" in done.err


def test_input_given_twice_is_refused(run, stand_in):
    done = run("prompt", "summarize", "the text", "--set", "input=another text")

    refused(done, stand_in)


def test_set_without_a_value_is_refused(run, stand_in):
    done = run("prompt", "translate", "the text", "--set", "language")

    refused(done, stand_in)
    assert "NAME=VALUE" in done.err


def test_missing_text_is_refused(run, stand_in):
    done = run("prompt", "summarize")

    refused(done, stand_in)
    assert "no text" in done.err


def test_prompt_without_placeholders_needs_no_text(run, stand_in, tmp_path):
    done = run("prompt", write(tmp_path, "Name three rivers."))

    assert done.code == 0
    assert asked(stand_in)[0]["content"] == "Name three rivers."


@pytest.mark.parametrize("name", ["no-such-prompt", "../no/such.txt", "."])
def test_missing_prompt_file_is_one_sentence(run, stand_in, name):
    done = run("prompt", name, "x")

    refused(done, stand_in)
    assert name in done.err


def test_prompt_file_that_is_not_utf8_is_one_sentence(run, stand_in, tmp_path):
    (tmp_path / "old.txt").write_bytes("번역: {{input}}".encode("cp949"))
    done = run("prompt", str(tmp_path / "old.txt"), "x")

    refused(done, stand_in)
    assert "UTF-8" in done.err


def test_bom_and_windows_line_ends_are_no_part_of_a_prompt(run, tmp_path):
    file = write(tmp_path, "\ufeff번역:\r\n{{input}}\r\n")
    done = run("prompt", file, "글", "--show")

    assert done.out == "번역:\n글\n"
