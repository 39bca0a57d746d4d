"""Server-sent events, cut into pieces in every way."""

import pytest
from hypothesis import given, settings, strategies as st

from nexau.transports.sse import Event, EventParser, TooLong

LIMIT = 10_000


def parse(*pieces: bytes) -> list[Event]:
    parser = EventParser(LIMIT)
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [Event(b"a")]),
        (b"data:a\r\n\r\n", [Event(b"a")]),
        (b"data: a\r\rdata: b\r\r", [Event(b"a"), Event(b"b")]),
        (b"data: a\ndata: b\n\n", [Event(b"a\nb")]),
        (b"data:  a\n\n", [Event(b" a")]),
        (b"data\n\n", [Event(b"")]),
        (b"event: ping\ndata: a\n\ndata: b\n\n", [Event(b"a", "ping"), Event(b"b")]),
        (b": comment\n\n\n\ndata: a\n\n", [Event(b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")]),
        (b"unknown: x\ndata: a\n\n", [Event(b"a")]),
        (b"data: never finished\n", []),
        (b"event: nothing\n\n", []),
    ],
)
def test_reads_events_however_they_are_cut(stream: bytes, events: list[Event]) -> None:
    assert parse(stream) == events
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == events
    for cut in range(len(stream)):
        assert parse(stream[:cut], stream[cut:]) == events


def test_keeps_what_a_reconnection_needs() -> None:
    parser = EventParser(LIMIT)
    parser.feed(b"id: 7\nretry: 1500\ndata:\n\n")
    assert (parser.last_id, parser.retry) == ("7", 1.5)
    parser.feed(b"id: with\0null\nretry: soon\ndata: x\n\n")
    assert (parser.last_id, parser.retry) == ("7", 1.5)
    parser.feed(b"id\n\n")
    assert parser.last_id == ""


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 20_000],
        [b"data: "] + [b"x" * 1000] * 20,
        [b"data: " + b"x" * 1000 + b"\n"] * 20,
        [b"data: " + b"x" * 20_000 + b"\n\n"],
    ],
)
def test_refuses_an_event_that_is_too_long(pieces: list[bytes]) -> None:
    with pytest.raises(TooLong) as raised:
        parse(*pieces)
    assert raised.value.head.lstrip().startswith(b"xxx")
    assert raised.value.size > LIMIT


lines = st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b""))
fields = st.tuples(st.sampled_from([b"data", b"event", b"id", b"retry", b"", b"x"]), lines)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(fields, ends, st.booleans())), st.lists(st.integers(1, 40)), ends)
def test_cutting_changes_nothing(
    stream: list[tuple[tuple[bytes, bytes], bytes, bool]], cuts: list[int], end: bytes
) -> None:
    whole = b"".join(
        name + b":" + value + end + (end if last else b"") for (name, value), _, last in stream
    )
    pieces: list[bytes] = []
    rest = whole
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    one, other = EventParser(LIMIT), EventParser(LIMIT)
    events = one.feed(whole)
    assert [event for piece in [*pieces, rest] for event in other.feed(piece)] == events
    assert (one.last_id, one.retry) == (other.last_id, other.retry)
