"""Text from outside, fit for a terminal: what would command it is shown instead.

C0 and C1 controls (ECMA-48), which begin escape sequences; DEL; the bidirectional controls and the
invisible characters with which text can be made to look like other text (Unicode TR 36, section 3);
line separators. The joiners U+200C and U+200D stay: scripts and emoji need them.
"""

import re

_UNSEEN = (
    "\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\uffff\ud800-\udfff\U000e0000-\U000e0fff"
)
_COMMANDS = re.compile(f"[\x00-\x08\x0b-\x1f{_UNSEEN}]")
_IN_JSON = re.compile(f"[{_UNSEEN}]")


def visible(text: str) -> str:
    r"""`text` with what a terminal would obey, or not show, written out: `\x1b`, `\u202e`."""
    return _COMMANDS.sub(lambda found: _escape(found[0]), text)


def visible_json(line: str) -> str:
    """A line of JSON, of the same value, with those characters written as JSON's own escapes."""
    return _IN_JSON.sub(lambda found: _json_escape(found[0]), line)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
