"""For people: what goes to a terminal, always by stderr, so that stdout holds JSON lines only."""

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from nexau.secrets.redaction import SECRETS
from nexau.transports.protocol import Content, Text as TextPart
from nexau.transports.visible import visible


def console() -> Console:
    """Writes to stderr, plainly where that is no terminal."""
    return Console(stderr=True, highlight=False, soft_wrap=False)


def watched() -> bool:
    """Whether a person looks on: stdout and stderr are both a terminal."""
    return sys.stdout.isatty() and sys.stderr.isatty()


def plain(text: str, style: str = "") -> Text:
    """Text from outside, without secrets, nor what commands a terminal."""
    clean = SECRETS.text(visible(text))
    # Styled as a span: a style of the whole would spread to what is appended.
    return Text().append(clean, style or None)


def shortened(text: str, lines: int = 6, characters: int = 600) -> str:
    """The beginning of `text`, with what was left out at its end."""
    kept = "\n".join(text[:characters].split("\n")[:lines])
    left = len(text) - len(kept)
    return f"{kept}\n... {left:,} characters more" if left > 0 else kept


def show_content(content: tuple[Content, ...]) -> str:
    """Content blocks as text: those that are none, by kind."""
    return "\n".join(
        part.text if isinstance(part, TextPart) else f"[{type(part).__name__.lower()}]"
        for part in content
    )


def milliseconds(seconds: float) -> str:
    """Three digits that count: `0.042 ms`, `12.3 ms`, `4.20 s`."""
    if seconds >= 1:
        return f"{seconds:.3g} s" if seconds >= 10 else f"{seconds:.2f} s"
    value = seconds * 1000
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f} ms"


def mebibytes(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"


def counted(counts: dict[str, Any]) -> str:
    """`tools 3, model 1`, the most frequent first; `none`."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered) or "none"
