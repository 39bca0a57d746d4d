"""A generated file holds what it may hold, and nothing else."""

from pathlib import Path

import pytest

from nexau.definitions.values import Server
from nexau.synth.agents.candidates import Maker
from nexau.synth.agents.catalog import Catalog
from nexau.synth.agents.drafts import Finisher
from nexau.synth.agents.vetting import vet

GOOD = """
name: boss
model: plan
system_prompt: You lead. {{ '{' }}% is only text.
tools: [{mcp: shop, include: [get_order]}, {mcp: notes, include: ["tag[[]draft]"]}]
agents:
  - name: clerk
    description: Reads.
    tools: [{mcp: shop, include: [search], prefix: shop_}]
mcp_servers:
  shop: {command: "{python}", args: [shop.py]}
  notes: {command: "{python}", args: [notes.py]}
"""


def servers(catalog: Catalog) -> dict[str, Server]:
    return {name: each.start for name, each in catalog.servers.items()}


def found(tmp_path: Path, catalog: Catalog, text: str) -> str:
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    return "\n".join(map(str, vet(path, catalog, servers(catalog))))


def test_what_the_grammar_writes_passes(tmp_path: Path, catalog: Catalog, maker: Maker) -> None:
    finisher = Finisher(maker, servers(catalog), "plan")
    for index in range(40):
        path = tmp_path / f"{index}.yaml"
        path.write_bytes(finisher.draft(index).yaml)
        assert vet(path, catalog, servers(catalog)) == []
    assert found(tmp_path, catalog, GOOD) == ""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{mcp: shop, include: [search], prefix: shop_}", "'os:system'", "may not bind Python"),
        ("{mcp: shop, include: [search], prefix: shop_}", "{python: 'os:system'}", "bind Python"),
        ("model: plan", "model: script:turns.yaml", "model: not the model that was allowed"),
        (
            "model: plan",
            "model: {kind: openai, name: x, base_url: 'http://thief'}",
            "not the model",
        ),
        ("    description: Reads.", "    model: openai:x", "agents[0].model: not the model"),
        ("You lead.", "Do {{ task }}.", "is no template"),
        ("You lead.", "See {% include 'x' %}.", "is no template"),
        ("You lead. {{ '{' }}% is only text.", "{file: /etc/passwd}", "may not name other files"),
        ("include: [get_order]", "include: ['*']", "no tool '*' of shop"),
        ("include: [get_order]", "include: ['get_*']", "no tool 'get_*' of shop"),
        ("include: [get_order]", "include: [get_ordr]", "did you mean 'get_order'?"),
        (", include: [get_order]", "", "no tool '*' of shop"),
        ("tag[[]draft]", "tag[draft]", "no tool 'tag[draft]'"),
        ("mcp: notes", "mcp: note", "no server 'note' in the catalog; did you mean 'notes'?"),
        ("args: [shop.py]", "args: [-c, 'import os']", "mcp_servers.shop: not started as"),
        ('shop: {command: "{python}"', "shop: {command: sh", "not started as the catalog says"),
        ("args: [shop.py]", "args: [shop.py], env: {LD_PRELOAD: x}", "not started as"),
        ("  notes: {command", "  extra: {command: sh}\n  notes: {command", "no server 'extra'"),
        ("  - name: clerk", "  - ../../secret.yaml\n  - name: clerk", "may not name other files"),
        ("  - name: clerk", "  - {path: x.yaml}\n  - name: clerk", "may not name other files"),
        (
            "    description: Reads.",
            "    mcp_servers: {own: {command: sh}}",
            "agents[0].mcp_servers",
        ),
        ("    description: Reads.", "    hooks: [x]", "unknown key 'hooks'"),
    ],
)
def test_what_it_may_not_hold(
    tmp_path: Path, catalog: Catalog, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    assert message in found(tmp_path, catalog, GOOD.replace(old, new, 1))
