"""An async actor-model runtime for agent rollouts over real MCP servers.

Names are imported when they are first used, so that `import nexau.actors` loads the kernel and
nothing else.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexau.definitions.agentfile import load_agent as load_agent
    from nexau.definitions.functions import python_tool as python_tool
    from nexau.definitions.values import (
        Agent as Agent,
        Backoff as Backoff,
        DefinitionError as DefinitionError,
        Endpoint as Endpoint,
        HttpServer as HttpServer,
        McpTools as McpTools,
        OpenAIModel as OpenAIModel,
        PlanModel as PlanModel,
        Pool as Pool,
        Prompt as Prompt,
        PythonTool as PythonTool,
        ReplayModel as ReplayModel,
        ScriptModel as ScriptModel,
        StdioServer as StdioServer,
        Supervision as Supervision,
        Task as Task,
    )
    from nexau.models.base import (
        Model as Model,
        ModelError as ModelError,
        ModelRequest as ModelRequest,
        ToolCall as ToolCall,
        Turn as Turn,
    )
    from nexau.output.sinks import LineSink as LineSink, Sink as Sink, SinkClosed as SinkClosed
    from nexau.runtime import Runtime as Runtime, open_runtime as open_runtime
    from nexau.servers import ToolsUnavailable as ToolsUnavailable
    from nexau.summary import Summary as Summary
    from nexau.sync import rollouts as rollouts, run as run
    from nexau.tasks.stream import read_tasks as read_tasks
    from nexau.trajectory import Event as Event, Step as Step, Trajectory as Trajectory
    from nexau.transports.protocol import Call as Call, Limits as Limits, Result as Result
    from nexau.workers.opening import open_workers as open_workers
    from nexau.workers.run import WorkerDied as WorkerDied, WorkersRun as WorkersRun
    from nexau.workers.wire import WorkerSettings as WorkerSettings

_HOMES = {
    "nexau.definitions.agentfile": ("load_agent",),
    "nexau.definitions.values": (
        "Agent",
        "Backoff",
        "DefinitionError",
        "Endpoint",
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
    "nexau.definitions.functions": ("python_tool",),
    "nexau.models.base": ("Model", "ModelError", "ModelRequest", "ToolCall", "Turn"),
    "nexau.runtime": ("Runtime", "open_runtime"),
    "nexau.servers": ("ToolsUnavailable",),
    "nexau.output.sinks": ("LineSink", "Sink", "SinkClosed"),
    "nexau.summary": ("Summary",),
    "nexau.sync": ("rollouts", "run"),
    "nexau.tasks.stream": ("read_tasks",),
    "nexau.trajectory": ("Event", "Step", "Trajectory"),
    "nexau.transports.protocol": ("Call", "Limits", "Result"),
    "nexau.workers.opening": ("open_workers",),
    "nexau.workers.run": ("WorkerDied", "WorkersRun"),
    "nexau.workers.wire": ("WorkerSettings",),
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
