"""Kills what is left of a runtime that died without closing its children.

Linux's PR_SET_PDEATHSIG fires when the *thread* that forked ends, reaches no grandchild and needs
code between fork and exec. One tiny shell does better: it holds the read end of a pipe whose write
end only this process has, learns which groups live, and at end of file, however this process
ended, kills those that are left.

A daemon leaves its group. It keeps its environment, in which each child gets a mark of this
process (the way of Jenkins' ProcessTreeKiller): at the end whatever still bears it is killed too,
where there is a /proc. That also covers a child that was started a moment before we were killed.
"""

import os
import re
import secrets
import subprocess

SHELL = "/bin/sh"
VARIABLE = "NEXAU_KEEPER"
"""The environment variable that holds the mark."""

_SCRIPT = """
trap '' HUP INT TERM QUIT
live=' '
places=' '
mark=
while read -r change what; do
  case $change in
    +) live="$live$what " ;;
    -) live="${live%% $what *} ${live#* $what }" ;;
    d) places="$places$what " ;;
    x) places="${places%% $what *} ${places#* $what }" ;;
    m) mark=$what ;;
  esac
done
for group in $live; do kill -9 "-$group" 2>/dev/null; done
# Without a whole mark, when this was told nothing before the end, grep would find every process.
case $mark in
  NEXAU_KEEPER=????????????????????????????????) ;;
  *) mark= ;;
esac
for round in 1 2 3 4 5; do
  [ -n "$mark" ] || break
  found=
  for file in $(grep -lsaF "$mark" /proc/[0-9]*/environ 2>/dev/null); do
    pid=${file#/proc/}
    kill -9 "${pid%/environ}" 2>/dev/null && found=1
  done
  [ -n "$found" ] || break
done
for place in $places; do rm -rf "$place"; done
"""
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./-]+")


class Warden:
    """Watches over the groups that it is told of, in a process of its own while there are any."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As new: nothing is watched over, and the mark is another."""
        self.mark = secrets.token_hex(16)
        self._groups: set[int] = set()
        self._places: set[str] = set()
        self._shell: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The mark, for the environment of a child."""
        return {VARIABLE: self.mark}

    def start(self) -> None:
        """Before a child: should we be killed in between, its mark tells of it. Does nothing where
        there is no shell.
        """
        if self._shell is None:
            self._shell = _start()
            self._tell(f"m {VARIABLE}={self.mark}\n")

    def watch(self, group: int) -> None:
        """Kill the group `group` should this process die."""
        self.start()
        self._groups.add(group)
        self._tell(f"+ {group}\n")

    def forget(self, group: int) -> None:
        """The group `group` is gone."""
        self._groups.discard(group)
        self._tell(f"- {group}\n")
        self.rest()

    def keep_place(self, path: str) -> None:
        """Remove the directory `path` should this process die."""
        if _PLAIN_PATH.fullmatch(path):
            self.start()
            self._places.add(path)
            self._tell(f"d {path}\n")

    def forget_place(self, path: str) -> None:
        """The directory is gone."""
        if path in self._places:
            self._places.discard(path)
            self._tell(f"x {path}\n")
        self.rest()

    def rest(self) -> None:
        """End the warden's own process where it has nothing to watch over."""
        if not self._groups and not self._places and self._shell is not None:
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
            lines = [f"m {VARIABLE}={self.mark}\n"]
            lines += [f"+ {group}\n" for group in self._groups]
            lines += [f"d {place}\n" for place in self._places]
            os.write(self._shell.stdin.fileno(), "".join(lines).encode())


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

# A process that is forked off has children of its own: with its parent's mark, the end of one would
# be the end of the other's.
os.register_at_fork(after_in_child=WARDEN.reset)
