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
HOSTILE = {"content": ATTACK, "model": f"<b>{ATTACK}", "provider": f'">{ATTACK}'}


def by_model(done):
    """The rows of --json by the model that was asked."""
    return {row["asked"]: row for row in json.loads(done.out)["answers"]}


def test_all_models_are_asked_the_same_and_shown_with_their_numbers(run, stand_in):
    usage = {"completion_tokens": 1234, "cost": 0.000123}
    stand_in.say(lambda body: {"content": f"I am {body['model']}.", "usage": usage})
    done = run("compare", "하늘은 왜 파래?", *TWO, "-o", "max_tokens=300", stdin="더 {{x}}")

    prompt = TEMPLATE.replace("{{input}}", "하늘은 왜 파래?\n\n더 {{x}}")
    options = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 300}
    options["messages"] = [{"role": "user", "content": prompt}]
    sent = sorted((call.body for call in stand_in.requests), key=lambda body: body["model"])
    assert sent == [{"model": "acme/one", **options}, {"model": "acme/two", **options}]
    assert done.code == 0 and "=== acme/one" in done.out and "I am acme/two." in done.out
    number = r"\d+\.\d\d s"
    row = rf"acme/\w+ +Chutes +{number} +{number} +\d+ tokens/s +1,234 tokens +\$0\.000123"
    assert all(re.fullmatch(row, line) for line in done.out.splitlines()[-2:])


def test_wall_time_is_the_slowest_and_json_has_every_number(run, stand_in):
    stand_in.say({"content": TEXT, "reasoning": "Hm."})
    stand_in.pace = 0.3
    names = [word for number in range(5) for word in ("-m", f"acme/{number}")]
    done = run("compare", "안녕", *names, "--json")

    rows = by_model(done).values()
    assert sum(row["seconds"] for row in rows) > done.seconds * 2, "at once"
    assert len(rows) == 5 and TEXT in done.out, "Korean stays readable"
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


def test_failures_are_rows_and_judge_takes_the_others(run, stand_in):
    failing = ["fault/502", "fault/mid_stream", "fault/404_dead", "fault/bad_chunk"]
    more = [word for name in failing for word in ("-m", name)]
    done = run("compare", "Hello", *TWO, *more, "--json")

    rows = by_model(done)
    assert (rows["acme/one"]["answer"], rows["acme/one"]["error"]) == (TEXT, "")
    assert named("502.*out of memory on node 7", rows["fault/502"]["error"])
    assert rows["fault/mid_stream"]["answer"] == PARTIAL, "what came is kept"
    assert (
        "engine crashed" in rows["fault/mid_stream"]["error"] and rows["fault/bad_chunk"]["error"]
    )
    assert done.code == 0 and all(named(f"{name}: (?!done)", done.err) for name in failing)
    stand_in.say("Better.\nVerdict: A")
    judged = run("judge", stdin=done.out)
    assert {line.split()[1] for line in lines(judged.out)} == {"acme/one", "acme/two"}

    all_fail = run("compare", "Hello", "-m", "fault/502", "-m", "fault/cut")
    assert all_fail.code == 1 and PARTIAL in all_fail.out
    assert named("fault/502 +502: .*out of memory", all_fail.out)


def test_nothing_to_compare_costs_nothing(run, stand_in, tmp_path):
    (tmp_path / "p.txt").write_text("A prompt without the place for a question")
    for args in ["-m", "acme/one"], [*TWO, "--prompt", "p.txt"]:
        done = run("compare", "Hello", *args, cwd=tmp_path)
        assert (done.code, done.out, stand_in.requests) == (1, "", []) and len(lines(done.err)) == 1


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
    """What a page consists of: its elements with attributes, and the texts between the tags."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts = [], [""]
        self.feed(page)
        self.tags = {tag for tag, _ in self.elements}

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_endtag(self, tag):
        self.texts.append("")

    def handle_data(self, data):
        self.texts[-1] += data


@pytest.fixture
def page(run, stand_in, tmp_path):
    """page(question, reply, *more models) -> the page's text."""

    def write(question, reply, *more):
        stand_in.say(reply)
        models = [word for name in more for word in ("-m", name)]
        assert run("compare", question, *TWO, *models, "--html", "page", cwd=tmp_path).code == 0
        return (tmp_path / "page").read_text(encoding="utf-8")

    return write


