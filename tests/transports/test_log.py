import logging
import subprocess
import sys

import pytest

from nexau.transports.log import get_logger


def test_a_host_that_configured_nothing_gets_nothing_on_stdout() -> None:
    program = "from nexau.transports.log import get_logger as g; g('x').warning('late', seconds=2)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b""
    assert done.stderr == b"late seconds=2\n"


def test_the_standard_loggers_levels_hold(caplog: pytest.LogCaptureFixture) -> None:
    log = get_logger("nexau.test_log")
    with caplog.at_level(logging.INFO, logger="nexau.test_log"):
        log.debug("quiet")
        log.info("said", why="because")
    assert [record.getMessage() for record in caplog.records] == ["said why='because'"]


def test_a_host_that_configured_structlog_gets_its_values() -> None:
    program = (
        "import structlog, sys; from nexau.transports.log import get_logger\n"
        "structlog.configure(processors=[structlog.processors.JSONRenderer()],\n"
        "    logger_factory=structlog.PrintLoggerFactory(sys.stderr))\n"
        "get_logger('x').warning('late', seconds=2)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b""
    assert done.stderr == b'{"seconds": 2, "event": "late"}\n'
