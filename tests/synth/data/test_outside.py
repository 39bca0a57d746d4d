"""Readers that nobody here wrote judge what the formats write.

Where our own reader finds a record equal, the outside one finds the same calls in it: that is what
makes the quarantine worth something. Templates of TRL give the same text, and the same masks.

Skipped where they cannot be installed, with the reason; with CI set, that is a failure.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from nexau.synth.data.conversation import (
    Assistant,
    Call,
    Conversation,
    Observation,
    Results,
    System,
    Turn,
    Unfit,
    User,
    difference,
)
from nexau.synth.data.formats.base import Head
from nexau.synth.data.formats.chat import Chat, tool_json
from nexau.synth.data.formats.mistral import nine
from nexau.synth.data.formats.registry import FORMATS, ROLLOUT_FORMATS
from tests.synth.data.rollouts import rollout
from tests.synth.data.samples import TOOLS, conversations, plain, plain_values

pytestmark = pytest.mark.outside

READERS = Path(__file__).parent / "readers"
PYTHON = Path(__file__).parents[3] / ".cache" / "readers" / "venv" / "bin" / "python"
LENIENT = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
OPENAI_TOOLS = [tool_json(tool) for tool in TOOLS]


class Oracle:
    """The process with the outside readers."""

    def __init__(self) -> None:
        command = (str(PYTHON), str(READERS / "oracle.py"))
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __call__(self, do: str, **request: Any) -> dict[str, Any]:
        """`{"ok": ...}` or `{"error": ...}`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def ok(self, do: str, **request: Any) -> Any:
        answer = self(do, **request)
        assert "ok" in answer, answer
        return answer["ok"]


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    done = subprocess.run(
        (sys.executable, READERS / "install.py"),
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        reason = f"the readers could not be installed: {done.stderr[-500:]}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    made = Oracle()
    yield made
    assert made.process.stdin is not None
    assert made.process.stdout is not None
    made.process.stdin.close()
    made.process.stdout.close()
    made.process.wait(timeout=10)


SGLANG = (
    "hermes", "qwen3-coder", "deepseek-v3", "deepseek-v3.1", "kimi-k2", "glm-4.5", "minimax-m2",
    "llama-3.1", "pythonic", "harmony", "mistral-v3",
)  # fmt: skip
ENDS = ("<|im_end|>\n", "<｜end▁of▁sentence｜>", "<|im_end|>", "<|eot_id|>", "[e~[\n", "<|user|>",
        "<|observation|>", "</s>")  # fmt: skip


@pytest.mark.parametrize("name", SGLANG)
@given(data=st.data())
@LENIENT
def test_what_reads_back_equal_sglang_reads_equal(
    name: str, oracle: Oracle, data: st.DataObject
) -> None:
    form = FORMATS[name]()
    assert isinstance(form, Chat)
    conversation = data.draw(
        conversations(
            parallel=form.calls_at_once or 2,
            content_with_calls=form.content_with_calls,
            reasoning=False,
        )
    )
    try:
        held = form.fit(conversation)
        record = form.write(held, Head("x"))
        back = form.read(record)
    except Unfit:
        return
    if difference(held, back) is not None:
        return
    turns = [t for t in held.turns if isinstance(t, Assistant)]
    if name == "minimax-m2" and any("z" in (c.arguments or {}) for t in turns for c in t.calls):
        return  # SGLang reads None for any parameter that may be null; vLLM does not
    last = len(turns) - 1
    for index, turn in enumerate(turns):
        if not turn.calls:
            continue
        words = form.said(turn, last=index == last)
        for end in ENDS:
            words = words.removesuffix(end)
        if name == "harmony":
            words = "<|start|>assistant" + words
        found = oracle.ok("calls", kind=name, text=words, tools=OPENAI_TOOLS)
        assert [tuple(call) for call in found["calls"]] == [
            (call.name, call.arguments) for call in turn.calls
        ], words


def openai_messages(conversation: Conversation) -> list[dict[str, Any]]:
    """As templates take them: arguments as objects."""
    made: list[dict[str, Any]] = []
    for turn in conversation.turns:
        match turn:
            case System():
                made.append({"role": "system", "content": turn.content})
            case User():
                made.append({"role": "user", "content": turn.content})
            case Results():
                made += [
                    {"role": "tool", "tool_call_id": o.call_id, "content": o.text}
                    for o in turn.observations
                ]
            case Assistant():
                message: dict[str, Any] = {"role": "assistant", "content": turn.content}
                if turn.reasoning:
                    message["reasoning_content"] = turn.reasoning
                if turn.calls:
                    message["tool_calls"] = [
                        {
                            "type": "function",
                            "id": c.id,
                            "function": {"name": c.name, "arguments": c.arguments},
                        }
                        for c in turn.calls
                    ]
                made.append(message)
    return made


def rendered(form: Chat, conversation: Conversation) -> tuple[str, list[list[int]]]:
    """The text, and the spans that the loss counts."""
    text, spans = "", []
    for segment in form.segments(form.fit(conversation)):
        if segment.label:
            spans.append([len(text), len(text) + len(segment.text)])
        text += segment.text
    return text, spans


def trained(conversation: Conversation) -> Conversation:
    turns: list[Turn] = [
        Assistant(t.content, t.calls, t.reasoning) if isinstance(t, Assistant) else t
        for t in conversation.turns
    ]
    return Conversation(tuple(turns), conversation.tools)


@pytest.mark.slow
@given(conversation=conversations(plain_values, plain, reasoning=False))
@LENIENT
def test_hermes_is_the_template_of_qwen3(oracle: Oracle, conversation: Conversation) -> None:
    conversation = trained(conversation)
    theirs = oracle.ok(
        "template",
        name="qwen3_instruct_2507_training",
        messages=openai_messages(conversation),
        tools=OPENAI_TOOLS if conversation.tools else [],
    )
    text, spans = rendered(FORMATS["hermes"](), conversation)  # type: ignore[arg-type]
    assert text == theirs["text"]
    assert spans == theirs["spans"]


@given(conversation=conversations(plain_values, plain, reasoning=True))
@LENIENT
def test_glm_is_the_template_of_glm(oracle: Oracle, conversation: Conversation) -> None:
    # The template shows the thoughts since the last message of the user only.
    conversation = trained(conversation)
    users = [i for i, turn in enumerate(conversation.turns) if isinstance(turn, User)]
    turns: list[Turn] = [
        Assistant(t.content, t.calls) if isinstance(t, Assistant) and i < users[-1] else t
        for i, t in enumerate(conversation.turns)
    ]
    conversation = Conversation(tuple(turns), conversation.tools)
    theirs = oracle.ok(
        "template",
        name="glm4moe_training",
        messages=openai_messages(conversation),
        tools=OPENAI_TOOLS if conversation.tools else [],
    )
    text, spans = rendered(FORMATS["glm-4.5"](), conversation)  # type: ignore[arg-type]
    assert text == theirs["text"]
    assert spans == theirs["spans"]


@given(
    conversation=conversations(
        plain_values, plain, reasoning=False, parallel=1, content_with_calls=False
    )
)
@LENIENT
def test_llama_is_the_template_of_llama(oracle: Oracle, conversation: Conversation) -> None:
    theirs = oracle.ok(
        "template",
        name="llama3_1",
        messages=openai_messages(conversation),
        tools=OPENAI_TOOLS if conversation.tools else [],
        tools_in_user_message=False,
        bos_token="<|begin_of_text|>",
    )
    text, _ = rendered(FORMATS["llama-3.1"](), conversation)  # type: ignore[arg-type]
    assert text == theirs["text"]


def test_harmony_declares_tools_as_the_template_of_gpt_oss(oracle: Oracle) -> None:
    conversation = Conversation((System("Be kind."), User("hi"), Assistant("ho")), TOOLS)
    theirs = oracle.ok(
        "template", name="gptoss", messages=openai_messages(conversation), tools=OPENAI_TOOLS
    )
    text, _ = rendered(FORMATS["harmony"](), conversation)  # type: ignore[arg-type]
    dated = theirs["text"].split("Current date: ")[1][:10]
    assert text.replace("2025-06-28", dated) == theirs["text"]


@pytest.mark.parametrize("version", ["v3", "v11"])
@given(data=st.data())
@LENIENT
def test_mistral_is_what_mistral_common_encodes(
    version: str, oracle: Oracle, data: st.DataObject
) -> None:
    conversation = data.draw(
        conversations(plain_values, plain, reasoning=False, content_with_calls=version == "v11")
    )
    form = FORMATS[f"mistral-{version}"]()
    assert isinstance(form, Chat)
    theirs = oracle(
        "mistral",
        version=version,
        messages=mistral_messages(conversation),
        tools=OPENAI_TOOLS if conversation.tools else [],
    )
    text, _ = rendered(form, conversation)
    assert "ok" in theirs, theirs
    given = theirs["ok"].replace("▁", "").replace("<0x0A>", "\n")
    assert text.replace(" ", "") == given.replace(" ", "")


def mistral_messages(conversation: Conversation) -> list[dict[str, Any]]:
    """With ids of nine letters, and arguments as text."""
    made = openai_messages(conversation)
    number = 0
    names: dict[str, str] = {}
    for message in made:
        for call in message.get("tool_calls", ()):
            names[call["id"]] = call["id"] = nine(number, call["function"]["name"])
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
            number += 1
    ids = iter(
        nine(n, call.name)
        for n, call in enumerate(
            c for t in conversation.turns if isinstance(t, Assistant) for c in t.calls
        )
    )
    for message in made:
        if message["role"] == "tool":
            message["tool_call_id"] = next(ids)
        if message["role"] == "assistant" and message.get("tool_calls") and not message["content"]:
            message["content"] = None
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openai", "anthropic"])
@given(conversation=conversations())
@LENIENT
def test_the_libraries_own_types_take_it(
    name: str, oracle: Oracle, conversation: Conversation
) -> None:
    form = FORMATS[name]()
    record = json.loads(form.write(form.fit(conversation), Head("x")))
    messages = record["messages"]
    for message in messages:
        message.pop("weight", None)
        message.pop("reasoning_content", None)
    assert oracle.ok("typed", kind=name, value=messages) is not None


def test_the_models_of_harbor_take_atif(oracle: Oracle) -> None:
    form = ROLLOUT_FORMATS["atif"]()
    made = [rollout(1, tokens=True), rollout(2), rollout(3, status="limit", limit="steps")]
    for each in made:
        record = json.loads(form.write(each, Head("x", "rollout:1", each.reward)))
        assert oracle.ok("typed", kind="atif", value=record) == record


def test_a_call_is_read_as_it_was_meant(oracle: Oracle) -> None:
    """One plain record for each grammar, so that a reader which finds nothing shows."""
    call = Call("c0", "f", {"s": "hello", "i": 3})
    turns = (User("x"), Assistant("", (call,)), Results((Observation("c0", "f", "ok"),)))
    for name in SGLANG:
        form = FORMATS[name]()
        assert isinstance(form, Chat)
        held = form.fit(Conversation(turns, TOOLS))
        assert isinstance(held.turns[1], Assistant)
        words = form.said(held.turns[1], last=True)
        if name == "harmony":
            words = "<|start|>assistant" + words
        found = oracle.ok("calls", kind=name, text=words, tools=OPENAI_TOOLS)
        assert found["calls"] == [["f", {"s": "hello", "i": 3}]], (name, words)
