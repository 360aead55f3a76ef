"""The configuration of a set of pictures, shared by every recipe that classifies them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tunewright.config.section import Count, Fraction, PathText, Section, distinct

Resize = Literal["squash", "crop", "letterbox"]
Window = tuple[float, float]


def _ascending(window: Window) -> Window:
    if window[0] >= window[1]:
        raise ValueError("the value that becomes black below the one that becomes white")
    return window


class ColumnsConfig(Section):
    """Columns of a table that have other names than the usual ones.

    image: the column of ids, file names or paths. label: the column of the classes. split: the
    column that says train, valid or test. classes: with `data.multi_label`, the columns of 0 and 1
    that are the classes, in place of `label` (null: all columns of 0 and 1, if there is no column
    of labels).
    """

    image: str | None = None
    label: str | None = None
    split: str | None = None
    classes: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(distinct)] | None = None

    def chosen(self) -> dict[str, str]:
        """Return the columns that are set, by what they hold, without `classes`."""
        named = {"image": self.image, "label": self.label, "split": self.split}
        return {role: name for role, name in named.items() if name is not None}


class ImagesConfig(Section):
    """Where the pictures are, how they are split, and how they reach the training.

    dir: a folder, zip, CSV or JSONL manifest; null for the embedded default set. multi_label:
    whether a picture may have several labels, or none. label_separator: what stands between them in
    a cell (null: `|`, `;`, a comma or blanks, whichever the cells hold). image_size: pixels
    on a side of the square that pictures are fitted to. resize: `squash` scales both sides, `crop`
    scales the shorter side and cuts out the centre, `letterbox` scales the longer side and fills
    the rest with grey; the same in training, evaluation and prediction. window: the stored values
    that become black and white in pictures of a single channel, such as [0, 4095] for 12 bits in
    16; those of more than 8 bits cannot be used without it (null). val_split, test_split: fraction
    of all pictures to hold out if the source has no such split. folds, fold: k-fold
    cross-validation, and the fold that validates (from 0). split_seed: of the random split and of
    the folds. group_by: a column (or key of `meta`) whose equal values stay in one split; `auto`
    uses camera_id, track_id or group, if there is one; null uses none. leaks: what to do if given
    splits share a group or a picture; near copies are told in any case. skip_bad: leave out, and
    list, pictures that cannot be read. weighted_sampler: draw all classes equally often. store:
    where decoded pictures are kept (`stream`: nowhere). workers: processes that decode when
    streaming (null = auto).
    """

    dir: PathText | None = None
    multi_label: bool = False
    label_separator: Annotated[str, Field(min_length=1)] | None = None
    image_size: Count = 224
    resize: Resize = "squash"
    window: Annotated[Window, Field(strict=False), AfterValidator(_ascending)] | None = None
    val_split: Fraction = 0.15
    test_split: Fraction = 0.0
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=0)] = 0
    split_seed: int = 42
    group_by: str | None = "auto"
    columns: ColumnsConfig = ColumnsConfig()
    leaks: Literal["refuse", "warn"] = "refuse"
    skip_bad: bool = False
    weighted_sampler: bool = False
    store: Literal["auto", "memory", "device", "stream"] = "auto"
    workers: Annotated[int, Field(ge=0)] | None = None
