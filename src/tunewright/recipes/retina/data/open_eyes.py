"""Find out how a set of pairs of eyes is laid out, and read it."""

from collections.abc import Mapping
from pathlib import Path

from tunewright.errors import DataError
from tunewright.images.image_table import PicturePlace
from tunewright.recipes.retina.data.csv_layout import CsvSource, read_tables, tables_of
from tunewright.recipes.retina.data.eye_table import EyeTable, build_eye_table
from tunewright.recipes.retina.data.lmdb_layout import LmdbSource, has_lmdb, read_lmdb
from tunewright.recipes.retina.data.tsv_layout import has_tsv, read_tsv
from tunewright.runs.callbacks import OnProgress

RECOGNISED = (
    "index.csv (patient_id, left_file, right_file, text or left_text and right_text, and maybe "
    "label or columns of labels, and split) with pictures or a zip beside it; train.csv with "
    "valid.csv and test.csv; train_imgs.tsv with train_texts.jsonl; or an LMDB (train/imgs and "
    "train/pairs)"
)


def open_eyes(
    place: Path,
    *,
    labels: tuple[str, ...] | None = None,
    class_names: dict[str, str] | None = None,
    known: Mapping[str, PicturePlace] | None = None,
    on_progress: OnProgress | None = None,
) -> EyeTable:
    """Read the patients at `place`, without decoding pictures.

    labels, class_names: see `EyesConfig`. known: pictures elsewhere that a table may name, such as
    PATIENT_left of another source. on_progress: called while pictures are taken out of a
    TSV, or another program's LMDB is read. Raises DataError that says what is recognised.
    """
    place = place.expanduser().absolute()
    if not place.exists():
        raise DataError(f"{place} does not exist", expected=RECOGNISED, remedy="Check the path.")
    if place.is_dir() and has_tsv(place):
        records, naming, notices = read_tsv(place, on_progress)
        return build_eye_table(
            place, records, naming, class_names=class_names or {}, notices=notices
        )
    if place.is_dir() and has_lmdb(place):
        found: LmdbSource | CsvSource = read_lmdb(place, on_progress)
    else:
        found = read_tables(*tables_of(place), labels, known)
    names = {**found.class_names, **(class_names or {})}
    return build_eye_table(
        place, found.records, found.naming, class_names=names, notices=found.notices
    )
