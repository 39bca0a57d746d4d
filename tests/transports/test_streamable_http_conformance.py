"""The official conformance suite: every client scenario that the revisions require."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytestmark = [pytest.mark.node, pytest.mark.slow]

SCRIPT = Path(__file__).parents[2] / "bench" / "wire" / "conformance.py"
REQUIRED = {"2025-11-25": 18, "2026-07-28": 32}
"""Client scenarios that each revision requires (suite 0.2.0-alpha.12); the SDK passes them all."""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_passes(backend: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    cache = os.environ.get("NEXAU_TEST_CACHE") or tmp_path_factory.getbasetemp().parent / "npm"
    options = ["--backend", backend, "--cache", str(cache)]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False
    )
    if "CalledProcessError" in done.stderr:
        reason = f"npm cannot install the suite: {done.stderr[-200:]}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(each["passed"] for each in passed)
    assert Counter(each["revision"] for each in passed) == REQUIRED
