"""Kills the process groups of a runtime that died without closing them.

Linux's PR_SET_PDEATHSIG fires when the *thread* that forked ends, reaches no grandchild and needs
code between fork and exec. One tiny shell does better: it holds the read end of a pipe whose write
end only this process has, learns which groups live, and at end of file, however this process
ended, kills those that are left.
"""

import os
import subprocess

SHELL = "/bin/sh"

_SCRIPT = """
trap '' HUP INT TERM QUIT
live=' '
while read -r change group; do
  case $change in
    +) live="$live$group " ;;
    -) live="${live%% $group *} ${live#* $group }" ;;
  esac
done
for group in $live; do kill -9 "-$group" 2>/dev/null; done
"""


class Warden:
    """Watches over the groups that it is told of, in a process of its own while there are any."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._shell: subprocess.Popen[bytes] | None = None

    def watch(self, group: int) -> None:
        """Kill the group `group` should this process die. Does nothing where there is no shell."""
        if self._shell is None:
            self._shell = _start()
        self._groups.add(group)
        self._tell(f"+ {group}\n")

    def forget(self, group: int) -> None:
        """The group `group` is gone. After the last one, the warden's own process ends too."""
        self._groups.discard(group)
        self._tell(f"- {group}\n")
        if not self._groups and self._shell is not None:
            shell, self._shell = self._shell, None
            assert shell.stdin is not None
            shell.stdin.close()
            shell.wait()

    def _tell(self, line: str) -> None:
        if self._shell is None or self._shell.stdin is None:
            return
        try:
            os.write(self._shell.stdin.fileno(), line.encode())
        except BrokenPipeError:
            self._restart()

    def _restart(self) -> None:
        assert self._shell is not None
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait()
        self._shell = _start()
        if self._shell is not None and self._shell.stdin is not None:
            lines = "".join(f"+ {group}\n" for group in self._groups)
            os.write(self._shell.stdin.fileno(), lines.encode())


def _start() -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            [SHELL, "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={},
            start_new_session=True,
        )
    except FileNotFoundError:
        return None


WARDEN = Warden()
"""The one of this process."""
