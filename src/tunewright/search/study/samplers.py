"""Samplers: a fixed sequence of points, or a sampler of Optuna.

A sequence finds its position from the stored trials: its next point is the first that no trial has,
so that a resumed study continues exactly. Optuna's samplers learn from the scores.
"""

import itertools
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from copy import copy
from importlib.util import find_spec
from typing import Any

from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from tunewright.config import study_schema
from tunewright.config.components import plugins
from tunewright.errors import ConfigError
from tunewright.registry import Registry
from tunewright.search.storage.database import Settings, quiet
from tunewright.spaces.domain import Categorical, Int
from tunewright.spaces.points import grid, identity, is_finite, quasi_random
from tunewright.spaces.space import Space

SAMPLERS: Registry[Callable[..., BaseSampler]] = Registry("sampler", plugins.SAMPLERS)
"""Samplers of Optuna by name.

A component takes the space, a seed and the stored trials from the program.
"""
SEQUENCES: Mapping[str, Callable[[Space, int], Iterator[dict[str, Any]]]] = {
    "grid": lambda space, _seed: grid(space),
    "quasi_random": quasi_random,
}
"""Samplers that do not learn from scores: from a space and a seed to points."""
WARM_START = 10
"""Finished trials needed for CMA-ES to warm-start: it uses the best tenth of them."""
COUNTED = 10_000
"""Largest number of grid points counted before a study begins."""
BEHIND = 1e100
"""How far behind any score CMA-ES is told of a trial that violates a constraint."""


def check_sampler(study: study_schema.StudyConfig, space: Space, goals: int = 1) -> list[str]:
    """Return notices about the study's sampler on this space.

    Raises ConfigError or SpaceError where it cannot work.
    """
    conditional = [p.path for p in space.parameters if p.when]
    if space.define_by_run and study.sampler.type in (*SEQUENCES, "cma_es", "curves"):
        raise ConfigError(
            f"the sampler {study.sampler.type} of an objective that suggests its own parameters",
            expected="tpe, random or gp, since nobody knows the parameters before the first trial",
            remedy="Leave study.sampler.type out, or give the space: "
            "tunewright.tune(function, space) with function(params, report).",
        )
    match study.sampler:
        case study_schema.GridConfig():
            count = sum(1 for _ in itertools.islice(grid(space), COUNTED + 1))
            shown = str(count) if count <= COUNTED else f"more than {COUNTED}"
            part = f", and study.trials={study.trials} tries the first of them"
            return [f"the grid has {shown} points{part if study.trials < count else ''}"]
        case study_schema.GpConfig():
            notices = [
                (
                    "the sampler gp learns only from trials that run to their end; "
                    "study.pruner.type=none gives it all of them"
                )
            ]
            if conditional:
                notices.append(
                    f"the sampler gp draws {', '.join(conditional)} at random, since not every "
                    "trial has them; tpe models conditional parameters"
                )
            return notices
        case study_schema.CmaEsConfig():
            if goals > 1:
                raise ConfigError(
                    f"the sampler cma_es with {goals} goals",
                    expected="one",
                    remedy="Use study.sampler.type=tpe, which supports several goals.",
                )
            _refuse_cma_es(space, conditional)
            return [
                "the sampler cma_es learns only from trials that run to their end; "
                "study.pruner.type=none gives it all of them"
            ]
    return []


def sequence(
    settings: Mapping[str, Any], space: Space, seed: int
) -> Iterator[dict[str, Any]] | None:
    """Return the points of a sampler that does not learn from scores; None for one that does."""
    make = SEQUENCES.get(settings["type"])
    return None if make is None else make(space, seed)


def points_left(settings: Settings, space: Space, tried: Collection[Hashable], *, most: int) -> int:
    """Return how many points are left to try, counted up to `most`; a finite space is exhaustible.

    tried: the identities of the points that trials have.
    """
    points = sequence(settings.sampler, space, settings.seed)
    if points is None and is_finite(space):
        points = grid(space)
    if points is None:
        return max(0, most)
    new = (values for values in points if identity(space, values) not in tried)
    return sum(1 for _ in itertools.islice(new, max(0, most)))


def optuna_sampler(
    settings: Mapping[str, Any], space: Space, seed: int, stored: Sequence[FrozenTrial]
) -> BaseSampler:
    """Return Optuna's sampler of that name.

    stored: the trials of earlier sessions.
    """
    name = settings["type"]
    if name in SEQUENCES:
        return RandomSampler(seed=seed)  # unused: the sequence provides the points
    options = {key: value for key, value in settings.items() if key != "type"}
    with quiet():
        made = SAMPLERS[name](space, seed, stored, **options.pop("options", {}), **options)
    if not isinstance(made, BaseSampler):
        raise ConfigError(
            f"the sampler {name} of {SAMPLERS.group} returned a {type(made).__name__}",
            expected="an optuna.samplers.BaseSampler",
        )
    return made


