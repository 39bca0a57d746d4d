"""Agents on their way to another process."""

import io
import pickle
from multiprocessing import spawn
from os import PathLike, fspath
from types import FunctionType
from typing import Any

from msgspec.structs import replace

from nexau.definitions.agentfile import load_agent
from nexau.definitions.bindings import binding_of, load_binding
from nexau.definitions.functions import python_tool
from nexau.definitions.values import Agent, DefinitionError, OpenAIModel, PythonTool
from nexau.scoring.judging import Graders
from nexau.transports.protocol import ToolSpec


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, FunctionType):
            # Modules beside an agent file have names that only this process knows.
            binding = binding_of(value)
            return NotImplemented if binding is None else (load_binding, binding)
        if type(value) is not PythonTool:
            return NotImplemented
        # The tool holds a wrapper that no name leads to; what it wraps has one.
        function = getattr(value.function, "__wrapped__", value.function)
        return _tool, (function, value.spec, value.timeout, value.binding)


def _tool(function: Any, spec: ToolSpec, timeout: float, binding: str) -> PythonTool:
    made = python_tool(function, name=spec.name, timeout=timeout, binding=binding)
    return replace(made, spec=spec)


def pickled(agent: Agent | str | PathLike[str]) -> bytes:
    """An agent, or the path of its file. Raises `DefinitionError` for one that cannot travel."""
    target = io.BytesIO()
    try:
        _Pickler(target).dump(agent if isinstance(agent, Agent) else fspath(agent))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise DefinitionError(
            f"the agent cannot be sent to worker processes: {error}. Its functions and models have "
            "to be found by name in a module; or give the path of an agent file"
        ) from error
    return target.getvalue()


def unpickled(data: bytes, share: int) -> Agent:
    """The agent, for one of `share` workers: its models' limits by the minute are divided.

    Raises `DefinitionError`.
    """
    found = pickle.loads(data)
    agent: Agent = found if isinstance(found, Agent) else load_agent(found)
    return _shared(agent, share)


def _shared(agent: Agent, share: int) -> Agent:
    model = agent.model
    if isinstance(model, OpenAIModel):
        requests, tokens = model.requests_per_minute, model.tokens_per_minute
        model = replace(
            model,
            requests_per_minute=requests / share if requests is not None else None,
            tokens_per_minute=tokens / share if tokens is not None else None,
        )
    below = tuple(_shared(each, share) for each in agent.agents)
    return replace(agent, model=model, agents=below)


def pickled_graders(graders: Graders) -> bytes:
    """Raises `DefinitionError` for a judge or a model that cannot travel."""
    if graders == Graders():
        return b""
    try:
        return pickle.dumps(graders)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise DefinitionError(f"the judge cannot be sent to worker processes: {error}") from error


def graders_of(data: bytes) -> Graders:
    """What `pickled_graders` made."""
    made: Graders = pickle.loads(data) if data else Graders()
    return made


def main_of(agent: Agent | str | PathLike[str]) -> bytes:
    """What lets a worker import what this process can; of `__main__` for built agents only."""
    data = spawn.get_preparation_data("nexau-worker")
    data.pop("authkey", None)
    data.pop("start_method", None)
    if not isinstance(agent, Agent):
        data.pop("init_main_from_path", None)
        data.pop("init_main_from_name", None)
    return pickle.dumps(data)
