"""Results of plan, status and repair, as they are printed."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunewright.cli.output.formatting import figure, format_command, print_line, remaining
from tunewright.errors import printable
from tunewright.runs.quantities import duration, size

if TYPE_CHECKING:
    from tunewright.search.coordinator.studies import StudyList, StudyStatus
    from tunewright.search.forecast.training import RunPlan
    from tunewright.search.plan import StudyPlan
    from tunewright.search.recovery.repair_report import RepairReport


def print_plan(console: Console, plan: "StudyPlan") -> None:
    """Print the expected time, disk and memory of a study."""
    _print_rows(console, f"plan of the study {plan.study}", plan.notices, plan_rows(plan))


STATES = {
    "running": "green",
    "silent": "yellow",
    "lost": "red",
    "stopped": "yellow",
    "finished": "",
    "failed": "red",
}
"""The states of studies, with their colours."""


def print_status(console: Console, found: "StudyList") -> None:
    """Print a row for each study, and what can be done with those that nobody runs."""
    if not found.studies:
        print_line(console, f"no studies in {found.runs}")
        return
    table = Table()
    for name in ("study", "state", "trials", "an hour", "left", "best"):
        table.add_column(name, justify="right" if name in ("trials", "an hour") else "left")
    for one in found.studies:
        table.add_row(
            Text(printable(one.study)),
            Text(_state_in_words(one), STATES[one.state]),
            f"{one.ended}/{one.total}" if one.total is not None else str(one.ended),
            f"{one.an_hour:,.0f}" if one.state == "running" and one.an_hour else "",
            _left_in_words(one),
            "" if one.best is None else f"{one.metric} {figure(one.best)}, trial {one.best_trial}",
        )
    console.print(table)
    for one in found.studies:
        if found.alone or one.state in ("lost", "silent"):
            print_line(console, _advice(one))


def _state_in_words(one: "StudyStatus") -> str:
    if one.state in ("running", "silent"):
        detached = ", detached" if one.detached else ""
        return f"{one.state} on {one.host} ({one.pid}{detached})"
    return f"lost by {one.host} ({one.pid})" if one.state == "lost" else one.state


def _left_in_words(one: "StudyStatus") -> str:
    if one.state == "finished":
        return ""
    parts = [f"{one.left} trials"] if one.left else []
    if one.state == "running" and one.stage not in ("", "explore"):
        parts = [f"stage {one.stage}"]
    if one.state == "running" and one.left_seconds is not None:
        parts.append(remaining(one.left_seconds, at_most=one.at_most))
    return ", ".join(parts)


def _advice(one: "StudyStatus") -> str:
    """Return what to do: look and stop, or go on."""
    go_on = format_command("tune", one.folder)
    if one.state == "running":
        log = f"; its output: {one.log}" if one.log is not None else ""
        return f"to stop it: kill -INT {one.pid} on {one.host}, or Ctrl-C there{log}"
    if one.state == "silent":
        return (
            f"{one.study}: its coordinator on {one.host} gave no sign of life while it was "
            f"watched; if it stays silent, {go_on} takes over"
        )
    if one.state == "finished":
        return f"next: {format_command('analyze', one.folder)}"
    why = f" ({one.why})" if one.state == "failed" and one.why else ""
    return f"{one.study}{why}: {go_on} goes on"


def print_run_plan(console: Console, plan: "RunPlan") -> None:
    """Print the expected time, disk and memory of one training."""
    _print_rows(console, f"plan of a training of {plan.recipe}", plan.notices, run_plan_rows(plan))


def run_plan_rows(plan: "RunPlan") -> list[tuple[str, str]]:
    """Return the rows of the plan of a training: a name and a description of each."""
    many = f", with {plan.seeds} seeds" if plan.seeds > 1 else ""
    early = f", if training.patience={plan.patience} does not end it" if plan.patience else ""
    epoch = f"{duration(plan.step_seconds)} an epoch, " if plan.step_seconds else ""
    at_once = f"{plan.slots} at once, {plan.threads} CPU thread(s) each"
    start = duration(plan.worker_seconds + plan.startup_seconds)
    rows = [
        ("training", f"{plan.epochs} epochs{many}"),
        ("measured", f"{epoch}{start} to start and to end ({at_once})"),
        ("in all", f"about {duration(plan.seconds)}{early}"),
        ("disk", f"about {size(plan.disk_bytes)}"),
    ]
    if plan.memory_mib:
        rows.append(("memory", f"{plan.slots} x {plan.memory_mib:.0f} MiB at the most measured"))
    return rows


def _print_rows(
    console: Console, title: str, notices: Sequence[str], described: Sequence[tuple[str, str]]
) -> None:
    for notice in notices:
        console.print(f"note: {notice}", soft_wrap=True, markup=False)
    console.rule(title)
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column()
    for name, text in described:
        rows.add_row(name, Text(text))
        if not console.is_terminal:
            console.print(f"{name:<11} {text}", soft_wrap=True, markup=False)
    if console.is_terminal:
        console.print(rows)


def plan_rows(plan: "StudyPlan") -> list[tuple[str, str]]:
    """Return the rows of a plan: a name and a description of each."""
    trials = f"{plan.trials} trials"
    if plan.grid:
        sizes = " x ".join(str(size) for size in plan.grid)
        counted = "" if plan.points == prod(plan.grid) else f", {plan.points} of them allowed"
        trials = f"a grid of {sizes} = {prod(plan.grid)} points{counted}: {trials}"
    elif plan.points is not None:
        trials = f"a space of {plan.points} points: {trials}"
    trials += f" of {plan.epochs} epochs" if plan.step_seconds else ""
    trials += f", {plan.begun} of them begun" if plan.begun else ""
    trials += f", beside {plan.carried} carried over" if plan.carried else ""
    whole = plan.startup_seconds + plan.step_seconds * plan.epochs
    epoch = f"{duration(plan.step_seconds)} an epoch, " if plan.step_seconds else ""
    at_once = f"{plan.slots} at once, {plan.threads} CPU thread(s) each"
    rows = [
        ("trials", trials),
        (
            "measured",
            f"{epoch}{duration(plan.startup_seconds)} around them, "
            f"{duration(whole)} a whole trial ({at_once})",
        ),
    ]
    pruned = ""
    if plan.trained_share < 0.999:
        pruned = (
            f", if {plan.pruner} stops trials after {100 * plan.trained_share:.0f} % of their "
            f"epochs on average; {duration(plan.unpruned_seconds)} if it stops none"
        )
    rows.append(("search", f"about {duration(plan.search_seconds)}{pruned}"))
    if plan.replicates:
        about = f"at most {plan.replicates} trainings: {duration(plan.replicate_seconds)}"
        rows.append(("replicates", f"{about} (study.replicate)"))
    if plan.final_epochs:
        about = "at most" if plan.stops_early else "about"
        epochs = f"{plan.final_epochs} epochs"
        if 0 < plan.likely_epochs < plan.final_epochs:
            epochs = f"about {plan.likely_epochs} of {epochs}, by the finished trials"
        last = f"{epochs}: {about} {duration(plan.final_seconds)}"
        rows.append(("final", last + " (training.patience)" * plan.stops_early))
    if plan.evaluation_seconds:
        rows.append(("evaluation", f"about {duration(plan.evaluation_seconds)}"))
    rows.append(("in all", f"about {duration(plan.seconds)}"))
    if plan.budget_seconds is not None:
        rows.append(("budget", f"{duration(plan.budget_seconds)}: {_fitting(plan)}"))
    rows.append(("disk", f"about {size(plan.disk_bytes)}"))
    if plan.memory_mib:
        rows.append(("memory", f"{plan.slots} x {plan.memory_mib:.0f} MiB at the most measured"))
    return rows


def _fitting(plan: "StudyPlan") -> str:
    left = plan.trials - plan.begun
    if not plan.final_fits:
        return (
            f"not enough for a trial and the final training; about {plan.fitting} of {left} "
            "trials fit, the best one's own weights are the result"
        )
    if plan.fitting is not None and plan.fitting < left:
        return f"about {plan.fitting} of {left} trials fit before the final training"
    return "everything fits"


def print_repaired(_console: Console, found: "RepairReport") -> None:
    """Print what repair found and changed."""
    if found.rebuilt:
        print(f"the database was rebuilt from the run folders: {found.rebuilt}")
    else:
        print("the database is intact; it was compared with the run folders")
    if found.kept is not None:
        print(printable(f"the old file was kept as {found.kept}"))
    if found.added and not found.rebuilt:
        print(f"added: trial {', '.join(map(str, found.added))}")
    for title, lines in (
        ("filled in", found.filled),
        ("differs, left unchanged", found.differing),
        ("could not be rebuilt", found.lost),
    ):
        for line in lines:
            print(printable(f"{title}: {line}"))
    counts = ", ".join(f"{count} {state}" for state, count in sorted(found.by_state.items()))
    print(f"{sum(found.by_state.values())} trials: {counts or 'none'}")
    print("next: the same tune command resumes")
