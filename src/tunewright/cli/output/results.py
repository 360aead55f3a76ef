"""Results of the commands about studies and runs, as they are printed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from tunewright.analysis.avoided import comparison_line, count_line
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.grid.seed_ties import compare_seeds
from tunewright.analysis.overview import StudyOverview, states_in_words
from tunewright.analysis.winner.wording import describe
from tunewright.cli.output.formatting import (
    figure,
    format_command,
    from_here,
    print_line,
    quote,
    with_interval,
)
from tunewright.cli.output.safe_console import table_width
from tunewright.cli.output.tables import (
    classes_table,
    evaluation_table,
    front_table,
    importance_details_table,
    importance_table,
    labels_table,
    other_importances_table,
    pictures_table,
    trials_table,
)
from tunewright.errors import RunError, printable
from tunewright.recipes.registry import can_evaluate
from tunewright.runs.atomic import dump_yaml
from tunewright.runs.ending import ending_of
from tunewright.runs.folder import RunFolder
from tunewright.runs.quantities import duration
from tunewright.spaces.checked_space import CheckedSpace
from tunewright.spaces.specification import specification

if TYPE_CHECKING:  # `show` and `space` start without the engine
    from tunewright.deliver.lr_find import LrSweep
    from tunewright.deliver.replay import ReplayReport
    from tunewright.reports.report_file import ReportFile
    from tunewright.search.evaluate_run import Evaluation
    from tunewright.search.reporting.study_view import StudyView
    from tunewright.search.stages import TuneResult
    from tunewright.search.training_run import TrainResult

PICTURES = 24
"""Maximum number of rows in the tables by picture and by class."""


def print_tuned(console: Console, tuned: "TuneResult") -> None:
    """Print the best configuration, its score with an interval, the files and next commands."""
    best, folder = tuned.winner, tuned.folder
    if best is None:
        counts = {s: len(tuned.record.of_state(s)) for s in ("pruned", "infeasible", "failed")}
        raise RunError(
            f"no trial of {tuned.record.name!r} finished: "
            + ", ".join(f"{count} {state}" for state, count in counts.items()),
            remedy=f"See why: {format_command('analyze', folder.path)}",
        )
    console.rule("best configuration")
    print_line(
        console,
        f"trial {best.number} of {len(tuned.record.trials)}, "
        f"{tuned.record.goal} = {with_interval(best.score, best.interval)} in the search"
        + (f", the mean of {len(best.seeds)} seeds" if best.seeds else "")
        + (f", carried from {best.imported_from}" if best.imported_from else "")
        + (f", the good combination {best.good!r}" if best.good else "")
        + (f", advised against: {', '.join(best.avoided)}" if best.avoided else ""),
    )
    for path, value in best.parameters.items():
        print_line(console, f"  {path:<24} {figure(value)}")
    for line in () if tuned.replication is None else describe(tuned.replication):
        print_line(console, line)
    for search in tuned.stages:
        found = search.record
        score = "none finished" if found.best is None else f"best {figure(found.best.score)}"
        print_line(console, f"stage {found.name}: {len(found.own)} trials, {score}")
    if (compared := compare_seeds(tuned.record)) is not None:
        print_line(console, compared.verdict)
    if tuned.record.others:
        console.print(front_table(tuned.record))
    timed_out = tuned.ending == "timed out"
    if timed_out:
        console.print("search time limit reached; run the same command again to continue")
    if tuned.final is not None:
        _print_scores(console, tuned.final)
    elif tuned.evaluation is not None:
        ending = ending_of(tuned.winner_run)
        how = "" if ending is None else f": {ending}"
        print_line(
            console, f"no final training; the evaluation below is of trial {best.number}{how}"
        )
    if tuned.evaluation is not None:
        _print_evaluated(console, tuned.evaluation)
    console.rule("files")
    final = tuned.final.best(tuned.record.direction).path if tuned.final else None
    winner = final or tuned.winner_run.path
    files = [folder.report, folder.best_config, folder.best_results, folder.summary]
    files += [folder.database]
    files += tuned.evaluation.files if tuned.evaluation is not None else ()
    files += [winner / "checkpoints" / "best.safetensors"]
    for file in files:
        if file.exists():
            print_line(console, f"  {from_here(file)}")
    console.rule("next")
    print_line(console, f"  {format_command('analyze', folder.path)}")
    if final and can_evaluate(RunFolder(final)):
        print_line(console, f"  {format_command('evaluate', final)}")
    more = "" if timed_out else f"--trials {2 * len(tuned.record.own)}"
    again = f"the same command{more and ' with '}{more}"
    if not tuned.record.is_of_function:  # a function has no training of its own
        print_line(console, f"  {format_command('train', folder.best_config)} seeds=[1,2,3]")
    if not tuned.record.is_of_function and folder.database.exists():  # a server is typed again
        again = f"{format_command('tune', '--resume', folder.path)} {more}".rstrip()
    if tuned.exhausted:
        again = "# every point of this space has been tried"
    else:
        again += "   # continues the search"
    print_line(console, f"  {again}")


def print_report(console: Console, written: "ReportFile") -> None:
    """Print which file was written."""
    what = "the report" if written.figure is None else f"the figure {written.figure}"
    print_line(console, f"{what} of {written.of}: {from_here(written.file)}")


def print_trained(console: Console, trained: "TrainResult") -> None:
    """Print the scores of a training and its folders."""
    _print_scores(console, trained)
    for folder in trained.folders:
        print_line(console, f"  {from_here(folder.path)}")
    if can_evaluate(trained.folders[0]):
        print_line(console, f"next: {format_command('evaluate', trained.folders[0].path)}")


def print_evaluation(console: Console, found: "Evaluation") -> None:
    """Print the metrics with those of the baselines."""
    pictures = found.figures.get("per_image", [])
    if pictures:
        console.print(pictures_table(pictures[:PICTURES]))
    if len(pictures) > PICTURES:
        print_line(console, f"and {len(pictures) - PICTURES} more in {found.files[0].name}")
    _print_evaluated(console, found)
    if found.figures.get("data") and (classes := found.figures.get("per_class")):
        console.print(classes_table(classes[:PICTURES]))
        if len(classes) > PICTURES:
            print_line(console, f"and {len(classes) - PICTURES} more in {found.files[0].name}")
    if labels := found.figures.get("per_label"):
        console.print(labels_table(labels[:PICTURES]))
        if len(labels) > PICTURES:
            print_line(console, f"and {len(labels) - PICTURES} more in {found.files[0].name}")
    for file in found.files:
        print_line(console, f"  {file}")


def print_sweep(console: Console, found: "LrSweep") -> None:
    """Print the suggested learning rates, or why there are none, and the files."""
    for notice in found.notices:
        print_line(console, f"note: {notice}")
    if found.suggestions is None:
        print_line(console, f"no suggestion: {found.reason}")
    else:
        for name, rate in found.suggestions.items():
            console.print(f"{name:<9} {rate:.1e}")
        console.print(f"optim.lr is {found.lr:.1e}")
    for name in found.files:
        print_line(console, f"  {found.folder / name}")
    if found.suggestions is not None:
        lr = f"optim.lr={found.suggestions['valley']:.1e}"
        print_line(console, f"next: {format_command('train', *found.words, lr)}")


def print_replayed(_console: Console, found: "ReplayReport") -> None:
    """Print what was copied to a tracker, one line per run."""
    for one in found.runs:
        print(printable(f"{one.folder.path}  {one.steps} epochs  {one.state}"))
    print(printable(f"{len(found.runs)} run(s) in {found.to}"))


def print_space_file(_console: Console, found: CheckedSpace) -> None:
    """Print a space file that reads back as the space."""
    print(dump_yaml(specification(found.space)), end="")


def print_space(console: Console, found: CheckedSpace) -> None:
    """Print the space: domains, conditions, the first point, rules."""
    space = found.space
    first = space.default() or {}
    width = max(len(p.path) for p in space.parameters)
    for parameter in space.parameters:
        when = " and ".join(str(condition) for condition in parameter.when)
        start = f"first {figure(first[parameter.path])}" if parameter.path in first else ""
        line = f"{parameter.path:<{width}}  {parameter.domain!s:<36} {start:<20}"
        console.print(line + (f" when {when}" if when else ""), soft_wrap=True, markup=False)
    for rule in space.forbid:
        print_line(console, f"forbidden: {rule}")
    for good in space.good:
        values = ", ".join(f"{path} = {figure(value)}" for path, value in good.values.items())
        print_line(console, f"tried first: {good.name} ({values})")
    for path, text in space.derived.items():
        console.print(f"derived: {path} = {text}", soft_wrap=True, markup=False)
    for notice in found.notices:
        console.print(f"note: {notice}", soft_wrap=True, markup=False)


def print_analysis(console: Console, view: "StudyView") -> None:
    """Print the overview of a study, its findings first."""
    overview = view.overview
    if view.chosen is None:
        print_findings(console, overview.findings)
    states = states_in_words(overview.by_state, overview.rungs)
    print_line(console, f"study {overview.study}: {overview.trials} trials ({states})")
    if overview.carried:
        console.print(f"{overview.carried} more trials were carried over from other studies")
    console.print(
        f"goal {overview.goal} ({overview.direction}), {overview.epochs} epochs, "
        f"{duration(overview.seconds)} of trials"
    )
    if overview.storage:
        print_line(console, f"optuna-dashboard {quote(overview.storage)}")
    best = overview.best
    if best is None:
        console.print("no trial has finished yet")
    else:
        replication = overview.replication
        if replication is None or replication.winner is None:  # else its lines name both trials
            shown = with_interval(best["score"], best["interval"])
            ran = f", carried from {best['carried']}" if best.get("carried") else ""
            print_line(console, f"best: trial {best['trial']} with {shown}{ran}")
        for line in () if replication is None else describe(replication):
            print_line(console, line)
        if overview.front:
            others = ", ".join(f"{goal['goal']}:{goal['direction']}" for goal in overview.others)
            front = ", ".join(map(str, overview.front))
            console.print(f"with {others}, the Pareto front is trial {front}", soft_wrap=True)
    if overview.top:
        paths = list(dict.fromkeys(p for row in overview.top for p in row["parameters"]))
        table = trials_table(overview.top, paths, table_width(console))
        if view.chosen is not None:
            table.title = f"trial {view.chosen.number}, {view.chosen.state}"
        console.print(table)
    if overview.seeds:
        print_line(console, overview.seeds)
    for one in overview.notes:
        print_line(console, f"note on trial {one['trial']}: {' '.join(one['note'].split())}")
    for one in overview.good:
        score = "" if one["score"] is None else f" with {figure(one['score'])}"
        end = f"trial {one['trial']} {one['state']}{score}"
        print_line(console, f"good combination {one['name']}: {end}")
    for row in overview.avoided:
        print_line(console, f"note: {comparison_line(row, overview.goal) or count_line(row)}")
    _print_importances(console, overview)
    for failure in overview.failures:
        numbers = ", ".join(map(str, failure["trials"][:8]))
        console.print(
            f"{failure['count']} x {failure['cause']}"
            + (f": {failure['reason']}" if failure["reason"] else "")
            + f" (trials {numbers})",
            soft_wrap=True,
            markup=False,
        )
    for note in view.heat_map.notices if view.heat_map is not None else ():
        print_line(console, f"note: {note}")
    for file in view.plots:
        print_line(console, f"  {from_here(file)}")
    for file in view.files:
        print_line(console, f"  {file}   # {format_command('train', file)}")


def _print_importances(console: Console, overview: StudyOverview) -> None:
    """Print importances: their intervals, what acts together, other metrics, and caveats."""
    details = overview.importance_details
    if details is None:
        if overview.importances:
            console.print(importance_table(overview.importances))
        for note in overview.importance_notes:
            print_line(console, f"note: {note}")
        return
    if details.shares:
        console.print(importance_details_table(details, overview.goal))
    for pair in details.sure_pairs:
        ends = f"{100 * pair.low:.0f} to {100 * pair.high:.0f} %"
        share = f"{100 * pair.share:.0f} % of the variance (95 % interval {ends})"
        print_line(console, f"{pair.first} and {pair.second} act together: {share}")
    if overview.other_importances:
        console.print(other_importances_table(overview.other_importances))
    for note in details.notes:
        print_line(console, f"note: {note}")


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Print each finding: what it is, the evidence, how sure it is, and the change to make."""
    if not findings:
        return
    console.rule("findings")
    for number, finding in enumerate(findings, start=1):
        console.print(
            Text.assemble((f"{number}. {printable(finding.title)}", "bold")), soft_wrap=True
        )
        print_line(console, f"   {finding.evidence}")
        print_line(console, f"   {finding.size}; {finding.certainty}")
        for line in finding.change.splitlines():
            print_line(console, f"     {line}")
    console.rule("trials")


