"""SMAC3 as a child of `outside_search.py`, run by the Python of an environment that has smac.

Hyperband with a random forest, its multi-fidelity facade as it comes (Lindauer et al. 2022).
"""

import contextlib
import sys
import tempfile
from pathlib import Path

from ConfigSpace import Configuration, ConfigurationSpace, Float, Integer
from outside_protocol import Parent
from smac import MultiFidelityFacade, Scenario
from smac.runhistory import TrialValue


def main(parent: Parent, folder: Path) -> None:
    """Search until the parent ends it."""
    given = parent.given
    space = ConfigurationSpace(seed=given["seed"])
    for name, (kind, low, high, log) in given["space"].items():
        space.add((Integer if kind == "int" else Float)(name, (low, high), log=log))
    scenario = Scenario(
        space,
        n_trials=100_000,
        min_budget=given["first"],
        max_budget=given["last"],
        seed=given["seed"],
        deterministic=True,
        output_directory=folder,
    )
    start = [Configuration(space, values=values) for values in given["start"]]
    facade = MultiFidelityFacade(
        scenario,
        lambda config, seed=0, budget=0: 0.0,
        initial_design=MultiFidelityFacade.get_initial_design(
            scenario, n_configs=0, additional_configs=start
        ),
        logging_level=False,
        overwrite=True,
    )
    while True:
        trial = facade.ask()
        score, _ = parent.train(dict(trial.config), round(trial.budget))
        facade.tell(trial, TrialValue(cost=-score), save=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(sys.stderr):
        main(Parent(), Path(place))
