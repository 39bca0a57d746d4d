"""Fuzzes one reader guided by coverage: `python -m tests.fuzz.guided NAME [libFuzzer options]`.

Needs atheris (`requirements/fuzz.lock`), which watches what is imported after it.
"""

import sys
from importlib import import_module

atheris = import_module("atheris")

with atheris.instrument_imports(include=["nexau"]):
    readers = import_module("tests.fuzz.readers")


def main() -> None:
    reader = readers.BY_NAME[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], reader.read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
