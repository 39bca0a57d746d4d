"""Python functions as tools: their JSON Schema from type hints and docstring."""

import contextlib
import functools
import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Struct, UnsetType

from nexau.arguments import validator
from nexau.definitions.docstrings import Docstring, parse_docstring
from nexau.definitions.structs import NAME_PATTERN
from nexau.definitions.values import DefinitionError, PythonTool
from nexau.files.problems import clip
from nexau.transports.protocol import ToolSpec


class InvalidArguments(ValueError):
    """Arguments that do not convert to what the function's hints ask for."""


def python_tool(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float = 60.0,
    binding: str | None = None,
) -> PythonTool:
    """A tool that calls `function`, which may be async.

    The tool's `function` takes JSON values as keyword arguments, converts them into the hinted
    types (dataclasses, Structs, TypedDicts, enums, dates...) and leaves out what was not given, so
    that the function's own defaults hold. It raises `InvalidArguments` for values that do not
    convert. `binding` is what messages call the function. Raises `DefinitionError` where the hints
    make no schema.
    """
    binding = binding or _binding(function)
    tool_name = name if name is not None else getattr(function, "__name__", "")
    if not re.fullmatch(NAME_PATTERN, tool_name):
        raise DefinitionError(
            f"{binding}: {clip(tool_name)} is no name for a tool: a letter or _, then up to 63 of "
            "A-Z a-z 0-9 _ -"
        )
    if not timeout > 0:
        raise DefinitionError(f"{binding}: timeout: expected seconds greater than 0, got {timeout}")
    documented = parse_docstring(inspect.getdoc(_code(function)))
    parameters = _parameters(function, binding)
    spec = ToolSpec(
        tool_name,
        documented.description if description is None else description,
        _schema(parameters, documented, binding),
    )
    validator(spec)
    is_async = _is_async(function, binding)
    return PythonTool(spec, _converting(function, parameters), is_async, timeout, binding)


def _binding(function: Callable[..., Any]) -> str:
    target = function.func if isinstance(function, functools.partial) else function
    target = target if hasattr(target, "__qualname__") else type(target)
    return f"{target.__module__}:{target.__qualname__}"


def _code(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that holds the hints: of a partial, of a callable object."""
    if isinstance(function, functools.partial):
        return _code(function.func)
    if inspect.isroutine(function):
        unwrapped: Callable[..., Any] = inspect.unwrap(function)
        return unwrapped
    return type(function).__call__


def _is_async(function: Callable[..., Any], binding: str) -> bool:
    code = _code(function)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        raise DefinitionError(f"{binding} is a generator; a tool returns one value")
    return inspect.iscoroutinefunction(code)


class _Parameter(Struct, frozen=True):
    name: str
    hint: Any
    default: Any
    """`inspect.Parameter.empty` where it must be given."""
    keyword: bool


def _parameters(function: Callable[..., Any], binding: str) -> list[_Parameter]:
    if isinstance(function, type):
        raise DefinitionError(f"{binding} is a class; name a function")
    try:
        signature = inspect.signature(function)
        hints = get_type_hints(_code(function), include_extras=True)
    except NameError as error:
        raise DefinitionError(
            f"{binding}: a type hint names {error.name!r}, which the running module does not have"
        ) from error
    except (TypeError, ValueError, SyntaxError, AttributeError) as error:
        raise DefinitionError(f"{binding}: its type hints cannot be read: {error}") from error
    return [_parameter(each, hints, binding) for each in signature.parameters.values()]


def _parameter(each: inspect.Parameter, hints: dict[str, Any], binding: str) -> _Parameter:
    if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
        stars = "*" if each.kind is each.VAR_POSITIONAL else "**"
        raise DefinitionError(
            f"{binding}: {stars}{each.name}: a tool's arguments have known names; write them out"
        )
    if each.name not in hints:
        raise DefinitionError(f"{binding}: the parameter {each.name!r} has no type hint")
    hint = hints[each.name]
    try:
        msgspec.json.schema_components((hint,))
    except (TypeError, ValueError) as error:
        raise DefinitionError(
            f"{binding}: the parameter {each.name!r}: its type hint makes no JSON Schema: {error}"
        ) from error
    return _Parameter(each.name, hint, each.default, each.kind is not each.POSITIONAL_ONLY)


def _schema(parameters: list[_Parameter], documented: Docstring, binding: str) -> dict[str, Any]:
    """JSON Schema, draft 2020-12."""
    schemas, definitions = msgspec.json.schema_components(
        [each.hint for each in parameters], ref_template="#/$defs/{name}"
    )
    properties: dict[str, Any] = {}
    for each, schema in zip(parameters, schemas, strict=True):
        text = _annotated(each.hint) or documented.parameters.get(each.name)
        properties[each.name] = {"description": text, **schema} if text else dict(schema)
        if each.default is not inspect.Parameter.empty:
            _add_default(properties[each.name], each.default)
    result: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    required = [each.name for each in parameters if each.default is inspect.Parameter.empty]
    if required:
        result["required"] = required
    if definitions:
        result["$defs"] = definitions
    return result


def _annotated(hint: Any) -> str | None:
    """The text of `Annotated[str, "text"]`; msgspec sees to `Meta(description=...)` itself."""
    if get_origin(hint) is not Annotated:
        return None
    texts = [each for each in get_args(hint)[1:] if isinstance(each, str)]
    return texts[0] if texts else None


def _add_default(schema: dict[str, Any], default: Any) -> None:
    # A default that JSON cannot say, such as a marker object, is not announced.
    with contextlib.suppress(TypeError, ValueError, OverflowError, RecursionError):
        schema["default"] = msgspec.json.decode(msgspec.json.encode(default))


def _converting(function: Callable[..., Any], parameters: list[_Parameter]) -> Callable[..., Any]:
    empty = inspect.Parameter.empty
    arguments_type = msgspec.defstruct(
        "Arguments",
        [
            (each.name, each.hint)
            if each.default is empty
            else (each.name, Union[each.hint, UnsetType], UNSET)  # noqa: UP007 - a hint may lack `|`
            for each in parameters
        ],
        kw_only=True,
        forbid_unknown_fields=True,
    )
    positional = tuple(each.name for each in parameters if not each.keyword)
    keyword = tuple(each.name for each in parameters if each.keyword)
    convert = msgspec.convert

    @functools.wraps(function)
    def call(**arguments: Any) -> Any:
        try:
            made = convert(arguments, arguments_type, str_keys=True)
        except msgspec.ValidationError:
            made = _convert_again(arguments, arguments_type)
        given = {name: value for name in keyword if (value := getattr(made, name)) is not UNSET}
        if not positional:
            return function(**given)
        return function(*_until_unset(made, positional), **given)

    return call


def _convert_again(arguments: dict[str, Any], arguments_type: type[Struct]) -> Any:
    """For JSON Schema 3.0 is an integer, and models write it; for msgspec it is none."""
    try:
        return msgspec.convert(_whole(arguments), arguments_type, str_keys=True)
    except msgspec.ValidationError as error:
        raise InvalidArguments(str(error)) from None


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _until_unset(made: Any, names: tuple[str, ...]) -> list[Any]:
    values = [getattr(made, name) for name in names]
    return values[: values.index(UNSET)] if UNSET in values else values
