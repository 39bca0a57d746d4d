"""How many hierarchies a core makes: made, checked, compared with all before, written to disk.

    nexau synth catalog SERVERS... --out tools.yaml     (docs/agent-synthesis.md, "Measured")
    python -m bench.hierarchies tools.yaml --n 1000

CPU seconds of this process, without its start and without smoke rollouts.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from nexau.cli.program import tune_gc
from nexau.synth.agents.candidates import Options
from nexau.synth.agents.catalog import encode_catalog, read_catalog
from nexau.synth.agents.generate import BuiltIn, Generation, Settings
from nexau.synth.agents.matching import Matcher
from nexau.synth.agents.store import SCHEMA, RunFile, Store
from nexau.synth.agents.toolgraph import ToolGraph
from nexau.synth.agents.worker import Assignment

SPEC = "Customer support that looks up orders, pays refunds and keeps notes in files"


async def generate(generation: Generation, work: Assignment) -> list[int]:
    return [record.agents async for record in generation.run(BuiltIn(work, 1))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    catalog = read_catalog(options.catalog)
    matcher = Matcher(ToolGraph(catalog.tools).facts)
    ranked = tuple(match.tool for match in matcher.rank(SPEC))
    with tempfile.TemporaryDirectory() as place:
        store = Store(Path(place) / "run")
        run = RunFile(SCHEMA, SPEC, options.seed, None, 0.2, 34, "plan", "", "", "none", "")
        store.open(run, encode_catalog(catalog, json=True))
        work = Assignment(str(store.folder), Options(SPEC, options.seed), ranked, "plan")
        generation = Generation(store, Settings(options.n, 0), "plan")
        tune_gc()  # as the command does
        began = time.process_time()
        agents = asyncio.run(generate(generation, work))
        spent = time.process_time() - began
        print(json.dumps({"hierarchies": len(agents), "agents": sum(agents),
                          "rejected": len(store.rejected), "cpu_seconds": round(spent, 2),
                          "per_second": round(len(agents) / spent, 1)}))  # fmt: skip


if __name__ == "__main__":
    main()
