"""Results of plan and repair, as they are printed."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunewright.errors import printable
from tunewright.runs.quantities import duration, size

if TYPE_CHECKING:
    from tunewright.search.forecast.training import RunPlan
    from tunewright.search.plan import StudyPlan
    from tunewright.search.recovery.repair_report import RepairReport


def print_plan(console: Console, plan: "StudyPlan") -> None:
    """Print the expected time, disk and memory of a study."""
    _print_rows(console, f"plan of the study {plan.study}", plan.notices, plan_rows(plan))


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