def test_page_shows_answers_and_numbers_as_bars(page):
    def reply(body):
        usage = {"completion_tokens": 100, "cost": 0.002 if "one" in body["model"] else 0.0005}
        return {"content": f"답 {body['model']}", "usage": usage}

    shown = Page(page("하늘은 왜 파래?", reply))
    texts = ["acme/one", "답 acme/one", "acme/two", "답 acme/two"]
    assert {TEMPLATE.replace("{{input}}", "하늘은 왜 파래?"), *texts} <= {*shown.texts}
    bars = [attrs["style"] for tag, attrs in shown.elements if tag == "i"]
    assert len(bars) == 10, "two models, five numbers each"
    assert sorted(bars[4::5]) == ["width:100.0%", "width:25.0%"], "of the cost"


def test_hostile_text_stays_text_and_the_page_needs_nothing_else(page):
    plain, text = Page(page("Hello", TEXT)), page(ATTACK, HOSTILE, "<i>/x")
    shown = Page(text)
    assert shown.tags == plain.tags | {"p"}
    assert shown.texts.count(ATTACK) == 2, "each answer is there, whole"
    assert shown.texts.count(f"<b>{ATTACK}") == shown.texts.count(f'">{ATTACK}') == 2
    assert {TEMPLATE.replace("{{input}}", ATTACK), "<i>/x"} <= {*shown.texts}
    assert any("<i>/x is not a valid model ID" in text for text in shown.texts)

    assert shown.tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base"})
    names = {name for _, attrs in shown.elements for name in attrs}
    assert names.isdisjoint({"src", "href", "srcset", "action"})
    assert not [name for name in names if name.startswith("on")]
    assert "<style>" in text and not named(r"@import|url\(", text)


@pytest.fixture
def browse(tmp_path):
    """browse(page) -> its title and document after its scripts have run, by headless Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium or Chrome found")

    def browse(text):
        file, profile = tmp_path / "opened.html", f"--user-data-dir={tmp_path / 'profile'}"
        file.write_text(text, encoding="utf-8")
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", profile]
        options += ["--disable-background-networking", "--virtual-time-budget=1000", "--dump-dom"]
        start = {"env": clean_environment(), "capture_output": True, "timeout": 120, "check": True}
        done = subprocess.run([program, *options, file.as_uri()], **start)
        document = done.stdout.decode("utf-8")
        return re.search("<title>(.*?)</title>", document, re.DOTALL)[1], document

    return browse


def test_hostile_text_runs_nothing_in_a_real_browser(page, browse):
    text = page(ATTACK, HOSTILE)
    (policy,) = re.findall(r"<meta http-equiv=.*?>", text)
    broken = unescape(text)  # what the page would be if nothing were escaped

    assert browse(broken.replace(policy, ""))[0] == "PWNED", "the attack works at all"
    assert browse(broken)[0] == "Models compared", "the policy is a second wall"
    title, document = browse(text.replace(policy, ""))
    assert title == "Models compared"
    assert Page(document).tags.isdisjoint({"script", "img", "svg", "a"})


def test_nothing_is_wider_than_a_phone(page, browse):
    def measure(text):
        """Return how wide a page is in a frame as wide as a phone, and the frame's width."""
        probe = "const d = frames[0].document.documentElement;"
        probe += "document.title = d.scrollWidth + ' in ' + d.clientWidth"
        frame = f'<iframe width=360 height=9999 frameborder=0 srcdoc="{escape(text)}"></iframe>'
        return browse(f"<title></title>{frame}<script>onload = () => {{ {probe} }}</script>")[0]

    long = "가" * 300 + " " + "x" * 400 + "\n" + "    code " * 60 + "\n| a | b |" * 30
    reply = {"content": long, "model": "m/" + "o" * 200, "provider": "P" * 200}
    wide = "<!doctype html><body style='margin:0'><div style='width:900px'>x</div>"
    assert measure(wide) == "900 in 360", "it can be seen at all"
    assert measure(page(long, reply, "e" * 200)) == "360 in 360"
