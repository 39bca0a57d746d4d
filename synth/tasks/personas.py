"""Who asks: hundreds of personas from a grammar, each with a voice."""

from random import Random

from msgspec import Struct

_AGES = ("young", "middle-aged", "retired", "newly hired", "long-serving", "part-time")
_ROLES = (
    "shop manager", "office clerk", "field technician", "nurse", "teacher", "accountant",
    "student", "logistics planner", "researcher", "journalist", "support agent", "librarian",
    "engineer", "small-business owner", "parent of two", "caretaker", "team lead", "auditor",
    "translator", "volunteer", "dispatcher", "consultant", "lawyer", "pharmacist", "archivist",
)  # fmt: skip
_TRAITS = (
    "in a hurry", "very polite", "short of words", "fond of detail", "a little impatient",
    "writing from a phone", "careful about money", "new to all this", "precise and formal",
    "cheerful", "tired after a long day", "used to getting things done",
)  # fmt: skip


class Voice(Struct, frozen=True):
    """How a request begins, asks, and ends."""

    openings: tuple[str, ...]
    asks: tuple[str, ...]
    orders: tuple[str, ...]
    links: tuple[str, ...]
    endings: tuple[str, ...]


_PLAIN = Voice(
    ("", "", "Hello. ", "Hi. "),
    ("{Direct}?", "Can you tell me {what}?", "I need to know {what}."),
    ("Please {do}.", "Can you {do}?", "I need you to {do}."),
    ("Then", "After that,", "Once that is done,"),
    ("", "", " Thanks."),
)
_POLITE = Voice(
    ("Good morning. ", "Hello, I hope you can help me. ", "Good afternoon. "),
    ("Could you please tell me {what}?", "Would you kindly find out {what}?"),
    ("Could you please {do}?", "Would you be so kind as to {do}?"),
    ("After that,", "When that is settled,"),
    (" Thank you very much.", " Many thanks in advance.", " I appreciate your help."),
)
_SHORT = Voice(
    ("", ""),
    ("{Direct}?", "Tell me {what}."),
    ("{Do}.", "{Do}, please."),
    ("Then", "Next,"),
    ("", ""),
)
_FORMAL = Voice(
    ("", "For our records: ", "With regard to the following matter. "),
    ("Kindly state {what}.", "I require the following: {what}."),
    ("You are asked to {do}.", "Kindly {do}."),
    ("Subsequently,", "Thereafter,"),
    ("", " A brief confirmation will suffice."),
)
_CHATTY = Voice(
    ("Hey there! ", "So, I have been going through my notes. ", "Quick thing. "),
    ("Do you know {what}?", "{Direct}?", "Any chance you can look up {what}?"),
    ("Can you {do} for me?", "I would love it if you could {do}."),
    ("And then", "Oh, and afterwards"),
    (" You are a star.", " Cheers!", ""),
)
_BY_TRAIT = {
    "in a hurry": _SHORT,
    "very polite": _POLITE,
    "short of words": _SHORT,
    "a little impatient": _SHORT,
    "writing from a phone": _CHATTY,
    "new to all this": _POLITE,
    "precise and formal": _FORMAL,
    "careful about money": _PLAIN,
    "cheerful": _CHATTY,
}


class Persona(Struct, frozen=True):
    """One who asks."""

    text: str
    voice: Voice


def persona(chance: Random) -> Persona:
    """One of some 1,800."""
    trait = chance.choice(_TRAITS)
    age, role = chance.choice(_AGES), chance.choice(_ROLES)
    start = "An" if age[0] in "aeiou" else "A"
    return Persona(f"{start} {age} {role}, {trait}", _BY_TRAIT.get(trait, _PLAIN))
