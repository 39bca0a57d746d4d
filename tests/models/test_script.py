"""The `script` policy."""

from pathlib import Path

import pytest

from nexau.definitions.values import DefinitionError
from nexau.models.base import ModelError, ModelRequest, ToolCall
from nexau.models.script import ScriptPolicy, read_script
from nexau.transports.protocol import Usage

pytestmark = pytest.mark.anyio

SCRIPT = """
root:
  - content: Let me look.
    reasoning: Why not.
    calls:
      - {name: lookup, arguments: {key: x}}
      - {name: lookup, arguments: '{"key": ', id: mine}
    usage: {input_tokens: 7, output_tokens: 2}
  - content: It is 42.
    finish_reason: length
root/researcher#*:
  - calls: [{name: lookup}]
  - {error: out of order, status: 503}
"""


@pytest.fixture
def policy(tmp_path: Path) -> ScriptPolicy:
    file = tmp_path / "script.yaml"
    file.write_text(SCRIPT)
    return ScriptPolicy(read_script(file), source="script.yaml")


async def test_turns_of_the_root(policy: ScriptPolicy) -> None:
    first = await policy.turn(ModelRequest(()))
    assert first.calls == (
        ToolCall("0.0", "lookup", {"key": "x"}),
        ToolCall("mine", "lookup", None, '{"key": '),
    )
    assert (first.content, first.reasoning, first.finish_reason) == (
        "Let me look.",
        "Why not.",
        "tool_calls",
    )
    assert first.usage == Usage(7, 2)
    second = await policy.turn(ModelRequest((), turn=1))
    assert (second.content, second.finish_reason) == ("It is 42.", "length")
    assert await policy.turn(ModelRequest(())) is first


async def test_turns_of_others_by_pattern(policy: ScriptPolicy) -> None:
    path = "root/researcher#3"
    first = await policy.turn(ModelRequest((), path=path))
    assert first.calls == (ToolCall("researcher#3:0.0", "lookup", {}),)
    with pytest.raises(ModelError, match="out of order") as caught:
        await policy.turn(ModelRequest((), path=path, turn=1))
    assert caught.value.status == 503


async def test_the_end_of_a_script(policy: ScriptPolicy) -> None:
    with pytest.raises(ModelError, match=r"script\.yaml is at its end: it has 2 turns for root"):
        await policy.turn(ModelRequest((), turn=2))
    with pytest.raises(ModelError, match="no turns for root/writer#1; patterns in it: root, root"):
        await policy.turn(ModelRequest((), path="root/writer#1"))


async def test_a_list_is_for_the_root(tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text('[{"content": "hi"}]')
    policy = ScriptPolicy(read_script(file))
    assert (await policy.turn(ModelRequest(()))).content == "hi"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5", "expected a list of turns"),
        ("- {contents: x}", "1:4: [0].contents: unknown key 'contents'; did you mean 'content'?"),
        ("root:\n  - calls: [{}]", "missing key 'name'"),
        ("root:\n  - calls: x", "expected a list"),
        ("- finish_reason: halt", "finish_reason"),
        ("- {content: a, content: b}", "[0].content"),
        ("- [", "not valid YAML"),
    ],
)
def test_scripts_that_cannot_be_read(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "script.yaml"
    file.write_text(text)
    with pytest.raises(DefinitionError) as caught:
        read_script(file)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(file))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="cannot be read: No such file"):
        read_script(tmp_path / "none.yaml")
