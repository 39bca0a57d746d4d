"""Words for seeded rows: small, neutral lists, so that a world needs no data of its own."""

import random
from collections.abc import Callable

FIRST = (
    "Ada", "Amir", "Ana", "Ben", "Bola", "Chloe", "Dmitri", "Elif", "Farah", "Goran", "Hana",
    "Ines", "Ivo", "Jonas", "Kemal", "Kofi", "Lena", "Linh", "Mina", "Nils", "Noor", "Omar",
    "Paula", "Priya", "Rosa", "Sami", "Tariq", "Uma", "Vera", "Wei", "Yara", "Zoe",
)  # fmt: skip
LAST = (
    "Adler", "Bauer", "Chen", "Costa", "Dahl", "Diallo", "Evans", "Fischer", "Garcia", "Haas",
    "Ito", "Jansen", "Khan", "Lopez", "Moreau", "Nguyen", "Novak", "Okafor", "Patel", "Quist",
    "Rossi", "Silva", "Tanaka", "Usman", "Vargas", "Weber", "Yilmaz", "Zeman",
)  # fmt: skip
CITIES = (
    "Aarhus", "Accra", "Bergen", "Bremen", "Cork", "Dakar", "Eindhoven", "Ghent", "Graz", "Hanoi",
    "Izmir", "Leeds", "Lyon", "Malaga", "Nagoya", "Olomouc", "Porto", "Quito", "Riga", "Split",
    "Tartu", "Turku", "Utrecht", "Vilnius",
)  # fmt: skip
COUNTRIES = (
    "Austria", "Belgium", "Brazil", "Canada", "Croatia", "Denmark", "Estonia", "France",
    "Germany", "Ghana", "Ireland", "Italy", "Japan", "Kenya", "Latvia", "Mexico", "Norway",
    "Poland", "Portugal", "Spain", "Turkey", "Vietnam",
)  # fmt: skip
STREETS = (
    "Mill Lane", "High Street", "Station Road", "Oak Avenue", "Harbour Walk", "Park Row",
    "Chapel Hill", "Market Square", "River Street", "North Road",
)  # fmt: skip
ADJECTIVES = (
    "amber", "bold", "brisk", "calm", "clear", "crisp", "early", "fine", "grand", "green",
    "hidden", "keen", "late", "light", "lunar", "mellow", "north", "open", "plain", "quiet",
    "rapid", "royal", "silver", "steady", "swift", "urban", "vivid", "warm", "wide", "young",
)  # fmt: skip
NOUNS = (
    "anchor", "arrow", "basin", "beacon", "bridge", "canyon", "cedar", "comet", "delta", "ember",
    "falcon", "field", "forest", "garden", "harbor", "island", "lantern", "meadow", "mirror",
    "mountain", "orchard", "paper", "pebble", "prairie", "ridge", "river", "signal", "summit",
    "timber", "valley", "willow", "window",
)  # fmt: skip
COLORS = ("black", "blue", "brown", "green", "grey", "orange", "red", "white", "yellow")
COMPANY_ENDS = ("Group", "Labs", "Partners", "Supply", "Systems", "Works")
JOBS = (
    "accountant", "analyst", "clerk", "designer", "driver", "editor", "electrician", "engineer",
    "manager", "mechanic", "nurse", "planner", "technician", "translator",
)  # fmt: skip
VERBS = ("check", "compare", "confirm", "count", "deliver", "inspect", "move", "prepare", "renew",
         "replace", "review", "sort")  # fmt: skip

Pick = Callable[[random.Random], str]


def _name(rng: random.Random) -> str:
    return f"{rng.choice(FIRST)} {rng.choice(LAST)}"


def _sentence(rng: random.Random) -> str:
    what = f"the {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"
    return f"Please {rng.choice(VERBS)} {what} and {rng.choice(VERBS)} the {rng.choice(NOUNS)}."


def _title(rng: random.Random) -> str:
    return f"The {rng.choice(ADJECTIVES).capitalize()} {rng.choice(NOUNS).capitalize()}"


VOCABULARIES: dict[str, Pick] = {
    "first_name": lambda rng: rng.choice(FIRST),
    "last_name": lambda rng: rng.choice(LAST),
    "full_name": _name,
    "phone": lambda rng: f"+{rng.randint(30, 60)} {rng.randint(20, 99)} {rng.randint(0, 999_999)}",
    "street": lambda rng: f"{rng.randint(1, 180)} {rng.choice(STREETS)}",
    "city": lambda rng: rng.choice(CITIES),
    "country": lambda rng: rng.choice(COUNTRIES),
    "postcode": lambda rng: str(rng.randint(10_000, 99_999)),
    "company": lambda rng: f"{rng.choice(LAST)} {rng.choice(COMPANY_ENDS)}",
    "job": lambda rng: rng.choice(JOBS),
    "color": lambda rng: rng.choice(COLORS),
    "adjective": lambda rng: rng.choice(ADJECTIVES),
    "noun": lambda rng: rng.choice(NOUNS),
    "title": _title,
    "sentence": _sentence,
    "slug": lambda rng: f"{rng.choice(ADJECTIVES)}-{rng.choice(NOUNS)}",
    "code": lambda rng: "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=3))
    + str(rng.randint(100, 999)),
    "uuid": lambda rng: "-".join(f"{rng.getrandbits(4 * n):0{n}x}" for n in (8, 4, 4, 4, 12)),
    "ip": lambda rng: f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
}  # fmt: skip
"""By name, as `make: NAME`; and `email`, which is made of the row's name and number."""
