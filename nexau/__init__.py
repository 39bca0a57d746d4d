"""An async actor-model runtime for agent rollouts over real MCP servers.

Names are imported when they are first used, so that `import nexau.actors` loads the kernel and
nothing else.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexau.agentfile import load_agent as load_agent
    from nexau.definition import (
        Agent as Agent,
    )
    from nexau.definition import (
        Backoff as Backoff,
    )
    from nexau.definition import (
        DefinitionError as DefinitionError,
    )
    from nexau.definition import (
        HttpServer as HttpServer,
    )
    from nexau.definition import (
        McpTools as McpTools,
    )
    from nexau.definition import (
        OpenAIModel as OpenAIModel,
    )
    from nexau.definition import (
        PlanModel as PlanModel,
    )
    from nexau.definition import (
        Pool as Pool,
    )
    from nexau.definition import (
        Prompt as Prompt,
    )
    from nexau.definition import (
        PythonTool as PythonTool,
    )
    from nexau.definition import (
        ReplayModel as ReplayModel,
    )
    from nexau.definition import (
        ScriptModel as ScriptModel,
    )
    from nexau.definition import (
        StdioServer as StdioServer,
    )
    from nexau.definition import (
        Supervision as Supervision,
    )
    from nexau.definition import (
        Task as Task,
    )
    from nexau.functions import python_tool as python_tool
    from nexau.models.base import (
        Model as Model,
    )
    from nexau.models.base import (
        ModelError as ModelError,
    )
    from nexau.models.base import (
        ModelRequest as ModelRequest,
    )
    from nexau.models.base import (
        ToolCall as ToolCall,
    )
    from nexau.models.base import (
        Turn as Turn,
    )
    from nexau.runtime import Runtime as Runtime
    from nexau.runtime import open_runtime as open_runtime
    from nexau.servers import ToolsUnavailable as ToolsUnavailable
    from nexau.sinks import LineSink as LineSink
    from nexau.sinks import Sink as Sink
    from nexau.sinks import SinkClosed as SinkClosed
    from nexau.summary import Summary as Summary
    from nexau.sync import rollouts as rollouts
    from nexau.sync import run as run
    from nexau.tasks import read_tasks as read_tasks
    from nexau.trajectory import Event as Event
    from nexau.trajectory import Step as Step
    from nexau.trajectory import Trajectory as Trajectory
    from nexau.transports.protocol import Call as Call
    from nexau.transports.protocol import Limits as Limits
    from nexau.transports.protocol import Result as Result

_HOMES = {
    "nexau.agentfile": ("load_agent",),
    "nexau.definition": (
        "Agent",
        "Backoff",
        "DefinitionError",
        "HttpServer",
        "McpTools",
        "OpenAIModel",
        "PlanModel",
        "Pool",
        "Prompt",
        "PythonTool",
        "ReplayModel",
        "ScriptModel",
        "StdioServer",
        "Supervision",
        "Task",
    ),
    "nexau.functions": ("python_tool",),
    "nexau.models.base": ("Model", "ModelError", "ModelRequest", "ToolCall", "Turn"),
    "nexau.runtime": ("Runtime", "open_runtime"),
    "nexau.servers": ("ToolsUnavailable",),
    "nexau.sinks": ("LineSink", "Sink", "SinkClosed"),
    "nexau.summary": ("Summary",),
    "nexau.sync": ("rollouts", "run"),
    "nexau.tasks": ("read_tasks",),
    "nexau.trajectory": ("Event", "Step", "Trajectory"),
    "nexau.transports.protocol": ("Call", "Limits", "Result"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605 - a list, made from the table above


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'nexau' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
