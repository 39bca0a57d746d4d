"""Every async test runs on asyncio with uvloop and on trio."""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes is a matter of the machine, and nothing that a test may fail by.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": True}), id="asyncio+uvloop"),
    pytest.param(("trio", {}), id="trio"),
]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Names what failed at once: the summary comes at the end, and not where a run is cut off."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nfailed ({report.when}): {report.nodeid}", file=sys.__stderr__, flush=True)
