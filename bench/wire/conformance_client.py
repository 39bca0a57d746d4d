"""The client that the official conformance suite drives, over this project's transports.

    conformance client --command "python bench/wire/conformance_client.py" \
        --requirements 2026-07-28 -o out

The suite appends the URL of its server, and names the scenario in `MCP_CONFORMANCE_SCENARIO`.
`NEXAU_BACKEND=trio` runs it on trio.
"""

import json
import os
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import structlog
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.session import ClientRequestContext
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ListRootsResult,
    TextContent,
)
from pydantic import AnyUrl

from nexau.transports.authorized import AuthorizedHttp
from nexau.transports.connection import Connection, Handlers, HttpTarget, open_connection
from nexau.transports.http import HttpClient, open_http

CALLBACK = "http://localhost:3000/callback"
log = structlog.get_logger()


class Storage:
    """Tokens in memory."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Browser:
    """A user who agrees to everything."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._query: dict[str, list[str]] = {}

    async def redirect(self, url: str) -> None:
        async with self._http.request("GET", url) as response:
            self._query = parse_qs(urlsplit(response.headers["location"]).query)

    async def callback(self) -> AuthorizationCodeResult:
        found = {key: values[0] for key, values in self._query.items()}
        return AuthorizationCodeResult(
            code=found["code"], state=found.get("state"), iss=found.get("iss")
        )


async def elicit(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Accept with the schema's defaults, or with something of the right type."""
    content: dict[str, Any] = {}
    if isinstance(params, ElicitRequestFormParams):
        for name, schema in params.requested_schema.get("properties", {}).items():
            content[name] = sample(schema)
    return ElicitResult(action="accept", content=content)


async def create_message(
    context: ClientRequestContext, params: CreateMessageRequestParams
) -> CreateMessageResult:
    return CreateMessageResult(
        role="assistant", content=TextContent(text="Paris"), model="none", stop_reason="endTurn"
    )


async def list_roots(context: ClientRequestContext) -> ListRootsResult:
    return ListRootsResult(roots=[])


def sample(schema: dict[str, Any]) -> Any:
    """A value that the schema allows."""
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    values = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": []}
    if schema.get("type") == "object":
        return {name: sample(one) for name, one in schema.get("properties", {}).items()}
    return values.get(str(schema.get("type")), "text")


async def call_every_tool(connection: Connection, context: dict[str, Any]) -> None:
    planned = context.get("toolCalls")
    schemas = {tool.name: tool.parameters for tool in connection.tools}
    if "json_schema_echo" in schemas:
        # Does a schema survive the way through the client?
        schema = schemas["json_schema_2020_12_tool"]
        planned = [{"name": "json_schema_echo", "arguments": {"schema": schema}}]
    if planned is None:
        planned = [
            {"name": tool.name, "arguments": sample({"type": "object", **tool.parameters})}
            for tool in connection.tools
        ]
    for call in planned:
        result = await connection.call(
            call["name"], call.get("arguments") or {}, call_id="c", timeout=20
        )
        log.info("called", tool=call["name"], error=result.error_class, content=result.content)


async def use_everything_else(connection: Connection) -> None:
    session = connection.session
    capabilities = session.server_capabilities
    if capabilities is not None and capabilities.resources is not None:
        for resource in (await session.list_resources()).resources:
            await session.read_resource(resource.uri)
    if capabilities is not None and capabilities.prompts is not None:
        for prompt in (await session.list_prompts()).prompts:
            arguments = {argument.name: "x" for argument in prompt.arguments or ()}
            await session.get_prompt(prompt.name, arguments)


def client_credentials(url: str, scenario: str, context: dict[str, Any]) -> httpx2.Auth:
    """Without a user."""
    if scenario.endswith("-basic"):
        return ClientCredentialsOAuthProvider(
            server_url=url,
            storage=Storage(),
            client_id=context["client_id"],
            client_secret=context["client_secret"],
        )
    parameters = SignedJWTParameters(
        issuer=context["client_id"],
        subject=context["client_id"],
        signing_algorithm=context.get("signing_algorithm", "ES256"),
        signing_key=context["private_key_pem"],
    )
    return PrivateKeyJWTOAuthProvider(
        server_url=url,
        storage=Storage(),
        client_id=context["client_id"],
        assertion_provider=parameters.create_assertion_provider(),
    )


def authorization_code(http: HttpClient, url: str, context: dict[str, Any]) -> httpx2.Auth:
    """With a user."""
    storage = Storage()
    if "client_id" in context:
        secret = context.get("client_secret")
        storage.client = OAuthClientInformationFull(
            client_id=context["client_id"],
            client_secret=secret,
            redirect_uris=[AnyUrl(CALLBACK)],
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
        )
    browser = Browser(http)
    return OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(
            client_name="conformance",
            redirect_uris=[AnyUrl(CALLBACK)],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
        ),
        storage=storage,
        redirect_handler=browser.redirect,
        callback_handler=browser.callback,
        client_metadata_url="https://conformance-test.local/client-metadata.json",
    )


def authorized(http: HttpClient, url: str, scenario: str, context: dict[str, Any]) -> HttpClient:
    if not scenario.startswith("auth/"):
        return http
    if "client-credentials" in scenario:
        return AuthorizedHttp(http, client_credentials(url, scenario, context))
    return AuthorizedHttp(http, authorization_code(http, url, context))


async def main() -> None:
    url = sys.argv[1]
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    handlers = Handlers(sampling=create_message, elicitation=elicit, roots=list_roots)
    async with open_http() as http:
        client = authorized(http, url, scenario, context)
        async with open_connection(
            HttpTarget(url), name="conformance", http=client, handlers=handlers
        ) as connection:
            log.info("open", version=connection.protocol_version)
            await call_every_tool(connection, context)
            await use_everything_else(connection)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    anyio.run(main, backend=os.environ.get("NEXAU_BACKEND", "asyncio"))
