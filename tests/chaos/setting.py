"""The files of a trial: an agent with its servers, and the tasks."""

import json
from pathlib import Path

from tests.chaos.certificates import HOST
from tests.chaos.schedule import Schedule

LEDGER = Path(__file__).with_name("ledger.py")

AGENT = """\
name: boss
model: &model
  kind: openai
  name: chaos
  api_key_env: null
  timeout: 1.5
  retries: 6
{endpoints}
system_prompt: You keep a ledger.
limits: {{steps: 60, seconds: 60}}
tools: [{{mcp: ledger}}, {{mcp: lookup}}]
agents:
  - name: helper
    description: Helps.
    model: *model
    tools: [{{mcp: ledger, include: [append]}}]
mcp_servers:
  ledger:
    command: {python}
    args: [-S, -E, {ledger}]
    env: {{CHAOS: {mark}, CHAOS_FRAMES: {frames}}}
    sessions: rollout
    timeout: 1.5
    start_timeout: 20
  lookup:
    url: http://127.0.0.1:{lookup}/mcp
    timeout: 1.5
    start_timeout: 20
supervision: {{intensity: 50, period: 10, backoff: {{min: 0.02, max: 0.2}}}}
"""


def write_setting(
    folder: Path, schedule: Schedule, mark: str, python: str, ports: dict[str, int]
) -> None:
    """`agent.yaml` and `tasks.jsonl`. `ports` are those of the proxies."""
    scheme = "https" if schedule.endpoints == "TLS" else "http"
    urls = [f"{scheme}://{HOST}:{ports['model']}/v1"]
    if schedule.endpoints == "with a name that is unknown":
        urls.append("http://nobody.invalid:81/v1")
    elif schedule.endpoints == "with one that has no TLS":
        urls.append(f"https://127.0.0.1:{ports['lookup']}/v1")
    lines = "\n".join(f"    - {{base_url: '{url}'}}" for url in urls)
    agent = AGENT.format(
        endpoints=f"  endpoints:\n{lines}",
        python=python,
        ledger=LEDGER,
        mark=mark,
        frames=folder / "frames",
        lookup=ports["lookup"],
    )
    (folder / "agent.yaml").write_text(agent)
    tasks = [{"id": f"t{i}", "input": f"task {schedule.seed} {i}"} for i in range(schedule.tasks)]
    (folder / "tasks.jsonl").write_text("".join(json.dumps(each) + "\n" for each in tasks))
