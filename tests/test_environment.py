"""Proves that no variable, key, .env file, encoding or pipe makes a script misbehave."""

import codecs
import subprocess

import pytest
from conftest import SCRIPTS as FOLDER
from conftest import check_manners, copied, lines, named
from stand_in import KEY, TEXT
from test_faults import CASES

# Besides what test_faults.py says of CASES. says: a reply to script with StandIn.say.
# prints: what stdout has after the default reply (default: the reply; "" where it isn't shown).
# keyless: works without a key. reads: takes text from stdin.
SCRIPTS = [path.stem for path in sorted(FOLDER.glob("*.py")) if path.stem in CASES]
NEED_KEY = [name for name in SCRIPTS if not CASES[name].get("keyless")]
READERS = [name for name in SCRIPTS if CASES[name].get("reads")]

POISON = {
    "OPENAI_API_KEY": "sk-stolen",
    "OPENAI_ADMIN_KEY": "sk-admin-stolen",
    "OPENAI_ORG_ID": "org-poison",
    "OPENAI_PROJECT_ID": "proj-poison",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_CUSTOM_HEADERS": "x-poison: 1\nAuthorization: Bearer stolen",
}


@pytest.fixture
def start(run, stand_in):
    """Run a script's own command, with its scripted reply."""

    def start(script, *more, **options):
        case = CASES[script]
        if "says" in case:
            stand_in.say(case["says"])
        options = {"stdin": case.get("stdin"), **options}
        return run(script, *case["args"], *more, **options)

    return start


def refused(done, stand_in):
    """One sentence, exit code 2, and nothing left this machine."""
    assert done.code == 2, done.err
    assert len(lines(done.err)) == 1, done.err
    assert done.out == ""
    assert stand_in.requests == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_openai_variables_stay_here(start, stand_in, script):
    done = start(script, env=POISON)

    assert done.code == 0, done.err
    assert stand_in.requests
    sent = {call.key for call in stand_in.requests if "authorization" in call.headers}
    assert sent == (set() if CASES[script].get("keyless") else {KEY})


@pytest.mark.parametrize("script", NEED_KEY)
def test_openai_key_does_not_stand_in_for_a_missing_one(start, stand_in, script):
    refused(start(script, key="", env=POISON), stand_in)


@pytest.mark.parametrize("script", NEED_KEY)
@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}\r\n"], ids=["newline", "spaces"])
def test_white_space_around_the_key_does_not_matter(start, stand_in, script, key):
    done = start(script, key=key)

    assert done.code == 0, done.err
    assert stand_in.requests[-1].key == KEY


@pytest.mark.parametrize("script", NEED_KEY)
@pytest.mark.parametrize(
    "key",
    ["", "  \n", "열쇠", "test-key\nsecond", "test-key second-key", "\ufefftest-key"],
    ids=["empty", "blank", "korean", "inner-newline", "inner-space", "bom"],
)
def test_unusable_key_is_one_sentence(start, stand_in, script, key):
    refused(start(script, key=key), stand_in)


@pytest.mark.parametrize("script", NEED_KEY)
def test_absent_key_is_one_sentence(start, stand_in, tmp_path, script):
    path = copied(FOLDER / f"{script}.py", tmp_path / "alone")
    refused(start(script, key=None, script_path=path), stand_in)


@pytest.mark.parametrize("script", NEED_KEY)
@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + b"OPENROUTER_API_KEY=test-key\r\n",
        "# 열쇠\nexport OPENROUTER_API_KEY='test-key'\n".encode(),
    ],
    ids=["bom-crlf", "korean-quotes"],
)
def test_env_file_brings_the_key(start, stand_in, tmp_path, script, content):
    path = copied(FOLDER / f"{script}.py", tmp_path / "alone")
    (tmp_path / "alone" / ".env").write_bytes(content)
    done = start(script, key=None, script_path=path)

    assert done.code == 0, done.err
    assert stand_in.requests[-1].key == KEY


@pytest.mark.parametrize("script", NEED_KEY)
def test_env_file_does_not_override_a_variable(start, stand_in, tmp_path, script):
    path = copied(FOLDER / f"{script}.py", tmp_path / "alone")
    (tmp_path / "alone" / ".env").write_text("OPENROUTER_API_KEY=other\n")
    start(script, script_path=path)

    assert stand_in.requests[-1].key == KEY


@pytest.mark.parametrize("script", NEED_KEY)
@pytest.mark.parametrize("encoding", ["utf-16", "cp949"])
def test_env_file_that_is_not_utf8_is_one_sentence(start, stand_in, tmp_path, script, encoding):
    path = copied(FOLDER / f"{script}.py", tmp_path / "alone")
    text = "# 열쇠\nOPENROUTER_API_KEY=test-key\n"
    (tmp_path / "alone" / ".env").write_bytes(text.encode(encoding))
    done = start(script, key=None, script_path=path)

    refused(done, stand_in)
    assert "UTF-8" in done.err


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("encoding", ["cp949", "ascii", "cp1252"])
def test_output_is_utf8_on_any_terminal(start, script, encoding):
    done = start(script, env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})

    assert done.code == 0, done.err
    assert CASES[script].get("prints", TEXT) in done.out


@pytest.mark.parametrize("script", READERS)
def test_binary_input_is_one_sentence(start, stand_in, script):
    refused(start(script, stdin=b"\x89PNG\r\n\x1a\n\xff\xfe\x00\x81"), stand_in)


@pytest.mark.parametrize("script", READERS)
def test_input_may_have_a_bom_and_korean(start, stand_in, script):
    done = start(script, stdin=codecs.BOM_UTF8 + "번역할 글\r\n".encode())

    assert done.code == 0, done.err
    sent = str(stand_in.requests[-1].body)
    assert "번역할 글" in sent
    assert "\\ufeff" not in ascii(sent)


@pytest.mark.parametrize("script", SCRIPTS)
def test_closed_pipe_makes_no_noise(command, stand_in, script):
    case = CASES[script]
    stand_in.say(case.get("says", "한 줄\n" * 5000))
    arguments, environment, folder = command(script, *case["args"])
    process = subprocess.Popen(
        arguments,
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()  # as the reader in `| head -1` does, at once
    given = case.get("stdin") or ""
    process.stdin.write(given if isinstance(given, bytes) else given.encode())
    process.stdin.close()
    err = process.stderr.read().decode()

    check_manners(process.wait(60), "", err, KEY)
    assert process.returncode == 0, err
    assert not any(word in err for word in ("Errno", "Exception", "Broken"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_needs_neither_key_nor_network(run, stand_in, script):
    done = run(script, "--help", key="", base_url="http://127.0.0.1:9")

    assert done.code == 0
    assert done.err == ""
    assert f"python scripts/{script}.py" in done.out
    assert stand_in.requests == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_unknown_option_is_exit_code_2(run, stand_in, script):
    done = run(script, "--no-such-option")

    assert done.code == 2
    assert stand_in.requests == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_nothing_but_this_machine_can_be_reached(start, stand_in, script):
    edit = CASES[script].get("edit")  # bulk would try again and again
    done = start(script, base_url="https://openrouter.ai/api/v1", edit=edit)

    assert done.code == 1
    assert named("refused|connection attempts failed", done.err)
    assert stand_in.requests == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_base_url_with_a_newline_is_no_traceback(start, stand_in, script):
    assert start(script, base_url=f"{stand_in.url}\n").code in (0, 2)
