"""Requests that no tool serves: small talk with an answer, and wishes of other trades."""

from collections.abc import Iterable
from random import Random

from nexau.synth.similarity import similarity
from nexau.synth.tasks.structs import Draft, Fact, Goal, Tool

ALIEN = 0.35
"""Similarity to a tool from which on a wish is not taken to be of another trade."""

WISHES = (
    "turn the heating in the living room down to nineteen degrees",
    "order a large pizza with mushrooms to my office",
    "play some quiet piano music until I say stop",
    "translate the attached contract into Portuguese",
    "find me a flight to Lisbon on Friday under 200 euros",
    "water the plants on the balcony",
    "take a picture with the camera at the front door",
    "post a photo of my breakfast to my profile",
    "call my dentist and move the appointment to Thursday",
    "check whether it will rain in Oslo tomorrow",
    "sell half of my shares in the energy fund",
    "print twenty copies of the poster on thick paper",
    "charge the car to eighty percent before seven",
    "start the robot vacuum in the kitchen",
    "enter the annual figures in the tax form",
    "compose a birthday song for my grandmother",
    "reserve a table for six at the Italian place on the corner",
    "unlock the garage for the electrician",
    "compress the holiday videos and upload them",
    "warn me when the oven reaches two hundred degrees",
)


def chat(chance: Random) -> Draft:
    """A question whose answer takes no tool, worked out here."""
    hours, minutes = chance.randint(2, 40), chance.randint(1, 59)
    dozens, percent = chance.randint(3, 30), chance.choice((5, 15, 25, 35, 45, 60))
    base = chance.randint(4, 90) * 100
    text, value = chance.choice(
        (
            (f"How many minutes are {hours} hours and {minutes} minutes?", hours * 60 + minutes),
            (f"How many pieces are {dozens} dozen and {minutes}?", dozens * 12 + minutes),
            (f"What is {percent} percent of {base}?", base * percent // 100),
            (f"How many days are {dozens} weeks and {hours % 7} days?", dozens * 7 + hours % 7),
        )
    )
    lead = chance.choice(("Just in general: ", "Leave the records aside for once. ", ""))
    return Draft([], [Goal("chat", "", (Fact("answer", value),), detail=lead + text)])


def alien(tools: Iterable[Tool], chance: Random) -> Draft | None:
    """A wish that nothing here can grant; None where a tool comes near to all of them."""
    wishes, every = list(WISHES), list(tools)
    chance.shuffle(wishes)
    for wish in wishes:
        near = max((similarity(wish, tool.description) for tool in every), default=0.0)
        if near < ALIEN:
            ask = chance.choice(("Please {}.", "Could you {}?", "I would like you to {}."))
            return Draft([], [Goal("alien", "", detail=ask.format(wish))])
    return None
