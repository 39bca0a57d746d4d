"""Big results kept in files: what stands in their place is a `File`, with size, digest and type.

Files are named by the SHA-256 of what they hold, so a thousand rollouts that are shown the same
image keep it once, and whoever reads one can tell that it is what it was.
"""

import base64
import binascii
import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec
from msgspec.structs import replace

from nexau.secrets.redaction import SECRETS
from nexau.transports.protocol import (
    Audio,
    Content,
    File,
    Image,
    Resource,
    ResourceContents,
    Result,
    Text,
)

BYTES = 65_536
"""A part larger than this goes to a file, where nothing else was said."""
PREVIEW = 200
"""Characters of a text that stay beside the reference."""

_TEXTUAL = frozenset({"text", "resource_text", "structured"})
"""What is cleaned of secrets, as every line is."""
_SUFFIXES = {
    "application/json": ".json",
    "application/pdf": ".pdf",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/plain": ".txt",
}


class FileGone(Exception):
    """A file that a `File` names is not there, or holds something else."""


class Spill:
    """Writes what is larger than `over` bytes to files in `directory`, which is made when the first
    one is written."""

    def __init__(self, directory: Path, over: int = BYTES) -> None:
        self.directory = directory
        self.over = over

    async def relieve(self, result: Result) -> Result:
        """`result` with references in place of its big parts. Raises `OSError`."""
        big = [part for part in result.content if _size(part) > self.over]
        structured = result.structured
        encoded = b"" if structured is None else msgspec.json.encode(structured)
        if not big and len(encoded) <= self.over:
            return result
        # A megabyte takes milliseconds: not on the event loop.
        return await anyio.to_thread.run_sync(partial(self._relieved, result, encoded))

    def _relieved(self, result: Result, encoded: bytes) -> Result:
        content = tuple(
            self._file(part) if _size(part) > self.over else part for part in result.content
        )
        structured = result.structured
        if len(encoded) > self.over:
            structured = self._write(encoded, "structured", "application/json")
        return replace(result, content=content, structured=structured)

    def _file(self, part: Content) -> Content:
        match part:
            case Text(text):
                data = text.encode("utf-8", "surrogatepass")
                return self._write(data, "text", "text/plain", preview=text[:PREVIEW])
            case Image(data, mime_type):
                return self._binary(part, data, "image", mime_type)
            case Audio(data, mime_type):
                return self._binary(part, data, "audio", mime_type)
            case Resource(ResourceContents(uri, mime_type, text, blob)):
                if text is not None:
                    data = text.encode("utf-8", "surrogatepass")
                    kind = mime_type or "text/plain"
                    return self._write(data, "resource_text", kind, uri, text[:PREVIEW])
                kind = mime_type or "application/octet-stream"
                return self._binary(part, blob or "", "resource_blob", kind, uri)
            case _:
                return part

    def _binary(
        self, part: Content, text: str, holds: Any, mime_type: str, uri: str | None = None
    ) -> Content:
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error:
            return part  # nothing that could be restored
        return self._write(data, holds, mime_type, uri)

    def _write(
        self, data: bytes, holds: Any, mime_type: str, uri: str | None = None, preview: str = ""
    ) -> File:
        if holds in _TEXTUAL:
            data = SECRETS.line(data)
        digest = hashlib.sha256(data).hexdigest()
        suffix = _SUFFIXES.get(mime_type.partition(";")[0].strip().lower(), ".bin")
        path = self.directory / digest[:2] / f"{digest}{suffix}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Under its name only when it is whole.
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                Path(temporary).replace(path)
            except BaseException:
                with suppress(OSError):
                    Path(temporary).unlink()
                raise
        return File(holds, str(path), digest, len(data), mime_type, uri, preview)


def load(file: File, directory: Path | None = None) -> bytes:
    """What the file holds. `directory` is where the files are now, if they were moved.

    Raises `FileGone`.
    """
    path = Path(file.path)
    if directory is not None:
        path = directory / path.parent.name / path.name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileGone(f"{path}: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise FileGone(f"{path}: it holds something else than was written")
    return data


def restored(part: Content, directory: Path | None = None) -> Content:
    """The part that a reference stands for; any other part as it is. Raises `FileGone`."""
    if not isinstance(part, File) or part.holds == "structured":
        return part
    made = _MAKERS[part.holds]
    return made(load(part, directory), part)


def restored_structured(value: Any, directory: Path | None = None) -> Any:
    """Structured content, read back where it is kept in a file. Raises `FileGone`."""
    if isinstance(value, File):
        return msgspec.json.decode(load(value, directory))
    if isinstance(value, dict) and value.get("type") == "file" and "sha256" in value:
        with suppress(msgspec.ValidationError):  # as read back from a line
            return restored_structured(msgspec.convert(value, File), directory)
    return value


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_MAKERS: dict[str, Callable[[bytes, File], Content]] = {
    "text": lambda data, file: Text(_text(data)),
    "image": lambda data, file: Image(_base64(data), file.mime_type),
    "audio": lambda data, file: Audio(_base64(data), file.mime_type),
    "resource_text": lambda data, file: Resource(
        ResourceContents(file.uri or "", file.mime_type, _text(data))
    ),
    "resource_blob": lambda data, file: Resource(
        ResourceContents(file.uri or "", file.mime_type, None, _base64(data))
    ),
}


def _size(part: Content) -> int:
    """Of what a file would hold, near enough."""
    match part:
        case Text(text):
            return len(text)
        case Image(data) | Audio(data):
            return len(data) * 3 // 4
        case Resource(contents):
            return len(contents.text or "") + len(contents.blob or "") * 3 // 4
        case _:
            return 0
