"""Fuzzes one reader guided by coverage: `python -m tests.fuzz.guided NAME [libFuzzer options]`.

Needs atheris (`requirements/fuzz.lock`), which watches what is imported after it.
"""

import sys
import tempfile
from importlib import import_module
from pathlib import Path

atheris = import_module("atheris")

with atheris.instrument_imports(include=["nexau"]):
    readers = import_module("tests.fuzz.readers")


def main() -> None:
    reader = readers.BY_NAME[sys.argv[1]]
    with tempfile.TemporaryDirectory(prefix="nexau-seeds-") as corpus:
        for index, seed in enumerate(reader.seeds):
            (Path(corpus) / str(index)).write_bytes(seed[: readers.MAX])
        atheris.Setup([sys.argv[0], *sys.argv[2:], corpus], reader.read)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
