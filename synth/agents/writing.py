"""The built-in writer: names, descriptions and prompts from a grammar over the tools' own words.

It is the lesser one; with a model configured, `nexau.synth.agents.written` takes its place.
"""

import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from nexau.synth.agents import phrases
from nexau.synth.agents.hierarchy import WORKERS, Hierarchy, Node
from nexau.synth.agents.toolgraph import ToolGraph
from nexau.synth.similarity import cosine, raw_words, stem, vector

CONFUSED = 0.9
"""Similarity from which siblings' descriptions are taken for the same (acceptance refuses it)."""
TRIES = 6
MAX_NAME = 40
_MARK = re.compile(r"\{(?=[{%#])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


@lru_cache(maxsize=4096)
def described(text: str) -> Mapping[str, float]:
    """The vector of a description, by which siblings are told apart: the stems of all its words."""
    return vector(text, _stems)


def _stems(text: str) -> list[str]:
    return [stem(word) for word in raw_words(text)]


@lru_cache(maxsize=16384)
def alike(one: str, other: str) -> float:
    """How easily two siblings are taken for each other, by their descriptions, 0 to 1."""
    return cosine(described(one), described(other))


class Context(Struct):
    """What the texts of one hierarchy go by."""

    chance: random.Random
    graph: ToolGraph
    specification: str
    names: dict[int, str]
    """What the agents call the tools."""
    taken: set[str]
    """Names of agents so far."""


def write_texts(
    chance: random.Random, hierarchy: Hierarchy, graph: ToolGraph, specification: str
) -> None:
    """Fills in the names, descriptions and prompts of all agents."""
    names = tool_names(hierarchy, graph)
    context = Context(chance, graph, one_line(specification), names, set(names.values()))
    _name(context, hierarchy.root, None)
    _describe(context, hierarchy.root, None, 0)
    _prompt(context, hierarchy.root, None, 0)


def tool_names(hierarchy: Hierarchy, graph: ToolGraph) -> dict[int, str]:
    """What agents call each tool: its own name, or `SERVER_name` where servers clash."""
    found: dict[int, str] = {}
    for node in hierarchy.root.walk():
        for place in (*node.tools, *node.distractors):
            tool = graph.facts[place].tool
            prefix = f"{tool.server}_" if tool.server in hierarchy.prefixed else ""
            found[place] = prefix + tool.name
    return found


@lru_cache(maxsize=4096)
def one_line(text: str) -> str:
    """Text from outside as one line that no template and no YAML parser minds."""
    return literal(" ".join(_CONTROL.sub(" ", text).split()))


def literal(text: str) -> str:
    """`text` as a jinja2 template that renders to it."""
    return _MARK.sub("{{ '{' }}", text) if "{" in text else text


def _name(context: Context, node: Node, parent: Node | None) -> None:
    """`order_specialist`: what it is about, and what it is. No two alike, no tool's."""
    chance = context.chance
    focus = _subjects(context, node.tools if node.tools and not node.children else node.scope)
    titles = phrases.TITLES[node.role]
    name = ""
    for attempt in range(60):
        title = chance.choice(titles)
        words = focus[: 1 + (attempt > 8) + (attempt > 24)] if focus else []
        if len(focus) > 2 and attempt % 3 == 2:
            words = chance.sample(focus, 2)
        name = "_".join([*words, title])[:MAX_NAME].strip("_")
        if attempt > 40:
            name = f"{name[: MAX_NAME - 3]}_{attempt - 39}"
        if name not in context.taken:
            break
    context.taken.add(name)
    node.name = name
    node.title = f"the {name.replace('_', ' ')}"
    for child in node.children:
        _name(context, child, node)


def _subjects(context: Context, tools: Sequence[int]) -> list[str]:
    """The nouns of tools' names, the commonest first; of tools without one, their verbs."""
    nouns, draw = context.graph.nouns, context.chance.random
    counts: dict[str, float] = {}
    for place in tools:
        for word in nouns[place]:
            counts[word] = counts.get(word, 0.0) + 1
    # Equals are in an order of this hierarchy's own.
    order = sorted((-count - 0.9 * draw(), word) for word, count in counts.items())
    return [word for _, word in order]


def _focus(context: Context, tools: Sequence[int], most: int = 3) -> str:
    """`orders, refunds and customers`."""
    return joined([f"{word}s" if word[-1] not in "sy" else word
                   for word in _subjects(context, tools)[:most]]) or "the task"  # fmt: skip


def joined(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _able(context: Context, tools: Sequence[int], most: int = 3) -> str:
    """`find customers, issue refund`: from the tools' names."""
    parts = []
    for place in tools[:most]:
        facts = context.graph.facts[place]
        parts.append(f"{facts.verb} {_article(facts.subject)}".strip())
    return joined(list(dict.fromkeys(parts))) or "answer from what it is told"


def _article(subject: Sequence[str]) -> str:
    """`a text file`; plurals and what is told by an adjective alone stay as they are."""
    text = " ".join(subject)
    if not subject or text.endswith(("s", "ed", "ing")) or not text.isascii():
        return text
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def _describe(context: Context, node: Node, parent: Node | None, place: int) -> None:
    """As different from its siblings as the grammar allows."""
    older = [sibling.description for sibling in parent.children[:place]] if parent else []
    best, least = "", 2.0
    for attempt in range(TRIES):
        text = _description(context, node, place, longer=attempt > 2)
        most = max((alike(other, text) for other in older), default=0.0)
        if most < least:
            best, least = text, most
        if least < CONFUSED - 0.05:
            break
    node.description = best
    for number, child in enumerate(node.children):
        _describe(context, child, node, number)


def _description(context: Context, node: Node, place: int, *, longer: bool) -> str:
    chance = context.chance
    tools = node.tools if node.tools and not node.children else node.scope
    shown = chance.sample(tools, len(tools)) if len(tools) > 1 else list(tools)
    able = _able(context, shown, 5 if longer else 3)
    stance = phrases.STANCES[place % len(phrases.STANCES)][0]
    doing = f"can {able}"
    text = chance.choice(phrases.SUMMARIES[node.role]).format(
        focus=_focus(context, shown, 4 if longer else 3),
        able=able,
        doing=doing,
        Doing=doing[0].upper() + doing[1:],
        number=place + 1,
        stance=stance,
        Stance=stance[0].upper() + stance[1:],
    )
    if longer and shown:
        said = first_sentence(context.graph.facts[shown[0]].tool.description)
        text = f"{text} {said}" if said else text
    return text


@lru_cache(maxsize=4096)
def first_sentence(text: str, most: int = 160) -> str:
    line = one_line(text[:600])
    found = re.match(r".{12,}?[.!?](?=\s|$)", line)
    line = found[0] if found else line
    if len(line) <= most:
        return line
    return line[:most].rsplit(" ", 1)[0].rstrip(",;:(") + " ..."


def _prompt(context: Context, node: Node, parent: Node | None, place: int) -> None:
    chance = context.chance
    parts = [_opening(context, node, parent)]
    body = [_tools(context, node), _flows(context, node)]
    if node.children:
        body = (
            [_below(context, node), *body]
            if chance.random() < 0.7
            else [*body, _below(context, node)]
        )
    parts += [part for part in body if part]
    duty = _duty(context, node, parent, place)
    if duty:
        parts.insert(1, duty)
    parts.append(_rules(context, node))
    node.prompt = "\n\n".join(part for part in parts if part) + "\n"
    for number, child in enumerate(node.children):
        _prompt(context, child, node, number)


def _opening(context: Context, node: Node, parent: Node | None) -> str:
    chance = context.chance
    place = "the one whom the user asks" if parent is None else f"working for {parent.title}"
    lines = [
        chance.choice(phrases.IDENTITY).format(
            title=node.title, place=place, focus=_focus(context, node.scope)
        )
    ]
    if parent is not None:
        said = chance.choice(phrases.HANDED).format(parent=parent.title)
        lines.append(said[0].upper() + said[1:])
    purpose = chance.choice(phrases.PURPOSE).format(spec=context.specification)
    if not purpose.endswith((".", "!", "?")):
        purpose += "."
    lines.insert(chance.randint(0, 1) if parent is None else 1, purpose)
    return " ".join(lines)


def _duty(context: Context, node: Node, parent: Node | None, place: int) -> str:
    if node.role == "debater":
        return phrases.STANCES[place % len(phrases.STANCES)][1]
    if node.role in phrases.DUTIES:
        return context.chance.choice(phrases.DUTIES[node.role])
    if node.role == "stage" and parent is not None:
        after = parent.children[place - 1].title if place else "the task as it came in"
        before = parent.children[place + 1].title if place + 1 < len(parent.children) else "the end"
        return (
            f"You are step {place + 1} of {len(parent.children)}: after {after}, before {before}."
        )
    return ""


def _tools(context: Context, node: Node) -> str:
    if not node.tools:
        return ""
    chance, graph = context.chance, context.graph
    lines = [chance.choice(phrases.TOOLS_INTRO)]
    for tool in chance.sample(node.tools, len(node.tools)):
        said = first_sentence(graph.facts[tool].tool.description)
        name = literal(context.names[tool])
        lines.append(f"- `{name}`: {said}" if said else f"- `{name}`")
    if node.distractors:
        names = joined([f"`{literal(context.names[tool])}`" for tool in node.distractors])
        lines.append(chance.choice(phrases.DISTRACTORS_INTRO).format(names=names))
    return "\n".join(lines)


def _flows(context: Context, node: Node) -> str:
    """What the agent's own tools give to each other, as the graph has it."""
    found = context.graph.flows(node.tools)
    if not found:
        return ""
    chance = context.chance
    lines: list[str] = []
    targets: set[int] = set()
    for edge in found:
        if edge.target in targets or len(lines) >= 4:
            continue
        targets.add(edge.target)
        lines.append(
            "- " + chance.choice(phrases.FLOW).format(
                source=literal(context.names[edge.source]),
                target=literal(context.names[edge.target]),
                given=literal(edge.taken.replace("_", " ")),
            )
        )  # fmt: skip
    return "\n".join([chance.choice(phrases.FLOWS_INTRO), *lines])


def _below(context: Context, node: Node) -> str:
    assert node.topology is not None
    lines = [context.chance.choice(phrases.PROTOCOLS[node.topology])]
    lines += [f"- `{child.name}`: {child.description}" for child in node.children]
    return "\n".join(lines)


def _rules(context: Context, node: Node) -> str:
    chance, graph = context.chance, context.graph
    rules: list[str] = list(chance.sample(phrases.MANNERS, chance.randint(1, 3)))
    writing = [tool for tool in node.tools if graph.facts[tool].does == "writes"]
    if writing:
        names = joined([f"`{literal(context.names[tool])}`" for tool in writing[:4]])
        rules.append(chance.choice(phrases.WRITES).format(names=names))
    elif node.tools:
        rules.append(chance.choice(phrases.READS))
    if node.tools:
        rules.append(chance.choice(phrases.ERRORS))
        rules.append(chance.choice(phrases.IDENTIFIERS))
    chance.shuffle(rules)
    rules.append(chance.choice(phrases.OUTPUTS))
    if node.role in WORKERS or chance.random() < 0.5:
        return "\n".join(f"- {rule}" for rule in rules)
    return " ".join(rules)
