"""Secrets taken out of what leaves the process: every line of every sink, every log, every message.

Two parts. **Known values**: those of environment variables with a secret's name, of a model's key,
of headers and variables that an agent file fills from the environment; each also as JSON, a URL and
base64 write it. **Forms**: what common keys look like, for secrets that nobody told us of.

A line costs one pass of the `regex` crate's multi-pattern scan (through jsonschema-rs, which has
it), some 0.25 ns a byte, and only a line in which that finds something is looked at by Python.
"""

import base64
import functools
import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote

import msgspec

from nexau.secrets.forms import FORMS, REDACTED

SHORTEST = 8
"""Characters: shorter values would be found in innocent words."""
LONGEST = 4096
MAX_VALUES = 1024
_LEVELS = 3
"""Of JSON within JSON: a tool's text often is JSON, and so is what it quotes."""

_NAME = re.compile(
    r"((^|[_-])(api[_-]?key|token|secret|password|passwd|authorization|cookie|credentials?)"
    r"|[_-]key)$",
    re.IGNORECASE,
)

_ESCAPE = r"\\u[0-9A-Fa-f]{4}|\\[\"\\/bfnrt]"
"""Of JSON; taken whole, so that no secret begins within one."""

_ENDS_WITH_ESCAPE = re.compile(f"(?:{_ESCAPE})$")

_Scan = Callable[[str], bool]


def is_secret_name(name: str) -> bool:
    """Whether a variable, header or key of this name holds a secret: `API_KEY`, `x-auth-token`."""
    return _NAME.search(name) is not None


class Secrets:
    """What must not leave the process. Values may be added at any time, from any thread."""

    def __init__(self, values: Iterable[str] = (), *, forms: bool = True) -> None:
        self._values: set[str] = set()
        self._forms = forms
        self._found: _Scan | None = None
        self._knows: _Scan | None = None
        self._known: re.Pattern[str] | None = None
        self._in_json: re.Pattern[str] | None = None
        self._stale = True
        for value in values:
            self.add(value)

    @property
    def forms(self) -> bool:
        """Whether the forms of common keys are looked for, besides known values."""
        return self._forms

    @forms.setter
    def forms(self, on: bool) -> None:
        self._forms = on
        self._stale = True

    def add(self, value: str) -> None:
        """A value that is never to be seen; short ones are left (`SHORTEST`)."""
        value = value.strip()
        fits = SHORTEST <= len(value) <= LONGEST and len(self._values) < MAX_VALUES
        if fits and value not in self._values:
            self._values.add(value)
            self._stale = True

    def add_named(self, values: Mapping[str, str]) -> None:
        """The values whose names say that they are secret: of an environment, of headers.

        Of a value such as `Bearer x`, its last word too.
        """
        for name, value in values.items():
            if is_secret_name(name):
                self.add(value)
                self.add(value.rpartition(" ")[2])

    def line(self, data: bytes) -> bytes:
        """A line of JSON without secrets, still valid JSON; `data` itself where there is none."""
        if self._stale:
            self._compile()
        if self._found is None:
            return data
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode("utf-8", "surrogateescape")
            return self._clean(text, self._in_json).encode("utf-8", "surrogateescape")
        return self._clean(text, self._in_json).encode() if self._found(text) else data

    def text(self, text: str) -> str:
        """`text` without secrets."""
        if self._stale:
            self._compile()
        if self._found is None or not _suspicious(self._found, text):
            return text
        return self._clean(text, self._known)

    def begun(self, text: str) -> int:
        """Where in `text` a known value begins that its end cuts off; its length if none does."""
        starts = [len(text)]
        for value in tuple(self._values):
            longest = min(len(value) - 1, len(text))
            held = next((n for n in range(longest, 0, -1) if text.endswith(value[:n])), 0)
            starts.append(len(text) - held)
        return min(starts)

    def _clean(self, text: str, known: "re.Pattern[str] | None") -> str:
        if known is not None and self._knows is not None and _suspicious(self._knows, text):
            text = known.sub(_unless_escape, text)
        if self._forms:
            for found, pattern, instead in _taken_out():
                # Most lines at which the scan has stopped hold one form, and some are long.
                if _suspicious(found, text):
                    text = pattern.sub(instead, text)
        return text

    def _compile(self) -> None:
        self._stale = False
        ways = {way for value in tuple(self._values) for way in _written(value)}
        # Longest first, so that a value that begins with another is taken out whole.
        ordered = sorted(ways, key=lambda way: (-len(way), way))
        either = "|".join(map(re.escape, ordered))
        self._known = re.compile(f"({either})") if ordered else None
        self._in_json = re.compile(f"({either})|{_ESCAPE}") if ordered else None
        wanted = [_literal(way) for way in ordered]
        self._knows = _scan("|".join(wanted)) if wanted else None
        if self._forms:
            wanted += [form.fast for form in FORMS]
        self._found = _scan("|".join(wanted)) if wanted else None


def _scan(pattern: str) -> _Scan:
    # Takes 30 ms to import, which a command that says one line need not wait for.
    engine = importlib.import_module("jsonschema_rs")
    options = engine.RegexOptions(size_limit=1 << 27, dfa_size_limit=1 << 25)
    found: _Scan = engine.Draft202012Validator(
        {"pattern": pattern}, pattern_options=options
    ).is_valid
    return found


def _suspicious(found: _Scan, text: str) -> bool:
    try:
        return found(text)
    except ValueError:  # half of a surrogate pair
        return True


def _literal(text: str) -> str:
    """In the syntax of the `regex` crate."""
    return "".join(c if c.isascii() and c.isalnum() else f"\\x{{{ord(c):x}}}" for c in text)


def _written(value: str) -> set[str]:
    """How a value may be written: as it is, as JSON (in JSON, in JSON), in a URL, in base64."""
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        return set()
    ways = {value, quote(value, safe=""), base64.b64encode(raw).decode().rstrip("=")}
    for _ in range(_LEVELS):
        value = msgspec.json.encode(value)[1:-1].decode()
        ways.add(value)
    return ways


def _unless_escape(match: "re.Match[str]") -> str:
    return match[0] if match[1] is None else REDACTED


def _unless_inside(match: "re.Match[str]") -> str:
    """Where a word goes on, it is no key; but a letter may be the end of an escape."""
    before = match.string[max(0, match.start() - 6) : match.start()]
    if not before or _ENDS_WITH_ESCAPE.search(before):
        return REDACTED
    last = before[-1]
    inside = (last.isascii() and last.isalnum()) or last in "_-"
    return match[0] if inside else REDACTED


@functools.cache
def _taken_out() -> "list[tuple[_Scan, re.Pattern[str], str | Callable[..., str]]]":
    return [
        (
            _scan(form.fast),
            re.compile(form.precise),
            _unless_inside if form.word else form.instead,
        )
        for form in FORMS
    ]


SECRETS = Secrets()
"""Those of this process: what the runtime opens adds to it, what it writes goes through it."""
