"""A served world passes what the official MCP conformance suite requires of 2025-11-25."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.wire.conformance import install
from nexau.transports.ports import free_port
from tests.worlds.serving import wait_for_port

pytestmark = [pytest.mark.node, pytest.mark.slow]

SERVER = Path(__file__).parent / "servers" / "conformance_server.py"
REQUIRED = 30
"""Server scenarios of the revision."""


def test_all_required_scenarios_pass(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    cache = Path(os.environ.get("NEXAU_TEST_CACHE") or tmp_path_factory.getbasetemp().parent)
    try:
        commands = install(cache / "conformance")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm cannot install the suite: {error.stderr[-200:]!r}")
    port = free_port()
    with subprocess.Popen([sys.executable, SERVER, str(port)]) as server:
        try:
            wait_for_port(port, server)
            done = subprocess.run(
                [commands / "conformance", "server", "--url", f"http://127.0.0.1:{port}/mcp",
                 "--requirements", "2025-11-25", "-o", tmp_path],
                env={**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                check=False,
            )  # fmt: skip
        finally:
            server.terminate()
    summary = done.stdout.partition("=== SUMMARY ===")[2]
    assert done.returncode == 0, summary
    assert len(re.findall(r"^✓ ", summary, re.MULTILINE)) >= REQUIRED, summary
