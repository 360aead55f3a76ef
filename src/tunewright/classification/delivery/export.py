"""Export a classifier to ONNX, safetensors or a torch.export program, and check its parity.

Every exported graph takes uint8 pictures [B, 3, S, S], RGB, fitted to the model's square as
`data.resize` says, and returns float32 logits [B, C]. The normalisation is part of the graph, so
users cannot get it wrong.
"""

import importlib.util
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tunewright import __version__
from tunewright.classification.classes_file import read_classes
from tunewright.classification.inference.ensemble import Blend, is_multi_label
from tunewright.classification.inference.label_thresholds import find_thresholds
from tunewright.classification.inference.predict import predict_table, square_of
from tunewright.classification.metrics.multi_label import label_scores
from tunewright.errors import ConfigError, RunError
from tunewright.images.loading.square import LETTERBOX_FILL
from tunewright.runs.atomic import NAMED, write_with

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier

Format = Literal["onnx", "safetensors", "torch-export"]
SUFFIXES: Mapping[Format, str] = {
    "onnx": ".onnx",
    "safetensors": ".safetensors",
    "torch-export": ".pt2",
}
PARITY = 1e-4
"""Largest difference of float32 logits that counts as parity."""
FITTED = {
    "squash": "squashed to size x size",
    "crop": "shorter side scaled to size, the centre size x size cut out",
    "letterbox": f"longer side scaled to size, centred on size x size of {LETTERBOX_FILL}",
}
"""How pictures are fitted to the model's square, in words, by `data.resize`."""
Logits = Callable[[Tensor], Tensor]


