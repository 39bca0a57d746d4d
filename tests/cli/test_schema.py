"""`nexau schema`: a JSON Schema for each kind."""

import json

import jsonschema_rs
import pytest

from tests.cli.conftest import Call


@pytest.mark.parametrize("kind", ["agent", "task", "trajectory", "step", "event"])
def test_a_schema_of_each_kind(call: Call, kind: str) -> None:
    outcome = call("schema", kind)
    assert outcome.code == 0
    jsonschema_rs.meta.validate(json.loads(outcome.out))


def test_output_is_as_its_schema_says(call: Call) -> None:
    schema = json.loads(call("schema", "trajectory").out)
    for line in call("rollout", "agent.yaml", "tasks.jsonl").lines:
        jsonschema_rs.validate(schema, line)


@pytest.mark.parametrize(
    ("given", "said"),
    [("agnt", "did you mean 'agent'?"), ("", "agent, "), ("agents", "did you mean 'agent'?")],
)
def test_a_kind_there_is_not(call: Call, given: str, said: str) -> None:
    outcome = call("schema", given)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_no_kind(call: Call) -> None:
    outcome = call("schema")
    assert outcome.code == 2
    assert "KIND" in outcome.err
