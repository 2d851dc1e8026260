"""Proves that compare asks all models at once, loses no answer, and writes a page that is inert."""

import json
import re
import shutil
import signal
import subprocess
from html import escape, unescape
from html.parser import HTMLParser

import pytest
from conftest import ROOT, clean_environment, lines, named, posix
from stand_in import PARTIAL, TEXT, listing

TEMPLATE = (ROOT / "prompts" / "compare.txt").read_text(encoding="utf-8").strip()
TWO = ["-m", "acme/one", "-m", "acme/two"]
ATTACK = (
    "<script>document.title='PWNED'</script><img src=x onerror=\"document.title='PWNED'\">"
    "</pre></article></main><svg/onload=\"document.title='PWNED'\"> <!-- ]]> &lt;b&gt; &amp; "
    "<a href=\"javascript:document.title='PWNED'\">x</a> \"'` {0} {{x}} {cards} %s 한국어 🙂"
)
KEYS = {"asked", "model", "provider", "answer", "error"}
KEYS |= {"first_token", "seconds", "tokens_per_second", "tokens", "cost"}


def by_model(done):
    """The rows of --json by the model that was asked."""
    return {row["asked"]: row for row in json.loads(done.out)["answers"]}


# ------------------------------------------------------------------------------- what is asked


def test_all_models_are_asked_the_same(run, stand_in):
    done = run("compare", "하늘은 왜 파래? {{x}}", *TWO, "-m", "acme/three")

    assert done.code == 0, done.err
    prompt = TEMPLATE.replace("{{input}}", "하늘은 왜 파래? {{x}}")
    messages = [{"role": "user", "content": prompt}]
    options = {"stream": True, "stream_options": {"include_usage": True}}
    sent = sorted((call.body for call in stand_in.requests), key=lambda body: body["model"])
    assert sent == [
        {"model": f"acme/{name}", "messages": messages, **options}
        for name in ("one", "three", "two")
    ]


def test_wall_time_is_the_slowest_and_not_the_sum(run, stand_in):
    base = run("compare", "Hello", *TWO).seconds
    stand_in.delay = 3
    names = [f"acme/{number}" for number in range(5)]
    done = run("compare", "Hello", "--json", *(word for name in names for word in ("-m", name)))

    assert done.code == 0
    assert all(3 <= row["seconds"] < 6 for row in by_model(done).values())
    assert done.seconds < base + 7.5, "five models of 3 s each take 15 s one after the other"


def test_free_models_are_chosen_by_price(run, stand_in, catalogue):
    def offer(model, price):
        return listing(model, model, "text", "text", price, price)

    catalogue[:] = [
        offer("openrouter/free", "0"),
        offer("acme/lure:free", "0.000001"),
        offer("acme/gift", "0"),
        offer("acme/other:free", "0"),
        offer("acme/third:free", "0"),
    ]
    done = run("compare", "Hello", "--free", "2", "--json")
    assert list(by_model(done)) == ["acme/gift", "acme/other:free"]

    done = run("compare", "Hello", "-m", "acme/mine", "--free", "1", "--json")
    assert list(by_model(done)) == ["acme/mine", "acme/gift"]


@pytest.mark.parametrize("more", [[], ["-m", "acme/one"]], ids=["none", "one"])
def test_fewer_than_two_models_are_refused(run, stand_in, more):
    done = run("compare", "Hello", *more)

    assert (done.code, done.out) == (2, "")
    assert len(lines(done.err)) == 1 and "two models" in done.err
    assert stand_in.requests == []


def test_text_from_a_pipe(run, stand_in):
    run("compare", "What is this?", *TWO, stdin="piped {{x}}\n")

    wanted = TEMPLATE.replace("{{input}}", "What is this?\n\npiped {{x}}")
    assert stand_in.requests[0].body["messages"][0]["content"] == wanted


def test_prompt_file_with_and_without_a_place_for_text(run, stand_in, tmp_path):
    (tmp_path / "place.txt").write_text("요약: {{input}}!", encoding="utf-8")
    (tmp_path / "none.txt").write_text("Name three rivers.", encoding="utf-8")
    run("compare", "글", *TWO, "--prompt", str(tmp_path / "place.txt"))
    run("compare", *TWO, "--prompt", str(tmp_path / "none.txt"))

    contents = [call.body["messages"][0]["content"] for call in stand_in.requests]
    assert contents == ["요약: 글!"] * 2 + ["Name three rivers."] * 2
    refused = run("compare", "글", *TWO, "--prompt", str(tmp_path / "none.txt"))
    assert refused.code == 2 and "input" in refused.err


