"""A study whose trials name their parameters while they run, as an Optuna objective does."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.trial import TrialState, create_trial

from tunewright.errors import SpaceError
from tunewright.search.storage.database import Settings
from tunewright.search.storage.database_errors import storage_errors
from tunewright.search.study.optuna_types import (
    distribution,
    encode,
    suggest,
    trials_of,
)
from tunewright.search.study.study import Study
from tunewright.spaces.domain import Categorical, Domain, Float, Int
from tunewright.spaces.space import Parameter, Space
from tunewright.spaces.specification import read_domain


class DefineByRunStudy(Study):
    """A study without a space before its first trial; `suggest` makes its parameters.

    The sampler draws each value in the view that it learns from, with all trials that run beside.
    Of parameters that earlier trials had in common, it draws the values of a trial together.
    """

    def __init__(
        self,
        url: str,
        name: str,
        settings: Settings,
        space: Space,
        *,
        outage_seconds: float = 0.0,
        on_notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        super().__init__(
            url, name, settings, space, outage_seconds=outage_seconds, on_notice=on_notice
        )
        self._live: dict[int, optuna.Trial] = {}
        self._domains: dict[str, BaseDistribution] = {}
        for trial in trials_of(self._study):
            self._domains |= trial.distributions

    def ask(self, proposed: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Return the number of a new trial, which has no parameters yet and is stored."""
        view = self._view.ask()
        with storage_errors(self.url):
            trial_id, number = self._writer.begin(create_trial(state=TrialState.RUNNING))
        self._trial_ids[number], self._view_trials[number] = trial_id, view._trial_id
        self._live[number], self.curves[number] = view, {}
        self.count += 1
        return number, {}

    def reachable(self, total: int) -> int:
        """Return `total`: nobody knows how many points there are."""
        return total

    @property
    def holes(self) -> int:
        """None: a failed point is drawn again only if the sampler does."""
        return 0

    def suggest(self, number: int, name: str, fields: Mapping[str, Any]) -> Any:
        """Return the value of a parameter of a running trial, which is stored with it.

        fields: its domain, as a space file writes it. Raises SpaceError for a domain that
        contradicts one of the same name in this study.
        """
        domain = read_domain(fields)
        stored = distribution(domain)
        self._check(name, domain, stored)
        if number not in self._live:  # begun in an earlier session
            self._live[number] = optuna.trial.Trial(self._view, self._view_trials[number])
        trial = self._live[number]
        known = name in trial.params
        value = suggest(trial, Parameter(name, domain))
        if not known:
            with storage_errors(self.url):
                self._writer.suggest(self._trial_ids[number], name, stored, encode(domain, value))
            self._domains[name] = stored
            self.space = _extend(self.space, name, domain)
        return value

    def _check(self, name: str, domain: Domain, wanted: BaseDistribution) -> None:
        """Raise SpaceError where earlier trials had another kind of domain under the name."""
        if name not in self._domains:
            return
        try:
            check_distribution_compatibility(self._domains[name], wanted)
        except ValueError:
            raise SpaceError(
                f"{name} was suggested from {domain}, and from {self._domains[name]} in an "
                "earlier trial of this study",
                expected="one kind of domain and the same choices in all trials; only the bounds "
                "of numbers may differ",
                remedy="Give the parameter a name of its own for each kind, or begin a new study: "
                "tunewright.tune(..., name='NEW').",
            ) from None


def _extend(space: Space, name: str, domain: Domain) -> Space:
    """Return the space with a domain that a trial has used; ranges of one name are joined."""
    if name not in space:
        return replace(space, parameters=(*space.parameters, Parameter(name, domain)))
    known = space[name].domain
    if isinstance(known, Categorical) or isinstance(domain, Categorical):
        return space
    low, high = min(known.low, domain.low), max(known.high, domain.high)
    same_grid = (known.low, known.step) == (domain.low, domain.step)
    if isinstance(known, Int):
        joined: Domain = Int(int(low), int(high), known.log, known.step if same_grid else 1)
    else:
        joined = Float(low, high, known.log, known.step if same_grid else None)
    others = tuple(p if p.path != name else Parameter(name, joined) for p in space.parameters)
    return replace(space, parameters=others)
