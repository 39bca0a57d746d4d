"""Candidates: shapes, tools and texts as they should be, for many seeds."""

import collections
from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st

from nexau.definitions.prompts import compile_prompt, render
from nexau.definitions.values import Prompt
from nexau.synth.agents.acceptance import faults
from nexau.synth.agents.candidates import Maker, Options
from nexau.synth.agents.catalog import Catalog
from nexau.synth.agents.hierarchy import Hierarchy, Node
from nexau.synth.agents.shapes import canonical, signature_of
from nexau.synth.agents.topologies import MAX_AGENTS, MAX_DEPTH, TOPOLOGIES, grow_shape
from nexau.synth.streams import stream
from nexau.transports.protocol import Limits


@given(st.integers(0, 10**6), st.none() | st.floats(0, 1), st.integers(1, MAX_AGENTS))
@settings(max_examples=150, deadline=None)
def test_shapes_keep_to_their_bounds(seed: int, complexity: float | None, most: int) -> None:
    root = grow_shape(stream(seed, "x"), complexity, most)
    assert 1 <= root.size() <= most
    assert root.depth() <= MAX_DEPTH
    for node in root.walk():
        assert (node.topology is not None and node.topology != "single") == bool(node.children)


def test_all_topologies_sizes_and_depths_occur() -> None:
    roots = [grow_shape(stream(seed, "x"), None, MAX_AGENTS) for seed in range(1500)]
    assert {root.topology for root in roots} == {*TOPOLOGIES, "single"}
    assert {root.size() for root in roots} == set(range(1, MAX_AGENTS + 1))
    assert {root.depth() for root in roots} == set(range(MAX_DEPTH + 1))


def test_complexity_steers_size_and_depth() -> None:
    sizes, depths = [], []
    for complexity in (0.0, 0.5, 1.0):
        roots = [grow_shape(stream(seed, "y"), complexity, MAX_AGENTS) for seed in range(200)]
        sizes.append(sum(root.size() for root in roots) / 200)
        depths.append(sum(root.depth() for root in roots) / 200)
    assert sizes[0] < 4 < sizes[1] < 24 < sizes[2]
    assert depths == sorted(depths)


def test_a_candidate_depends_on_its_number_alone(catalog: Catalog, maker: Maker) -> None:
    spec = maker.options.specification
    again = Maker(catalog, Options(spec, 7))
    for index in (5, 2, 9):
        assert again.make(index) == maker.make(index)
    assert Maker(catalog, Options(spec, 8)).make(5) != maker.make(5)
    assert Maker(catalog, Options("Other things", 7)).make(5) != maker.make(5)


@pytest.fixture(scope="module")
def made(maker: Maker) -> list[Hierarchy]:
    return [maker.make(index) for index in range(150)]


def test_most_candidates_are_whole(made: list[Hierarchy], maker: Maker) -> None:
    found = [fault for each in made for fault in faults(each, maker.graph)]
    assert all("described alike" in fault for fault in found)
    assert sum(bool(faults(each, maker.graph)) for each in made) < 60


def test_tools_are_connected_parts_and_all_are_held(made: list[Hierarchy], maker: Maker) -> None:
    graph = maker.graph
    linked = single = 0
    for each in made:
        root = each.root
        held = {place for node in root.walk() for place in node.tools}
        assert held >= set(root.scope)
        for node in root.walk():
            if len(node.tools) > 1:
                linked += graph.connected(node.tools)
                single += not graph.connected(node.tools)
            assert not set(node.tools) & set(node.distractors)
    # Not all: the last tools go where there is room.
    assert linked > 2 * single
    assert any(node.distractors for each in made for node in each.root.walk())


def test_prompts_render_to_what_was_meant(made: list[Hierarchy]) -> None:
    seen = 0
    for each in made:
        for node in each.root.walk():
            prompt = Prompt(node.prompt)
            if compile_prompt(prompt) is not None:
                text = render(prompt, "task", {})
                assert "{{ products }}" in text
                seen += 1
    assert seen


def test_servers_with_tools_of_one_name_get_prefixes(made: list[Hierarchy]) -> None:
    both = [each for each in made if each.prefixed]
    assert both
    for each in both:
        assert each.prefixed == ["notes", "shop"]


def test_forms_of_trees_do_not_mind_the_order_of_children() -> None:
    counts: collections.Counter[str] = collections.Counter()
    for seed in range(60):
        root = grow_shape(stream(seed, "z"), 0.4, 12)
        form = canonical(root, lambda node: node.role)
        for node in root.walk():
            node.children.reverse()
        assert canonical(root, lambda node: node.role) == form
        counts[canonical(root)] += 1
    assert len(counts) > 30


def test_a_signature_minds_the_tools(maker: Maker) -> None:
    one, other = maker.make(3), maker.make(3)
    assert signature_of(one.root, maker.graph) == signature_of(other.root, maker.graph)
    leaf = next(node for node in other.root.walk() if node.tools)
    leaf.tools = [place for place in range(12) if place not in leaf.tools]
    assert signature_of(one.root, maker.graph) != signature_of(other.root, maker.graph)


def _rename(root: Node, leaf: Node) -> None:
    root.children[0].name = root.children[1].name


def _describe(root: Node, leaf: Node) -> None:
    root.children[0].description = root.children[1].description


def _lose(root: Node, leaf: Node) -> None:
    for node in root.walk():
        node.tools = [place for place in node.tools if place != root.scope[0]]


def _limit(root: Node, leaf: Node) -> None:
    root.limits = Limits(steps=1)


def _prompt(text: str) -> Callable[[Node, Node], None]:
    def change(root: Node, leaf: Node) -> None:
        leaf.prompt += text

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root, leaf: leaf.children.append(root), "a cycle"),
        (lambda root, leaf: root.children.append(root.children[0]), "a cycle"),
        (_rename, "two agents are called"),
        (_describe, "described alike (1.00"),
        (lambda root, leaf: leaf.tools.append(99), "no tool 99"),
        (_lose, "no agent can call"),
        (lambda root, leaf: leaf.tools.clear(), "has nothing to work with"),
        (_prompt("{{ secret }}"), "is a template"),
        (_prompt("{% if %}"), "does not parse"),
        (_limit, "1 steps do not reach"),
    ],
)
def test_what_is_wrong_is_refused(
    maker: Maker, change: Callable[[Node, Node], None], message: str
) -> None:
    whole = (maker.make(index) for index in range(99))
    each = next(it for it in whole if it.root.size() > 6 and not faults(it, maker.graph))
    change(each.root, next(node for node in each.root.leaves() if node.tools))
    assert any(message in fault for fault in faults(each, maker.graph))


def test_a_server_that_is_not_started_is_refused(maker: Maker) -> None:
    each = maker.make(1)
    each.servers = []
    assert any("is not started" in fault for fault in faults(each, maker.graph))


def test_a_tool_and_an_agent_of_one_name_are_refused(maker: Maker) -> None:
    each = next(it for it in map(maker.make, range(99)) if it.root.size() > 6 and not it.prefixed)
    each.root.tools = list(each.root.scope)
    each.root.children[0].name = maker.graph.facts[each.root.scope[0]].tool.name
    assert any("is a tool and an agent" in fault for fault in faults(each, maker.graph))
