"""What a run amounts to, as a table."""

from typing import TYPE_CHECKING

from rich.table import Table

from nexau.cli.screen import console, counted, mebibytes, milliseconds

if TYPE_CHECKING:
    from nexau.histogram import Percentiles
    from nexau.scoring.passk import PassRates
    from nexau.summary import Summary


def show_summary(summary: "Summary") -> None:
    """To stderr."""
    table = Table(title="summary", title_justify="left", show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _rows(summary):
        table.add_row(name, value)
    console().print(table)


def _rows(summary: "Summary") -> list[tuple[str, str]]:
    usage = summary.usage
    rows = [
        (
            "rollouts",
            f"{summary.rollouts:,} in {summary.seconds:.2f} s: {counted(summary.by_status)}",
        ),
        ("failures", counted(summary.failures)),
    ]
    if summary.limits:
        rows.append(("limits", counted(summary.limits)))
    rows += [
        ("rollouts/s", _rate(summary.rollouts_per_second)),
        ("steps/s", f"{_rate(summary.steps_per_second)} ({summary.steps:,} steps)"),
        ("tool calls/s", f"{_rate(summary.calls_per_second)} ({summary.calls:,} calls)"),
        ("call errors", counted(summary.error_classes)),
        ("tool latency", _percentiles(summary.tool_latency)),
        ("own time a step", _percentiles(summary.own_time_per_step)),
        ("loop lag", _percentiles(summary.loop_lag)),
        ("peak memory", mebibytes(summary.peak_memory_bytes)),
    ]
    if summary.passes is not None:
        rows += _passes(summary.passes)
    if usage.input_tokens or usage.output_tokens:
        tokens = f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"
        rows.append(("tokens", f"{tokens}, ${usage.cost:,.4f}" if usage.cost else tokens))
    return rows


def _passes(passes: "PassRates") -> list[tuple[str, str]]:
    rows = [("reward", f"{passes.reward:.3f} on average ({passes.scored:,} scored)")]
    ks = [k for k in passes.pass_at if int(k) & (int(k) - 1) == 0 or k == str(len(passes.pass_at))]
    if ks:
        rows.append(("pass@k", ", ".join(f"{k}: {passes.pass_at[k]:.3f}" for k in ks)))
    if len(ks) > 1:
        rows.append(("pass^k", ", ".join(f"{k}: {passes.pass_all[k]:.3f}" for k in ks)))
    return rows


def _percentiles(found: "Percentiles") -> str:
    return (
        f"p50 {milliseconds(found.p50)}, p95 {milliseconds(found.p95)}, "
        f"p99 {milliseconds(found.p99)}, max {milliseconds(found.max)}"
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