def test_no_question_is_one_sentence(run, stand_in):
    done = run("compare", *TWO)

    assert (done.code, done.out) == (2, "")
    assert len(lines(done.err)) == 1 and "no text" in done.err
    assert stand_in.requests == []


# ------------------------------------------------------------------------------ what is printed


def test_answers_and_a_table_of_numbers(run, stand_in):
    stand_in.say(
        lambda body: {
            "content": f"I am {body['model']}.",
            "model": f"{body['model']}-2026",
            "provider": "Chutes" if body["model"] == "acme/one" else "DeepInfra",
            "usage": {"completion_tokens": 1234, "cost": 0.000123},
        }
    )
    done = run("compare", "Hello", *TWO)

    assert done.code == 0, done.err
    assert "=== acme/one\nI am acme/one.\n" in done.out
    assert "=== acme/two\nI am acme/two.\n" in done.out
    head, one, two = done.out.splitlines()[-3:]
    assert head.split() == "model provider first token total speed length cost".split()  # noqa: SIM905
    number = r"\d+\.\d\d s"
    for row, provider, name in ((one, "Chutes", "one"), (two, "DeepInfra", "two")):
        assert re.fullmatch(
            rf"acme/{name}-2026 +{provider} +{number} +{number} +\d+ tokens/s +1,234 tokens "
            r"+\$0\.000123",
            row,
        )


def test_json_has_every_number(run, stand_in):
    stand_in.pace = 0.3
    done = run("compare", "안녕", *TWO, "--json")

    data = json.loads(done.out)
    assert set(data) == {"prompt", "answers"}
    assert data["prompt"] == TEMPLATE.replace("{{input}}", "안녕")
    for row in data["answers"]:
        assert set(row) == KEYS
        assert (row["answer"], row["error"], row["provider"]) == (TEXT, "", "Chutes")
        assert 0.2 < row["first_token"] < row["seconds"] - 1, "the stream takes 8 more pauses"
        speed = row["tokens"] / (row["seconds"] - row["first_token"])
        assert row["tokens_per_second"] == pytest.approx(speed)
        assert row["tokens"] == 8 and row["cost"] > 0
    assert TEXT in done.out, "Korean stays readable"


def test_first_token_may_be_a_thought(run, stand_in):
    stand_in.say({"content": "42", "reasoning": "Let me think about it for long. " * 4})
    stand_in.pace = 0.4
    done = run("compare", "Hello", *TWO, "--json")

    for row in by_model(done).values():
        assert row["first_token"] < row["seconds"] - 1.5
        assert row["answer"] == "42", "thoughts are no part of the answer"


def test_one_failure_is_a_row(run, stand_in):
    failing = ["fault/502", "fault/mid_stream", "fault/404_dead", "fault/bad_chunk"]
    more = [word for name in failing for word in ("-m", name)]
    done = run("compare", "Hello", "-m", "acme/one", *more, "--json")

    assert done.code == 0, done.err
    rows = by_model(done)
    assert (rows["acme/one"]["answer"], rows["acme/one"]["error"]) == (TEXT, "")
    assert named("502.*out of memory on node 7", rows["fault/502"]["error"])
    assert named("engine crashed", rows["fault/mid_stream"]["error"])
    assert named("404.*use acme/muse-2", rows["fault/404_dead"]["error"])
    assert rows["fault/bad_chunk"]["error"]
    assert rows["fault/502"]["answer"] == ""
    assert rows["fault/mid_stream"]["answer"] == PARTIAL, "what came is kept"
    for name in failing:
        assert named(f"^.{name}: (?!done)", "\n".join(x for x in lines(done.err) if name in x))


def test_failure_shows_in_the_table_and_on_stderr(run):
    done = run("compare", "Hello", "-m", "acme/one", "-m", "fault/503")

    assert done.code == 0
    assert TEXT in done.out
    assert re.fullmatch(r"fault/503( +-){6}", done.out.splitlines()[-1])
    assert named("fault/503: 503: there is no available", done.err)


