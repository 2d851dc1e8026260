"""Proves that fallback sends the models in order and tells who answered and what came before."""

from conftest import lines, named
from stand_in import TEXT


def test_first_that_can_answers_and_the_others_are_told(run, stand_in):
    models = ["-m", "fault/503", "-m", "fault/429_upstream", "-m", "acme/good"]
    done = run("fallback", "강 세 개", *models, "-o", "max_tokens=300", stdin="\ufeff더 {{x}}")

    assert (done.code, done.out) == (0, f"{TEXT}\n")
    assert len(stand_in.requests) == 1, "the router tries the models, not the script"
    body = dict(stand_in.requests[0].body)
    system, user = body.pop("messages")
    assert system["role"] == "system" and user["content"] == "강 세 개\n\n더 {{x}}"
    assert body.pop("models") == ["fault/429_upstream", "acme/good"]
    assert body == {"model": "fault/503", "max_tokens": 300}
    assert stand_in.requests[0].headers["x-openrouter-metadata"] == "enabled"
    (facts,) = lines(done.err)
    assert named('"model":"acme/good".*fault/503.*503.*fault/429_upstream.*429', facts)


def test_spare_models_stay_spare(run, stand_in):
    done = run("fallback", "Hello", "-m", "acme/one", "-m", "acme/two")
    assert '"model":"acme/one"' in done.err and "acme/two" not in done.err

    run("fallback", "Hello", env={"OPENROUTER_MODEL": "acme/from-env"})
    assert stand_in.requests[-1].body["model"] == "acme/from-env"
    assert "models" not in stand_in.requests[-1].body


def test_none_that_can_is_a_failure_with_all_attempts(run):
    done = run("fallback", "Hello", "-m", "fault/429_upstream", "-m", "fault/503")

    assert (done.code, done.out) == (1, "")
    assert len(lines(done.err)) == 1 and named("503.*no available model provider", done.err)
    assert named("fault/429_upstream.*429", done.err), "why the first one failed"
