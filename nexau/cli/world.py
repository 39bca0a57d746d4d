"""`nexau world`: stateful MCP servers made from a specification."""

from nexau.cli.lazy import lazy_app

app = lazy_app(
    "Serve, show and check worlds: MCP servers with state, from a YAML specification.",
    {
        "serve": ("nexau.cli.world_serve", "Serve a world over MCP: stdio or streamable HTTP."),
        "show": ("nexau.cli.world_show", "Draw a world: entities, tools, tool graph."),
        "state": ("nexau.cli.world_state", "The state of a served world, as JSON."),
        "reset": ("nexau.cli.world_reset", "Make the state of a served world as new."),
        "check": ("nexau.cli.world_check", "Find what is wrong with worlds and their tasks."),
    },
)
