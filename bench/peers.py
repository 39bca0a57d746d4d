"""Which frameworks can be measured against here, each in an environment of its own?

    python -m bench.peers                      list them
    python -m bench.peers install agno autogen or all, without names
    python -m bench.peers remove agno

Environments are made with uv where there is one (the extra `nexau[bench-peers]` brings it), else
with pip, under `.cache/peers` of the checkout, or NEXAU_BENCH_PEERS. They hold the versions that
were measured last; `--latest` takes the newest. JSON lines on stdout.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from bench import environments
from bench.registry import PEERS, Contender


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", nargs="?", choices=("list", "install", "remove"), default="list")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--latest", action="store_true", help="the newest version of each")
    given = parser.parse_args(argv)
    known = {peer.name: peer for peer in PEERS}
    for name in given.names:
        if name not in known:
            parser.error(f"no peer {name!r}; there are: {', '.join(known)}")
    chosen = [known[name] for name in given.names] or list(PEERS)
    if given.action == "install":
        failed = [peer for peer in chosen if not _install(peer, latest=given.latest)]
        return int(bool(failed))
    if given.action == "remove":
        for peer in chosen:
            environments.remove(peer.environment)
    _list(chosen)
    return 0


def _install(peer: Contender, *, latest: bool) -> bool:
    wanted = [each.split("==")[0] if latest else each for each in peer.requirements]
    print(f"{peer.name}: {' '.join(wanted)}", file=sys.stderr)
    try:
        environments.install(peer.environment, wanted)
    except environments.InstallFailed as error:
        print(f"{peer.name} failed:\n{error}", file=sys.stderr)
        return False
    _list([peer])
    return True


def _list(peers: Sequence[Contender]) -> None:
    for peer in peers:
        line = {
            "peer": peer.name,
            "is": peer.summary,
            "installed": environments.versions(peer.environment),
            "takes": list(peer.requirements),
        }
        print(json.dumps(line))


if __name__ == "__main__":
    sys.exit(main())