def _print_scores(console: Console, trained: "TrainResult") -> None:
    goal = trained.metric
    early = [ending is not None and not ending.whole for ending in trained.endings]
    for note in dict.fromkeys(note for outcome in trained.outcomes for note in outcome.notes):
        print_line(console, f"note: {note}")
    if len(trained.scores) == 1:
        best = trained.outcomes[0]
        ending = trained.endings[0]
        how = ending.how if ending is not None and early[0] else "trained in full"
        of = "" if ending is None else f" of {ending.planned}"
        tries = f", in {best.attempt} attempts" if best.attempt > 1 else ""
        console.print(
            f"{how}: {goal} = {with_interval(trained.scores[0], best.interval)} "
            "on the validation set "
            f"(best epoch {best.best_step}{of}, {duration(best.seconds)}{tries})"
        )
        return
    scores = ", ".join(figure(score) for score in trained.scores)
    console.print(
        f"trained with {len(trained.scores)} seeds: {goal} = {trained.mean:.4f} "
        f"± {trained.spread:.4f} (standard deviation; {scores})"
    )
    for folder, ending, is_early in zip(trained.folders, trained.endings, early, strict=True):
        if is_early:
            print_line(console, f"{folder.path.name}: {ending}")


def _print_evaluated(console: Console, found: "Evaluation") -> None:
    console.print(evaluation_table(found.figures))
    for note in found.notes:
        console.print(Text.assemble(("note", "yellow"), f" {note}"), soft_wrap=True)
