"""A process that has imported everything and forks: a run that begins in milliseconds, and dies
like any other process. `python -m nexau.cli.main` spends more on imports than a trial takes.
"""

import array
import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import nexau.cli.main
import nexau.cli.rollout
import nexau.cli.runs
import nexau.runtime
import nexau.workers.process
from tests.chaos.seams import install
from tests.chaos.services import serve

MESSAGE = 1 << 16


def main(control: socket.socket) -> None:
    """Forks what it is told to, until the other end goes away."""
    gc.collect()
    gc.freeze()
    running: set[int] = set()
    while True:
        ready, _, _ = select.select([control], [], [], 0.01)
        if ready:
            data, descriptors, _, _ = socket.recv_fds(control, MESSAGE, 4)
            if not data:
                for pid in running:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return
            pid = _fork(control, json.loads(data), descriptors)
            running.add(pid)
            control.send(json.dumps({"pid": pid}).encode())
            for each in descriptors:
                os.close(each)
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            running.discard(pid)
            code = os.waitstatus_to_exitcode(status)
            control.send(json.dumps({"ended": pid, "code": code}).encode())


def _fork(control: socket.socket, order: dict[str, Any], descriptors: list[int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        control.close()
        os.setsid()
        os.chdir(order["cwd"])
        os.environ.update(order["env"])
        for target, source in zip((1, 2), descriptors, strict=True):
            os.dup2(source, target)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.closerange(3, 256)
        code = _become(order)
    except BaseException as error:
        sys.stderr.write(f"chaos: {error!r}\n")
        raise
    finally:
        sys.stderr.flush()
        os._exit(code)


def _become(order: dict[str, Any]) -> int:
    if order["what"] == "service":
        serve(order)
        return 0
    install(Path(order["env"]["CHAOS_SEAMS"]))
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names
    sys.argv = ["nexau", *order["argv"]]
    try:
        nexau.cli.main.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    gc.collect()
    left = set(os.listdir("/proc/self/fd")) - before  # noqa: PTH208
    kinds = []
    for each in left:
        with suppress(OSError):
            kinds.append(os.readlink(f"/proc/self/fd/{each}"))  # noqa: PTH115
    Path(order["report"]).write_text("\n".join(kinds), encoding="utf-8")
    return code


if __name__ == "__main__":
    _descriptor = array.array("i", [int(sys.argv[1])])[0]
    main(socket.socket(fileno=_descriptor))
