"""A run that can be killed at any moment, in virtual time, and gone on with."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import msgspec

import nexau
from nexau.definitions.functions import python_tool
from nexau.definitions.values import Agent, Task
from nexau.journal.directory import create_run, new_manifest, resume_run
from nexau.journal.durability import Durability
from nexau.journal.recovery import Recovered, recover
from nexau.journal.testing import MemoryFiles
from nexau.models.base import ModelError, ModelRequest, ToolCall, ToolMessage, Turn
from nexau.runs import Run
from nexau.testing import FunctionPolicy, ListSink
from nexau.trajectory import Trajectory
from nexau.transports.protocol import Limits, Usage

ROOT = Path("run")
Turned = tuple[str, int, str, int]
"""Task, seed, agent, turn."""


class World:
    """Agents that delegate, call side by side, fail and meet limits; all of it follows from the
    request, so a rollout comes out the same whether it was cut short or not.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.asked: Counter[Turned] = Counter()
        """Turns that the model was asked for."""
        self.answered: Counter[Turned] = Counter()
        """Turns that it gave."""
        self.returned: Counter[str] = Counter()
        """Calls that the tool answered, by text."""

    def agent(self) -> Agent:
        policy = FunctionPolicy(self._turn)
        tool = python_tool(self.note)
        # A limit of its own: one that agents at the same time share would be met by either.
        helper = Agent(
            "helper", policy, description="Helps.", tools=(tool,), limits=Limits(steps=2)
        )
        middle = Agent(
            "middle", policy, description="Asks.", tools=(tool,), agents=(helper,),
        )  # fmt: skip
        return Agent(
            "boss", policy, tools=(tool,), agents=(middle, helper), limits=Limits(steps=400)
        )

    async def note(self, text: str) -> str:
        """Notes.

        Args:
            text: What.
        """
        await anyio.sleep(self.chance.random() * 0.2)
        self.returned[text] += 1
        if text.endswith("!"):
            raise ValueError("no")
        return f"noted {text}"

    async def _turn(self, request: ModelRequest) -> Turn:
        self.asked[request.task, request.seed, request.path, request.turn] += 1
        await anyio.sleep(self.chance.random() * 0.3)
        self.answered[request.task, request.seed, request.path, request.turn] += 1
        fixed = random.Random(f"{request.task}/{request.seed}/{request.path}/{request.turn}")
        seen = sum(isinstance(message, ToolMessage) for message in request.messages)
        depth = request.path.count("/")
        if depth == 0 and request.turn == 2 and fixed.random() < 0.15:
            raise ModelError("overloaded")
        if request.turn >= 3 - depth or fixed.random() < 0.1:
            return Turn(f"done after {seen}", usage=Usage(10, 2))
        calls: list[ToolCall] = []
        for index in range(fixed.randint(1, 3)):
            kind = fixed.choice(["note", "helper", "middle"][: 3 - depth])
            text = f"{request.task}:{request.path}:{request.turn}:{index}"
            arguments = {"text": text + "!" * (fixed.random() < 0.1)}
            if kind != "note":
                arguments = {"task": text}
            calls.append(ToolCall(f"call_{index}", kind, arguments))
        return Turn("", tuple(calls), finish_reason="tool_calls", usage=Usage(10, 2))


class Played:
    """One run over however many processes it takes."""

    def __init__(self, seed: int, files: MemoryFiles, **options: Any) -> None:
        self.files = files
        self.chance = random.Random(seed)
        self.world = World(seed)
        self.repeat: int = options.get("repeat", 1)
        self.retries: int = options.get("retries", 0)
        self.concurrency: int = options.get("concurrency", 4)
        self.tasks = [Task(f"do {i}", id=f"t{i}") for i in range(options.get("tasks", 6))]
        self.durability: Durability = options.get("durability", Durability())
        self.segment: int = options.get("segment", 1 << 20)
        self.sunk: list[Trajectory] = []
        """Whatever any of the processes gave to its sink."""
        self.repairs: list[str] = []

    async def process(
        self,
        *,
        kill_after: float | None = None,
        power: random.Random | None = None,
        cancel_after: float | None = None,
    ) -> bool:
        """Whether it ran to the end. `power`: the machine is killed, not the process alone."""
        agent = self.world.agent()
        sink = ListSink()
        ended = False
        with anyio.CancelScope() as life:
            async with nexau.open_runtime() as runtime, anyio.create_task_group() as group:
                if kill_after is not None:
                    group.start_soon(self._kill, kill_after, life, power)
                directory = self.directory(agent)
                directory.segment = self.segment
                self.repairs += directory.recovered.repairs
                async with runtime.rollouts(
                    agent, self.tasks, concurrency=self.concurrency, sinks=[sink],
                    out=directory, durability=self.durability,
                ) as run:  # fmt: skip
                    if cancel_after is not None:
                        group.start_soon(self._cancel, cancel_after, run)
                    try:
                        await run.wait()
                        ended = True
                    finally:
                        self.sunk += [each for each in sink.items if isinstance(each, Trajectory)]
                group.cancel_scope.cancel()
        return ended and not self.files.dead

    async def _kill(
        self, after: float, life: anyio.CancelScope, power: random.Random | None
    ) -> None:
        await anyio.sleep(after)
        if power is None:
            self.files.die()
        else:
            self.files.lose_power(power)
        life.cancel()

    async def _cancel(self, after: float, run: Run) -> None:
        await anyio.sleep(after)
        run.cancel()

    def directory(self, agent: Agent) -> Any:
        if "run.json" in self.files.names(ROOT):
            return resume_run(ROOT, agent, files=self.files)
        manifest = new_manifest(
            agent, tasks="iterable", concurrency=self.concurrency, repeat=self.repeat, seed=0,
            retries=self.retries,
        )  # fmt: skip
        return create_run(ROOT, manifest, files=self.files)

    def state(self) -> Recovered:
        return recover(self.files, ROOT, self.repeat, repair=False)

    def trajectories(self) -> list[Trajectory]:
        found: list[Trajectory] = []
        for path in self.files.paths():
            if path.parent.name == "trajectories" and path.suffix == ".jsonl":
                lines = self.files.read(path).splitlines()
                found += [msgspec.json.decode(line, type=Trajectory) for line in lines]
        return found


def outline(trajectory: Trajectory) -> Any:
    """What of a trajectory does not depend on when things happened."""
    steps = [
        (
            step.agent,
            step.turn,
            step.prompt,
            step.response,
            step.calls,
            [
                (result.call_id, result.content, result.error_class, result.agent)
                for result in step.results
            ],
            step.usage,
        )
        for step in trajectory.steps
    ]
    return (
        trajectory.id,
        trajectory.status,
        trajectory.answer,
        trajectory.limit,
        trajectory.error,
        trajectory.usage,
        trajectory.final,
        sorted(steps, key=lambda step: step[:2]),
    )
