"""What would command a terminal is shown, not obeyed."""

import json

import pytest
from hypothesis import given, strategies as st

from nexau.transports.visible import visible, visible_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b]52;c;Y2xpcGJvYXJk\x07", r"\x1b]52;c;Y2xpcGJvYXJk\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("over\rwritten", r"over\rwritten"),
        ("back\x08space \x7f", r"back\x08space \x7f"),
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("zero\u200bwidth \u2066iso\u2069", r"zero\u200bwidth \u2066iso\u2069"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("half \ud800", r"half \ud800"),
        ("\u0645\u06cc\u200c\u062e \U0001f469\u200d\U0001f680 caf\u00e9", None),
    ],
)
def test_texts(text: str, shown: str | None) -> None:
    assert visible(text) == (text if shown is None else shown)


@given(st.text())
def test_nothing_commands(text: str) -> None:
    assert all(c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f") for c in visible(text))


@given(st.text(), st.text())
def test_lines_keep_their_value(key: str, text: str) -> None:
    line = json.dumps({key: text}, ensure_ascii=False)
    seen = visible_json(line)
    assert json.loads(seen) == {key: text}
    assert all(c >= " " and not "\x7f" <= c <= "\x9f" for c in seen)