class Graph(nn.Module):
    """From pixels to logits: normalisation and model in one graph."""

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: "Classifier", *, half: bool) -> None:
        super().__init__()
        self.model = deepcopy(classifier.model).cpu().eval()
        self.dtype = torch.float16 if half else torch.float32
        if half:
            self.model.load_state_dict(to_half(self.model.state_dict())[0])
            self.model.half()
        normalise = classifier.normalise
        self.register_buffer("mean", torch.tensor(normalise.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(normalise.std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 [B, 3, S, S] to float32 logits [B, C]."""
        normalised = (images.float() / 255.0 - self.mean) / self.std
        logits: Tensor = self.model(normalised.to(self.dtype))
        return logits.float()


def to_half(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights in float16, and the names of those that overflow and stay float32."""
    found, kept = {}, []
    for name, tensor in state.items():
        smaller = tensor.half() if tensor.is_floating_point() else tensor
        if bool(torch.isfinite(tensor).all() & ~torch.isfinite(smaller).all()):
            smaller = tensor
            kept.append(name)
        found[name] = smaller.contiguous()
    return found, kept


def weights_of(classifier: "Classifier", *, half: bool) -> dict[str, Tensor]:
    """Return the weights and buffers to deliver, on the CPU, in float32 or float16."""
    state = {
        name: tensor.detach().cpu().contiguous().clone()  # names must not share memory
        for name, tensor in classifier.model.state_dict().items()
    }
    return to_half(state)[0] if half else state


def metadata_of(classifier: "Classifier", tree: Mapping[str, Any], *, half: bool) -> dict[str, str]:
    """Return the header of an exported file, with all that is needed to use the weights.

    It is one JSON text because safetensors writes several entries in an order that differs from
    call to call. tree: the run's configuration, of which the recipe and its model section are kept.
    """
    facts = facts_of(classifier, tree, half=half)
    return {"tunewright": json.dumps(facts, ensure_ascii=False)}


def onnx_metadata(
    members: "Sequence[Classifier]", trees: Sequence[Mapping[str, Any]], *, half: bool
) -> dict[str, str]:
    """Return the metadata of an ONNX file: what a caller needs, each under a key of its own.

    Values are JSON, since ONNX stores text. What differs between members is a list of one for each;
    `tunewright` holds all facts of each. Class names are readable ones where there are any.
    """
    facts = [facts_of(one, tree, half=half) for one, tree in zip(members, trees, strict=True)]
    known = read_classes(members[0].folder)
    names = {} if known is None else known.names
    shared = {
        "classes": list(members[0].classes),
        "class_names": [names.get(name, name) for name in members[0].classes],
        "interpolation": "bilinear, antialiased",
        "normalised_in_graph": True,
    }
    several = ("multi_label", "probabilities", "thresholds") if "multi_label" in facts[0] else ()
    shapes = ("size", "resize", "window", "pixels", "normalisation", "precision")
    for key in (*shapes, *several):
        values = [each[key] for each in facts]
        shared[key] = values[0] if all(value == values[0] for value in values) else values
    shared["tunewright"] = facts[0] if len(facts) == 1 else facts
    return {key: json.dumps(value, ensure_ascii=False) for key, value in shared.items()}


def facts_of(classifier: "Classifier", tree: Mapping[str, Any], *, half: bool) -> dict[str, Any]:
    """Return all that is needed to use the weights of a classifier, as JSON takes it."""
    normalise = classifier.normalise
    return {
        "format": "tunewright-classifier-1",
        "version": __version__,
        "recipe": tree.get("recipe"),
        "model": tree.get("model"),
        "classes": list(classifier.classes),
        "class_counts": [int(count) for count in classifier.class_counts.tolist()],
        "size": classifier.size,
        "resize": square_of(classifier).resize,
        "pixels": f"RGB, {FITTED[square_of(classifier).resize]}, antialiased bilinear, then / 255",
        "window": getattr(classifier, "window", None),
        "normalisation": {"mean": list(normalise.mean), "std": list(normalise.std)},
        "precision": "float16" if half else "float32",
        **_label_facts(classifier),
    }


def _label_facts(classifier: "Classifier") -> dict[str, Any]:
    """Return how several labels a picture follow from the logits; nothing for one label."""
    if not is_multi_label(classifier):
        return {}
    thresholds, _ = find_thresholds(Blend((classifier,)), classifier.folder.path)
    return {
        "multi_label": True,
        "probabilities": "sigmoid of each logit",
        "thresholds": list(thresholds.each),
    }


def write_safetensors(
    classifier: "Classifier", file: Path, tree: Mapping[str, Any], *, half: bool
) -> None:
    """Write weights and buffers, everything else in the header; reproducible byte for byte."""
    weights = weights_of(classifier, half=half)
    header = metadata_of(classifier, tree, half=half)
    write_with(file, lambda place: save_file(weights, place, metadata=header), remedy=NAMED)


def write_program(classifier: "Classifier", file: Path, *, half: bool) -> None:
    """Write a program of `torch.export`, for any batch size."""
    program = _export_program(classifier, half=half)

    # Through a stream: torch warns about paths without .pt2, such as the temporary one.
    def write(place: Path) -> None:
        with place.open("wb") as stream:
            torch.export.save(program, stream)

    write_with(file, write, remedy=NAMED)


def write_onnx(
    classifier: "Classifier", file: Path, tree: Mapping[str, Any], *, half: bool
) -> None:
    """Write an ONNX graph, for any batch size; needs the extra `onnx`, see `need_onnx`."""
    need_onnx()
    graph = Graph(classifier, half=half)
    header = onnx_metadata([classifier], [tree], half=half)
    save_onnx(graph, {"images": example_of(classifier)}, file, header)


def save_onnx(
    graph: nn.Module, examples: Mapping[str, Tensor], file: Path, header: Mapping[str, str]
) -> None:
    """Write a graph of named inputs, [B, 3, S, S] each, as ONNX with `header` as its metadata.

    A graph of several inputs takes them as `*images`.
    """
    batch = torch.export.Dim("batch", min=1, max=65_536)
    shapes = tuple({0: batch} for _ in examples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries warn about each other's versions
        program = torch.onnx.export(
            graph,
            tuple(examples.values()),
            dynamo=True,
            dynamic_shapes=shapes if isinstance(graph, Graph) else (shapes,),
            input_names=list(examples),
            output_names=["logits"],
            external_data=False,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(header)
    # The weights are in the file itself as long as it stays under protobuf's 2 GB.
    write_with(file, lambda place: program.save(str(place), external_data=False), remedy=NAMED)


def need_onnx() -> None:
    """Raise ConfigError, which says what to install, unless ONNX files can be written and run."""
    needed = ("onnx", "onnxscript", "onnxruntime")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"exporting to ONNX needs {', '.join(missing)}, which is not installed",
            remedy="pip install 'tunewright[onnx]', or use --to torch-export or --to safetensors.",
        )


def write(
    classifier: "Classifier", file: Path, to: Format, tree: Mapping[str, Any], *, half: bool
) -> None:
    """Write one of the formats; raises ConfigError if a package that it needs is missing."""
    match to:
        case "safetensors":
            write_safetensors(classifier, file, tree, half=half)
        case "torch-export":
            write_program(classifier, file, half=half)
        case "onnx":
            write_onnx(classifier, file, tree, half=half)


def read_back(classifier: "Classifier", file: Path, to: Format) -> Logits:
    """Open the exported file as a function from pictures to logits, as its users will run it.

    Only for files that this program has just written: torch.export's loader can unpickle code.
    """
    match to:
        case "safetensors":
            model = deepcopy(classifier.model)
            model.load_state_dict(load_file(file))  # float16 goes up to the model's float32
            return replace(classifier, model=model.eval()).logits
        case "torch-export":
            program = torch.export.load(file).module()
            return lambda images: program(images.cpu())
        case "onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            return lambda images: torch.from_numpy(
                session.run(["logits"], {"images": images.cpu().numpy()})[0]
            )


def largest_difference(classifier: "Classifier", exported: Logits, images: Tensor) -> float:
    """Return the largest absolute difference between the logits of model and exported file."""
    with torch.no_grad():
        own = classifier.logits(images.to(classifier.device)).float().cpu()
        other = exported(images.to(classifier.device)).float().cpu()
    return float((own - other).abs().max())


def check_parity(difference: float, file: Path, *, half: bool) -> None:
    """Raise RunError if a float32 export differs from the model; float16 is re-scored instead."""
    if half and difference == difference:
        return
    if not difference <= PARITY:
        raise RunError(
            f"the logits of {file} differ from the model's by {difference:.3g}",
            expected=f"at most {PARITY:g}",
            remedy="Do not use the file. Export one run in another format: --to safetensors.",
        )


def sample(classifier: "Classifier", count: int = 8) -> Tensor:
    """Make pictures to compare on, uint8 [n, 3, S, S]: noise at several contrasts, reproducible."""
    size = classifier.size
    drawn = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, size, size), generator=drawn, dtype=torch.uint8)
    contrast = torch.linspace(0.2, 1.0, count)[:, None, None, None]
    return (images.float() * contrast).to(torch.uint8)


def accuracy(classifier: "Classifier", logits: Logits | None = None) -> float:
    """Measure the accuracy on the validation set, of the classifier or of an exported file.

    Of several labels a picture it is the mean average precision.
    """
    table = classifier.sets.valid
    labels = torch.from_numpy(table.truth)
    scored = classifier if logits is None else _ClassifierStandIn(classifier, logits)
    found = predict_table([scored], table, lambda views: views[0][0]).scores  # type: ignore[list-item]
    return score(found, labels)


def score(scores: Tensor, labels: Tensor) -> float:
    """Return the accuracy of scores [N, C]; their mean average precision for bool [N, C]."""
    if labels.ndim == 1:
        return float((scores.argmax(1) == labels).double().mean())
    found = scores.double().cpu().numpy()
    return label_scores(labels.numpy(), found, found >= 0.0)["map"]


class _ClassifierStandIn:
    """Stands in for a classifier whose logits come from elsewhere."""

    def __init__(self, classifier: "Classifier", logits: Logits) -> None:
        self.logits, self.square, self.device = logits, square_of(classifier), classifier.device


def example_of(classifier: "Classifier") -> Tensor:
    """Return two pictures: from one, `torch.export` would conclude that there is always one."""
    return sample(classifier, 2)


def _export_program(classifier: "Classifier", *, half: bool) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=65_536)
    return torch.export.export(
        Graph(classifier, half=half), (example_of(classifier),), dynamic_shapes=({0: batch},)
    )
