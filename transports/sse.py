"""Server-sent events (WHATWG HTML, section 9.2.6) out of a stream of bytes."""

from msgspec import Struct

_MAX_RETRY_DIGITS = 9
"""Of milliseconds: eleven days."""


class Event(Struct, gc=False):
    data: bytes
    """Lines joined by newlines; empty for an event that carries only an id."""
    name: str = "message"


class TooLong(Exception):
    """An event of more bytes than the parser takes."""

    def __init__(self, head: bytes, tail: bytes, size: int) -> None:
        super().__init__(f"an event has more than {size} bytes")
        self.head = head
        self.tail = tail
        self.size = size


class EventParser:
    """Fed with pieces of any size; keeps the id and the retry time for a reconnection."""

    def __init__(self, max_event_bytes: int) -> None:
        self.last_id = ""
        self.retry: float | None = None
        """Seconds to wait before reconnecting, where the server says."""
        self._max = max_event_bytes
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._data: list[bytes] = []
        self._size = 0
        self._name = ""
        self._first = True
        self._after_cr = False

    def feed(self, piece: bytes) -> list[Event]:
        """The events that `piece` completes. Raises TooLong; the parser is of no use afterwards."""
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        self._after_cr = False
        if b"\n" not in piece and b"\r" not in piece:
            self._hold(piece)
            return []
        self._after_cr = piece.endswith(b"\r")
        whole = b"".join((*self._rest, piece))
        self._rest.clear()
        self._rest_size = 0
        if b"\r" in whole:
            whole = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._first:
            self._first = False
            whole = whole.removeprefix(b"\xef\xbb\xbf")
        *lines, rest = whole.split(b"\n")
        if rest:
            self._hold(rest)
        events: list[Event] = []
        for line in lines:
            if line:
                self._field(line)
            else:
                self._dispatch(events)
        return events

    def _hold(self, piece: bytes) -> None:
        self._rest.append(piece)
        self._rest_size += len(piece)
        if self._rest_size + self._size > self._max:
            raise self._too_long(b"".join(self._rest))

    def _too_long(self, line: bytes) -> TooLong:
        data = b"".join((*self._data, line.removeprefix(b"data:")))
        return TooLong(data[:512], data[-512:], len(data))

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
            if self._size > self._max:
                raise self._too_long(b"")
        elif name == b"event":
            self._name = value.decode(errors="replace")
        elif name == b"id":
            if b"\0" not in value:
                self.last_id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self.retry = int(value) / 1000

    def _dispatch(self, events: list[Event]) -> None:
        if self._data:
            events.append(Event(b"\n".join(self._data), self._name or "message"))
        self._data.clear()
        self._size = 0
        self._name = ""
