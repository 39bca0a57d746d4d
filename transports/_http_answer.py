"""What a server sends on one keep-alive HTTP/1.1 connection, over httptools (llhttp).

No I/O: fed piece by piece, one answer after another. The connections of both kinds of event loop
are this with a socket.
"""

import zlib

import httptools

from nexau.transports._http_target import lowered
from nexau.transports.http import MAX_BODY, HttpFailure

_MAX_HEAD = 1 << 18
"""Bytes of an answer's headers."""
_PIECE = 1 << 20
"""Bytes that a compressed body is inflated to at a time."""

CLOSED = "the connection was closed before the answer was whole"
_NOT_HTTP = "the answer is not HTTP"
_TOO_LARGE = f"the answer has more than {MAX_BODY:,} bytes"
_BROKEN_BODY = "the answer broke off or does not decode"


class Answer:
    """The answer under way: `status`, `headers`, `failure`, and what has arrived of the body."""

    def __init__(self) -> None:
        self.failure: tuple[HttpFailure, str] | None = None
        self.status = 0
        self.idle_since = 0.0
        self.complete = True
        self.begun = False
        """Some of the answer has arrived."""
        self._parser = httptools.HttpResponseParser(self)
        self._raw: list[tuple[str, str]] = []
        self._headers: dict[str, str] | None = None
        self._head_size = 0
        self._has_head = False
        self._body: list[bytes] = []
        self._buffered = 0
        self._whole = False
        """The reader wants the body in one piece."""
        self._keep = True
        self._ends_with_connection = False
        self._decoder: zlib._Decompress | None = None

    @property
    def headers(self) -> dict[str, str]:
        if self._headers is None:
            self._headers = lowered(self._raw)
        return self._headers

    def fail(self, kind: HttpFailure, message: str) -> None:
        """Ends the answer and the connection."""
        if self.failure is None and not self.complete:
            self.failure = (kind, message)
        self._keep = False

    def _expect(self) -> None:
        """A request is being sent: another answer follows."""
        self.failure = None
        self.complete = self.begun = self._has_head = self._whole = False
        self._raw, self._headers, self._head_size = [], None, 0
        self._body, self._buffered = [], 0
        self._decoder = None

    def _taken(self) -> bytes:
        """The body as far as it has arrived, which is kept no longer."""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body, self._buffered = [], 0
        return body

    def _feed(self, data: bytes) -> None:
        self.begun = True
        if not self._has_head:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ValueError):
            # A ValueError is a header that is not text. zlib's errors are told apart in on_body.
            if self.failure is None:
                self.fail("protocol", _NOT_HTTP)
            return
        if not self._has_head and self._head_size > _MAX_HEAD:
            self.fail("protocol", "the answer's headers are too large")

    def _broke_off(self, *, cleanly: bool) -> None:
        """Nothing more will come; `cleanly` where the server has ended its side in order."""
        self._keep = False
        if not self.complete and self.failure is None:
            if cleanly and self._has_head and self._ends_with_connection:
                self._end()
            else:
                self.failure = ("closed", CLOSED)

    # The parser's side

    def on_message_begin(self) -> None:
        if self.complete:
            self._keep = False  # more than one answer

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # what follows a chunked body is not kept
            self._raw.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        self.status = status = self._parser.get_status_code()
        if status < 200:
            self._raw = []
            return
        self._has_head = True
        self._keep = self._parser.should_keep_alive()
        headers = self.headers
        coding = headers.get("transfer-encoding")
        self._ends_with_connection = (
            "content-length" not in headers
            if coding is None
            else not coding.lower().endswith("chunked")
        ) and status not in (204, 304)
        coding = headers.get("content-encoding", "").strip().lower()
        if coding in ("gzip", "x-gzip"):
            self._decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
        elif coding == "deflate":
            self._decoder = zlib.decompressobj()

    def on_body(self, data: bytes) -> None:
        if self.complete:
            return
        if self._decoder is None:
            self._body.append(data)
            self._buffered += len(data)
        else:
            try:
                self._inflate(data)
            except zlib.error:
                self.fail("closed", _BROKEN_BODY)
        if self._buffered > MAX_BODY:
            self._body, self._buffered = [], 0
            self.fail("protocol", _TOO_LARGE)

    def on_message_complete(self) -> None:
        if self._has_head and not self.complete and self.failure is None:
            self._end()

    def _end(self) -> None:
        if self._decoder is not None and self._buffered and not self._decoder.eof:
            self.fail("closed", _BROKEN_BODY)
        else:
            self.complete = True

    def _inflate(self, data: bytes) -> None:
        decoder = self._decoder
        assert decoder is not None
        while data and self._buffered <= MAX_BODY:
            if decoder.eof:  # another gzip member
                decoder = self._decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
            piece = decoder.decompress(data, _PIECE)
            if piece:
                self._body.append(piece)
                self._buffered += len(piece)
            data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