def test_all_failing_is_exit_code_1_and_every_reason_is_told(run):
    done = run("compare", "Hello", "-m", "fault/502", "-m", "fault/cut", "--json")

    assert done.code == 1
    assert PARTIAL in done.out
    assert named("out of memory", done.err) and named("broke off", done.err)


def test_reply_that_never_ends_has_a_limit(run):
    edit = {"REPLY_SECONDS = 600": "REPLY_SECONDS = 2"}
    done = run("compare", "Hello", "-m", "fault/keepalive", "-m", "acme/two", "--json", edit=edit)

    rows = by_model(done)
    assert rows["fault/keepalive"]["answer"] == PARTIAL
    assert "2 s" in rows["fault/keepalive"]["error"]
    assert rows["acme/two"]["error"] == ""
    assert done.seconds < 15


def test_json_feeds_judge(run, stand_in):
    compared = run("compare", "Why?", *TWO, "-m", "fault/502", "--json")
    stand_in.say(["Better.\nVerdict: A", "Worse.\nVerdict: B"])
    judged = run("judge", stdin=compared.out)

    assert judged.code == 0, judged.err
    assert [line.split()[1] for line in lines(judged.out)] == ["acme/one", "acme/two"]


@posix
def test_control_c_keeps_what_came(begin, tmp_path):
    page = tmp_path / "page.html"
    models = ["-m", "acme/one", "-m", "fault/hang", "-m", "fault/keepalive"]
    process = begin("compare", "Hello", *models, "--json", "--html", str(page))
    err = b""
    while b"acme/one: done" not in err and (piece := process.stderr.read(1)):
        err += piece
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=30)

    assert process.returncode == 130
    assert b"Traceback" not in err + rest
    rows = {row["asked"]: row for row in json.loads(out)["answers"]}
    assert rows["acme/one"]["answer"] == TEXT and rows["acme/one"]["error"] == ""
    assert rows["fault/hang"]["error"] == "not finished"
    assert rows["fault/keepalive"]["error"] == "not finished"
    assert TEXT in page.read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------- the page


class Page(HTMLParser):
    """What a page consists of: elements with attributes, and the text of each <pre>."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.styles, self.texts, self.here = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.here = tag
        if tag in ("pre", "h2", "p", "title"):
            self.texts.append("")

    def handle_endtag(self, tag):
        self.here = ""

    def handle_data(self, data):
        if self.here in ("pre", "h2", "p", "title"):
            self.texts[-1] += data
        elif self.here == "style":
            self.styles.append(data)

    @property
    def tags(self):
        return {tag for tag, _ in self.elements}


@pytest.fixture
def page(run, stand_in, tmp_path):
    """page(question, reply, *models) -> the page's text."""

    def write(question="Hello", reply=None, models=("acme/one", "acme/two")):
        if reply:
            stand_in.say(reply)
        file = tmp_path / f"page{len(list(tmp_path.glob('page*')))}.html"
        more = [word for name in models for word in ("-m", name)]
        done = run("compare", question, *more, "--html", str(file))
        assert done.code == 0, done.err
        return file.read_bytes().decode("utf-8")

    return write


def hostile(body):
    return {"content": ATTACK, "model": f"<b>{ATTACK}", "provider": f'">{ATTACK}'}


def test_page_shows_answers_and_numbers_as_bars(page):
    def reply(body):
        one = body["model"] == "acme/one"
        usage = {"completion_tokens": 100, "cost": 0.002 if one else 0.0005}
        return {"content": f"답 {body['model']}", "usage": usage}

    shown = Page(page("하늘은 왜 파래?", reply))
    assert TEMPLATE.replace("{{input}}", "하늘은 왜 파래?") in shown.texts
    for name in ("acme/one", "acme/two"):
        assert name in shown.texts and f"답 {name}" in shown.texts
    widths = [attrs["style"] for tag, attrs in shown.elements if tag == "i"]
    assert len(widths) == 10, "two models, five numbers each"
    assert widths[4::5] == ["width:100.0%", "width:25.0%"], "the bars of the cost"


