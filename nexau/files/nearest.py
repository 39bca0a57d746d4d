"""Did you mean: the part of an error that names what would have been right."""

from collections.abc import Iterable
from difflib import get_close_matches

_FEW = 12


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The valid name that `name` most likely stands for; None when none is alike."""
    valid = list(names)
    folded = {candidate.casefold(): candidate for candidate in valid}
    close = get_close_matches(name.casefold()[:200], folded, n=1, cutoff=0.65)
    return folded[close[0]] if close else None


def hint(name: str, names: Iterable[str], what: str = "names") -> str:
    """The end of a sentence: `; did you mean 'x'?`, or the valid names where they are few."""
    valid = sorted(set(names))
    close = nearest(name, valid)
    if close is not None:
        return f"; did you mean {close!r}?"
    if valid and len(valid) <= _FEW:
        return f"; {what}: {', '.join(valid)}"
    return ""
