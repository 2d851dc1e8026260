"""Proves that fallback sends the models in order and tells who answered and what came before."""

from conftest import lines, named
from stand_in import TEXT


def body(stand_in):
    return stand_in.requests[-1].body


def test_first_that_can_answers_and_the_others_are_told(run, stand_in):
    done = run(
        "fallback", "강 세 개", "-m", "fault/503", "-m", "fault/429_upstream", "-m", "acme/good"
    )

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    assert len(stand_in.requests) == 1, "the router tries the models, not the script"
    assert body(stand_in) == {
        "model": "fault/503",
        "models": ["fault/429_upstream", "acme/good"],
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "강 세 개"},
        ],
    }
    assert stand_in.requests[0].asks("x-openrouter-metadata", "enabled")
    first, second, third, last = lines(done.err)
    assert named("fault/503.*503", first)
    assert named("fault/429_upstream.*429", second)
    assert named("acme/good.*200", third)
    assert last.startswith("[acme/good, Chutes, ")


def test_spare_models_stay_spare(run, stand_in):
    done = run("fallback", "Hello", "-m", "acme/one", "-m", "acme/two")

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    assert "acme/two" not in done.err
    assert lines(done.err)[-1].startswith("[acme/one, ")


def test_one_model_needs_no_list(run, stand_in):
    run("fallback", "Hello", "-m", "acme/one")

    assert body(stand_in)["model"] == "acme/one"
    assert "models" not in body(stand_in)


def test_default_is_free(run, stand_in):
    done = run("fallback", "Hello")

    assert done.code == 0
    assert body(stand_in)["model"] == "openrouter/free"
    assert "$0.000000" in done.err


def test_model_of_the_environment(run, stand_in):
    run("fallback", "Hello", env={"OPENROUTER_MODEL": "acme/from-env"})
    assert body(stand_in)["model"] == "acme/from-env"

    run("fallback", "Hello", "-m", "acme/one", env={"OPENROUTER_MODEL": "acme/from-env"})
    assert body(stand_in)["model"] == "acme/one"


def test_none_that_can_is_a_failure(run, stand_in):
    done = run("fallback", "Hello", "-m", "fault/429_upstream", "-m", "fault/503")

    assert (done.code, done.out) == (1, "")
    first, second, last = lines(done.err)
    assert named("fault/429_upstream.*429", first)
    assert named("fault/503.*503", second)
    assert named("503.*no available model provider", last)


def test_router_without_metadata_is_fine(run, stand_in):
    stand_in.say({"content": "Hi", "openrouter_metadata": {"attempts": None}})
    done = run("fallback", "Hello", "-m", "acme/one", "-m", "acme/two")

    assert (done.code, done.out) == (0, "Hi\n")
    assert len(lines(done.err)) == 1


def test_text_from_a_pipe(run, stand_in):
    run("fallback", "요약해 줘", "-m", "acme/one", stdin="긴 글 {{x}}\n")

    assert body(stand_in)["messages"][1]["content"] == "요약해 줘\n\n긴 글 {{x}}"


def test_another_prompt(run, stand_in, tmp_path):
    (tmp_path / "mine.txt").write_text("짧게 답하세요.", encoding="utf-8")
    run("fallback", "Hello", "--prompt", str(tmp_path / "mine.txt"))

    assert body(stand_in)["messages"][0] == {"role": "system", "content": "짧게 답하세요."}


def test_no_question_is_one_sentence(run, stand_in):
    done = run("fallback", "-m", "acme/one")

    assert done.code == 2
    assert len(lines(done.err)) == 1
    assert stand_in.requests == []
