"""What `tunewright audit` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tunewright.analysis.audit.agreement import Agreement, IntervalEstimate
from tunewright.cli.output.formatting import figure, print_line
from tunewright.search.audit.plan_audit import AuditPlan, describe_plan

if TYPE_CHECKING:
    from tunewright.analysis.audit.judge import FidelityAudit


def print_audit(console: Console, found: "FidelityAudit | AuditPlan") -> None:
    """Print the figures of each level and epoch, and the advice; of a plan what it would train."""
    if isinstance(found, AuditPlan):
        for note in found.notes:
            print_line(console, f"note: {note}")
        print_line(console, describe_plan(found))
        return
    full = f", in full with {found.full}" if found.full else ""
    print_line(console, f"audit of {found.study}: goal {found.goal} ({found.direction}){full}")
    if found.rows:
        console.print(_runs_table(found))
    if found.levels:
        levels = [(level.name, level.cost, level.agreement) for level in found.levels]
        console.print(_agreement_table("cheap against full", "level", levels))
    if found.epochs:
        epochs = [(str(one.epoch), None, one.agreement) for one in found.epochs]
        console.print(
            _agreement_table("epochs of the trainings against their ends", "epoch", epochs)
        )
    if found.source:
        print_line(console, f"noise: {figure(found.tolerance)}, the {found.source}")
    for note in found.notes:
        print_line(console, f"note: {note}")
    for line in found.advice:
        print_line(console, f"advice: {line}")


def _runs_table(found: "FidelityAudit") -> Table:
    table = Table(title="configurations")
    reasons = ["reason"] if any("reason" in row for row in found.rows) else []
    for name in ("trial", "state", "in the search", "in full", *reasons):
        table.add_column(name, justify="left" if name in ("state", "reason") else "right")
    sign = 1.0 if found.direction == "max" else -1.0
    ranked = sorted(found.rows, key=lambda row: (row["full"] is None, -sign * (row["full"] or 0.0)))
    for row in ranked:
        cheap, full = (
            figure(row[name]) if row[name] is not None else "" for name in ("search", "full")
        )
        why = [row.get("reason", "")] if reasons else []
        table.add_row(str(row["trial"]), row["state"], cheap, full, *why)
    return table


def _agreement_table(
    title: str, first: str, rows: Sequence[tuple[str, float | None, Agreement]]
) -> Table:
    table = Table(title=title)
    table.add_column(first, overflow="fold")
    sample = rows[0][2]
    columns = ("time", "tau", f"tau of top {sample.top}", f"recall of {sample.best}", "regret")
    shown = columns if any(cost is not None for _, cost, _ in rows) else columns[1:]
    for name in shown:
        table.add_column(name, justify="right")
    for name, cost, one in rows:
        cells = [_estimate(each) for each in (one.tau, one.top_tau, one.recall, one.regret)]
        time = ["" if cost is None else f"{cost:.0%}"] if shown is columns else []
        table.add_row(name, *time, *cells)
    return table


def _estimate(found: IntervalEstimate) -> str:
    if found.value is None or found.low is None or found.high is None:
        return "-"
    return f"{found.value:.3g} ({found.low:.3g} .. {found.high:.3g})"
