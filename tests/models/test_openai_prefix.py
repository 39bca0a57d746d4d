"""The cache of encoded conversations."""

import json
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nexau.models.base import Message, UserMessage
from nexau.models.openai_prefix import Prefixes
from nexau.models.openai_prompt import encode_messages


def texts(data: bytes | bytearray) -> list[str]:
    return [message["content"] for message in json.loads(b"[" + data + b"]")]


def test_only_what_is_new_is_encoded() -> None:
    sizes: list[int] = []

    def encode(messages: Any) -> bytes:
        sizes.append(len(messages))
        return encode_messages(messages)

    prefixes = Prefixes(encode)
    messages: list[Message] = [UserMessage("a"), UserMessage("b")]
    prefixes.encoded(messages)
    messages.append(UserMessage("c"))
    assert texts(prefixes.encoded(messages)) == ["a", "b", "c"]
    assert texts(prefixes.encoded(messages)) == ["a", "b", "c"]
    assert sizes == [2, 1]
    prefixes.forget(messages)
    assert prefixes.statistics().bytes == 0


def test_a_conversation_that_was_changed_is_encoded_anew() -> None:
    prefixes = Prefixes(encode_messages)
    messages: list[Message] = [UserMessage("a"), UserMessage("b")]
    prefixes.encoded(messages)
    messages[0] = UserMessage("z")
    assert texts(prefixes.encoded(messages)) == ["z", "b"]
    del messages[1]
    assert texts(prefixes.encoded(messages)) == ["z"]
    assert prefixes.statistics().misses == 3


def test_the_cache_is_bounded() -> None:
    prefixes = Prefixes(encode_messages, entries=3)
    kept = [[UserMessage(str(number))] for number in range(9)]
    for messages in kept:
        prefixes.encoded(messages)
    assert prefixes.statistics().conversations == 3
    small = Prefixes(encode_messages, size=100)
    for messages in kept:
        small.encoded(messages)
    assert 0 < small.statistics().bytes <= 100


def test_conversations_that_say_no_more_go() -> None:
    now = 0.0
    prefixes = Prefixes(encode_messages, age=10.0, clock=lambda: now)
    kept = [[UserMessage(str(number))] for number in range(3)]
    for now, messages in zip((0.0, 5.0, 11.0), kept, strict=True):  # noqa: B007
        prefixes.encoded(messages)
    assert prefixes.statistics().conversations == 2
    now = 100.0
    prefixes.encoded(kept[0])
    assert prefixes.statistics().conversations == 1


class Conversations(RuleBasedStateMachine):
    """Whatever is evicted, changed or reused, the encoded prompt is the prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.prefixes = Prefixes(encode_messages, entries=3, size=300)
        self.lists: list[list[Message]] = [[UserMessage("0")]]

    @rule(text=st.text("abc", max_size=3))
    def begin(self, text: str) -> None:
        self.lists.append([UserMessage(text)])

    @rule(which=st.integers(0, 9), text=st.text("abc", max_size=3))
    def go_on(self, which: int, text: str) -> None:
        messages = self.lists[which % len(self.lists)]
        messages.append(UserMessage(text))
        assert texts(self.prefixes.encoded(messages)) == [m.content for m in messages]

    @rule(which=st.integers(0, 9))
    def end(self, which: int) -> None:
        if len(self.lists) > 1:
            self.prefixes.forget(self.lists.pop(which % len(self.lists)))

    @rule(which=st.integers(0, 9))
    def vanish(self, which: int) -> None:
        """Gone without a word: its id may be given to another list."""
        if len(self.lists) > 1:
            del self.lists[which % len(self.lists)]

    @rule(which=st.integers(0, 9), text=st.text("abc", max_size=3))
    def rewrite(self, which: int, text: str) -> None:
        self.lists[which % len(self.lists)][0] = UserMessage(text)

    @invariant()
    def bounded(self) -> None:
        statistics = self.prefixes.statistics()
        assert statistics.conversations <= 3
        assert statistics.bytes <= 300


TestConversations = Conversations.TestCase
TestConversations.settings = settings(max_examples=40, stateful_step_count=30)
