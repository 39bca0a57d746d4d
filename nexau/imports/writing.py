"""Converted agents as text, with what was lost at the top."""

from pathlib import Path
from typing import Any

import yaml

from nexau.imports.report import Import


class _Dumper(yaml.SafeDumper):
    """Long texts as blocks, as a person would write them."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = (
        "|" if "\n" in text and not any(line.endswith(" ") for line in text.split("\n")) else None
    )
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def agent_text(agent: dict[str, Any], source: Path, report: Import) -> str:
    lines = [f"# Imported by nexau import from {source.name}."]
    lines += [f"# {note.kind}: {note.path}: {_line(note.message)}"
              for note in report.notes if note.file == source.name]  # fmt: skip
    body = yaml.dump(agent, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return "\n".join(lines) + "\n" + body


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
