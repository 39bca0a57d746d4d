"""`nexau synth`: worlds, agents and tasks from plain-language specifications."""

from nexau.cli.lazy import lazy_app

app = lazy_app(
    "Make worlds, agents, tasks and training data from plain-language specifications.",
    {
        "worlds": ("nexau.cli.synthworlds", "Make worlds: MCP servers with state and rules."),
        "agents": ("nexau.cli.synthagents", "Make hierarchies of agents for given tools."),
        "assign": ("nexau.cli.synthassign", "Rewrite plans of tasks for a tree of agents."),
        "tasks": ("nexau.cli.synthtasks", "Tasks with gold plans and checks, for a world."),
        "show": ("nexau.cli.synthshow", "Draw a hierarchy, or the tool graph of a world."),
        "stats": ("nexau.cli.synthstats", "Measure how diverse hierarchies or worlds are."),
        "catalog": ("nexau.cli.catalog", "Store the tools of real MCP servers in one file."),
    },
)
