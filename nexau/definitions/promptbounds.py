"""What a template may cost: loops, calls and filters are counted, and texts that would be bombs are
not made.

jinja2's sandbox keeps a template from the interpreter, not from `{{ "x".center(10 ** 9) }}`, nested
loops over a long text, or `{% set s = s ~ s %}` in one.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_CHARACTERS = 4_000_000
"""Of a rendered prompt, and of any text in one."""
MAX_ITERATIONS = 1_000_000
"""Turns of loops, numbers of ranges, calls and filters, in one rendering."""
_MAX_BITS = 100_000
_MAX_SLICES = 10_000
_CALL = 10
"""Turns of a loop that take as long as a call."""
_FREE = 16
"""Characters or items that are made or looked at for the price of one turn."""

_left: ContextVar[list[int]] = ContextVar("_left")
_WIDTH = re.compile(r"\d{7}")
_WIDTH_FROM_ARGUMENT = re.compile(r"\{[^{}]*:[^{}]*\{|%[^a-zA-Z%]*\*")
_SIZED = (str, bytes, list, tuple, dict, range)
_PADDING = frozenset({"center", "ljust", "rjust", "zfill", "to_bytes", "indent", "wordwrap"})
_SLICING = frozenset({"batch", "slice"})


def begin() -> None:
    """A rendering begins, with all of its budget."""
    _left.set([MAX_ITERATIONS])


def spend(count: int = 1) -> None:
    """Raises SecurityError when the budget is spent; free outside of renderings (constants that
    are folded when a template is compiled).
    """
    left = _left.get(None)
    if left is not None:
        left[0] -= count
        if left[0] < 0:
            raise SecurityError(f"more than {MAX_ITERATIONS:,} turns of loops, calls and filters")


class Bounded(ImmutableSandboxedEnvironment):
    """An environment whose templates are bounded."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, function in list(self.filters.items()):
            self.filters[name] = _counted(name, function)
        self.filters["_turns"] = _turns
        self.filters["_joined"] = _joined
        self.globals["range"] = _range

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "_turns", [], [], None, None, lineno=loop.lineno)
        _replace_concatenations(tree)
        return tree

    def call(self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        spend(_CALL)
        # The sandbox has `str.format` in a wrapper.
        owner = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)
        if isinstance(owner, str | bytes | int):
            _check(getattr(__obj, "__name__", ""), owner, (*args, *kwargs.values()))
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and not (_small(left, 1e6) and _small(right, 64)):
            raise SecurityError("a power that is too large")
        if operator == "*":
            _check_product(left, right)
        elif operator == "+" and isinstance(left, _SIZED) and isinstance(right, _SIZED):
            spend((len(left) + len(right)) // _FREE)
            _fits(len(left) + len(right))
        elif operator == "%" and isinstance(left, str):
            _check("format", left, right if isinstance(right, tuple) else (right,))
        return super().call_binop(context, operator, left, right)


def _small(value: Any, bound: float) -> bool:
    return isinstance(value, int | float) and abs(value) <= bound


def _check_product(left: Any, right: Any) -> None:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, _SIZED) and isinstance(other, int):
            if len(one) * other > MAX_CHARACTERS:
                raise SecurityError("a repetition that is too long")
            spend(len(one) * max(0, other) // _FREE)
    numbers = isinstance(left, int) and isinstance(right, int)
    if numbers and left.bit_length() + right.bit_length() > _MAX_BITS:
        raise SecurityError("a product that is too large")


def _fits(characters: int) -> None:
    if characters > MAX_CHARACTERS:
        raise SecurityError(f"longer than {MAX_CHARACTERS:,} characters")


def _check(name: str, owner: Any, arguments: tuple[Any, ...]) -> None:
    """Whether a method of a text or a number, or the filter of that name, makes a bomb."""
    largest = max((each for each in arguments if isinstance(each, int)), default=0)
    if name in _PADDING:
        _fits(largest)
    elif name in _SLICING and largest > _MAX_SLICES:
        raise SecurityError(f"more than {_MAX_SLICES:,} pieces")
    if isinstance(owner, str):
        _check_text(name, owner, arguments, largest)


def _check_text(name: str, text: str, arguments: tuple[Any, ...], largest: int) -> None:
    texts = [each for each in arguments if isinstance(each, str)]
    if name == "replace" and len(texts) == 2:
        _fits(len(text) + text.count(texts[0]) * len(texts[1]))
    elif name == "indent":
        _fits(len(text) + text.count("\n") * ((largest or 4) + sum(map(len, texts))))
    elif name == "expandtabs":
        _fits(len(text) + text.count("\t") * (largest or 8))
    elif name == "translate":
        raise SecurityError("translate is not allowed")
    elif name == "join" and arguments and isinstance(arguments[0], list | tuple):
        _fits(sum(len(str(each)) + len(text) for each in arguments[0]))
    elif name in ("format", "format_map"):
        wide = _WIDTH_FROM_ARGUMENT.search(text) and largest > MAX_CHARACTERS
        if _WIDTH.search(text) or wide:
            raise SecurityError("a width that is too large")


def _counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that counts what it is given, and is refused a bomb."""
    passes = hasattr(function, "jinja_pass_arg")

    @wraps(function)
    def counted(*arguments: Any, **keywords: Any) -> Any:
        value = arguments[1] if passes and len(arguments) > 1 else (arguments or (None,))[0]
        spend(1 + (len(value) // _FREE if isinstance(value, _SIZED) else 0))
        rest = arguments[2:] if passes else arguments[1:]
        _check(name, value, (*rest, *keywords.values()))
        if name == "join" and isinstance(value, list | tuple):
            between = str(next(iter(rest), keywords.get("d", "")))
            _check("join", between, (value,))
        if name == "tojson" and not _small(keywords.get("indent", next(iter(rest), 0)) or 0, 64):
            raise SecurityError("an indentation that is too large")
        return function(*arguments, **keywords)

    return counted


def _turns(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        spend()
        yield value


def _joined(parts: list[Any]) -> str:
    texts = [str(part) for part in parts]
    size = sum(map(len, texts))
    _fits(size)
    spend(size // _FREE)
    return "".join(texts)


def _range(*arguments: int) -> range:
    numbers = range(*arguments)
    try:
        count = len(numbers)
    except OverflowError:  # more than a machine word holds
        count = MAX_ITERATIONS + 1
    if count > MAX_ITERATIONS:
        raise SecurityError(f"a range of more than {MAX_ITERATIONS:,} numbers")
    return numbers


def _replace_concatenations(node: nodes.Node) -> None:
    for name in node.fields:
        value = getattr(node, name)
        if isinstance(value, list):
            setattr(node, name, [_replaced(each) for each in value])
        elif isinstance(value, nodes.Node):
            setattr(node, name, _replaced(value))


def _replaced(node: Any) -> Any:
    if not isinstance(node, nodes.Node):
        return node
    _replace_concatenations(node)
    if isinstance(node, nodes.Concat):
        made = partial(nodes.Filter, lineno=node.lineno)
        return made(nodes.List(node.nodes, lineno=node.lineno), "_joined", [], [], None, None)
    return node
