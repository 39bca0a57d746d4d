"""Some scenarios of the official conformance suite; `bench/wire/conformance.py` runs them all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.node, pytest.mark.slow]

SCRIPT = Path(__file__).parents[2] / "bench" / "wire" / "conformance.py"
SCENARIOS = [
    "initialize",
    "tools_call",
    "elicitation-sep1034-client-defaults",
    "sse-retry",
    "request-metadata",
    "sep-2322-client-request-state",
    "http-standard-headers",
    "http-custom-headers",
    "http-invalid-tool-headers",
    "auth/basic-cimd",
    "auth/scope-step-up",
]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_passes(backend: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    cache = os.environ.get("NEXAU_TEST_CACHE") or tmp_path_factory.getbasetemp().parent / "npm"
    options = ["--backend", backend, "--cache", str(cache), "--only", *SCENARIOS]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False
    )
    if "CalledProcessError" in done.stderr:
        pytest.skip(f"npm cannot install the suite: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"passed": true') >= len(SCENARIOS)
