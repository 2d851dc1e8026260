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

TEMPLATE = (ROOT / "prompts" / "compare.txt").read_text(encoding="utf-8")
TWO = ["-m", "acme/one", "-m", "acme/two"]
ATTACK = (
    "<script>document.title='PWNED'</script><img src=x onerror=\"document.title='PWNED'\">"
    "</pre></article></main><svg/onload=\"document.title='PWNED'\"> <!-- ]]> &lt;b&gt; &amp; "
    "<a href=\"javascript:document.title='PWNED'\">x</a> \"'` {0} {{x}} {cards} %s 한국어 🙂"
)


def by_model(done):
    """The rows of --json by the model that was asked."""
    return {row["asked"]: row for row in json.loads(done.out)["answers"]}


def test_all_models_are_asked_the_same_and_shown_with_their_numbers(run, stand_in):
    usage = {"completion_tokens": 1234, "cost": 0.000123}
    stand_in.say(lambda body: {"content": f"I am {body['model']}.", "usage": usage})
    done = run("compare", "하늘은 왜 파래?", *TWO, "-o", "max_tokens=300", stdin="더 {{x}}")

    assert done.code == 0, done.err
    prompt = TEMPLATE.replace("{{input}}", "하늘은 왜 파래?\n\n더 {{x}}")
    options = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 300}
    options["messages"] = [{"role": "user", "content": prompt}]
    sent = sorted((call.body for call in stand_in.requests), key=lambda body: body["model"])
    assert sent == [{"model": "acme/one", **options}, {"model": "acme/two", **options}]
    assert "=== acme/one" in done.out and "I am acme/two." in done.out
    head, *rows = done.out.splitlines()[-3:]
    assert head.split() == "model provider first token total speed length cost".split()  # noqa: SIM905
    number = r"\d+\.\d\d s"
    row = rf"acme/\w+ +Chutes +{number} +{number} +\d+ tokens/s +1,234 tokens +\$0\.000123"
    assert all(re.fullmatch(row, line) for line in rows)


def test_wall_time_is_the_slowest_and_json_has_every_number(run, stand_in):
    stand_in.say({"content": TEXT, "reasoning": "Hm."})
    stand_in.pace = 0.3
    names = [word for number in range(5) for word in ("-m", f"acme/{number}")]
    done = run("compare", "안녕", *names, "--json")

    assert done.code == 0 and TEXT in done.out, "Korean stays readable"
    rows = by_model(done).values()
    assert sum(row["seconds"] for row in rows) > done.seconds * 2, "at once"
    for row in rows:
        assert row["answer"] == TEXT, "thoughts are no part of the answer"
        assert 0.2 < row["first_token"] < row["seconds"] - 1, "the first may be a thought"
        speed = row["tokens"] / (row["seconds"] - row["first_token"])
        assert row["tokens_per_second"] == pytest.approx(speed) and row["cost"] > 0


def test_free_models_are_the_popular_ones_for_chat(run, stand_in, catalogue):
    names = ["openrouter/free", "acme/paid", "acme/a:free", "acme/b:free", "acme/c:free"]
    catalogue[:] = [listing(name, name, "text", "text", "0", "0") for name in names]
    assert by_model(run("compare", "Hi", "--free", "2", "--json")).keys() == {*names[2:4]}
    assert stand_in.requests[0].query["sort"] == "most-popular"
    few = run("compare", "Hi", "-m", "acme/one")
    assert few.code == 1 and len(lines(few.err)) == 1


def test_failures_are_rows_and_judge_takes_the_others(run, stand_in):
    failing = ["fault/502", "fault/mid_stream", "fault/404_dead", "fault/bad_chunk"]
    more = [word for name in failing for word in ("-m", name)]
    done = run("compare", "Hello", *TWO, *more, "--json")

    assert done.code == 0, done.err
    rows = by_model(done)
    assert (rows["acme/one"]["answer"], rows["acme/one"]["error"]) == (TEXT, "")
    assert named("502.*out of memory on node 7", rows["fault/502"]["error"])
    assert (
        "engine crashed" in rows["fault/mid_stream"]["error"] and rows["fault/bad_chunk"]["error"]
    )
    assert rows["fault/mid_stream"]["answer"] == PARTIAL, "what came is kept"
    assert all(named(f"{name}: (?!done)", done.err) for name in failing)
    stand_in.say("Better.\nVerdict: A")
    judged = run("judge", stdin=done.out)
    assert {line.split()[1] for line in lines(judged.out)} == {"acme/one", "acme/two"}

    all_fail = run("compare", "Hello", "-m", "fault/502", "-m", "fault/cut")
    assert all_fail.code == 1 and PARTIAL in all_fail.out
    assert named("fault/502 +502: .*out of memory", all_fail.out)


def test_prompt_without_a_place_for_the_question_is_refused(run, stand_in, tmp_path):
    (tmp_path / "p.txt").write_text("Hello")
    done = run("compare", "Hello", *TWO, "--prompt", "p.txt", cwd=tmp_path)
    assert (done.code, done.out, stand_in.requests) == (1, "", [])


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

    assert process.returncode == 130 and b"Traceback" not in err + rest
    (row,) = json.loads(out)["answers"]
    assert row["answer"] == TEXT and TEXT in page.read_text(encoding="utf-8")


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
