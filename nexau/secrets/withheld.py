"""Text that comes in pieces, let go only where no secret may have begun.

What leaves the process is cleaned line by line, and a secret of which one line has the first half
and the next line the second is in neither. So a piece waits for the end of its last word, and
for as long as a known value or a private key goes on.
"""

import re
import string

from nexau.secrets.redaction import LONGEST, SECRETS

_WORD = string.ascii_letters + string.digits + string.punctuation
"""What a key is written in, and all that JSON, URLs and base64 make of one."""
_OPEN = re.compile(
    r"(?:earer |-----BEGIN [A-Z ]{0,30}"
    r"(?:PRIVATE KEY-----(?:[A-Za-z0-9+/=\s]|\\[nr])*(?:-----END [A-Z ]{0,40})?)?)\Z"
)
"""The forms that go on after a space (see `secretforms`), begun."""


class Withheld:
    """One text. At most `LONGEST` characters of it wait."""

    def __init__(self) -> None:
        self._held = ""

    def take(self, piece: str) -> str:
        """What may leave now that `piece` has come; often nothing."""
        text = self._held + piece
        end = max(_whole(text), len(text) - LONGEST)
        self._held = text[end:]
        return text[:end]

    def rest(self) -> str:
        """What waited, once nothing more comes."""
        held, self._held = self._held, ""
        return held


class Speech:
    """What a model says in one turn: its text and its reasoning, of one attempt after another."""

    def __init__(self) -> None:
        self._text, self._reasoning = Withheld(), Withheld()
        self._attempt = 0

    def hear(self, text: str, reasoning: str, attempt: int) -> list[tuple[str, str, int]]:
        """Deltas as they may be told: text, reasoning, attempt."""
        told = [] if attempt == self._attempt else self.rest()
        self._attempt = attempt
        return told + self._parts(self._text.take(text), self._reasoning.take(reasoning))

    def rest(self) -> list[tuple[str, str, int]]:
        return self._parts(self._text.rest(), self._reasoning.rest())

    def _parts(self, text: str, reasoning: str) -> list[tuple[str, str, int]]:
        return [(text, reasoning, self._attempt)] if text or reasoning else []


def _whole(text: str) -> int:
    """Where `text` may be cut without a secret on both sides."""
    end = len(text.rstrip(_WORD))
    opened = _OPEN.search(text, max(0, end - LONGEST), end)
    if opened is not None:
        end = opened.start()
    while (begun := SECRETS.begun(text[:end])) < end:
        end = begun
    return end