@SAMPLERS
def random(_space: Space, seed: int, _stored: Sequence[FrozenTrial], /) -> BaseSampler:
    """Draw independent points."""
    return RandomSampler(seed=seed)


@SAMPLERS
def tpe(
    _space: Space, seed: int, _stored: Sequence[FrozenTrial], /, *, startup_trials: int = 10
) -> BaseSampler:
    """Model good and bad points by Parzen estimators."""
    return TPESampler(
        n_startup_trials=startup_trials,
        multivariate=True,
        group=True,  # keeps the joint model inside conditional branches
        constant_liar=True,
        seed=seed,
    )


@SAMPLERS
def gp(
    _space: Space, seed: int, _stored: Sequence[FrozenTrial], /, *, startup_trials: int = 10
) -> BaseSampler:
    """Model the score by a Gaussian process."""
    import torch

    torch.set_num_threads(1)  # tiny products; leave the cores to the workers
    return GPSampler(n_startup_trials=startup_trials, seed=seed, warn_independent_sampling=False)


@SAMPLERS
def curves(
    _space: Space,
    seed: int,
    _stored: Sequence[FrozenTrial],
    /,
    *,
    startup_trials: int = 10,
    first_rung: int | None = None,
) -> BaseSampler:
    """Draw the points that the process does not propose; see `search.curves`."""
    return RandomSampler(seed=seed)


@SAMPLERS
def cma_es(space: Space, seed: int, stored: Sequence[FrozenTrial], /) -> BaseSampler:
    """Adapt a normal distribution.

    Starts from the best stored trials (Nomura et al. 2021); Optuna's own way to resume, a pickle in
    the database, could run someone else's code.
    """
    done = _source_trials(stored, _free(space))
    stepped = any(_has_steps(p.domain) for p in space.parameters)
    return CmaEsSampler(
        seed=seed,
        with_margin=stepped,  # avoids getting stuck on one value (Hamano et al. 2022)
        source_trials=done if len(done) >= WARM_START else None,
        warn_independent_sampling=False,
    )


def scores_to_learn(
    settings: Settings, scores: Sequence[float], constraints: Mapping[str, float]
) -> list[float]:
    """Return the scores that the sampler learns from a trial that ran to its end.

    CMA-ES knows no constraints, and only ranks the scores: a trial that violates one comes behind
    all that do not, and those by the sum of their violations. The other samplers learn from
    constraints beside the scores. Source: Deb 2000, "An efficient constraint handling method for
    genetic algorithms".
    """
    excess = sum(max(0.0, value) for value in constraints.values())
    if settings.sampler["type"] != "cma_es" or excess == 0.0:
        return list(scores)
    behind = BEHIND * (1.0 + excess / (1.0 + excess))  # rising with the excess, and finite
    return [-behind if settings.direction == "max" else behind]


def as_learned(settings: Settings, trial: FrozenTrial) -> FrozenTrial:
    """Return a stored trial with the scores that the sampler learns from it."""
    if trial.state != TrialState.COMPLETE:
        return trial
    learned = copy(trial)
    learned.values = scores_to_learn(settings, trial.values, trial.constraints)
    return learned


def _source_trials(stored: Sequence[FrozenTrial], free: Sequence[str]) -> list[FrozenTrial]:
    """Return the finished trials with the parameters `free` alone, as CMA-ES starts from them.

    Optuna takes no trial that has other parameters, such as one with a single value.
    """
    return [
        create_trial(
            values=trial.values,
            params={path: trial.params[path] for path in free},
            distributions={path: trial.distributions[path] for path in free},
        )
        for trial in stored
        if trial.state == TrialState.COMPLETE and trial.params.keys() >= set(free)
    ]


def _free(space: Space) -> list[str]:
    """Return the parameters that have more than one value."""
    return [p.path for p in space.parameters if p.domain.ends[0] != p.domain.ends[-1]]


def _refuse_cma_es(space: Space, conditional: list[str]) -> None:
    remedy = "Remove them from the space (set them by hand), or use study.sampler.type=tpe."
    if choices := [p.path for p in space.parameters if isinstance(p.domain, Categorical)]:
        raise ConfigError(
            f"the sampler cma_es cannot choose among the values of {', '.join(choices)}",
            expected="numbers only, since it adapts a normal distribution",
            remedy=remedy,
        )
    if conditional:
        raise ConfigError(
            f"the sampler cma_es does not support {', '.join(conditional)}, which only some "
            "trials have",
            expected="parameters without conditions",
            remedy=remedy,
        )
    if len(free := _free(space)) < 2:
        raise ConfigError(
            f"the sampler cma_es has only {len(free)} parameter to adapt",
            expected="two or more",
            remedy="Use study.sampler.type=quasi_random or tpe.",
        )
    if find_spec("cmaes") is None:
        raise ConfigError(
            "the sampler cma_es needs the package cmaes",
            remedy="pip install 'tunewright[cmaes]', or study.sampler.type=tpe.",
        )


def _has_steps(domain: Any) -> bool:
    return isinstance(domain, Int) or domain.step is not None
