"""Why a call fails, as a code for programs and a sentence for people."""

import sqlite3

from nexau.synth.worlds.compiled import Body, World


class Refusal(Exception):
    """A call that fails: `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refusal_of(world: World, body: Body, error: sqlite3.Error) -> Refusal:
    """SQLite's words for a constraint, a bound or arithmetic, as a code and a sentence."""
    said = str(error)
    kind, _, where = said.partition(" constraint failed")
    where = where.removeprefix(": ")
    if kind == "CHECK":
        for step in body.effects:
            message = world.entities[step.entity].errors.get(where)
            if message:
                return Refusal(where, message)
        return Refusal(where, f"{where.removeprefix('invalid_')}: the value is not allowed")
    if kind == "UNIQUE":
        entity = where.partition(".")[0]
        fields = " and ".join(each.rpartition(".")[2] for each in where.split(", "))
        return Refusal("duplicate", f"there is already a {entity} with this {fields}")
    if kind == "NOT NULL":
        return Refusal("missing_value", f"{where} cannot be empty")
    if kind == "FOREIGN KEY":
        return Refusal("in_use", "other rows refer to it, or it refers to a row that is not there")
    if said == "interrupted":
        return Refusal("too_slow", "the call takes too long; narrow it down")
    if "too big" in said:
        return Refusal("too_large", "a value is too long")
    return Refusal("cannot_compute", f"the values cannot be computed: {said}")
