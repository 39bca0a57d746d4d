"""Every async test runs on asyncio with uvloop and on trio."""

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
