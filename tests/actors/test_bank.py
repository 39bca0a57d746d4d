"""The example that uses the kernel alone."""

import subprocess
import sys
from pathlib import Path

BANK = Path(__file__).parents[2] / "examples" / "bank.py"


def test_no_money_is_made_or_lost() -> None:
    done = subprocess.run([sys.executable, BANK], capture_output=True, text=True, check=True)
    assert done.stdout == "total: 1000\n"
    assert "restarts=" in done.stderr


def test_it_fits_on_a_screen() -> None:
    assert len(BANK.read_text().splitlines()) < 60
