"""`tunewright ensemble`: several runs as one, or their soup, and whether that gains anything."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.deliver.classification.check import INPUT, MAX_LATENCY, MAX_SIZE, exported_bytes
from tunewright.deliver.classification.open_members import open_members
from tunewright.deliver.find_run import ENSEMBLE, NamedRun, find_run
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import (
    Member,
    RunSelection,
    member,
    of_study,
    run_in_subprocess,
    threads,
)
from tunewright.errors import DataError, UsageError, did_you_mean
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.machine import temporary_folders
from tunewright.runs.quantities import bytes_of, milliseconds_of

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier

AVERAGED = ("mean", "weighted", "greedy")
SOUPS = ("soup", "greedy-soup")
METHODS = (*AVERAGED, *SOUPS)
MADE_OF = "made_of.json"
"""By which a later call with the same runs knows its own folder."""
AVERAGES = {"probabilities": "probabilities", "logits": "geometric", "geometric": "geometric"}
"""What can be averaged; of logits is the geometric mean of probabilities, once normalised."""


@dataclass(frozen=True)
class EnsembleOptions:
    """What to make; plain values that travel to the process that does it."""

    method: str
    average: str
    folder: Path
    max_bytes: float
    max_ms: float


def ensemble(
    *named: Path | str,
    method: str = "mean",
    average: str = "probabilities",
    name: str | None = None,
    max_size: str | float = MAX_SIZE,
    max_latency: str | float = MAX_LATENCY,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> Mapping[str, Any]:
    """Make one classifier of several; `predict`, `check` and `submit` take it as a run.

    named: runs, or studies, which stand for all of their trials with weights. method: `mean`;
    `weighted`, by likelihood on the validation set; `greedy`, Caruana's selection with
    replacement; `soup` and `greedy-soup`, which average weights of one architecture and write a
    run. name: of the folder in `runs`. The gain over the best single run has a paired interval,
    and is measured on rows that did not choose the weights. Raises DataError for runs that do not
    fit together.
    """
    if method not in METHODS:
        raise UsageError(
            f"--method {method}",
            expected=f"one of {', '.join(METHODS)}",
            remedy=did_you_mean(method, METHODS),
        )
    if average not in AVERAGES:
        raise UsageError(f"--average {average}", expected=f"one of {', '.join(AVERAGES)}")
    try:
        limits = bytes_of(max_size), milliseconds_of(max_latency)
    except ValueError as error:
        raise UsageError(f"limits {max_size}, {max_latency}", expected=str(error)) from None
    found = _find_runs(named, runs)
    selection = RunSelection(
        runs,
        tuple(member(run.folder) for run in found),
        (1.0 / len(found),) * len(found),
        AVERAGES[average],
        threads(found[0].folder),
        tuple(note for run in found for note in run.notes),
    )
    kind = "soup" if method in SOUPS else "ensemble"
    folder = _free(runs / (name or kind), _made_of(selection, method), given=name is not None)
    asked = EnsembleOptions(method, AVERAGES[average], folder, *limits)
    work = _average_weights if method in SOUPS else _average_predictions
    joined: Mapping[str, Any] = run_in_subprocess(selection, work, asked, on_progress=on_progress)
    return {**joined, "notes": list(selection.notes)}


def _find_runs(named: Sequence[Path | str], runs: Path) -> list[NamedRun]:
    """Return the selected runs, each once, in the order in which they were named."""
    found: list[NamedRun] = []
    for given in named:
        path = Path(given).expanduser()
        of = of_study(path, runs)
        found += map(NamedRun, of) if of is not None else [find_run(path, runs)]
    distinct = list({run.folder.path.resolve(): run for run in found}.values())
    if len(distinct) < 2:
        raise DataError(
            f"{len(distinct)} run(s) with weights in {', '.join(map(str, named)) or 'nothing'}",
            expected="two runs or more, or a study of which several trials kept their weights",
            remedy="A study keeps those of its best trial and its final run; train more: "
            "tunewright train CONFIG seeds=[1,2,3].",
        )
    return distinct


def _made_of(selection: RunSelection, method: str) -> dict[str, Any]:
    """Return what `MADE_OF` holds."""
    runs = [str(one.path) for one in selection.members]
    return {"runs": runs, "method": method, "average": selection.average}


def _free(wanted: Path, made_of: Mapping[str, Any], *, given: bool) -> Path:
    """`wanted`, or `wanted-2`, ...: the first that is empty or holds the same, to be made again."""
    for count in range(1, 10_000):
        path = wanted if count == 1 else wanted.with_name(f"{wanted.name}-{count}")
        if not path.exists() or read_json(path / MADE_OF) == made_of:
            return path
        if given:
            raise DataError(
                f"{path} holds something else",
                expected="a new name, or the same runs, method and average",
            )
    raise DataError(f"{wanted} and its successors are taken", remedy="Choose another --name.")


def _open_members(
    selection: RunSelection, on_progress: ProgressCallback
) -> "tuple[tuple[Classifier, ...], Any, Any]":
    """Return the members, their validation logits [M, N, C], and the labels [N]."""
    import torch

    from tunewright.classification.inference.cached_logits import (
        check_same_pictures,
        validation_labels,
        validation_logits,
    )
    from tunewright.classification.inference.ensemble import check_classes

    members = open_members(selection)
    check_classes(members)
    check_same_pictures(members)
    logits = []
    for number, one in enumerate(members):
        on_progress("validating the members", number, len(members))
        logits.append(validation_logits(one)[0])
    on_progress("validating the members", len(members), len(members))
    return members, torch.stack(logits), validation_labels(members[0])


def _average_predictions(
    selection: RunSelection, asked: EnsembleOptions, on_progress: ProgressCallback
) -> dict[str, Any]:
    """Weigh the members, judge them, write `ensemble.json`."""
    import torch

    from tunewright.classification.inference import ensemble as parts

    members, logits, labels = _open_members(selection, on_progress)
    average: Any = asked.average
    weigh = parts.METHODS[asked.method]
    weights = weigh(logits, labels, average)
    fitted = parts.cross_fit(logits, labels, weigh, average)
    counts = members[0].class_counts.cpu().numpy()
    gain = _gain(labels, fitted.ensemble, fitted.single, counts)
    kept = [index for index, weight in enumerate(weights.tolist()) if weight > 0]
    chosen = RunSelection(
        asked.folder,
        tuple(selection.members[index] for index in kept),
        tuple(float(weights[index]) for index in kept),
        asked.average,
        selection.threads,
    )
    blend = parts.Blend(tuple(members[index] for index in kept), chosen.weights, average)
    scores = parts.blend(logits[kept].double(), torch.tensor(chosen.weights), average)
    result = {
        "runs": [os.path.relpath(one.path, asked.folder.resolve()) for one in chosen.members],
        "weights": list(chosen.weights),
        "average": asked.average,
        "method": asked.method,
        "classes": list(blend.classes),
        "folder": str(asked.folder),
        "members": _members(selection, logits, labels, weights.tolist()),
        "accuracy": float((scores.argmax(1) == labels).double().mean()),
        "gain": gain,
        "costs": _costs(blend, chosen, asked, on_progress),
    }
    result["verdict"] = _verdict(result)
    write_json(asked.folder / ENSEMBLE, result)
    write_json(asked.folder / MADE_OF, _made_of(selection, asked.method))
    return result


def _members(
    selection: RunSelection, logits: Any, labels: Any, weights: Sequence[float]
) -> list[dict[str, Any]]:
    right = (logits.argmax(2) == labels).double().mean(1).tolist()
    return [
        {"run": str(one.path), "accuracy": accuracy, "weight": weight}
        for one, accuracy, weight in zip(selection.members, right, weights, strict=True)
    ]


def _gain(labels: Any, ours: Any, others: Any, counts: Any) -> dict[str, Any]:
    """How much more often we are right than the best single run, in pairs on the same rows."""
    from tunewright.classification.metrics.intervals import bootstrap_differences, mcnemar

    truth, mine, theirs = labels.numpy(), ours.numpy(), others.numpy()
    gains = bootstrap_differences(truth, mine, theirs, counts)
    test = mcnemar(truth, mine, theirs)
    return {
        "pictures": len(labels),
        "ensemble": float((mine == truth).mean()),
        "single": float((theirs == truth).mean()),
        **asdict(gains["accuracy"]),
        "macro_f1": asdict(gains["macro_f1"]),
        "p_value": test.p_value,
    }


def _average_weights(
    selection: RunSelection, asked: EnsembleOptions, on_progress: ProgressCallback
) -> dict[str, Any]:
    """Average the weights, judge the soup, write it as a run folder."""
    import torch

    from tunewright.classification.inference import model_soup as parts
    from tunewright.classification.inference.ensemble import Blend, stratified_folds
    from tunewright.classification.inference.predict import predict_table

    members, logits, labels = _open_members(selection, on_progress)
    parts.check_architectures(members)
    table = members[0].sets.valid

    def predict(one: "Classifier", rows: Any) -> Any:
        part = table.take(rows.numpy())
        return predict_table([one], part, lambda views: views[0][0]).scores

    every = torch.arange(len(labels))
    if asked.method == "soup":
        soup, chosen, judged = parts.soup_of(members), list(range(len(members))), every
    else:
        # Half of the rows chooses what goes in, the other half judges it.
        half = stratified_folds(labels, 2)
        choosing, judged = every[half == 0], every[half == 1]
        tried = iter(range(2 * len(members)))

        def score(one: "Classifier") -> float:
            on_progress("evaluating soups", next(tried), 2 * len(members) - 1)
            found = predict(one, choosing).argmax(1) == labels[choosing]
            return float(found.double().mean())

        soup, chosen = parts.greedy_soup(members, score)
    right = (logits.argmax(2) == labels).double()
    chooses = every if asked.method == "soup" else choosing
    best = int(right[:, chooses].mean(1).argmax())
    on_progress("judging the soup", 0, 1)
    scores = predict(soup, every)
    counts = members[0].class_counts.cpu().numpy()
    gain = _gain(labels[judged], scores[judged].argmax(1), logits[best, judged].argmax(1), counts)
    accuracy = float((scores.argmax(1) == labels).double().mean())
    _write_soup(soup, RunFolder(selection.members[chosen[0]].path), asked.folder, accuracy)
    one = RunSelection(asked.folder, (Member(asked.folder.resolve(), selection.members[0].opener),))
    weights = [1.0 / len(chosen) if i in chosen else 0.0 for i in range(len(members))]
    result: dict[str, Any] = {
        "folder": str(asked.folder),
        "method": asked.method,
        "members": _members(selection, logits, labels, weights),
        "accuracy": accuracy,
        "gain": gain,
        "costs": _costs(Blend((soup,)), one, asked, on_progress),
    }
    result["verdict"] = _verdict(result)
    write_json(asked.folder / "soup.json", result)
    write_json(asked.folder / MADE_OF, _made_of(selection, asked.method))
    return result


def _write_soup(soup: "Classifier", first: RunFolder, folder: Path, accuracy: float) -> None:
    """Write a run folder like that of the first ingredient, with the soup's weights."""
    from safetensors.torch import save_file

    from tunewright.classification.classes_file import read_classes, write_classes
    from tunewright.classification.delivery.export import weights_of
    from tunewright.runs.atomic import write_with

    target = RunFolder(folder)
    tree = first.read_config()
    target.write_config(tree, header=f"A soup of several runs; the configuration is {first.path}'s")
    known = read_classes(first)
    if known is not None:
        write_classes(target, known)
    metrics = {"val_accuracy": accuracy}
    header = {"epoch": "0", "score": repr(accuracy), "metrics": json.dumps(metrics)}
    weights = weights_of(soup, half=False)
    best = target.checkpoints / "best.safetensors"
    write_with(best, lambda place: save_file(weights, place, metadata=header))
    write_json(
        target.checkpoints / "best.json", {"epoch": 0, "score": accuracy, "metrics": metrics}
    )


