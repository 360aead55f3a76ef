"""Sweeps of Hydra: the `params:` block of a sweeper, as its Optuna plug-in writes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.config.overrides import SweptValue, parse_sweep
from tunewright.config.tree import Tree, get, set_leaf
from tunewright.errors import ConfigError, SpaceError, quote
from tunewright.runs.record import Direction
from tunewright.spaces.domain import as_written
from tunewright.spaces.foreign.wandb_parameters import ReadParameter
from tunewright.spaces.read import SpaceFile

_SWEEPER = "hydra.sweeper"
_DIRECTIONS: Mapping[str, Direction] = {"minimize": "min", "maximize": "max"}
_STUDY = {
    "n_trials": "study.trials",
    "n_jobs": "study.jobs",
    "study_name": "study.name",
    "storage": "study.storage",
}
_OF_OPTUNA = (*_STUDY, "direction", "sampler", "search_space", "max_failure_rate")


def is_hydra_sweep(tree: Mapping[str, Any]) -> bool:
    """Return whether a mapping has the parameters of a sweeper of Hydra."""
    sweeper = get(tree, _SWEEPER)
    return isinstance(sweeper, Mapping) and (
        isinstance(sweeper.get("params"), Mapping)
        or isinstance(sweeper.get("search_space"), Mapping)
    )


def read_hydra_sweep(tree: Mapping[str, Any], file: Path) -> SpaceFile:
    """Return the sweep as our space file; the rest of the configuration is not read.

    A range of the Optuna plug-in includes its end, one of Hydra's own sweeper does not. Raises
    SpaceError for values that mean nothing here, such as `glob(*)`.
    """
    sweeper: Mapping[str, Any] = get(tree, _SWEEPER)
    of_optuna = any(key in sweeper for key in _OF_OPTUNA)
    parameters: dict[str, Mapping[str, Any]] = {}
    fixed: dict[str, Any] = {}
    for name, written in (sweeper.get("params") or {}).items():
        read = _read(str(name), written, file, end_included=of_optuna)
        if read.fields is None:
            fixed[str(name)] = read.value
        else:
            parameters[str(name)] = read.fields
    for name, fields in (sweeper.get("search_space") or {}).items():
        if not isinstance(fields, Mapping):
            raise SpaceError(f"{name} = {quote(fields)} in {file}", expected="type, low and high")
        parameters[str(name)] = fields
    settings: Tree = {}
    for key, path in _STUDY.items():
        if sweeper.get(key) is not None:
            set_leaf(settings, path, sweeper[key])
    notices = _set_sampler(sweeper.get("sampler"), settings)
    known = {"params", "_target_", *_OF_OPTUNA}
    unused = [f"{_SWEEPER}.{key}" for key in sweeper if key not in known]
    unused += ["max_failure_rate"] if "max_failure_rate" in sweeper else []
    unused += [str(key) for key in tree if key not in ("hydra", "defaults")]
    if unused:
        notices.append(f"{', '.join(unused)} of {file} are not read: it is taken as a space alone")
    return SpaceFile(
        parameters,
        settings=settings,
        inherit=False,
        fixed=fixed,
        direction=_direction(sweeper.get("direction"), file),
        notices=tuple(notices),
    )


def _read(name: str, written: Any, file: Path, *, end_included: bool) -> ReadParameter:
    if isinstance(written, list):
        return ReadParameter({"choices": written})
    if not isinstance(written, str):
        return ReadParameter(value=written)
    try:
        swept = parse_sweep(name, written)
    except ConfigError as error:
        raise SpaceError(
            error.came, expected=error.expected, where=str(file), remedy=error.remedy
        ) from None
    match swept.kind:
        case "value":
            return ReadParameter(value=swept.values[0])
        case "choices":
            return ReadParameter({"choices": list(swept.values)})
        case "interval":
            kind = "int" if swept.whole else "float"
            fields = {"type": kind, "low": swept.low, "high": swept.high}
            return ReadParameter(fields | ({"log": True} if swept.log else {}))
        case _:
            return ReadParameter(_steps(name, swept, file, end_included=end_included))


def _steps(name: str, swept: SweptValue, file: Path, *, end_included: bool) -> dict[str, Any]:
    """Return the fields of a range of steps."""
    low, high, step = swept.low, swept.high, swept.step or 1
    count = as_written((high - low) / step)
    last = int(count) if end_included or count != int(count) else int(count) - 1
    if step <= 0 or last < 0:
        raise SpaceError(
            f"{name}: range({low}, {high}, step={step}) in {file}", expected="rising values"
        )
    kind = "int" if swept.whole else "float"
    return {"type": kind, "low": low, "high": as_written(low + last * step), "step": step}


def _set_sampler(sampler: Any, settings: Tree) -> list[str]:
    """Set the sampler; return a notice about its options, which are named otherwise here."""
    if not isinstance(sampler, Mapping) or not isinstance(sampler.get("_target_"), str):
        return []
    set_leaf(settings, "study.sampler", {"type": sampler["_target_"].rpartition(".")[2]})
    if sampler.get("seed") is not None:
        set_leaf(settings, "study.seed", sampler["seed"])
    others = [key for key in sampler if key not in ("_target_", "seed")]
    return [f"{', '.join(others)} of the sampler are not used"] if others else []


def _direction(written: Any, file: Path) -> Direction | None:
    if written is None:
        return None
    if str(written) not in _DIRECTIONS:
        raise SpaceError(
            f"direction = {quote(written)} in {file}",
            expected="minimize or maximize",
            remedy="For several goals: --goal loss:min --goal accuracy:max in their place."
            if isinstance(written, list)
            else "",
        )
    return _DIRECTIONS[str(written)]
