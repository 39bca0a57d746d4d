"""Hierarchies whose matching, names and prompts a model writes; shapes and tools stay as drawn."""

import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec

from nexau.definitions.structs import NAME_PATTERN
from nexau.definitions.values import DefinitionError, ModelConfig
from nexau.files.nearest import hint
from nexau.files.problems import clip
from nexau.runtime import Runtime
from nexau.synth.agents import phrases
from nexau.synth.agents.catalog import Catalog
from nexau.synth.agents.drafts import Draft, Finisher
from nexau.synth.agents.hierarchy import Hierarchy, Node
from nexau.synth.agents.toolgraph import ToolGraph
from nexau.synth.agents.worker import Assignment, finisher_of
from nexau.synth.agents.writing import CONFUSED, alike, first_sentence, literal, tool_names
from nexau.synth.authoring import Written, author, write
from nexau.trajectory import Trajectory

CONCURRENCY = 8
UNREACHED = 3
"""Hierarchies in a row for which the model did not answer, after which a run gives up."""
MAX_LISTED = 300
"""Tools that a model is shown at once; of more, those that match best by their words."""
MAX_PROMPT = 8000

MATCHING = """You choose tools for a group of agents. You get a specification and a list of tools.
Answer with one JSON object, {"tools": [...]}: the keys of the tools that the specification asks
for, directly or because others need their results, the most needed first. Name no tool twice and
none that is not listed."""

WRITING = """You write the agents of a group: their names, what others are told of them, and their
system prompts. You get the specification that they work for and the group: who answers to whom, in
which role, with which tools. Answer with one JSON object,
{"agents": {ID: {"name": ..., "description": ..., "system_prompt": ...}, ...}}, with every ID once.

- name: lower case words joined by _, at most 40 characters, none twice, none that is a tool's.
- description: one or two sentences by which the agent above decides whom to call. It has to tell
  an agent from all others of the same group.
- system_prompt: 80 to 2000 characters, addressed to the agent: who it is, what reaches it, what it
  does step by step, when it calls which tool or agent, what it must not do, how it answers. It
  names each of its tools and each agent below it, in backticks, and no tool that it does not
  have."""


async def match(
    runtime: Runtime, model: ModelConfig, catalog: Catalog, ranked: Sequence[int], spec: str
) -> tuple[list[int], tuple[Trajectory, ...]]:
    """The tools in the order in which the model wants them, the others behind. Raises
    `DefinitionError` where it gives no usable answer."""
    shown = list(ranked[:MAX_LISTED])
    keys = {catalog.tools[place].key: place for place in shown}
    lines = [
        f"- {key}: {first_sentence(catalog.tools[place].description)}"
        for key, place in keys.items()
    ]
    request = f"Specification: {spec}\n\nTools:\n" + "\n".join(lines)

    def check(value: Any) -> list[str]:
        wanted = value.get("tools") if isinstance(value, dict) else None
        if not isinstance(wanted, list) or not wanted:
            return ['expected {"tools": [...]} with at least one key']
        return [
            f"no tool {clip(key)}{hint(str(key), keys)}" for key in wanted if key not in keys
        ] + (["a tool is named twice"] if len(set(map(str, wanted))) < len(wanted) else [])

    done = await write(runtime, author(model, MATCHING), request, check, name="matching")
    if done.value is None:
        raise DefinitionError(f"the model does not choose tools: {'; '.join(done.problems)}")
    first = [keys[key] for key in done.value["tools"]]
    return first + [place for place in ranked if place not in set(first)], done.trajectories


class ByModel:
    """Drafts whose texts a model writes, several at a time, in the order of their numbers."""

    def __init__(
        self, work: Assignment, runtime: Runtime, model: ModelConfig, label: str, kept: Path
    ) -> None:
        maker, finisher = finisher_of(work)
        self._maker = maker
        self._finisher: Finisher = finisher
        self._runtime = runtime
        self._agent = author(model, WRITING)
        self._label = label
        self._kept = kept
        self._unreached = 0

    async def drafts(self, first: int) -> AsyncGenerator[Draft, None]:
        """Raises `DefinitionError` where the model cannot be reached."""
        while True:
            made: list[tuple[Draft, Written] | None] = [None] * CONCURRENCY
            async with anyio.create_task_group() as group:
                for place in range(CONCURRENCY):
                    group.start_soon(self._one, first + place, place, made)
            for each in made:
                assert each is not None
                draft, written = each
                self._watch(written)
                keep(self._kept, written.trajectories)
                yield draft
            first += CONCURRENCY

    def _watch(self, written: Written) -> None:
        self._unreached = 0 if written.reached else self._unreached + 1
        if self._unreached >= UNREACHED:
            raise DefinitionError(f"the model that writes cannot be had: {written.problems[0]}")

    async def _one(self, index: int, place: int, made: list[tuple[Draft, Written] | None]) -> None:
        hierarchy = self._maker.make(index)
        graph = self._maker.graph
        request = group_request(hierarchy, graph, self._maker.options.specification)
        nodes = dict(numbered(hierarchy))

        def check(value: Any) -> list[str]:
            return problems(value, nodes, hierarchy, graph)

        seed = self._maker.options.seed
        written = await write(
            self._runtime, self._agent, request, check, name=f"agents/{index}", seed=seed
        )
        faults: tuple[str, ...] = ()
        if written.value is None:
            faults = tuple(f"writer: {problem}" for problem in written.problems)
        else:
            adopt(written.value, nodes)
        draft = self._finisher.finish(
            hierarchy, writer=self._label, repairs=written.repairs, more_faults=faults
        )
        made[place] = draft, written


