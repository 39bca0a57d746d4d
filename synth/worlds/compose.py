"""Worlds without a model: composed by a grammar from the words of a specification and a broad
ontology. A pure function of the specification, the seed and the number of the candidate.
"""

import random
from typing import Any

import msgspec

from nexau.synth.streams import stream
from nexau.synth.worlds.composechanges import Changes
from nexau.synth.worlds.composereads import Reads, plural
from nexau.synth.worlds.composewrites import Writes
from nexau.synth.worlds.ontology import Domain, domains, known_words, matching, words_of
from nexau.synth.worlds.outline import Form, Outline, outline

LEAST_TOOLS = 12
MOST_TOOLS = 24


def compose(specification: str, seed: int, index: int) -> Form:
    """A world as a plain value, in the keys of a world file."""
    rng = stream(seed, "compose", specification, index)
    found = matching(specification)
    name = _domain(found, rng)
    domain = _joined(domains()[name], found, name, rng)
    given = words_of(specification)
    extra = [word for word in dict.fromkeys(given) if word not in known_words() and len(word) > 3][
        :3
    ]
    drawn = outline(domain, rng, extra)
    tools = _tools(drawn, rng, frozenset(given))
    world: Form = {
        "world": f"{name.replace('_', '-')}-{index:05}",
        "description": _description(specification, name, drawn),
        "today": f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        "seed": rng.randrange(1_000_000),
        "tags": [name],
        "entities": {noun.name: noun.form() for noun in drawn.nouns.values()},
        "tools": tools,
        "profile": _profile(rng, tools),
    }
    if rng.random() < 0.4:
        world["resources"] = _resources(drawn, rng)
    return world


def _domain(found: tuple[tuple[str, float], ...], rng: random.Random) -> str:
    """One that the specification means, the better ones more often; any, where it means none."""
    if not found:
        return rng.choice(sorted(domains()))
    best = found[0][1]
    close = [(name, score) for name, score in found[:3] if score * 2 >= best]
    return rng.choices([name for name, _ in close], [score**2 for _, score in close])[0]


def _joined(
    domain: Domain, found: tuple[tuple[str, float], ...], name: str, rng: random.Random
) -> Domain:
    """With something of another domain, where the specification speaks of that as well."""
    others = [each for each, _ in found[:3] if each != name]
    if not others or rng.random() < 0.3:
        return domain
    other = domains()[rng.choice(others)]
    deal = rng.choice(sorted(other.deal))
    taken = set(domain.nouns())
    assets = [each for each in other.asset if each not in taken][:1]
    deals = {} if deal in taken else {deal: other.deal[deal]}
    return msgspec.structs.replace(
        domain, deal={**domain.deal, **deals}, asset=[*domain.asset, *assets]
    )


def _tools(drawn: Outline, rng: random.Random, hints: frozenset[str]) -> dict[str, Form]:
    reads, writes = Reads(drawn, rng), Writes(drawn, rng, hints)
    tools: dict[str, Form] = dict([*reads.needed(), *writes.needed()])
    more = dict([*reads.more(), *Changes(drawn, rng).more()])
    names = [name for name in more if name not in tools]
    least = max(0, LEAST_TOOLS - len(tools))
    most = max(least, min(len(names), MOST_TOOLS - len(tools)))
    chosen = set(rng.sample(names, min(len(names), rng.randint(least, most))))
    return tools | {name: form for name, form in more.items() if name in chosen}


def _description(specification: str, domain: str, drawn: Outline) -> str:
    deals = ", ".join(plural(noun) for noun in drawn.of("deal"))
    parties = " and ".join(plural(noun) for noun in drawn.of("party"))
    what = " ".join(specification.split())[:300] or domain.replace("_", " ")
    return f"{what.rstrip('.')}: {deals} of {parties}."


def _profile(rng: random.Random, tools: dict[str, Form]) -> Form:
    profile: dict[str, Any] = {
        "latency": {"lognormal": [rng.choice((5, 10, 20, 40)), rng.choice((0.3, 0.5, 0.8))]}
    }
    if rng.random() < 0.3:
        profile["errors"] = {"rate": rng.choice((0.005, 0.01, 0.02))}
    if rng.random() < 0.5:
        slow = rng.choice(sorted(tools))
        latency = {"lognormal": [rng.choice((80, 150, 300)), 0.6]}
        profile["tools"] = {slow: {"latency": latency}}
    return profile


def _resources(drawn: Outline, rng: random.Random) -> Form:
    noun = rng.choice(drawn.of("deal"))
    name = noun.name
    return {
        name: {
            "uri": f"record://{name}/{{{name}_id}}",
            "description": f"One {noun.words}.",
            "parameters": {f"{name}_id": {"ref": name}},
            "row": name,
        }
    }
