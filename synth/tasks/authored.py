"""Requests that a model writes: for drafts that were executed and accepted, held to their values.

The plan, the check and the values are there before the model is asked, and nothing that it writes
can change them. Its words are checked like the grammar's, sent back with what is wrong at most
three times, and given up then: the grammar's stay, or the task is refused.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec

from nexau.definitions.values import OpenAIModel
from nexau.runtime import Runtime
from nexau.synth.authoring import Written, author, write
from nexau.synth.streams import seed_of
from nexau.synth.tasks.acceptance import names_a_tool
from nexau.synth.tasks.building import needed_for
from nexau.synth.tasks.generate import Generator, Made
from nexau.synth.tasks.growth import Growth
from nexau.synth.tasks.nouns import shown
from nexau.synth.tasks.structs import Draft, Given
from nexau.synth.tasks.telling import Story, Words, leaked, missing
from nexau.synth.tasks.workshop import Workshop

SHORTEST, LONGEST = 12, 2_000
"""Characters of a message."""
_SEED = 2**31
GUIDE = """\
You write what a user says to an assistant. You are given a draft in stiff English, made by a
grammar, and you say the same as the persona would: naturally, in their voice, in English.
- Every value under "values" stands in your text exactly as it is given, ids and dates included.
- Say nothing that is not in the draft, and leave nothing out: the same things are asked, in the
  same order, of the same records.
- Never name or hint at a tool, a function, a table or a field's technical name; do not say how it
  is to be done.
