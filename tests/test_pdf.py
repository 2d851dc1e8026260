"""Proves that pdf.py sends real PDFs, asks on without a second parsing, refuses what is no PDF."""

import base64
import io

import pytest
from conftest import ROOT
from pypdf import PdfReader
from stand_in import TEXT

PDF = ROOT / "tests" / "data" / "hello.pdf"
WORDS = "Order 4711: 12 cups, 30.50 EUR"


def parts(stand_in, number: int = 0) -> list[dict]:
    """The parts of the first question in a request."""
    return stand_in.requests[number].body["messages"][1]["content"]


def sent_pdf(part: dict) -> bytes:
    head, data = part["file"]["file_data"].split(",")
    assert (part["type"], head) == ("file", "data:application/pdf;base64")
    return base64.b64decode(data, validate=True)


def test_a_question_reaches_the_free_parser_with_the_whole_file(run, stand_in, tmp_path):
    file = tmp_path / "주문서.pdf"
    file.write_bytes(PDF.read_bytes())
    done = run("pdf", "합계는 얼마인가요?", str(file))
    assert (done.code, done.out) == (0, TEXT + "\n")
    assert "$0.000000" in done.err

    [request] = stand_in.requests
    system, user = request.body["messages"]
    assert set(request.body) == {"model", "messages", "plugins"}
    assert request.body["model"] == "openrouter/free"
    assert request.body["plugins"] == [{"id": "file-parser", "pdf": {"engine": "cloudflare-ai"}}]
    prompt = (ROOT / "prompts" / "pdf.txt").read_text(encoding="utf-8").strip()
    assert system == {"role": "system", "content": prompt}
    question, document = user["content"]
    assert question == {"type": "text", "text": "합계는 얼마인가요?"}
    assert document["file"]["filename"] == "주문서.pdf"
    assert PdfReader(io.BytesIO(sent_pdf(document)), strict=True).pages[0].extract_text() == WORDS
    assert stand_in.parses == ["cloudflare-ai"]


def test_an_address_goes_out_as_it_is(run, stand_in):
    address = "https://example.com/docs/%EA%B3%84%EC%95%BD.pdf?version=2"
    assert run("pdf", "What?", address, "http://example.com").code == 0
    documents = [part["file"] for part in parts(stand_in)[1:]]
    assert documents == [
        {"filename": "계약.pdf", "file_data": address},
        {"filename": "document.pdf", "file_data": "http://example.com"},
    ]


def test_follow_up_questions_reuse_the_parsing(run, stand_in):
    stand_in.say(["첫째", "둘째", "셋째"])
    questions = ["--then", "그리고?", "--then", "끝?"]
    done = run("pdf", "뭐?", str(PDF), *questions, "--engine", "mistral-ocr")
    assert (done.code, done.out) == (0, "첫째\n둘째\n셋째\n")
    assert stand_in.parses == ["mistral-ocr"]  # once, of three requests
    first_line, *reports = done.err.splitlines()
    assert "mistral-ocr" in first_line and "$2 per 1,000 pages" in first_line
    assert ["$0.002000" in report for report in reports] == [True, False, False]

    messages = stand_in.requests[-1].body["messages"]
    roles = ["system", "user", "assistant", "user", "assistant", "user"]
    assert [message["role"] for message in messages] == roles
    assert messages[2]["content"] == "첫째"
    assert messages[2]["annotations"][0]["file"]["name"] == "hello.pdf"
    assert [messages[3]["content"], messages[5]["content"]] == ["그리고?", "끝?"]
    engines = [request.body["plugins"][0]["pdf"]["engine"] for request in stand_in.requests]
    assert engines == ["mistral-ocr"] * 3


def test_without_the_annotations_it_would_be_parsed_again(run, stand_in):
    """So that the test above can fail."""
    bare = {"message.to_dict()": "{'role': 'assistant', 'content': message.content}"}
    assert run("pdf", "What?", str(PDF), "--then", "And?", edit=bare).code == 0
    assert stand_in.parses == ["cloudflare-ai", "cloudflare-ai"]


def test_an_answer_that_came_stays_when_the_next_one_fails(run, stand_in):
    stand_in.say(["첫째", {"content": None}])
    done = run("pdf", "What?", str(PDF), "--then", "And?", "--then", "Never sent")
    assert (done.code, done.out) == (1, "첫째\n")
    assert "empty" in done.err.splitlines()[-1]
    assert len(stand_in.requests) == 2


def test_native_costs_input_tokens_and_says_so_first(run, stand_in):
    arguments = ["--engine", "native", "-m", "anthropic/claude-sonnet-4.5"]
    done = run("pdf", "What?", str(PDF), *arguments, env={"OPENROUTER_MODEL": "acme/other"})
    assert done.code == 0
    assert "native" in done.err.splitlines()[0] and "input tokens" in done.err.splitlines()[0]
    assert stand_in.requests[0].body["model"] == "anthropic/claude-sonnet-4.5"
    assert stand_in.parses == []


def test_several_files_and_a_piped_question(run, stand_in, tmp_path):
    second = tmp_path / "second.pdf"
    second.write_bytes(PDF.read_bytes())
    done = run("pdf", "-", str(PDF), str(second), stdin="\ufeff무엇이\r\n다른가요?")
    assert done.code == 0
    question, one, other = parts(stand_in)
    assert question["text"] == "무엇이\r\n다른가요?"
    assert [one["file"]["filename"], other["file"]["filename"]] == ["hello.pdf", "second.pdf"]


def test_another_prompt_file(run, stand_in, tmp_path):
    prompt = tmp_path / "엄격.txt"
    prompt.write_text("숫자만 답하세요.", encoding="utf-8-sig")
    assert run("pdf", "What?", str(PDF), "--prompt", str(prompt)).code == 0
    assert stand_in.requests[0].body["messages"][0]["content"] == "숫자만 답하세요."


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("사진.pdf", b"\x89PNG\r\n\x1a\n" + bytes(50), "no PDF"),
        ("empty.pdf", b"", "no PDF"),
        ("late.pdf", b" " * 1024 + b"%PDF-1.4", "no PDF"),
        ("big.pdf", b"%PDF-1.4" + bytes(1_100_000), "1 MB"),
    ],
)
def test_what_is_no_pdf_or_too_large_is_not_sent(run, stand_in, tmp_path, name, data, says):
    file = tmp_path / name
    file.write_bytes(data)
    edit = {"MAX_MEGABYTES = 20": "MAX_MEGABYTES = 1"}
    done = run("pdf", "What?", str(PDF), str(file), edit=edit)
    assert (done.code, done.out, stand_in.requests) == (2, "", [])
    assert name in done.err and says in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["What?"], ["What?", "missing.pdf"], ["What?", str(PDF), "--engine", "pdf-text"]]
)
def test_wrong_usage_costs_nothing(run, stand_in, arguments):
    done = run("pdf", *arguments)
    assert (done.code, done.out, stand_in.requests) == (2, "", [])


def test_no_key_is_one_sentence(run, stand_in):
    done = run("pdf", "What?", str(PDF), key=None)
    assert (done.code, stand_in.requests) == (2, [])
    assert "OPENROUTER_API_KEY" in done.err