def keep(path: Path, trajectories: Sequence[Trajectory]) -> None:
    """Appends what the author did, a line each."""
    with path.open("ab") as file:
        file.writelines(msgspec.json.encode(each) + b"\n" for each in trajectories)


def numbered(hierarchy: Hierarchy) -> list[tuple[str, Node]]:
    return [(f"a{place}", node) for place, node in enumerate(hierarchy.root.walk())]


def group_request(hierarchy: Hierarchy, graph: ToolGraph, spec: str) -> str:
    """The specification, then the group as JSON."""
    names = tool_names(hierarchy, graph)
    ids = {id(node): key for key, node in numbered(hierarchy)}
    group: dict[str, Any] = {}
    for key, node in numbered(hierarchy):
        each: dict[str, Any] = {"role": node.role, "suggested_name": node.name}
        if node.tools:
            each["tools"] = {
                names[place]: first_sentence(graph.facts[place].tool.description)
                for place in node.tools
            }
        if node.distractors:
            each["tools_it_should_not_need"] = [names[place] for place in node.distractors]
        if node.children:
            assert node.topology is not None
            each["forms"] = node.topology
            each["how"] = phrases.PROTOCOLS[node.topology][0]
            each["calls"] = [ids[id(child)] for child in node.children]
        group[key] = each
    listed = msgspec.json.format(msgspec.json.encode(group)).decode()
    return f"Specification: {spec}\n\nThe group:\n{listed}"


def problems(
    value: Any, nodes: dict[str, Node], hierarchy: Hierarchy, graph: ToolGraph
) -> list[str]:
    """What is wrong with the texts, by agent."""
    agents = value.get("agents") if isinstance(value, dict) else None
    if not isinstance(agents, dict):
        return ['expected {"agents": {...}}']
    found = [f"there is no agent {clip(key)}" for key in agents if key not in nodes]
    found += [f"{key} is missing" for key in nodes if key not in agents]
    for key, each in agents.items():
        if not isinstance(each, dict) or not all(
            isinstance(each.get(part), str) for part in ("name", "description", "system_prompt")
        ):
            found.append(f"{key}: expected name, description and system_prompt as text")
    if found:
        return found
    names = tool_names(hierarchy, graph)
    found += _name_problems(agents, set(names.values()))
    called = {key: agents[key]["name"] for key in nodes}
    ids = {id(node): key for key, node in nodes.items()}
    for key, node in nodes.items():
        wanted = [names[place] for place in node.tools]
        wanted += [called[ids[id(child)]] for child in node.children]
        had = {*wanted, *(names[place] for place in node.distractors)}
        found += _text_problems(key, agents[key], wanted, set(names.values()) - had)
        found += _confused([(ids[id(it)], agents[ids[id(it)]]) for it in node.children])
    return found


def _name_problems(agents: dict[str, Any], tools: set[str]) -> list[str]:
    found: list[str] = []
    seen: dict[str, str] = {}
    for key, each in agents.items():
        name = each["name"]
        if not re.fullmatch(NAME_PATTERN, name):
            found.append(f"{key}: {clip(name)} is no name: a letter or _, then A-Z a-z 0-9 _ -")
        elif name in tools:
            found.append(f"{key}: {name} is the name of a tool")
        elif name in seen:
            found.append(f"{key}: {name} is the name of {seen[name]} already")
        seen.setdefault(name, key)
    return found


def _text_problems(key: str, each: Any, wanted: list[str], others: set[str]) -> list[str]:
    prompt, description = each["system_prompt"], each["description"]
    found = [f"{key}: its system_prompt does not name `{name}`"
             for name in wanted if name not in prompt]  # fmt: skip
    found += [f"{key}: its system_prompt names `{name}`, which it does not have"
              for name in sorted(others) if f"`{name}`" in prompt]  # fmt: skip
    if not 10 <= len(description) <= 400:
        found.append(f"{key}: a description has 10 to 400 characters, not {len(description)}")
    if not 80 <= len(prompt) <= MAX_PROMPT:
        found.append(f"{key}: a system_prompt has 80 to {MAX_PROMPT} characters, not {len(prompt)}")
    return found


def _confused(siblings: list[tuple[str, Any]]) -> list[str]:
    return [
        f"{key} and {other} are described alike: say what sets them apart"
        for place, (key, each) in enumerate(siblings)
        for other, another in siblings[:place]
        if alike(another["description"], each["description"]) > CONFUSED
    ]


def adopt(value: Any, nodes: dict[str, Node]) -> None:
    """Takes the texts over, as text: a template in them is none here."""
    for key, node in nodes.items():
        each = value["agents"][key]
        node.name = each["name"]
        node.description = " ".join(each["description"].split())
        node.prompt = literal(each["system_prompt"].strip()) + "\n"
