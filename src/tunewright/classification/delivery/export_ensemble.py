"""Export an ensemble as one graph: every member and the average, with one input for each square.

The output is what `predict` averages to: logarithms of probabilities, float32 [B, C], under the
name `logits`, since a softmax leaves them as they are. Of several labels a picture, each is the
logarithm of a probability of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tunewright.classification.delivery.export import (
    Graph,
    example_of,
    need_onnx,
    onnx_metadata,
    sample,
    save_onnx,
    score,
)
from tunewright.classification.inference.ensemble import Blend, blend, blend_labels
from tunewright.classification.inference.predict import (
    DecodedBatches,
    Square,
    predict_table,
    square_of,
    usual_batch_size,
)
from tunewright.images.loading.square import SquareInput

Exported = Callable[[Mapping[Square, Tensor]], Tensor]
"""Returns log-probabilities [B, C] of pictures, uint8 [B, 3, S, S] by square."""


class BlendGraph(nn.Module):
    """From the pixels of each square to log-probabilities: all members and their average."""

    weights: Tensor

    def __init__(self, ensemble: Blend, *, half: bool) -> None:
        super().__init__()
        self.members = nn.ModuleList(Graph(member, half=half) for member in ensemble.members)
        squares = list(input_names(ensemble))
        self.takes = [squares.index(square_of(member)) for member in ensemble.members]
        self.average, self.multi_label = ensemble.average, ensemble.multi_label
        self.register_buffer("weights", torch.tensor(ensemble.weights))

    def forward(self, *images: Tensor) -> Tensor:
        """Map uint8 [B, 3, S, S] of each square, in their order, to log-probabilities [B, C]."""
        logits = [
            member(images[take]) for member, take in zip(self.members, self.takes, strict=True)
        ]
        stacked = torch.stack(logits)
        if self.multi_label:
            return blend_labels(stacked, self.weights, self.average)
        return blend(stacked, self.weights, self.average)


def input_names(ensemble: Blend) -> dict[SquareInput, str]:
    """Return the name of the input of each square: `images`, or `images_224_crop` of several."""
    squares = sorted({square_of(member) for member in ensemble.members})
    if len(squares) == 1:
        return {squares[0]: "images"}
    return {square: f"images_{square.size}_{square.resize}" for square in squares}


def write_onnx_ensemble(
    ensemble: Blend, file: Path, trees: Sequence[Mapping[str, Any]], *, half: bool
) -> None:
    """Write an ONNX graph of all members, for any batch size; needs the extra `onnx`.

    trees: the configuration of each member's run.
    """
    need_onnx()
    of_square = {square_of(member): member for member in ensemble.members}
    examples = {
        name: example_of(of_square[square]) for square, name in input_names(ensemble).items()
    }
    header = onnx_metadata(ensemble.members, trees, half=half)
    save_onnx(BlendGraph(ensemble, half=half), examples, file, header)


def read_onnx_ensemble(ensemble: Blend, file: Path) -> Exported:
    """Open the exported file as a function, as its users will run it."""
    import onnxruntime

    names = input_names(ensemble)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def run(images: Mapping[Square, Tensor]) -> Tensor:
        given = {name: images[square].cpu().numpy() for square, name in names.items()}
        return torch.from_numpy(session.run(["logits"], given)[0])

    return run


def largest_blend_difference(ensemble: Blend, exported: Exported) -> float:
    """Return the largest absolute difference between the log-probabilities of both."""
    of_square = {square_of(member): member for member in ensemble.members}
    images: dict[Square, Tensor] = {square: sample(member) for square, member in of_square.items()}
    with torch.no_grad():
        logits = [member.logits(images[square_of(member)])[None] for member in ensemble.members]
        own = ensemble.scores(logits).float().cpu()
    return float((own - exported(images)).abs().max())


def blend_accuracy(ensemble: Blend, exported: Exported | None = None) -> float:
    """Measure the accuracy on the validation set, of the ensemble or of an exported file."""
    table = ensemble.members[0].sets.valid
    labels = torch.from_numpy(table.truth)
    if exported is None:
        return score(predict_table(ensemble.members, table, ensemble.scores).scores, labels)
    squares = list(input_names(ensemble))
    rows = usual_batch_size(squares[-1].size, torch.device("cpu"))
    with DecodedBatches(table, squares, rows) as batches:
        found = torch.cat([exported(batch.images) for batch in batches])
    return score(found, labels)
