"""Messages and tools as chat completions take them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nexau.models.base import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from nexau.models.openai_prompt import encode_messages, encode_tools, wire_name
from nexau.transports.protocol import (
    Audio,
    Content,
    Image,
    Resource,
    ResourceContents,
    ResourceLink,
    Text,
    ToolSpec,
)


def encoded(*messages: Message, images: bool = True) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(b"[" + encode_messages(messages, images=images) + b"]")
    return made


def test_each_role() -> None:
    call = ToolCall("c1", "look", {"q": "ü"})
    assert encoded(
        SystemMessage("s"),
        UserMessage("u"),
        AssistantMessage("thinking aloud", (call,), "not sent"),
        ToolMessage("c1", (Text("one"), Text("two"))),
        AssistantMessage("done"),
    ) == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {
            "role": "assistant",
            "content": "thinking aloud",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"q":"ü"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "one\ntwo"},
        {"role": "assistant", "content": "done"},
    ]


def test_calls_without_words_have_no_content() -> None:
    (message,) = encoded(AssistantMessage("", (ToolCall("c", "f", {}),)))
    assert message["content"] is None


def test_malformed_arguments_are_sent_as_an_object() -> None:
    (message,) = encoded(AssistantMessage("", (ToolCall("c", "f", None, '{"a": '),)))
    arguments = json.loads(message["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"_malformed": '{"a": '}


@pytest.mark.parametrize(
    ("content", "structured", "text"),
    [
        ((), None, ""),
        ((), {"a": 1}, '{"a":1}'),
        ((Text("seen"),), {"a": 1}, "seen"),
        ((Audio("QUJD", "audio/wav"),), None, "[audio, audio/wav, 3 bytes]"),
        ((ResourceLink("file:///a", "a", description="The a."),), None,
         "[resource file:///a: a The a.]"),
        ((Resource(ResourceContents("file:///a", text="body")),), None,
         "[resource file:///a]\nbody"),
        ((Resource(ResourceContents("file:///a", "application/pdf", blob="QUI=")),), None,
         "[resource file:///a, application/pdf, 2 bytes]"),
        ((Text("see"), Image("QQ==", "image/png")), None, "see\n[image, image/png, shown below]"),
    ],
)  # fmt: skip
def test_results_as_text(content: tuple[Content, ...], structured: Any, text: str) -> None:
    message = encoded(ToolMessage("c", content, structured=structured))[0]
    assert message == {"role": "tool", "tool_call_id": "c", "content": text}


def test_images_follow_all_results_of_their_turn() -> None:
    blob = Resource(ResourceContents("file:///b", "image/gif", blob="Qg=="))
    shown = encoded(
        ToolMessage("a", (Image("QQ==", "image/png"),)),
        ToolMessage("b", (blob,)),
        AssistantMessage("nice"),
    )
    assert [message["role"] for message in shown] == ["tool", "tool", "user", "assistant"]
    urls = [part["image_url"]["url"] for part in shown[2]["content"][1:]]
    assert urls == ["data:image/png;base64,QQ==", "data:image/gif;base64,Qg=="]


def test_images_can_be_named_instead() -> None:
    (message,) = encoded(ToolMessage("a", (Image("QUI=", "image/png"),)), images=False)
    assert message["content"] == "[image, image/png, 2 bytes]"


@pytest.mark.parametrize(
    "name", ["fs.read", "weather/today", "größe", "x" * 65, "", "a b", "\ud800"]
)
def test_names_that_the_api_refuses_get_another(name: str) -> None:
    wire = wire_name(name)
    assert len(wire) <= 64
    assert wire.replace("_", "").replace("-", "").isalnum()
    assert wire.isascii()
    assert wire == wire_name(name) != name


def test_names_are_mapped_back() -> None:
    tools = [ToolSpec(name, "", {"type": "object"}) for name in ("fs.read", "fs_read", "fs/read")]
    encoded_tools = encode_tools(tools)
    sent = json.loads(b"{" + encoded_tools.body + b"}")["tools"]
    names = [tool["function"]["name"] for tool in sent]
    assert len(set(names)) == 3
    assert [encoded_tools.names.get(name, name) for name in names] == [t.name for t in tools]
    (message,) = encoded(AssistantMessage("", (ToolCall("c", "fs.read", {}),)))
    assert message["tool_calls"][0]["function"]["name"] == names[0]


contents = st.lists(
    st.one_of(
        st.builds(Text, st.text(st.characters(codec="utf-8"))),
        st.just(Image("QQ==", "image/png")),
        st.just(ResourceLink("file:///a")),
    ),
    max_size=3,
).map(tuple)
turns = st.lists(
    st.one_of(
        st.builds(UserMessage, st.text(st.characters(codec="utf-8"))),
        st.lists(contents, min_size=1, max_size=3),
    ),
    max_size=6,
)


@given(turns)
@settings(max_examples=60)
def test_encoding_turn_by_turn_equals_encoding_all(plan: list[UserMessage | list[Any]]) -> None:
    history: list[Message] = [SystemMessage("s")]
    parts = [encode_messages(history)]
    for turn in plan:
        if isinstance(turn, UserMessage):
            new: list[Message] = [turn]
        else:
            calls = tuple(ToolCall(f"c{i}", "f", {"i": i}) for i in range(len(turn)))
            new = [AssistantMessage("", calls)]
            new += [ToolMessage(f"c{i}", content) for i, content in enumerate(turn)]
        history += new
        parts.append(encode_messages(new))
    assert json.loads(b"[" + b",".join(parts) + b"]") == encoded(*history)
