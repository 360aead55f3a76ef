"""How often each finding is made where it is false, and where it is true.

For each kind, 200 simulated studies without the effect and 200 with it, at the size that matters:

    python benchmarks/findings_power.py [--studies 200] [--only edge] [--output FILE]
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine
from simulated_studies import PARAMETERS, Rng, Units, World, bowl, draw_study

from tunewright.analysis.findings.evidence import gather
from tunewright.analysis.findings.find import KINDS, find
from tunewright.analysis.findings.finding import StudyContext
from tunewright.analysis.score_intervals import wilson
from tunewright.runs.record import StudyRecord, Trial
from tunewright.spaces.domain import Categorical, Float
from tunewright.spaces.space import Parameter

SEED = 2028
"""Of studies that no threshold was set on."""
MOST_FALSE, LEAST_POWER = 0.05, 0.80
LR, WD, DROPOUT = "optim.lr", "optim.weight_decay", "model.dropout"
HEAD, BATCH = "model.type", "training.batch_size"
Draw = Callable[[Rng], tuple[StudyRecord, StudyContext]]


@dataclass(frozen=True)
class Case:
    """A kind of finding, and studies without the effect and with it.

    matters: the size of the effect, in words. look: the function of `KINDS`, where its name is
    another. about: the parameter that it has to be about; empty for any.
    """

    name: str
    matters: str
    without: Draw
    with_it: Draw
    look: str = ""
    about: str = ""
    parameters: tuple[Parameter, ...] = PARAMETERS


def ordinary(rng: Rng, **changes: Any) -> World:
    """Return a world in which the learning rate and the head matter, the best rate inside."""
    optimum, head = rng.uniform(0.3, 0.7), rng.permutation(3)
    noise = rng.uniform(0.01, 0.03)

    def quality(units: Units) -> float:
        return 0.8 - 0.15 * bowl(units[LR], optimum) - 0.03 * head[round(2 * units[HEAD])]

    return replace(
        World(quality, noise=noise, adaptive=rng.random() < 0.5, pruned=rng.random() < 0.5),
        **changes,
    )


def nothing(rng: Rng, **changes: Any) -> World:
    """Return a world in which no parameter matters."""
    return ordinary(rng, **{"quality": lambda _units: 0.7, **changes})


def narrow(rng: Rng) -> World:
    """Return a world whose best tenth lies in a third of the range of the learning rate."""
    optimum = rng.uniform(0.3, 0.7)
    return ordinary(rng, quality=lambda units: 0.8 - 0.3 * bowl(units[LR], optimum))


def plain(make: Callable[[Rng], World]) -> Draw:
    """Return what draws a study of a world, with nothing known of how it was run."""

    def draw(rng: Rng) -> tuple[StudyRecord, StudyContext]:
        return draw_study(make(rng), rng), StudyContext()

    return draw


def also(world: World, more: Callable[[Units], float]) -> World:
    """Return a world whose quality has another term."""
    before = world.quality
    return replace(world, quality=lambda units: before(units) + more(units))


def collapsed(rng: Rng) -> tuple[StudyRecord, StudyContext]:
    """Draw a study in which nine of ten trials predict one class."""
    record = draw_study(nothing(rng, pruned=False, trials=30), rng)
    trials = [
        replace(t, score=0.1, curve=dict.fromkeys(t.curve, 0.1)) if rng.random() < 0.93 else t
        for t in record.trials
    ]
    return replace(record, trials=tuple(trials)), StudyContext()


def measured(rng: Rng, ratio: float) -> World:
    """Return a world where scores have an interval. ratio: true differences to its error."""
    error = 0.02
    spread = {LR: ratio * error / 0.3}  # the standard deviation of a uniform place is 0.29
    return nothing(
        rng,
        noise=error,
        error=error,
        adaptive=False,
        pruned=False,
        trials=60,
        quality=lambda units: 0.7 + spread[LR] * units[LR],
    )


def grid_study(rng: Rng, read: bool) -> tuple[StudyRecord, StudyContext]:
    """Draw a full grid of two rates, dropout and a parameter that is read or not."""
    trials = []
    for lr in (1e-4, 1e-3, 1e-2):
        for head in ("clip", "mlp"):
            same = 0.7 + rng.normal(0, 0.03)
            for smoothing in (0.0, 0.1):
                score = same + (rng.normal(0, 0.004) if read else 0.0)
                values = {LR: lr, HEAD: head, "loss.smoothing": smoothing}
                trials.append(Trial(len(trials), "done", values, score, {1: score - 0.1, 2: score}))
    return StudyRecord("grid", "longtail", "val_accuracy", "max", tuple(trials)), StudyContext()


LOSSES = (
    *PARAMETERS[:2],
    Parameter("loss.type", Categorical(("focal", "modulated"))),
    Parameter("loss.tau", Float(0.0, 1.0)),
)


def losses(rng: Rng, used: bool) -> World:
    """Return a world in which tau matters with one loss, or with both."""
    optimum = rng.uniform(0.2, 0.8)

    def quality(units: Units) -> float:
        reads = used or units["loss.type"] == 1
        return (
            0.8
            - 0.1 * bowl(units[LR], 0.5)
            - (0.15 * bowl(units["loss.tau"], optimum) if reads else 0)
        )

    return ordinary(rng, quality=quality, parameters=LOSSES, trials=150, pruned=False)


def slow_starters(rng: Rng, slow: bool) -> World:
    """Return a world of curves that cross, or of curves that keep their order."""

    def constant(units: Units, rng: Rng) -> float:
        return 1.0 + 7.0 * (1 - units[LR]) if slow else 3.0 * math.exp(rng.normal(0, 0.05))

    def quality(units: Units) -> float:
        return 0.8 - 0.25 * units[LR] - 0.03 * round(2 * units[HEAD])

    return ordinary(
        rng,
        pruned=True,
        adaptive=False,
        time_constant=constant,
        **({"quality": quality} if slow else {}),
    )


def failing(rng: Rng, where: bool, cause: str, path: str, start: float) -> World:
    """Return a world where trials fail in a region, or anywhere."""
    rate = rng.uniform(0.05, 0.2)

    def fails(units: Units, rng: Rng) -> str:
        chance = (0.75 if units[path] >= start else 0.02) if where else rate
        return cause if rng.random() < chance else ""

    return ordinary(rng, fails=fails, trials=80)


def timed(rng: Rng, ratio: float) -> World:
    """Return a world in which an epoch with the largest batch takes longer."""

    def seconds(units: Units, rng: Rng) -> float:
        return 10.0 * math.exp(rng.normal(0, 0.3)) * (ratio if units[BATCH] == 1.0 else 1.0)

    return ordinary(rng, seconds=seconds, trials=60)


def workers(rng: Rng, batches: bool) -> World:
    """Return a world of four workers that start trials at once, or in batches."""

    def seconds(_units: Units, rng: Rng) -> float:
        return 10.0 * math.exp(rng.normal(0, 0.6))

    return ordinary(rng, slots=4, batches=batches, seconds=seconds, trials=48)


def warmed(rng: Rng, epochs: int) -> tuple[StudyRecord, StudyContext]:
    """Draw a study with a warm-up of so many of its 16 epochs."""
    shared = {"training.epochs": 16, "schedule.warmup_epochs": epochs}
    return draw_study(ordinary(rng, trials=30), rng), StudyContext(configuration=shared)


def on_split(rng: Rng, goal: str) -> tuple[StudyRecord, StudyContext]:
    """Draw a study of a goal."""
    record = draw_study(ordinary(rng, trials=30, goal=goal), rng)
    return record, StudyContext(fingerprints={"valid": "a", "test": "b"})


def tails(rng: Rng, flat: bool) -> World:
    """Return a world of rare classes that stay poor, or follow the goal."""

    def extra(score: float, rng: Rng) -> Mapping[str, float]:
        tail = 0.1 if flat else 0.1 + 0.5 * (score - 0.55)
        return {"val_head_f1": score + 0.05, "val_tail_f1": tail + rng.normal(0, 0.02)}

    return ordinary(rng, extra=extra, pruned=False, trials=60)


def rates(rng: Rng, shift: float) -> World:
    """Return a world whose best learning rate moves with the batch size."""
    optimum = rng.uniform(0.35, 0.45)

    def quality(units: Units) -> float:
        return 0.8 - 0.25 * bowl(units[LR], optimum + shift * units[BATCH])

    return ordinary(rng, quality=quality)


def subsets(rng: Rng, tau: float) -> tuple[StudyRecord, StudyContext]:
    """Draw configurations trained on a tenth and on all of the data; correlated by `tau`."""
    trials = []
    for number in range(20):
        whole = rng.normal()
        part = tau * whole + math.sqrt(1 - tau**2) * rng.normal()
        for fraction, score in ((0.1, part), (1.0, whole)):
            values = {LR: 1e-4 * (number + 1), "data.fraction": fraction}
            trials.append(Trial(len(trials), "done", values, 0.7 + 0.05 * score, {}))
    return StudyRecord("subsets", "longtail", "val_accuracy", "max", tuple(trials)), StudyContext()


def repeated(rng: Rng, share: float) -> tuple[StudyRecord, StudyContext]:
    """Draw a study in which a share of the trials repeats earlier points."""
    record = draw_study(ordinary(rng, trials=40), rng)
    trials = list(record.trials)
    for index in range(1, len(trials)):
        if rng.random() < share:
            trials[index] = replace(
                trials[index], parameters=trials[int(rng.integers(index))].parameters
            )
    return replace(record, trials=tuple(trials)), StudyContext()


def edge(rng: Rng, at_edge: bool) -> World:
    """Return a world whose best learning rate lies beyond the range, or well inside."""
    optimum = rng.choice([-0.1, 1.1]) if at_edge else rng.uniform(0.28, 0.72)
    world = ordinary(rng, quality=lambda units: 0.8 - 0.15 * bowl(units[LR], optimum))
    return also(world, lambda units: -0.02 * round(2 * units[HEAD]))


def decided(rng: Rng, lead: float) -> World:
    """Return a world in which one head leads by so many standard deviations of the noise."""
    best, optimum = int(rng.integers(3)), rng.uniform(0.3, 0.7)
    world = ordinary(rng)

    def quality(units: Units) -> float:
        own = round(2 * units[HEAD]) == best
        return 0.8 - 0.1 * bowl(units[LR], optimum) + (lead * world.noise if own else 0.0)

    return replace(world, quality=quality)


def decay(rng: Rng, effect: float) -> World:
    """Return a world in which the weight decay explains so much of the spread."""
    world = ordinary(rng, trials=120)
    if effect == 0.0:
        world = replace(world, adaptive=False)
    return also(world, lambda units: -effect * bowl(units[WD], 0.3))


CASES = (
    Case("alike", "nine of ten scores the same", plain(ordinary), collapsed),
    Case(
        "noise",
        "true differences of a quarter of the standard error",
        plain(lambda r: measured(r, 2.5)),
        plain(lambda r: measured(r, 0.25)),
    ),
    Case(
        "too_few",
        "2 trials for each parameter",
        plain(ordinary),
        plain(lambda r: ordinary(r, trials=11)),
    ),
    Case(
        "repeats",
        "a quarter of the trials",
        lambda r: repeated(r, 0.02),
        lambda r: repeated(r, 0.25),
    ),
    Case(
        "top_agree",
        "the best tenth within a third of the range",
        plain(nothing),
        plain(narrow),
        "top",
    ),
    Case(
        "top_disagree",
        "no parameter matters",
        plain(ordinary),
        plain(lambda r: nothing(r, adaptive=False)),
        "top",
    ),
    Case(
        "no_effect",
        "none at all, in 120 trials over the whole range",
        plain(lambda r: decay(r, 0.12)),
        plain(lambda r: decay(r, 0.0)),
        about=WD,
    ),
    Case("unread", "six pairs", lambda r: grid_study(r, True), lambda r: grid_study(r, False)),
    Case(
        "unused",
        "read with one of two losses, of 150 trials",
        plain(lambda r: losses(r, True)),
        plain(lambda r: losses(r, False)),
        parameters=LOSSES,
    ),
    Case(
        "edge",
        "the best value a tenth of the range beyond",
        plain(lambda r: edge(r, False)),
        plain(lambda r: edge(r, True)),
        about=LR,
    ),
    Case(
        "decided",
        "a lead of 1.5 standard deviations of the noise",
        plain(lambda r: decided(r, 0.0)),
        plain(lambda r: decided(r, 1.5)),
        about=HEAD,
    ),
    Case(
        "pruning",
        "slow starters end best",
        plain(lambda r: slow_starters(r, False)),
        plain(lambda r: slow_starters(r, True)),
    ),
    Case(
        "overfitting",
        "a tenth of the gain lost again",
        plain(lambda r: ordinary(r)),
        plain(lambda r: ordinary(r, fall=0.2)),
    ),
    Case(
        "unstable",
        "three of four trials with the highest fifth of the rates",
        plain(lambda r: failing(r, False, "diverged", LR, 0.8)),
        plain(lambda r: failing(r, True, "diverged", LR, 0.8)),
        about=LR,
    ),
    Case(
        "out_of_memory",
        "three of four trials with the largest batch",
        plain(lambda r: failing(r, False, "out of memory", BATCH, 1.0)),
        plain(lambda r: failing(r, True, "out of memory", BATCH, 1.0)),
        about=BATCH,
    ),
    Case(
        "slow",
        "twice as long an epoch",
        plain(lambda r: timed(r, 1.0)),
        plain(lambda r: timed(r, 2.0)),
        about=BATCH,
    ),
    Case(
        "idle",
        "four workers wait for the slowest",
        plain(lambda r: workers(r, False)),
        plain(lambda r: workers(r, True)),
    ),
    Case("warmup", "12 of 16 epochs", lambda r: warmed(r, 2), lambda r: warmed(r, 12)),
    Case(
        "test_split",
        "the goal's name",
        lambda r: on_split(r, "val_accuracy"),
        lambda r: on_split(r, "test_accuracy"),
    ),
    Case(
        "tail_flat",
        "0.1, whatever the goal",
        plain(lambda r: tails(r, False)),
        plain(lambda r: tails(r, True)),
    ),
    Case(
        "batch_size",
        "the best rate moves by a decade",
        plain(lambda r: rates(r, 0.0)),
        plain(lambda r: rates(r, 0.33)),
    ),
    Case(
        "subset",
        "correlation 0.2 with the whole",
        lambda r: subsets(r, 0.95),
        lambda r: subsets(r, 0.2),
    ),
)


def rate_of(case: Case, draw: Draw, studies: int, seed: int) -> tuple[float, float, float]:
    """Return how often a finding is made, with its 95 % interval."""
    hits = 0
    for number in range(studies):
        record, context = draw(np.random.default_rng([SEED, seed, number]))
        made = KINDS[case.look or case.name](gather(record, case.parameters, context))
        true = draw is case.with_it
        hits += any(
            f.name == case.name
            and (not true or not case.about or case.about in f.parameters or not f.parameters)
            and (true or case.name != "no_effect" or case.about in f.parameters)
            for f in made
        )
    low, high = wilson(hits, studies)
    return hits / studies, low, high


TRUE_OF_NOISE = ("top_disagree", "no_effect", "alike", "noise")
"""Kinds that are true where no parameter matters."""


def rate_in_noise(studies: int) -> tuple[float, float, float]:
    """Return how often any finding is false where no parameter matters, with its interval."""
    hits = 0
    for number in range(studies):
        rng = np.random.default_rng([SEED, number])
        made = find(draw_study(nothing(rng), rng), PARAMETERS)
        hits += any(finding.name not in TRUE_OF_NOISE for finding in made)
    return hits / studies, *wilson(hits, studies)


def main() -> None:
    """Measure and store the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    rows = []
    for place, case in enumerate(CASES):
        if given.only and case.name not in given.only:
            continue
        began = time.perf_counter()
        false = rate_of(case, case.without, given.studies, 2 * place)
        power = rate_of(case, case.with_it, given.studies, 2 * place + 1)
        met = false[0] <= MOST_FALSE and power[0] >= LEAST_POWER
        rows.append(
            {
                "finding": case.name,
                "matters": case.matters,
                "false_alarms": false[0],
                "false_alarms_interval": false[1:],
                "power": power[0],
                "power_interval": power[1:],
                "met": met,
            }
        )
        print(
            f"{case.name:<14} false {false[0]:6.1%}  power {power[0]:6.1%}  "
            f"{'' if met else 'NOT MET'}  ({time.perf_counter() - began:.1f} s)",
            flush=True,
        )
    noise = rate_in_noise(given.studies)
    print(f"any false finding where no parameter matters: {noise[0]:.1%}")
    if given.output:
        found = {
            "command": "python benchmarks/findings_power.py --output " + str(given.output),
            "machine": describe_machine(),
            "studies": given.studies,
            "any_false_finding_in_noise": noise,
            "rows": rows,
        }
        given.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