def _costs(
    blend: Any, selection: RunSelection, asked: EnsembleOptions, on_progress: ProgressCallback
) -> dict[str, Any]:
    """Size and latency of all members together, beside the limits."""
    from tunewright.classification.delivery import latency as costs

    sizes = {name: sum(found) for name, found in exported_bytes(blend, selection).items()}
    with tempfile.TemporaryDirectory(prefix=temporary_folders.prefix("ensemble")) as temporary:
        picture = Path(temporary) / "picture.jpg"
        picture.write_bytes(costs.draw_picture(INPUT))
        taken = costs.measure(
            blend, picture, on_progress=lambda n, total: on_progress("timing one picture", n, total)
        )
    return {
        "bytes": sizes,
        "max_bytes": asked.max_bytes,
        "latency": asdict(taken.whole),
        "max_ms": asked.max_ms,
        "device": costs.device_name(blend.members[0].device),
        "passed": {
            "size": sizes["float32"] <= asked.max_bytes,
            "size_half": sizes["float16"] <= asked.max_bytes,
            "latency": taken.whole.p95_ms < asked.max_ms,
        },
    }


def _verdict(result: Mapping[str, Any]) -> str:
    """In words: a gain, no gain, or a loss."""
    from tunewright.analysis.score_intervals import describe_paired

    gain = result["gain"]
    figures = (
        f"{gain['value']:+.4f} accuracy ({gain['low']:+.4f} to {gain['high']:+.4f}, "
        f"{describe_paired(gain)}, n = {gain['pictures']})"
    )
    if sum(1 for one in result["members"] if one["weight"] > 0) == 1:
        return f"no gain: the best single run was chosen alone; {figures}"
    if gain["low"] > 0:
        return f"a gain of {figures} over the best single run"
    if gain["high"] < 0:
        return f"no gain but a loss: {figures} against the best single run"
    return f"no gain over the best single run that is significant: {figures}"
