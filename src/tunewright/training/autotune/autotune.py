"""Precision, memory layout and compilation by what is fastest on a run's own first batch.

Nothing is best everywhere: channels_last makes one network half as fast again and slows another,
and compiling pays only in a long training. So a copy of the model takes a few steps in each
setting; the run itself stays as it was, bit for bit. The times are kept on disk, by machine and
shapes, and later trainings read them.

Other work on the machine can make single steps ten times as long. So all settings are visited in
turn, five times, and another than the plain one is chosen only where even its slowest visit was
faster than the plain one's fastest. Trying costs at most 5 % of the training: see `visits`. The
runs of a study choose together.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

import torch

from tunewright.config.schema import RunConfig, TrainingConfig
from tunewright.errors import Diverged
from tunewright.runs.quantities import duration
from tunewright.runs.shared_choice import SharedChoice
from tunewright.training.autotune.memory_format import Layout
from tunewright.training.autotune.precision import (
    Precision,
    cpu_precision,
    native_bf16,
    resolve_precision,
)
from tunewright.training.autotune.step_benchmark import STEPS, StepBenchmark
from tunewright.training.autotune.timing_cache import StepSettings, StepTime, kept_times, key_of
from tunewright.training.autotune.visits import CLEAR, ROUNDS, SHARE, Visits
from tunewright.training.randomness import random_state, restore_random_state
from tunewright.training.step import steps_per_epoch
from tunewright.training.task import Setup

SHORT_SECONDS = 60.0
"""A training that takes no longer than this starts at once."""
COMPILE_SECONDS = 1800.0
"""Compiling is tried only in a training that takes longer than this."""
LOSS_TOLERANCE = 0.05
"""How far the first loss may be from that of full precision, relative to it."""


def choose_settings(
    setup: Setup, config: RunConfig, device: torch.device, together: SharedChoice | None = None
) -> tuple[StepSettings, list[str]]:
    """Return what `auto` means for this run, and notices about it.

    Settings that are not `auto` stay as they are. Steps are tried only where `setup.calibrate`
    asks for it and the training is predicted to take longer than a minute. together: the runs that
    share precision and layout; the first of them tries steps, with the budget of all, and fills it
    in. Each run decides for itself whether compiling pays.
    """
    if together is None or not setup.calibrate or not _shares(config):
        choice, notices, _ = _choose(setup, config, device, config.training.epochs)
        return choice, notices
    said: list[str] = []
    if not together.values:
        alone = _with(config, {"training.compile": "never"})
        choice, said, decided = _choose(setup, alone, device, together.epochs)
        if decided:
            found = {
                "training.precision": {"no": "fp32"}.get(choice.precision, choice.precision),
                "training.layout": choice.layout,
            }
            together.values = {path: found[path] for path in found if _auto(config, path)}
            together.why = said[-1] if said else "nothing was tried for so little work"
    open_ = {path for path in together.values if _auto(config, path)}
    pinned = _with(config, {path: together.values[path] for path in open_})
    choice, notices, _ = _choose(setup, pinned, device, config.training.epochs)
    return choice, [*said, *notices]


def _shares(config: RunConfig) -> bool:
    return "auto" in (config.training.precision, config.training.layout)


def _auto(config: RunConfig, path: str) -> bool:
    return bool(getattr(config.training, path.removeprefix("training.")) == "auto")


def _with(config: RunConfig, values: Mapping[str, str]) -> RunConfig:
    named = {path.removeprefix("training."): value for path, value in values.items()}
    return config.model_copy(update={"training": config.training.model_copy(update=named)})


def _choose(
    setup: Setup, config: RunConfig, device: torch.device, epochs: int
) -> tuple[StepSettings, list[str], bool]:
    """Return the settings for `epochs`, notices, and whether other runs may share the settings."""
    training = config.training
    layout: Layout = "channels_last" if training.layout == "channels_last" else "contiguous"
    plain = StepSettings(_default_precision(setup, training, device), layout)
    always = training.compile == "always"
    choices = _open(plain, config, device)
    is_open = len(choices) > 1 or training.compile == "auto"
    if not setup.calibrate or not is_open or len(setup.train) == 0:
        return replace(plain, compiled=always), [], True
    steps = epochs * steps_per_epoch(setup.train, training.accumulate)
    if SHARE * steps < 1.0:
        return replace(plain, compiled=always), [], True  # a single step would cost too much
    best, notices, decided = _try_choices(setup, config, device, plain, choices, steps)
    return replace(best, compiled=best.compiled or always), notices, decided


def fastest(times: Mapping[StepSettings, StepTime], steps: int) -> StepSettings:
    """Return the setting that surely takes the least time for `steps`, else the plainest.

    One that changed the first loss is left out. A setting is better than a plainer one when its
    slowest visit is 3 % faster than the other's fastest; compiling must pay for itself too.
    """
    loss = times[min(times, key=_elaborate)].loss
    sound = {
        choice: timed
        for choice, timed in times.items()
        if not abs(timed.loss - loss) > LOSS_TOLERANCE * abs(loss) + 1e-3
    }
    best, *others = sorted(sound, key=_elaborate)
    for choice in others:
        most = sound[choice].slowest * steps + sound[choice].compiling
        if CLEAR * most <= sound[best].fastest * steps + sound[best].compiling:
            best = choice
    return best


def _default_precision(setup: Setup, training: TrainingConfig, device: torch.device) -> Precision:
    """Return the precision of a run that tries nothing."""
    if training.precision != "auto":
        return resolve_precision(training.precision, cpu=device.type == "cpu")
    if setup.calibrate:
        return "no"  # a lower one only where it was seen to pay
    if device.type == "cpu":
        return cpu_precision(setup.model, training.batch_size)
    return resolve_precision("auto", cpu=False)


def _elaborate(choice: StepSettings) -> tuple[bool, bool, bool]:
    return choice.compiled, choice.precision != "no", choice.layout != "contiguous"


def _open(plain: StepSettings, config: RunConfig, device: torch.device) -> list[StepSettings]:
    """Return the settings that the configuration leaves open: the plain one, then the boldest."""
    low = native_bf16() if device.type == "cpu" else torch.cuda.is_bf16_supported()
    precisions: Sequence[Precision] = [plain.precision]
    if config.training.precision == "auto" and low:
        precisions = ["bf16", "no"]
    layouts: Sequence[Layout] = [plain.layout]
    if config.training.layout == "auto":
        layouts = ["channels_last", "contiguous"]
    every = [replace(plain, precision=p, layout=n) for p in precisions for n in layouts]
    return [plain, *(choice for choice in every if choice != plain)]


def _try_choices(
    setup: Setup,
    config: RunConfig,
    device: torch.device,
    plain: StepSettings,
    choices: Sequence[StepSettings],
    steps: int,
) -> tuple[StepSettings, list[str], bool]:
    before = random_state()
    began = time.perf_counter()
    loader = setup.train.epoch(0)
    try:
        batches = list(islice(loader, config.training.accumulate))
        loading = time.perf_counter() - began
        with kept_times(key_of(setup, config, device, batches)) as times:
            known = dict(times)
            benchmark = StepBenchmark(setup, config, device, batches)
            visits = Visits(benchmark, times, plain, steps, spent=loading)
            try:
                _measure(visits, choices, compiles=config.training.compile == "auto")
            finally:
                benchmark.close()
            reused = times == known
    finally:
        restore_random_state(before)
        if close := getattr(loader, "close", None):
            close()
    if plain not in times and plain not in visits.failed:
        return plain, [], True
    if _is_short(visits):
        return plain, [], True
    compiled = [replace(choice, compiled=True) for choice in choices]
    allowed = [*choices, *(compiled if config.training.compile == "auto" else [])]
    found = {choice: times[choice] for choice in allowed if choice in times}
    if not found:
        return plain, visits.problems, False
    best = fastest(_comparable(found), steps)
    return best, [*visits.problems, _describe_choice(best, found, steps, reused=reused)], True


def _measure(visits: Visits, choices: Sequence[StepSettings], *, compiles: bool) -> None:
    """Visit the settings whose times are missing and worth having."""
    times, plain, steps = visits.times, visits.plain, visits.steps
    if plain not in times:
        if SHARE * steps < STEPS:
            return  # the first visit alone would cost too much
        visits.visit(plain)
    if _is_short(visits):
        return
    if isinstance(visits.failed.get(plain), Diverged):
        return  # in full precision: the trainer says what is wrong
    in_turn = choices if plain in visits.failed else choices[: visits.affordable()]
    if len(in_turn) > 1:
        visits.visit_in_turn(in_turn)
    if not (found := {c: times[c] for c in choices if c in times}):
        return
    best = fastest(_comparable(found), steps)
    if compiles and times[best].typical * steps > COMPILE_SECONDS:
        visits.visit_in_turn([best, replace(best, compiled=True)])


def _comparable(times: Mapping[StepSettings, StepTime]) -> dict[StepSettings, StepTime]:
    """Return the times of the plainest setting, and of those that had all visits."""
    plainest = min(times, key=_elaborate)
    return {c: t for c, t in times.items() if c == plainest or len(t.seconds) >= ROUNDS}


def _is_short(visits: Visits) -> bool:
    plain = visits.times.get(visits.plain)
    return plain is not None and plain.fastest * visits.steps <= SHORT_SECONDS


def _describe_choice(
    best: StepSettings, times: Mapping[StepSettings, StepTime], steps: int, *, reused: bool
) -> str:
    text = f"calibration: {best}, {_range(times[best])} s a step"
    others = [f"{c} {_range(t)} s" for c, t in times.items() if c != best]
    text += f" ({'; '.join(others)})" if others else ""
    text += f", about {duration(times[best].typical * steps)} in all"
    quickest = min(times, key=lambda choice: times[choice].typical)
    if quickest != best and CLEAR * times[quickest].typical <= times[best].typical:
        text += f"; {quickest} was faster, but not surely enough to pay"
    return text + (", as measured before on this machine" if reused else "")


def _range(timed: StepTime) -> str:
    low, high = f"{timed.fastest:.3g}", f"{timed.slowest:.3g}"
    return low if low == high else f"{low} to {high}"
