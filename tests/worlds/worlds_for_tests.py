"""Small worlds, and the shortest way to one."""

from pathlib import Path

from nexau.synth.worlds.compiled import World
from nexau.synth.worlds.reader import parse_world
from nexau.synth.worlds.state import State, Template

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "worlds").glob("*.yaml"))

LENDING = """
world: lending
description: A small library that lends books.
today: 2026-03-02
entities:
  member:
    rows: 8
    fields:
      id: {make: {sequence: "M-{n}", start: 100}}
      name: {make: full_name}
      level: {values: [child, adult], make: {choice: {child: 1, adult: 3}}}
      fines: {type: integer, min: 0, make: {choice: [0, 0, 0, 250]}}
      blocked: {type: boolean, make: {chance: 0.2}}
      mail: {unique: true, make: email}
  book:
    rows: 20
    fields:
      id: {make: {sequence: 1}}
      title: {unique: true, make: title}
      copies: {type: integer, min: 0, max: 9, make: {between: [1, 3]}}
  loan:
    rows: 10
    fields:
      id: {make: {sequence: 1}}
      book_id: {ref: book}
      member_id: {ref: member}
      lent: {type: date, make: {days: [-30, -1]}}
      due: {type: date, make: {days: [28, 28], after: lent}}
      back: {type: date, optional: true, make: {days: [1, 20], after: lent, missing: 0.5}}
    unique: [[book_id, member_id]]
    constraints:
      - {check: due >= lent, error: due_before_lent, message: it is due before it is lent}
tools:
  find_books:
    description: Books by part of their title.
    parameters: {query: {optional: true}, ids: {type: integer, list: true, optional: true}}
    find:
      find: book
      where: (query is null or contains(book.title, query)) and (ids is null or book.id in ids)
      select: [id, title]
      page: 5
  get_member:
    description: A member and the loans.
    parameters: {member_id: {ref: member}}
    row: member
    without: [mail]
    result:
      loans: {find: loan, where: loan.member_id == member.id, select: [id, book.title, due]}
      late: exists(loan where loan.member_id == member.id and loan.due < today())
  loans_by_level:
    description: How many loans the levels have.
    find:
      find: loan
      group: {level: loan.member.level}
      select: {loans: count(), last: max(loan.due)}
      order: [loans desc]
  lend:
    description: Lend a book.
    parameters:
      book_id: {ref: book}
      member_id: {ref: member}
      until: {type: date, optional: true}
    let: {due: "coalesce(until, today() + 28)"}
    rules:
      - require: not member.blocked
        error: blocked
        message: "{member.name} is blocked: {member.blocked}"
      - require: book.copies > 0
        error: none_left
        message: no copy of {book.title} is left
    effects:
      - {insert: loan, set: {book_id: book.id, member_id: member.id, lent: today(), due: due}}
      - {update: book, set: {copies: book.copies - 1}}
      - {update: member, when: member.fines > 0, set: {fines: member.fines + 10}}
    result: {loan_id: loan.id, due: loan.due, copies: book.copies}
  forget:
    description: Delete a member's loans that are back.
    parameters: {member_id: {ref: member}}
    effects:
      - {delete: loan, where: loan.member_id == member.id and loan.back is not null}
  remove_member:
    description: Delete a member.
    parameters: {member_id: {ref: member}}
    effects: [{delete: member}]
  lend_all:
    description: Lend a member every book that has copies.
    parameters: {member_id: {ref: member}}
    effects:
      - insert: loan
        each: book
        where: book.copies > 2
        set: {book_id: book.id, member_id: member.id, lent: today(), due: today() + 7}
  find_members:
    description: Members by their name.
    find: {find: member}
resources:
  hours: {uri: "lending://hours", description: When it is open., text: "Open until {9 + 9}."}
  book:
    uri: lending://books/{book_id}
    parameters: {book_id: {ref: book}}
    row: book
prompts:
  remind: {parameters: {member_id: {ref: member}}, text: "Remind {member.name} ({member_id})."}
"""


def world_of(text: str = LENDING) -> World:
    world, problems = parse_world(text.encode(), "world.yaml")
    assert world is not None
    assert not problems, "\n".join(map(str, problems))
    return world


def problems_of(text: str) -> list[str]:
    return [str(each) for each in parse_world(text.encode(), "world.yaml")[1]]


def state_of_text(text: str = LENDING) -> State:
    template = Template(world_of(text))
    state = template.state()
    template.close()
    return state
