"""Prompts as chat completions take them, encoded once for each message of a conversation.

What MCP tools return and a tool message cannot hold: images follow in a user message of their own,
as `image_url` parts, after all results of the turn; audio and binary resources are named in the
text instead. Arguments that did not parse are sent back as `{"_malformed": "..."}`, because some
endpoints parse the arguments of earlier turns and refuse a request whose do not.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from nexau.models.base import AssistantMessage, Message, ToolCall, ToolMessage
from nexau.spill import FileGone, restored, restored_structured
from nexau.transports.protocol import (
    Audio,
    Content,
    File,
    Image,
    Resource,
    ResourceLink,
    Text,
    ToolSpec,
)

_encode = msgspec.json.Encoder().encode

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


class _Function(Struct, gc=False):
    name: str
    arguments: str


class _Call(Struct, tag_field="type", tag="function"):
    id: str
    function: _Function


class _Assistant(Struct, tag_field="role", tag="assistant", omit_defaults=True):
    content: str | None
    tool_calls: tuple[_Call, ...] = ()


class _Tool(Struct, tag_field="role", tag="tool", gc=False):
    tool_call_id: str
    content: str


class _ImageUrl(Struct, gc=False):
    url: str


class _ImagePart(Struct, tag_field="type", tag="image_url"):
    image_url: _ImageUrl


class _User(Struct, tag_field="role", tag="user"):
    content: list[Text | _ImagePart]


class _Spec(Struct):
    name: str
    description: str
    parameters: dict[str, Any]


class _ToolSpec(Struct, tag_field="type", tag="function"):
    function: _Spec


class EncodedTools(Struct, frozen=True):
    body: bytes
    """`"tools":[...]`, empty where there are none."""
    names: Mapping[str, str]
    """Names on the wire to names of tools, where they differ."""


def encode_tools(tools: Sequence[ToolSpec]) -> EncodedTools:
    if not tools:
        return EncodedTools(b"", {})
    specs = [
        _ToolSpec(_Spec(wire_name(tool.name), tool.description, tool.parameters)) for tool in tools
    ]
    changed = {wire_name(tool.name): tool.name for tool in tools}
    return EncodedTools(
        b'"tools":' + _encode(specs),
        {wire: name for wire, name in changed.items() if wire != name},
    )


def wire_name(name: str) -> str:
    """`name`, or where the API refuses it a name of its own: other characters become `_`, and a
    digest keeps it distinct.
    """
    if _NAME.fullmatch(name):
        return name
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{_NOT_IN_NAMES.sub('_', name)[:55]}_{digest}"


def encode_messages(messages: Sequence[Message], *, images: bool = True) -> bytes:
    """The elements of a JSON array, without its brackets. `messages` ends where a turn ends, so
    that encoding the next ones and joining by a comma gives the same as encoding all.

    `images` False names images instead of sending them.
    """
    parts: list[bytes] = []
    waiting: list[Image] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            text = tool_text(message, waiting if images else None)
            parts.append(_encode(_Tool(message.call_id, text)))
            continue
        if waiting:
            parts.append(_show(waiting))
            waiting = []
        if isinstance(message, AssistantMessage):
            parts.append(_encode(_assistant(message)))
        else:
            parts.append(_encode(message))
    if waiting:
        parts.append(_show(waiting))
    return b",".join(parts)


def _assistant(message: AssistantMessage) -> _Assistant:
    if not message.calls:
        return _Assistant(message.content)
    calls = tuple(
        _Call(call.id, _Function(wire_name(call.name), _arguments(call))) for call in message.calls
    )
    return _Assistant(message.content or None, calls)


def _arguments(call: ToolCall) -> str:
    if call.arguments is None:
        return _encode({"_malformed": call.malformed or ""}).decode()
    return _encode(call.arguments).decode()


def _show(images: Sequence[Image]) -> bytes:
    parts: list[Text | _ImagePart] = [Text("Images from the tool results above, in order:")]
    parts += [
        _ImagePart(_ImageUrl(f"data:{image.mime_type};base64,{image.data}")) for image in images
    ]
    return _encode(_User(parts))


def tool_text(message: ToolMessage, images: list[Image] | None = None) -> str:
    """A tool's result as text. Images are added to `images`, where that is given."""
    content = message.content
    if File in map(type, content):
        content = tuple(map(_whole, content))
    if len(content) == 1 and isinstance(content[0], Text):
        return content[0].text
    if not content and message.structured is not None:
        return _structured_text(message.structured)
    return "\n".join(_part_text(part, images) for part in content)


def _whole(part: Content) -> Content:
    """What a reference stands for. A file that has been taken away is named."""
    try:
        return restored(part)
    except FileGone:
        assert isinstance(part, File)
        return Text(f"[{part.holds}, {part.mime_type}, {part.size} bytes, no longer there]")


def _structured_text(structured: Any) -> str:
    try:
        return _encode(restored_structured(structured)).decode()
    except FileGone:
        return "[structured content, no longer there]"


def _part_text(part: Content, images: list[Image] | None) -> str:
    match part:
        case Text():
            return part.text
        case Image():
            return _image_text(part, images)
        case Audio():
            return f"[audio, {part.mime_type}, {_size(part.data)} bytes]"
        case ResourceLink():
            described = " ".join(filter(None, (part.title or part.name, part.description)))
            return f"[resource {part.uri}{': ' if described else ''}{described}]"
        case Resource():
            return _resource_text(part, images)
        case File():
            return f"[{part.holds}, {part.mime_type}, {part.size} bytes]"


def _image_text(image: Image, images: list[Image] | None) -> str:
    if images is None:
        return f"[image, {image.mime_type}, {_size(image.data)} bytes]"
    images.append(image)
    return f"[image, {image.mime_type}, shown below]"


def _resource_text(part: Resource, images: list[Image] | None) -> str:
    resource = part.resource
    if resource.text is not None:
        return f"[resource {resource.uri}]\n{resource.text}"
    blob, kind = resource.blob or "", resource.mime_type or "application/octet-stream"
    if kind.startswith("image/"):
        return _image_text(Image(blob, kind), images)
    return f"[resource {resource.uri}, {kind}, {_size(blob)} bytes]"


def _size(base64: str) -> int:
    return len(base64) * 3 // 4 - base64[-2:].count("=")
