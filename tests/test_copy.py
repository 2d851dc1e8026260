"""Proves that the upper half of a script, cut off at the line, does the whole task by itself.

What is added here is what the README says and nothing more: the import, and the call.
"""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from conftest import SCRIPTS
from stand_in import TEXT
from test_faults import MP3_FILE, PDF, PLAN

LINE = "# --- The command line. Leave out what follows when you copy. ---"
# What a program says that has client, model and messages.
CALLS = {
    "audio_input": f"listen(client, model, 'What?', [{MP3_FILE!r}])",
    "batch": """batch = submit(client, model, [{"messages": messages}])
while (ended := read_batch(client, batch))["status"] != "completed": pass
list(read_results(ended))""",
    "bulk": """answers = []
run = Run(save=lambda *result: answers.append(result), rpm=0)
items = iter([(number, {"model": model, "messages": messages}) for number in (7, 8)])
asyncio.run(answer_all(client, items, run, 2))
answers""",
    "chat": "''.join(text for text, chunk in ask(client, model, messages))",
    "compare": """async def rows(): return [row async for row in ask_all(client, [model], messages)]
asyncio.run(rows())""",
    "doctor": "check_request(client, 'openrouter/free')",
    "embeddings": "found = {}\nlist(embed(client, model, ['one'], found)), found",
    "fallback": "ask_in_turn(client, [model, 'openrouter/free'], messages)",
    "free_models": "probe(client, find_free(client)[0])",
    "image_generation": "decode(generate(client, model, 'a cat', [])[0][0])",
    "judge": "judge_pair(client, model, '{{first}} or {{second}}?', 'Q', ['a', 'b'])",
    "key": "read_key(client)",
    "login": "log_in(connect_without_key(), urlopen)[:9]",
    "migrate": "changes(PROVIDERS['groq']), ask(client, model, 'Hello')",
    "models": "[entry['id'] for entry in find_models(client, {}) if is_free(entry)]",
    "offline": """server = start_server()
urlopen(f"{server.listening_address}/v1/models").read()""",
    "orchestrate": """from threading import Lock
prompts = dict.fromkeys(["plan", "work", "check", "final"], "{{task}}")
run = Run(client, model, ["openrouter/free"], prompts, 3, 9, 1.0, list, Lock())
orchestrate(run, "Why?", {})""",
    "pdf": f"ask(client, model, 'What?', [{PDF!r}])",
    "prompt": "complete(client, model, fill('{{a=1}} {{b}}', {'b': '2'}))",
    "prompt_caching": "ask_about(client, model, 'A long text', 'What?', 'session')",
    "reasoning": "''.join(text for _, text, _ in ask(client, model, messages, {}))",
    "rerank": "rerank(client, model, 'two', ['one', 'two'])[0]",
    "responses": "ask(client, model, 'Be brief.', [], 'Hello')",
    "routing": "ask_provider(client, model, messages, {'sort': 'price'})",
    "speech": """model = cheapest(client, output_modalities="speech")["id"]
speak(client, model, "Hello", voices(client, model)[0])""",
    "structured_output": "extract(client, model, 'Some notes')",
    "tool_calling": "list(run(client, model, messages, [current_time]))",
    "transcription": f"transcribe(client, model, {MP3_FILE!r})",
    "video_generation": """job = submit(client, model, "a boat", None, {})
list(watch(client, job)), download(client, job)""",
    "vision": "look(client, model, 'What?', ['https://example.com/a.png'])",
    "web_search": "search(client, model, messages, [])",
}
# What the value of the last line has in it, where that is not the usual answer.
VALUES = {
    "doctor": "llama",
    "embeddings": "{'one': [0.",
    "free_models": "0.",
    "image_generation": "PNG",
    "key": "limit_remaining",
    "login": "sk-or-v1-",
    "models": ":free",
    "offline": "SmolLM2",
    "rerank": "[(1.0, 1), ",
    "speech": r"\xff\xfb",
    "structured_output": "summary='예시'",
    "transcription": "This is a recording.",
    "video_generation": "ftyp",
}
PROGRAM = """import json, sys, traceback
for name, code in json.load(sys.stdin.buffer).items():
    names = {"model": "acme/muse-2", "messages": [{"role": "user", "content": "Hello"}]}
    try:
        exec(f"import asyncio; from urllib.request import urlopen; from {name} import *", names)
        names["client"] = names["connect"]() if "connect" in names else None
        *before, last = code.splitlines()
        exec("\\n".join(before), names)
        print(json.dumps([name, str(eval(last, names))]))
    except Exception:
        print(json.dumps([name, traceback.format_exc()]))
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with nothing in it but the upper half of every script."""
    for script in SCRIPTS.glob("*.py"):
        upper = script.read_text(encoding="utf-8").partition(LINE)[0]
        (tmp_path / script.name).write_text(upper, encoding="utf-8")
    return tmp_path


def test_no_name_is_undefined_or_unused(folder):
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=F", folder]
    done = subprocess.run(ruff, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_task_is_done_without_the_rest(run, stand_in, folder):
    assert CALLS.keys() == {script.stem for script in folder.glob("*.py")}
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    missing = {"offline"} if not find_spec("xllamacpp") else set()
    options, found = {"script_path": folder / "program.py", "fork": False, "timeout": 150}, {}
    for names in (CALLS.keys() - {"orchestrate"} - missing, {"orchestrate"}):
        calls = json.dumps({name: CALLS[name] for name in sorted(names)})
        done = run("program", stdin=calls, **options)  # the local model is slow beside others
        assert done.code == 0, done.err
        found |= dict(map(json.loads, done.out.splitlines()))
        stand_in.say([PLAN, "한 걸음", '{"critique": "", "accepted": true}', TEXT])
    assert {n: text for n, text in found.items() if VALUES.get(n, TEXT) not in text} == {}
