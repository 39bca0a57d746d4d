"""Serves the conformance suite's fixtures: a world, and over it what no world has.

    python conformance_server.py PORT

Images, audio, logs, progress, sampling, elicitation, completion and subscriptions come from an
overlay, which goes through the same server as any world.
"""

import base64
import sys
import warnings
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import HandlerResult
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPDeprecationWarning

from nexau.synth.worlds.reader import load_world
from nexau.synth.worlds.serve import Context, http_app, serve_http
from nexau.synth.worlds.state import Template
from nexau.transports.guard import Guard

# The revisions with sessions have logs and sampling; the SDK warns of both.
warnings.simplefilter("ignore", MCPDeprecationWarning)

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5E"
    "rkJggg=="
)
_WAV = b"RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\2\0\0\0"
WAV = base64.b64encode(_WAV + b"\x80\x80").decode()
IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}
CACHED = {"ttlMs": 0, "cacheScope": "private", "resultType": "complete"}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def resource(uri: str, kind: str, said: str) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": said}}


CONTENT: dict[str, list[dict[str, Any]]] = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [IMAGE],
    "test_audio_content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}],
    "test_embedded_resource": [
        resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    ],
    "test_multiple_content_types": [
        text("Multiple content types test:"),
        IMAGE,
        resource(
            "test://mixed-content-resource", "application/json", '{"test":"data","value":123}'
        ),
    ],
}
DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}


def titled(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"const": value, "title": title} for value, title in pairs]


OPTIONS = ["option1", "option2", "option3"]
ENUMS = {
    "untitledSingle": {"type": "string", "enum": OPTIONS},
    "titledSingle": {"type": "string", "oneOf": titled(("value1", "First Option"),
                                                       ("value2", "Second Option"),
                                                       ("value3", "Third Option"))},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"],
                   "enumNames": ["Option One", "Option Two", "Option Three"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
    "titledMulti": {"type": "array", "items": {"anyOf": titled(("value1", "First Choice"),
                                                               ("value2", "Second Choice"),
                                                               ("value3", "Third Choice"))}},
}  # fmt: skip
FORM = {
    "username": {"type": "string", "description": "User's response"},
    "email": {"type": "string", "description": "User's email address"},
}
ARGUMENTS: dict[str, list[str]] = {
    **{name: [] for name in CONTENT},
    **{name: [] for name in (
        "test_tool_with_logging", "test_error_handling", "test_tool_with_progress",
        "test_elicitation_sep1034_defaults", "test_elicitation_sep1330_enums")},
    "test_sampling": ["prompt"],
    "test_elicitation": ["message"],
}  # fmt: skip


def schema(names: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": {n: {"type": "string"} for n in names},
            "required": names}  # fmt: skip


class Fixtures:
    """An overlay of a world."""

    def listed(self, what: str) -> list[dict[str, Any]]:
        if what == "tools":
            return [
                {"name": name, "description": name, "inputSchema": schema(each)}
                for name, each in ARGUMENTS.items()
            ]
        if what == "resources":
            return [{"uri": "test://static-binary", "name": "static_binary",
                     "description": "An image.", "mimeType": "image/png"}]  # fmt: skip
        if what == "prompts":
            uri = [{"name": "resourceUri", "description": "What to embed.", "required": True}]
            return [
                {"name": "test_prompt_with_embedded_resource", "description": "Embeds a resource.",
                 "arguments": uri},
                {"name": "test_prompt_with_image", "description": "Shows an image.",
                 "arguments": []},
            ]  # fmt: skip
        return []

    def install(self, server: Server[Any]) -> None:
        async def nothing(_: Context, __: Any) -> HandlerResult:
            return {}

        async def complete(_: Context, __: Any) -> HandlerResult:
            return {"completion": {"values": ["paris", "park"], "total": 2, "hasMore": False}}

        server.add_request_handler("completion/complete", types.CompleteRequestParams, complete)
        server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, nothing)
        server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, nothing)
        server.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, nothing)

    async def answer(self, context: Context, method: str, params: Any) -> HandlerResult | None:
        if method == "resources/read" and str(params.uri) == "test://static-binary":
            blob = {"uri": "test://static-binary", "mimeType": "image/png", "blob": PNG}
            return {"contents": [blob], **CACHED}
        if method == "prompts/get":
            return self._prompt(params)
        if method == "tools/call" and params.name in ARGUMENTS:
            content = CONTENT.get(params.name)
            error = params.name == "test_error_handling"
            if content is None:
                said = await self._run(context, params.name, params.arguments or {})
                content = [text(said)]
            return {"content": content, "isError": error, "resultType": "complete"}
        return None

    @staticmethod
    def _prompt(params: Any) -> HandlerResult | None:
        if params.name == "test_prompt_with_image":
            parts = [IMAGE, text("Please analyze the image above.")]
        elif params.name == "test_prompt_with_embedded_resource":
            uri = (params.arguments or {})["resourceUri"]
            embedded = resource(uri, "text/plain", "Embedded resource content for testing.")
            parts = [embedded, text("Please process the embedded resource above.")]
        else:
            return None
        messages = [{"role": "user", "content": part} for part in parts]
        return {"messages": messages, "resultType": "complete"}

    async def _run(self, context: Context, name: str, arguments: dict[str, Any]) -> str:
        session, request = context.session, context.request_id
        if name == "test_error_handling":
            return "This tool intentionally returns an error for testing"
        if name == "test_tool_with_logging":
            for said in (
                "Tool execution started",
                "Tool processing data",
                "Tool execution completed",
            ):
                await session.send_log_message("info", said, related_request_id=request)
                await anyio.sleep(0.05)
            return "It has logged."
        if name == "test_tool_with_progress":
            token = (context.meta or {}).get("progress_token")
            for done in (0, 50, 100):
                if token is not None:
                    await session.send_progress_notification(
                        token, done, 100, related_request_id=request
                    )
                await anyio.sleep(0.05)
            return "It has come to its end."
        if name == "test_sampling":
            asked = types.SamplingMessage(
                role="user", content=types.TextContent(type="text", text=arguments["prompt"])
            )
            made = await session.create_message([asked], max_tokens=100, related_request_id=request)
            return f"LLM response: {getattr(made.content, 'text', '')}"
        forms = {"test_elicitation": (FORM, ["username", "email"]),
                 "test_elicitation_sep1034_defaults": (DEFAULTS, []),
                 "test_elicitation_sep1330_enums": (ENUMS, [])}  # fmt: skip
        properties, required = forms[name]
        wanted = {"type": "object", "properties": properties, "required": required}
        answer = await session.elicit_form(
            arguments.get("message", "Please."), wanted, related_request_id=request
        )
        return f"User response: action={answer.action}, content={answer.content}"


def main() -> None:
    template = Template(load_world(Path(__file__).with_name("conformance.yaml")))
    app = http_app(template, json=False, host="127.0.0.1", overlay=Fixtures())
    serve_http(app, Guard.listening("127.0.0.1"), host="127.0.0.1", port=int(sys.argv[1]))


if __name__ == "__main__":
    main()
