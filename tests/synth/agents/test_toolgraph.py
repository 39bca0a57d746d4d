"""The tool graph, its communities, and matching."""

import random

from hypothesis import given, strategies as st

from nexau.synth.agents.catalog import Catalog
from nexau.synth.agents.communities import louvain, modularity
from nexau.synth.agents.matching import Matcher
from nexau.synth.agents.toolfacts import facts_of, slots
from nexau.synth.agents.toolgraph import ToolGraph


def named(catalog: Catalog, name: str) -> int:
    return next(place for place, tool in enumerate(catalog.tools) if tool.name == name)


def test_results_lead_to_the_tools_that_take_them(catalog: Catalog) -> None:
    graph = ToolGraph(catalog.tools)
    found, orders = named(catalog, "find_customers"), named(catalog, "list_orders")
    flows = graph.flows([found, orders, named(catalog, "get_order")])
    assert any((edge.source, edge.target) == (found, orders) for edge in flows)
    assert all(edge.kind == "result" for edge in flows)
    assert not any(edge.source == edge.target for edge in graph.edges)


def test_output_schemas_count_more_than_names(catalog: Catalog) -> None:
    given = {"type": "object", "properties": {"receipt": {"type": "string"}}}
    taken = {"type": "object", "properties": {"receipt": {"type": "string"}}}
    maker = type(catalog.tools[0])
    tools = (
        maker("x", "pay", {"type": "object"}, output=given),
        maker("x", "file_away", taken),
        maker("x", "sing", {"type": "object", "properties": {"song": {"type": "string"}}}),
    )
    edges = [edge for edge in ToolGraph(tools).edges if edge.kind == "result"]
    assert [(edge.source, edge.target, edge.taken) for edge in edges] == [(0, 1, "receipt")]


def test_paging_ties_nothing_together(catalog: Catalog) -> None:
    maker = type(catalog.tools[0])
    schema = {"type": "object", "properties": {"limit": {"type": "integer"}}}
    tools = (maker("a", "list_boats", schema), maker("b", "count_stars", schema))
    assert not ToolGraph(tools).edges


def test_schemas_are_read_through_references_and_choices() -> None:
    schema = {
        "properties": {
            "who": {"$ref": "#/$defs/Person"},
            "when": {"anyOf": [{"type": "null"}, {"type": "string", "description": "a day"}]},
        },
        "required": ["who"],
        "$defs": {"Person": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    found = {slot.name: slot for slot in slots(schema)}
    assert (found["who"].type, found["who"].required) == ("object", True)
    assert found["name"].type == "string"
    assert (found["when"].type, found["when"].text) == ("string", "a day")
    loop = {"properties": {"a": {"$ref": "#/properties/a"}}}
    assert [slot.type for slot in slots(loop)] == ["any"]


def test_what_a_tool_does_is_read_from_hints_then_from_its_name(catalog: Catalog) -> None:
    assert facts_of(catalog.tools[named(catalog, "cancel_order")]).does == "writes"
    maker = type(catalog.tools[0])
    bare = facts_of(maker("git", "git_diff_staged", {}))
    assert (bare.verb, bare.subject, bare.does) == ("diff", ("staged",), "reads")


def test_a_walk_is_connected(catalog: Catalog) -> None:
    graph = ToolGraph(catalog.tools)
    for seed in range(30):
        found = graph.walk(random.Random(seed), seed % len(graph), 5, range(len(graph)))
        assert len(found) == len(set(found))
        assert graph.connected(found)
    assert not graph.connected([named(catalog, "tag[draft]"), named(catalog, "issue_refund")])


def cliques(count: int, size: int) -> list[dict[int, float]]:
    links: list[dict[int, float]] = [{} for _ in range(count * size)]

    def tie(one: int, other: int, weight: float) -> None:
        links[one][other] = links[other][one] = weight

    for clique in range(count):
        members = range(clique * size, (clique + 1) * size)
        for one in members:
            for other in members:
                if one < other:
                    tie(one, other, 1.0)
        tie(clique * size, ((clique + 1) % count) * size, 0.1)
    return links


def test_louvain_finds_planted_communities() -> None:
    groups = louvain(cliques(8, 5))
    assert groups == [clique for clique in range(8) for _ in range(5)]
    assert louvain([{}, {}]) == [0, 1]
    assert louvain([]) == []


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11), st.floats(0.1, 5)), max_size=40))
def test_louvain_is_no_worse_than_each_on_its_own(edges: list[tuple[int, int, float]]) -> None:
    links: list[dict[int, float]] = [{} for _ in range(12)]
    for one, other, weight in edges:
        if one != other:
            links[one][other] = links[other][one] = weight
    groups = louvain(links)
    assert modularity(links, groups) >= modularity(links, list(range(12))) - 1e-9
    # Nodes of a community hang together.
    for node, neighbours in enumerate(links):
        if groups.count(groups[node]) > 1:
            assert any(groups[other] == groups[node] for other in neighbours)


def test_matching_goes_by_words_and_by_what_they_stand_for(catalog: Catalog) -> None:
    matcher = Matcher(ToolGraph(catalog.tools).facts)
    best = [catalog.tools[match.tool].name for match in matcher.rank("pay a refund on an order")]
    assert best[0] == "issue_refund"
    assert sorted(best) == sorted(tool.name for tool in catalog.tools)
    # No word in common: reimburse stands for money, as refund does.
    assert catalog.tools[matcher.rank("reimburse")[0].tool].name == "issue_refund"


def test_an_embedder_ranks_alone(catalog: Catalog) -> None:
    class Lengths:
        def embed(self, texts: list[str]) -> list[list[float]]:
            return [[1.0, 0.0] if "delete" in text.lower() else [0.0, 1.0] for text in texts]

    matcher = Matcher(ToolGraph(catalog.tools).facts, Lengths())  # type: ignore[arg-type]
    assert catalog.tools[matcher.rank("Delete it")[0].tool].name == "delete_note"
