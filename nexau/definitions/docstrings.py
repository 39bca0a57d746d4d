"""What a docstring says of a function and of its parameters: Google, NumPy and reST forms."""

import inspect
import re

from msgspec import Struct

_SECTIONS = {"attributes", "example", "examples", "keyword args", "keyword arguments", "note",
             "notes", "other parameters", "raises", "references", "return", "returns", "see also",
             "todo", "warning", "warnings", "warns", "yield", "yields"}  # fmt: skip
_PARAMETERS = {"args", "arguments", "parameters", "params"}

_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY_ENTRY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")
_REST_FIELD = re.compile(r":(\w+)(?:\s+([^:]*))?:\s*(.*)")


class Docstring(Struct, frozen=True):
    description: str
    """All that stands before the first section, as paragraphs."""
    parameters: dict[str, str]
    """By name, each on one line."""


def parse_docstring(text: str | None) -> Docstring:
    """Never raises; what it does not recognise is description."""
    lines = inspect.cleandoc(text or "").splitlines()
    description: list[str] = []
    parameters: dict[str, str] = {}
    index = 0
    in_description = True
    while index < len(lines):
        section = _section(lines, index)
        if section is not None:
            title, body = section
            end = _end_of_section(lines, body)
            if title in _PARAMETERS:
                numpy = body == index + 2
                parameters |= _entries(lines[body:end], numpy=numpy)
            in_description = False
            index = end
        elif match := _REST_FIELD.match(lines[index]):
            end = index + 1
            while end < len(lines) and lines[end].startswith((" ", "\t")):
                end += 1
            if match[1] in {"param", "parameter", "arg", "argument", "key", "keyword"}:
                name = (match[2] or "").split()[-1:]
                parameters |= {
                    n.lstrip("*"): _joined([match[3], *lines[index + 1 : end]]) for n in name
                }
            in_description = False
            index = end
        else:
            if in_description:
                description.append(lines[index])
            index += 1
    return Docstring("\n".join(description).strip(), parameters)


def _section(lines: list[str], index: int) -> tuple[str, int] | None:
    """Title of the section that starts at `index`, and the line of its body."""
    title = lines[index].strip().lower()
    if lines[index][:1].isspace():
        return None
    following = lines[index + 1] if index + 1 < len(lines) else ""
    known = _SECTIONS | _PARAMETERS
    if title in known and re.fullmatch(r"-{3,}\s*", following):
        return title, index + 2
    if title.endswith(":") and title[:-1] in known:
        return title[:-1], index + 1
    return None


def _end_of_section(lines: list[str], start: int) -> int:
    """Google's end where the indentation does, NumPy's where the next section begins."""
    numpy = bool(re.fullmatch(r"-{3,}\s*", lines[start - 1]))
    end = start
    while end < len(lines):
        if lines[end].strip() and not numpy and not lines[end][:1].isspace():
            break
        if _section(lines, end) is not None or _REST_FIELD.match(lines[end]):
            break
        end += 1
    return end


def _entries(lines: list[str], *, numpy: bool) -> dict[str, str]:
    """Name and text of each entry: a line at the section's own indentation begins one."""
    base = min((_indent(line) for line in lines if line.strip()), default=0)
    entries: dict[str, list[str]] = {}
    open_names: list[str] = []
    for line in lines:
        if line.strip() and _indent(line) == base:
            match = (_NUMPY_ENTRY if numpy else _GOOGLE_ENTRY).fullmatch(line.strip())
            if match is None:
                open_names = []
                continue
            open_names = [name.strip().lstrip("*") for name in match[1].split(",")]
            for name in open_names:
                entries[name] = [] if numpy else [match[2]]
        else:
            for name in open_names:
                entries[name].append(line)
    return {name: _joined(text) for name, text in entries.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())
