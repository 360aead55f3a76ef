"""Answer the questions of trials that name their parameters while they run."""

from collections.abc import Callable
from dataclasses import replace

from tunewright.errors import SpaceError
from tunewright.runs.folder import RunFolder
from tunewright.runs.question import Question, read_answer, read_question, write_answer
from tunewright.search.loop.trial_runs import TrialRun
from tunewright.search.study.define_by_run import DefineByRunStudy
from tunewright.spaces.apart import check_apart
from tunewright.spaces.space import Parameter, Space
from tunewright.spaces.specification import read_domain


def answer(
    study: DefineByRunStudy, run: TrialRun, attempt: int, judge: Callable[[], None]
) -> TrialRun:
    """Answer the question of a run, if one is open; return the run with its new value.

    A value is stored in the study and in the trial's folder before the run has it. judge: asks the
    pruner about the run, which writes a request where it is to be pruned.
    """
    question = read_question(run.folder, attempt)
    if question is None or read_answer(run.folder, question) is not None:
        return run
    if not question.suggest:
        judge()
        request = run.folder.read_request(attempt)
        pruned = request is not None and request.kind == "prune"
        write_answer(run.folder, question, {"prune": pruned})
        return run
    try:
        run = _suggest(study, run, question)
    except SpaceError as error:
        refused = {"came": error.came, "expected": error.expected, "remedy": error.remedy}
        write_answer(run.folder, question, {"refused": refused})
        return run
    write_answer(run.folder, question, {"value": run.values[question.suggest]})
    return run


def _suggest(study: DefineByRunStudy, run: TrialRun, question: Question) -> TrialRun:
    name, fields = question.suggest, dict(question.fields or {})
    folder = run.folder if run.first else RunFolder(run.folder.path.parent)  # of the trial
    domains = {**(folder.read_domains() or {}), name: fields}
    named = tuple(Parameter(path, read_domain(domains[path])) for path in domains)
    check_apart(Space(named), {})  # a configuration holds the values by their paths
    values = {**run.values, name: study.suggest(run.number, name, fields)}
    _, started = folder.read_parameters() or ({}, None)
    folder.write_parameters(values, started=started, domains=domains)
    return replace(run, values=values)
