"""Searches by other tools: each runs in an environment of its own and asks for trainings here."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from curve_tasks import CurveTask
from search_run import START
from simulated_executor import Account, BudgetSpent

from tunewright.spaces.domain import Int

TOOLS = {"smac": "outside_smac.py", "syne-tune": "outside_syne_tune.py"}
IDLE = 500
"""Requests in a row for what is known already, after which a search is taken to have ended."""


def search_outside(
    task: CurveTask, tool: str, python: Path, seed: int, budgets: Sequence[float]
) -> list[float]:
    """Return the regrets of one search of a tool with one worker after each budget, in trainings.

    python: of an environment that has the tool. A training goes on from where it was left.
    """
    account = Account(task, budgets[-1] * task.full_cost)
    given = {
        "space": {p.path: _bounds(p.domain) for p in task.space.parameters},
        "start": task.points(seed, START),
        "first": 1,
        "last": task.last,
        "seed": seed,
    }
    child = subprocess.Popen(
        [python, Path(__file__).with_name(TOOLS[tool])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
    )
    try:
        _say(child, given)
        _answer(account, child)
    finally:
        child.kill()
        _, errors = child.communicate()
    if account.spent < 0.5 * account.budget:
        raise RuntimeError(f"{tool} ended after {account.spent} epochs: {errors[-2000:]}")
    return account.regrets(budgets)


def _answer(account: Account, child: subprocess.Popen[str]) -> None:
    """Train what the child asks for until it ends, or the budget is spent."""
    assert child.stdout is not None
    idle = 0
    for line in child.stdout:
        asked = json.loads(line)
        values, spent, done, score = asked["values"], account.spent, False, 0.0
        length = len(account.task.curve(values))
        try:
            for step in range(1, min(asked["step"], length) + 1):
                score, done = account.train_epoch(values, step)
        except BudgetSpent:
            return
        idle = idle + 1 if account.spent == spent else 0
        if idle == IDLE:
            return
        _say(child, [score, done])


def _say(child: subprocess.Popen[str], what: object) -> None:
    assert child.stdin is not None
    child.stdin.write(json.dumps(what) + "\n")
    child.stdin.flush()


def _bounds(domain: object) -> tuple[str, float, float, bool]:
    kind = "int" if isinstance(domain, Int) else "float"
    return kind, domain.low, domain.high, domain.log  # type: ignore[attr-defined]
