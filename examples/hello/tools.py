"""Functions that examples/hello/agent.yaml offers to its model.

Nothing is registered: the schema that the model sees comes from the type hints and docstrings.
"""

from typing import Annotated, Literal

GRAMS = {"gram": 1.0, "kilogram": 1000.0, "ounce": 28.349523125, "pound": 453.59237}

Unit = Literal["gram", "kilogram", "ounce", "pound"]


def convert(amount: float, unit: Unit, to: Unit = "gram") -> float:
    """Converts a weight from one unit into another.

    Args:
        amount: How much of `unit`.
        unit: The unit of `amount`.
        to: The unit of the answer.
    """
    return round(amount * GRAMS[unit] / GRAMS[to], 1)


async def scale(
    amounts: Annotated[list[float], "The amounts of a recipe"],
    servings: Annotated[int, "How many people it is for"],
    wanted: Annotated[int, "How many people there are"],
) -> list[float]:
    """Scales the amounts of a recipe to another number of people."""
    if servings < 1:
        raise ValueError("a recipe serves at least one")
    return [round(amount * wanted / servings, 1) for amount in amounts]