- Do not state or guess the answer.
Write one JSON object and nothing else."""


class Unreached(ConnectionError):
    """The model does not answer at all."""


class TaskAuthor:
    """Makes tasks in a model's words, as a `Workshop` makes them in the grammar's."""

    def __init__(
        self, workshop: Workshop, model: OpenAIModel, *, kept: Path | None, strict: bool
    ) -> None:
        """What the author did is appended to `kept`, a trajectory a line. `strict` refuses tasks
        that the model cannot word; otherwise they keep the grammar's words.
        """
        self._workshop = workshop
        self._generator: Generator = workshop.generator
        self._runtime: Runtime = workshop.runtime
        self._agent = author(model, GUIDE)
        self._writer = f"model {model.name}"
        self._kept = kept
        self._strict = strict
        self._growth = Growth(workshop.generator, workshop.runtime, model, kept)

    async def make(self, first: int, end: int) -> list[Made]:
        """What became of the numbers from `first` to before `end`. Raises `Unreached`."""
        for number in range(first, end):
            self._keep(await self._growth.before(number))
        made: dict[int, Made] = {}
        unreached: list[Unreached] = []

        async def one(number: int) -> None:
            try:
                made[number] = await self._make(number)
            except Unreached as error:
                unreached.append(error)

        async with anyio.create_task_group() as tasks:
            for number in range(first, end):
                tasks.start_soon(one, number)
        if unreached:
            raise unreached[0]
        return await self._workshop.proved([made[number] for number in sorted(made)])

    async def _make(self, number: int) -> Made:
        """Raises `Unreached`."""
        story, refused = await self._generator.story(number)
        if story is None:
            return Made(number, None, refused)
        done = await self._ask(story)
        self._keep([done])
        if done.value is None:
            if not done.reached:
                raise Unreached(f"the model that writes cannot be had: {done.problems[0]}")
            why = f"the model's words: {_kind(done.problems[0])}"
            if self._strict:
                return Made(number, None, {**refused, why: 1})
            task = self._generator.tell(story, story.words)
            return Made(number, task, refused, story.verdict, unwritten=why)
        words = words_of(story, done.value)
        task = self._generator.tell(story, words, self._writer)
        return Made(number, task, refused, story.verdict)

    async def _ask(self, story: Story) -> Written:
        return await write(
            self._runtime,
            self._agent,
            asked_of(story, self._generator.situations.get(story.leaf, "")),
            lambda value: faults(self._generator, story, value),
            name=f"task-{story.number:05}",
            seed=seed_of(self._generator.settings.seed, "words", story.number) % _SEED,
        )

    def _keep(self, done: Sequence[Written]) -> None:
        if self._kept is None:
            return
        lines = [msgspec.json.encode(each) + b"\n" for one in done for each in one.trajectories]
        if lines:
            with self._kept.open("ab") as file:
                file.writelines(lines)


def asked_of(story: Story, situation: str) -> str:
    """What the model is told of a story."""
    told: dict[str, Any] = {"persona": story.who.text}
    if situation:
        told["situation"] = situation
    told["draft"] = list(story.words.parts) if _in_parts(story) else story.words.text
    told["values"] = values_of(story.draft)
    if _in_parts(story):
        count = len(story.words.parts)
        want = f'{{"parts": [{count} messages, one for each of the draft, in their order]}}'
        more = "Each message is sent after the assistant has dealt with the one before."
    elif story.shape == "fuzzy":
        want = '{"request": "...", "vague": "..."}'
        more = (
            '"vague" asks for the same with requirements left implicit, as busy people write: ids,'
            " names, e-mail addresses and quoted texts stay, the rest may be told indirectly."
        )
    elif story.shape == "staged":
        want = '{"opening": "...", "request": "..."}'
        more = (
            '"opening" comes first and says what the matter is about, with none of the values; the'
            ' assistant asks what exactly is needed, and "request" says all of it.'
        )
    else:
        want, more = '{"request": "..."}', ""
    data = msgspec.json.format(msgspec.json.encode(told)).decode()
    return f"Task {story.number}.\n\n{data}\n\nWrite {want}. {more}".rstrip()


def _in_parts(story: Story) -> bool:
    return story.shape == "conversation"


def values_of(draft: Draft) -> list[str]:
    """What the request has to say word for word."""
    found = [
        shown(value)
        for step in draft.steps
        for argument in step.arguments.values()
        if isinstance(argument, Given)
        for value in (argument.value if isinstance(argument.value, list) else [argument.value])
    ]
    return list(dict.fromkeys(found))


def words_of(story: Story, value: dict[str, Any]) -> Words:
    """An answer that has no faults."""
    if _in_parts(story):
        parts = tuple(part.strip() for part in value["parts"])
        return Words(parts, " ".join(parts))
    text = value["request"].strip()
    vague, opening = (str(value.get(key, "")).strip() for key in ("vague", "opening"))
    return Words(story.words.parts, text, vague, opening)


def faults(generator: Generator, story: Story, value: Any) -> list[str]:
    """What is wrong with an answer, for the model to mend."""
    if _in_parts(story):
        wanted = len(story.words.parts)
        parts = value.get("parts") if isinstance(value, dict) else None
        if not isinstance(parts, list) or not all(isinstance(each, str) for each in parts):
            return ['"parts": expected a list of texts']
        if len(parts) != wanted:
            return [f'"parts": expected {wanted} messages, got {len(parts)}']
        return _faults_of_parts(generator, story, parts)
    for key in ("request", *_BESIDE.get(story.shape, ())):
        if not isinstance(value, dict) or not isinstance(value.get(key), str):
            return [f'"{key}": expected a text']
    found = _faults_of_text(generator, story.draft, "request", value["request"])
    found += [
        f'"request": lacks the value {each}' for each in missing(story.draft, value["request"])
    ]
    if story.shape == "fuzzy":
        vague = value["vague"]
        found += _faults_of_text(generator, story.draft, "vague", vague)
        lacking = [each for each in missing(story.draft, vague) if _is_name(each)]
        found += [f'"vague": lacks the value {each}' for each in lacking]
    if story.shape == "staged":
        opening = value["opening"]
        found += _faults_of_text(generator, story.draft, "opening", opening)
        early = set(values_of(story.draft)) - set(map(shown, missing(story.draft, opening)))
        found += [f'"opening": holds the value {each}' for each in sorted(early) if _is_name(each)]
    return found


_BESIDE = {"fuzzy": ("vague",), "staged": ("opening",)}
"""Texts beside the request, by shape."""


def _faults_of_parts(generator: Generator, story: Story, parts: list[str]) -> list[str]:
    found: list[str] = []
    for index, part in enumerate(parts):
        found += _faults_of_text(generator, story.draft, f"parts[{index}]", part)
        steps = needed_for(story.draft, story.draft.goals[: index + 1])
        so_far = Draft([step for step in story.draft.steps if step.id in steps], [])
        lacking = missing(so_far, " ".join(parts[: index + 1]))
        found += [f'"parts[{index}]": lacks the value {each}' for each in lacking]
    return found


def _faults_of_text(generator: Generator, draft: Draft, key: str, text: str) -> list[str]:
    found: list[str] = []
    if not SHORTEST <= len(text.strip()) <= LONGEST:
        found.append(f'"{key}": expected {SHORTEST} to {LONGEST:,} characters, got {len(text)}')
    used = frozenset(step.tool.shown for step in draft.steps)
    tool = names_a_tool(text, generator.sources.tools, used)
    if tool is not None:
        found.append(f'"{key}": gives away the tool {tool}')
    found += [f'"{key}": holds the answer {each}' for each in leaked(draft, text)]
    return found


def _is_name(value: Any) -> bool:
    """Whether nothing but the value itself can tell it: an id, an address, a text to be quoted."""
    text = str(value)
    mixed = any(mark.isdigit() for mark in text) and any(mark.isalpha() for mark in text)
    return mixed or "@" in text or " " in text


def _kind(problem: str) -> str:
    """A reason that is the same for the same kind of fault."""
    _, colon, rest = problem.partition('": ')
    text = rest if colon else problem
    for start in ("lacks the value", "gives away the tool", "holds the answer", "the model failed"):
        if text.startswith(start):
            return start
    return text.partition(":")[0][:80]
