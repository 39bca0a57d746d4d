"""Docstrings of a Struct's fields: the string that stands below each, which Python drops."""

import ast
import functools
import inspect
import sys

from msgspec import Struct


@functools.lru_cache(maxsize=256)
def attribute_docs(cls: type[Struct]) -> dict[str, str]:
    """By field, inherited ones included; empty where the source is not to be had."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Struct) and base is not Struct:
            docs |= _in_module(base.__module__).get(base.__qualname__, {})
    return docs


def class_doc(cls: type[Struct]) -> str:
    """The class's own docstring as one paragraph; empty without one."""
    return _line(cls.__dict__.get("__doc__") or "")


@functools.lru_cache(maxsize=64)
def _in_module(name: str) -> dict[str, dict[str, str]]:
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except (OSError, TypeError, SyntaxError):
        return {}
    return {node.name: _in_class(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _in_class(node: ast.ClassDef) -> dict[str, str]:
    docs: dict[str, str] = {}
    for field, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            docs[field.target.id] = _line(after.value.value)
    return docs


def _line(text: str) -> str:
    return " ".join(text.split())
