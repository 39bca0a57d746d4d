"""The tools that a server lists, with what a call to each needs."""

from collections.abc import Mapping
from typing import Any

from mcp import ClientSession
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    encode_header_value,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp_types import PaginatedRequestParams, Tool as WireTool

from nexau.transports.caps import Caps
from nexau.transports.protocol import ToolSpec
from nexau.transports.toolcall import OutputSchema, Template
from nexau.transports.vetting import ListingError, Vetting

MAX_PAGES = 1000


class Stamp:
    """What every request of a session carries: `_meta` and headers, as the session sets them."""

    def __init__(
        self, meta: Mapping[str, Any], headers: Mapping[str, str], *, modern: bool
    ) -> None:
        self.modern = modern
        self.meta = meta
        self._headers = {
            key: value
            for key, value in headers.items()
            if key not in (MCP_METHOD_HEADER, MCP_NAME_HEADER)
        }

    def template(self, name: str) -> Template:
        """For calls to the tool `name`, listed or not."""
        headers = self.headers("tools/call")
        if self.modern:
            headers[MCP_NAME_HEADER] = encode_header_value(name)
        return Template(name, self.meta, headers)

    def headers(self, method: str) -> dict[str, str]:
        """For a request that names nothing."""
        return self._headers | {MCP_METHOD_HEADER: method} if self.modern else dict(self._headers)


class Tool:
    """A listed tool."""

    def __init__(self, wire: WireTool, stamp: Stamp) -> None:
        annotations = wire.annotations
        self.spec = ToolSpec(
            name=wire.name,
            description=wire.description or "",
            parameters=wire.input_schema,
            annotations=(
                {}
                if annotations is None
                else annotations.model_dump(by_alias=True, mode="json", exclude_none=True)
            ),
        )
        self.template = stamp.template(wire.name)
        self.output = None if wire.output_schema is None else OutputSchema(wire.output_schema)
        self._mirrored = x_mcp_header_map(wire.input_schema) if stamp.modern else {}

    def headers(self, arguments: Mapping[str, Any]) -> Mapping[str, str]:
        """For a call with these arguments: 2026-07-28 mirrors some of them into headers."""
        if not self._mirrored:
            return self.template.headers
        return {**self.template.headers, **mcp_param_headers(self._mirrored, arguments)}


async def list_tools(session: ClientSession, vetting: Vetting | None = None) -> list[WireTool]:
    """The tools of all pages of `tools/list` that `vetting` keeps; none if the server has none.

    Raises MCPError, ValidationError, ListingError.
    """
    capabilities = session.server_capabilities
    if capabilities is None or capabilities.tools is None:
        return []
    vetting = vetting or Vetting(Caps())
    seen: set[str] = set()
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        params = None if cursor is None else PaginatedRequestParams(cursor=cursor)
        try:
            page = await session.list_tools(params=params)
        except RecursionError:
            raise ListingError("a tool that it lists is nested too deeply") from None
        vetting.take(page.tools)
        cursor = page.next_cursor
        if cursor is None:
            return vetting.kept
        if cursor in seen:
            raise ListingError(f"tools/list gave the cursor {cursor[:80]!r} twice")
        seen.add(cursor)
    raise ListingError(f"tools/list has more than {MAX_PAGES} pages")
