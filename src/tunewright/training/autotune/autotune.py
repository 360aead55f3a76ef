"""Which precision, memory layout and compilation pay, tried on a run's own first batch.

Nothing is universal: channels_last makes one network half as fast again and slows another, and a
compiler costs what only a long training gives back. So a copy of the model takes a few steps each
way; the run itself is left as it was, bit for bit. What was measured is kept on disk, so that other
trainings of the same shapes only read it.

Other work on the machine makes single steps ten times as long. So all ways are visited in turn,
several times, and another than the plain one is taken only where even its slowest visit was faster
than the plain one's fastest. The runs of a study choose together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

import torch

from tunewright.config.schema import RunConfig, TrainingConfig
from tunewright.errors import Diverged
from tunewright.runs.quantities import duration
from tunewright.runs.shared_choice import SharedChoice
from tunewright.training.autotune.memory_format import Layout
from tunewright.training.autotune.precision import Precision, cpu_precision, native_bf16
from tunewright.training.autotune.step_benchmark import STEPS, StepBenchmark, steps_per_epoch
from tunewright.training.autotune.timing_cache import StepSettings, StepTime, kept_times, key_of
from tunewright.training.randomness import random_state, restore_random_state
from tunewright.training.task import Setup
from tunewright.training.trainer import resolve_precision

SHORT_SECONDS = 60.0
"""A training that takes no longer than this is begun at once."""
COMPILE_SECONDS = 1800.0
"""And only one that takes longer than this may be worth a compiler's while."""
SHARE = 0.05
"""Of the whole training, what trying may cost."""
CLEAR = 1.03
"""How many times as fast a choice must be to be preferred to a plainer one, at its slowest."""
ROUNDS = 5
"""Visits of each way: where two are the same, all of the bolder one are faster once in 252."""
LOSS_TOLERANCE = 0.05
"""How far the first loss may lie from that of full precision, relative to it."""


def choose_settings(
    setup: Setup, config: RunConfig, device: torch.device, together: SharedChoice | None = None
) -> tuple[StepSettings, list[str]]:
    """What `auto` comes to for this run, and what to say of it.

    Settings that are not `auto` stay as they are. Steps are tried only where `setup.calibrate`
    asks for it and the training is predicted to take longer than a minute. together: precision and
    layout are those of all the runs that it speaks of; the first of them tries steps, for as long
    as they take together, and it is filled in. Whether compiling pays is each run's own question.
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
    """What `auto` comes to for so many epochs, what to say, and whether it may hold for others."""
    training = config.training
    layout: Layout = "channels_last" if training.layout == "channels_last" else "contiguous"
    plain = StepSettings(_untried(setup, training, device), layout)
    always = training.compile == "always"
    choices = _open(plain, config, device)
    is_open = len(choices) > 1 or training.compile == "auto"
    if not setup.calibrate or not is_open or len(setup.train) == 0:
        return replace(plain, compiled=always), [], True
    steps = epochs * steps_per_epoch(setup, config)
    best, notices, decided = _try_choices(setup, config, device, plain, choices, steps)
    return replace(best, compiled=best.compiled or always), notices, decided


def fastest(times: Mapping[StepSettings, StepTime], steps: int) -> StepSettings:
    """The choice that surely takes the least time for `steps`; the plainer one where none does.

    What changed the first loss is left out. A choice is better than a plainer one when its slowest
    visit is 3 % faster than the other's fastest; a compiled one must also pay for compiling.
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


def _untried(setup: Setup, training: TrainingConfig, device: torch.device) -> Precision:
    """The precision of a run that tries nothing."""
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
    """The choices that the configuration leaves open; the boldest stands after the plain one."""
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
    loader = setup.train.epoch(0)
    try:
        batches = list(islice(loader, config.training.accumulate))
        with kept_times(key_of(setup, config, device, batches)) as times:
            known = dict(times)
            trying = StepBenchmark(setup, config, device, batches)
            try:
                problems = _measure(trying, times, config, plain, choices, steps)
            finally:
                trying.close()
            reused = times == known
    finally:
        restore_random_state(before)
        if close := getattr(loader, "close", None):
            close()
    if plain in times and times[plain].fastest * steps <= SHORT_SECONDS:
        return plain, [], True
    compiles = config.training.compile == "auto"
    allowed = {c: times[c] for c in choices if c in times}
    if not allowed:
        return plain, problems, False
    compiled = [replace(choice, compiled=True) for choice in allowed]
    allowed |= {c: times[c] for c in compiled if compiles and c in times}
    best = fastest(allowed, steps)
    return best, [*problems, _describe_choice(best, allowed, steps, reused=reused)], True


def _measure(
    trying: "StepBenchmark",
    times: dict[StepSettings, StepTime],
    config: RunConfig,
    plain: StepSettings,
    choices: Sequence[StepSettings],
    steps: int,
) -> list[str]:
    """Fill in the times that are missing and worth having; what went wrong comes back."""
    problems: list[str] = []
    failed: dict[StepSettings, Exception] = {}

    def visit(choice: StepSettings) -> None:
        try:
            timed = trying.time_steps(choice)
        except Exception as error:  # out of memory, an operation that lacks a kernel, a compiler
            reason = " ".join(str(error).split())[:200]
            problems.append(f"calibration: {choice} does not work here ({reason})")
            failed[choice] = error
            times.pop(choice, None)
            return
        old = times.get(choice)
        times[choice] = timed if old is None else old.then(timed)

    def visit_in_turn(ways: Sequence[StepSettings]) -> None:
        for number in range(ROUNDS):
            for choice in ways[:: -1 if number % 2 else 1]:
                seen = len(times[choice].seconds) if choice in times else 0
                if seen <= number and choice not in failed:
                    visit(choice)

    if plain not in times:
        visit(plain)
    if plain in times and times[plain].fastest * steps <= SHORT_SECONDS:
        return problems
    if isinstance(failed.get(plain), Diverged):
        return problems  # in full precision: the trainer says what is wrong with that
    affordable = int(SHARE * steps / (STEPS * ROUNDS))
    ways = list(choices) if plain in failed else list(choices)[:affordable]
    if len(ways) > 1:
        visit_in_turn(ways)
    if not (found := {c: times[c] for c in choices if c in times}):
        return problems
    best = fastest(found, steps)
    long = times[best].typical * steps > COMPILE_SECONDS
    if config.training.compile == "auto" and long:
        visit_in_turn([best, replace(best, compiled=True)])
    return problems


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
