"""Logs: on stderr, in one form, without secrets."""

import json
import os
import pty
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, strategies as st

from nexau.logs import REDACTED, Redactor

PROGRAM = """
import logging, warnings
import structlog
from nexau import logs

logs.configure("{level}", environ={{"MY_API_KEY": "sesame-open-1", "HOME": "/home/someone"}})
log = structlog.get_logger("nexau.test")
log.debug("quiet")
nested = {{"Authorization": "y", "texts": ["a sesame-open-1"]}}
log.info("said", api_key="x", tokens=5, nested=nested)
logging.getLogger("mcp.client").warning("sent %s", "Bearer abcdefgh12345")
try:
    raise ValueError("sesame-open-1 was wrong")
except ValueError:
    log.exception("failed")
class ConnectionFailed(Exception): pass
try:
    raise ConnectionFailed("server down")
except ConnectionFailed:
    logging.getLogger("nexau.actors").exception("crashed")
warnings.warn("careful")
"""


def logged(level: str, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    program = textwrap.dedent(PROGRAM.format(level=level))
    return subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=True,
    )


def test_json_lines_on_stderr() -> None:
    done = logged("info")
    assert not done.stdout
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"].partition(":")[0] for event in events][:4] == [
        "said",
        f"sent Bearer {REDACTED}",
        "failed",
        "crashed",
    ]
    assert {event["logger"] for event in events} >= {"nexau.test", "mcp.client", "py.warnings"}
    assert "sesame" not in done.stderr
    assert events[0]["api_key"] == REDACTED
    assert events[0]["tokens"] == 5
    assert events[0]["nested"] == {"Authorization": REDACTED, "texts": [f"a {REDACTED}"]}
    assert "ValueError" in events[2]["exception"]
    assert events[3]["error"] == "server down"
    assert "exception" not in events[3]


def test_debug_shows_all() -> None:
    done = logged("debug")
    assert "quiet" in done.stderr
    assert "ConnectionFailed: server down" in done.stderr
    assert "sesame" not in done.stderr


def test_readable_on_a_terminal() -> None:
    screen, terminal = pty.openpty()
    try:
        logged("warning", terminal)
        shown = os.read(screen, 65536).decode()
    finally:
        os.close(terminal)
        os.close(screen)
    assert "said" not in shown
    assert "sent Bearer" in shown
    assert '{"' not in shown
    assert "sesame" not in shown


@pytest.mark.parametrize(
    "name", ["api_key", "API-KEY", "openai_api_key", "token", "client_secret", "Authorization"]
)
def test_names_of_secrets(name: str) -> None:
    assert Redactor({})(None, "info", {name: "value"}) == {name: REDACTED}


@pytest.mark.parametrize("name", ["tokens", "input_tokens", "key", "monkey", "event", "secretary"])
def test_names_of_other_things(name: str) -> None:
    assert Redactor({})(None, "info", {name: "value"}) == {name: "value"}


@given(st.text(), st.text(min_size=8).filter(lambda text: text not in REDACTED), st.text())
def test_no_text_keeps_a_secret(before: str, secret: str, after: str) -> None:
    redactor = Redactor({"SOME_TOKEN": secret, "OTHER_TOKEN": secret + "-longer"})
    cleaned = redactor.text(before + secret + "-longer" + secret + after)
    assert cleaned.count(REDACTED) >= 2 or secret not in cleaned
