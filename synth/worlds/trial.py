"""Worlds and tasks tried out: what only running them can tell."""

from collections.abc import Sequence

from nexau.definition import Task
from nexau.synth.worlds.checks import compile_check
from nexau.synth.worlds.compiled import World
from nexau.synth.worlds.evaluate import evaluate
from nexau.synth.worlds.play import play
from nexau.synth.worlds.state import Template

LOST = 0.1
"""The share of an entity's seeded rows that may break constraints."""


def try_world(world: World) -> list[str]:
    """What is wrong with a world beyond its file: seeded rows that break its own constraints."""
    template = Template(world)
    try:
        return lost_rows(template)
    finally:
        template.close()


def lost_rows(template: Template) -> list[str]:
    return [
        f"entities.{each.entity}: {each.dropped} of {each.made} seeded rows break a constraint"
        for each in template.dropped
        if each.dropped > LOST * each.made
    ]


def try_tasks(world: World, tasks: Sequence[Task]) -> list[str]:
    """Tasks whose plan does not pass their check, or that pass it when nothing is done."""
    template = Template(world)
    try:
        return [f"task {task.id}: {fault}" for task in tasks for fault in try_task(template, task)]
    finally:
        template.close()


def try_task(template: Template, task: Task) -> list[str]:
    """What is wrong with one task; nothing for one without a check."""
    if task.check is None:
        return []
    check = compile_check(template.world, task.check)
    before, after = template.state(), template.state()
    try:
        faults: list[str] = []
        if evaluate(check, before, after, "").passed:
            faults.append("the check passes when nothing is done")
        if task.plan is None:
            return faults
        played = play(after, task.plan)
        if played.stuck:
            faults.append(f"the plan cannot go on: {played.stuck}")
        outcome = evaluate(check, before, after, played.answer)
        return faults + [f"the plan fails its check: {each}" for each in outcome.failures()]
    finally:
        before.close()
        after.close()