def test_page_needs_nothing_else(page):
    text = page(reply=hostile)
    shown = Page(text)

    assert shown.tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base"})
    style = "".join(shown.styles)
    assert style and not named(r"@import|url\(", style)
    names = {name for _, attrs in shown.elements for name in attrs}
    assert names.isdisjoint({"src", "href", "srcset", "action"})
    assert not [name for name in names if name.startswith("on")]


def test_hostile_text_stays_text(page):
    plain, shown = Page(page()), Page(page(ATTACK, hostile, ["acme/one", "acme/two", "<i>/x"]))

    assert shown.tags == plain.tags | {"p"}
    assert shown.texts.count(ATTACK) == 2, "each answer is there, whole"
    assert TEMPLATE.replace("{{input}}", ATTACK) in shown.texts
    assert shown.texts.count(f"<b>{ATTACK}") == 2
    assert shown.texts.count(f'">{ATTACK}') == 2
    assert "<i>/x" in shown.texts
    assert any("<i>/x is not a valid model ID" in text for text in shown.texts)


@pytest.fixture
def browser(tmp_path):
    """browser(page) -> the document after its scripts have run, by headless Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium or Chrome found")

    def open_page(text):
        file = tmp_path / "opened.html"
        file.write_text(text, encoding="utf-8")
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        options += ["--disable-background-networking", "--virtual-time-budget=1000", "--dump-dom"]
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        done = subprocess.run(
            [program, *options, profile, file.as_uri()],
            env=clean_environment(),
            capture_output=True,
            timeout=120,
            check=True,
        )
        return done.stdout.decode("utf-8")

    return open_page


def title(document):
    return re.search("<title>(.*?)</title>", document, re.DOTALL)[1]


def test_hostile_text_runs_nothing_in_a_real_browser(page, browser):
    text = page(ATTACK, hostile)
    (policy,) = re.findall(r"<meta http-equiv=.*?>", text)
    broken = unescape(text)  # what the page would be if nothing were escaped

    assert title(browser(broken.replace(policy, ""))) == "PWNED", "the attack works at all"
    assert title(browser(text.replace(policy, ""))) == "Models compared"
    assert title(browser(broken)) == "Models compared", "the policy is a second wall"

    document = browser(text)
    assert title(document) == "Models compared"
    assert Page(document).tags.isdisjoint({"script", "img", "svg", "a"})


def test_nothing_is_wider_than_a_phone(page, browser):
    long = "가" * 300 + " " + "x" * 400 + "\n" + "    code " * 60 + "\n| a | b |" * 30

    def reply(body):
        return {"content": long, "model": "m/" + "o" * 200, "provider": "P" * 200}

    def measure(text):
        """Return how wide a page is in a frame as wide as a phone, and the frame's width."""
        probe = (
            "let d = frames[0].document.documentElement;"
            "document.title = d.scrollWidth + ' in ' + d.clientWidth"
        )
        frame = f'<iframe width=360 height=9999 frameborder=0 srcdoc="{escape(text)}"></iframe>'
        outer = f"<title></title>{frame}<script>onload = () => {{ {probe} }}</script>"
        return title(browser(outer))

    wide = "<!doctype html><body style='margin:0'><div style='width:900px'>x</div>"
    assert measure(wide) == "900 in 360", "it can be seen at all"
    models = ["acme/one", "acme/two", "e" * 200]
    assert measure(page(long, reply, models)) == "360 in 360"


def test_page_cannot_be_written_to_a_missing_folder(run):
    done = run("compare", "Hello", *TWO, "--html", "no/such/folder/page.html")

    assert done.code == 2
    assert TEXT in done.out, "the answers are not lost"
    assert "no/such/folder" in lines(done.err)[-1]


def test_page_overwrites_a_file_only_when_told(run, stand_in, tmp_path):
    file = tmp_path / "notes.html"
    file.write_text("mine", encoding="utf-8")
    done = run("compare", "Hello", *TWO, "--html", str(file))
    assert (done.code, done.out) == (2, "")
    assert len(lines(done.err)) == 1 and "notes.html" in done.err
    assert file.read_text(encoding="utf-8") == "mine"
    assert stand_in.requests == [], "nothing is asked in vain"

    assert run("compare", "Hello", *TWO, "--html", str(file), "--force").code == 0
    assert TEXT in file.read_text(encoding="utf-8")
