"""Requests of people who leave things implicit: what is said stays exact all the same."""

import re
from datetime import date
from random import Random

_DATE = re.compile(r"\b(?:on )?(\d{4}-\d\d-\d\d)\b")
_NUMBER = re.compile(r"(?<![\w.-])(\d{1,2})(?![\w.-])")
_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)  # fmt: skip
_WEEK = 7
_SOFTER = (
    ("Please ", "It would help if you could "),
    ("Can you tell me ", "I keep forgetting "),
    ("I need to know ", "Remind me of "),
    ("Tell me ", "Let me know "),
    ("What is ", "Remind me: what is "),
    ("I need you to ", "Somebody should "),
)
_LEADS = (
    "Something came up. ",
    "Going through my papers again. ",
    "This has been lying here for a while. ",
    "I got a message about this. ",
    "",
)


def fuzzified(text: str, today: date | None, chance: Random) -> str:
    """Dates are told from today, where there is one, small numbers in words, orders softened;
    nothing is lost.
    """
    made = text if today is None else _DATE.sub(lambda found: _told(found, today), text)
    made = _NUMBER.sub(lambda found: _word(found), made)
    for plain, soft in _SOFTER:
        if plain in made and chance.random() < 0.8:
            made = made.replace(plain, soft, 1)
            break
    lead = chance.choice(_LEADS)
    return f"{lead}{made}"


def _told(found: "re.Match[str]", today: date) -> str:
    try:
        day = date.fromisoformat(found[1])
    except ValueError:
        return found[0]
    away = (day - today).days
    if away == 0:
        return "today"
    if away in (-1, 1):
        return "yesterday" if away < 0 else "tomorrow"
    if abs(away) > 60:
        return found[0]
    number, unit = (abs(away), "days")
    if number % _WEEK == 0:
        number, unit = number // _WEEK, "weeks"
    counted = _WORDS[number] if number < len(_WORDS) else str(number)
    unit = unit[:-1] if number == 1 else unit
    return f"{counted} {unit} ago" if away < 0 else f"in {counted} {unit}"


def _word(found: "re.Match[str]") -> str:
    number = int(found[1])
    return _WORDS[number] if 1 < number < len(_WORDS) else found[1]
