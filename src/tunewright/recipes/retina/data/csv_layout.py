"""Read a table of patients with pictures beside it or in a zip: one row a patient, or an eye."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.errors import DataError, quote
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.archive import FileListing, list_files, suffix_of
from tunewright.images.sources.build_table import some
from tunewright.images.sources.csv_rows import CsvRows, read_csv
from tunewright.images.sources.file_matching import suggest_picture
from tunewright.recipes.retina.data.eye_table import ClassNaming, EyeRecord

PATIENT = ("patient_id", "patient", "id", "dataset_index")
PICTURES = {
    "left": ("left_file", "left_image", "left", "left_fundus", "file_left"),
    "right": ("right_file", "right_image", "right", "right_fundus", "file_right"),
}
ONE_PICTURE = ("file", "image", "filename", "file_name", "image_id")
TEXTS = {
    "patient": ("text", "report", "prompt", "prompt_patient", "caption"),
    "left": ("left_text", "left_report", "prompt_left", "left_keywords"),
    "right": ("right_text", "right_report", "prompt_right", "right_keywords"),
}
LABEL = ("label", "class", "diagnosis")
EYE = ("eye", "side", "laterality")
SIDES = {"left": "left", "l": "left", "os": "left", "right": "right", "r": "right", "od": "right"}
"""What a column of eyes may say; OS and OD are the left and the right eye in Latin."""
SPLIT = ("split", "set", "subset")
SPLIT_TABLES = {
    "train.csv": "train", "valid.csv": "valid", "val.csv": "valid", "test.csv": "test"
}  # fmt: skip
"""Tables that stand for a split."""
OTHER_COLUMNS = ("age", "sex", "patient_age", "patient_sex", "quality")
ODIR = {
    "N": "normal fundus",
    "D": "diabetic retinopathy",
    "G": "glaucoma",
    "C": "cataract",
    "A": "age related macular degeneration",
    "H": "hypertensive retinopathy",
    "M": "pathological myopia",
    "O": "other diseases",
}
"""The labels of ODIR-2019 (Peking University), and what they stand for."""


@dataclass(frozen=True)
class CsvSource:
    """What a table holds, before the pictures are looked at."""

    records: Sequence[EyeRecord]
    naming: ClassNaming
    class_names: Mapping[str, str]
    notices: Sequence[str]


def read_tables(
    tables: Sequence[tuple[CsvRows, str | None]],
    listings: Sequence[FileListing],
    labels: Sequence[str] | None,
    known: Mapping[str, PicturePlace] | None = None,
) -> CsvSource:
    """Read tables with the split that each stands for (None: its column says).

    labels: columns of a set with several labels; None finds them. known: pictures by name that lie
    elsewhere. Raises DataError for columns that are missing, pictures that are not there, and an
    eye listed twice.
    """
    places = PictureIndex(listings, known)
    records: list[EyeRecord] = []
    single = True
    columns: tuple[str, ...] = ()
    notices: list[str] = []
    for table, split in tables:
        found = _label_columns(table, labels)
        if found:
            single, columns = False, found
        records += _read_table(table, split, places, found)
    if labels is None and columns:
        notices.append(
            f"the columns {', '.join(columns)} are taken for labels, since all are 0 or 1: "
            f"data.labels=[{','.join(columns[:2])},...] names others"
        )
    names = ODIR if set(columns) == set(ODIR) else {}
    return CsvSource(records, ClassNaming(columns or None, single), names, notices)


class PictureIndex:
    """Finds pictures by the names that tables give them; those in listings before `known` ones."""

    def __init__(
        self, listings: Iterable[FileListing], known: Mapping[str, PicturePlace] | None = None
    ) -> None:
        self._exact: dict[str, PicturePlace] = {}
        self._loose: dict[str, PicturePlace | None] = {}
        for listing in listings:
            for name in listing.pictures:
                place = listing.at(name)
                self._exact.setdefault(name, place)
                base = name.rpartition("/")[2]
                for short in {base, base.rpartition(".")[0]} - {name}:
                    other = self._loose.setdefault(short, place)
                    if other != place:
                        self._loose[short] = None  # two pictures have this name
        for name, place in (known or {}).items():
            self._exact.setdefault(name, place)

    def find(self, name: str, where: str) -> PicturePlace:
        """Return the picture; raise DataError where there is none, or where two have the name."""
        place = self._exact.get(name) or self._loose.get(name)
        if place is None:
            if name in self._loose:
                one = next(one for one in self._exact if name in (Path(one).name, Path(one).stem))
                problem, remedy = "fits two pictures", f"Name its folder as well, such as {one}."
            else:
                problem = "is not there"
                remedy = suggest_picture(name, list(self._exact)[:10_000]) or (
                    "Copy the picture there, or take the row out of the table."
                )
            raise DataError(
                f"the picture {quote(name)} of {where} {problem}",
                expected="a picture in the folder of the table, below it, or in a zip beside it",
                remedy=remedy,
            )
        return place

    def get(self, name: str) -> PicturePlace | None:
        """Return the picture of exactly this name, or None."""
        return self._exact.get(name) or self._loose.get(name)


def tables_of(place: Path) -> tuple[list[tuple[CsvRows, str | None]], list[FileListing]]:
    """Return the tables of a folder, zip or file with their splits, and listings of pictures.

    Raises DataError where there is no table, or several that stand for no split.
    """
    if suffix_of(place.name) in (".csv", ".tsv"):
        return [(read_csv(place), None)], _listings(place.parent)
    if not place.is_dir():
        listing = list_files(place).strip_single_root()
        if "index.csv" in listing.names:
            name = listing.at("index.csv").member
            return [(read_csv(place / str(name), listing.content("index.csv")), None)], [listing]
        if (place.parent / "index.csv").is_file():
            return [(read_csv(place.parent / "index.csv"), None)], [listing]
        raise DataError(f"{place} holds no index.csv", expected="one in the zip, or beside it")
    if (place / "index.csv").is_file():
        return [(read_csv(place / "index.csv"), None)], _listings(place)
    splits = {
        split: file for name, split in SPLIT_TABLES.items() if (file := place / name).is_file()
    }
    if "train" in splits:
        return [(read_csv(file), split) for split, file in splits.items()], _listings(place)
    tables = sorted(file for file in place.iterdir() if suffix_of(file.name) == ".csv")
    if len(tables) != 1:
        raise DataError(
            f"{place} has {len(tables)} tables ({some(file.name for file in tables)})"
            if tables
            else f"{place} has no table",
            expected="index.csv, or train.csv with valid.csv and test.csv, or a single .csv",
            remedy=f"Name one: data.dir={tables[0]}." if tables else "",
        )
    return [(read_csv(tables[0]), None)], _listings(place)


def _listings(folder: Path) -> list[FileListing]:
    listing = list_files(folder)
    zips = [folder / n for n in listing.names if suffix_of(n) == ".zip" and "/" not in n]
    return [listing, *(list_files(place).strip_single_root() for place in zips)]


def _label_columns(table: CsvRows, labels: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns of a set with several labels; empty for one label, or none."""
    if labels is not None:
        return tuple(table.require_column([name], "a label of data.labels") for name in labels)
    if table.one_of(LABEL) is not None:
        return ()
    spoken_for = [*PATIENT, *ONE_PICTURE, *EYE, *SPLIT, *OTHER_COLUMNS]
    for names in (*PICTURES.values(), *TEXTS.values()):
        spoken_for += names
    known = set(table.all_of(spoken_for))
    others = [name for name in table.columns if name not in known]
    binary = [name for name in others if set(table.column(name)) <= {"0", "1"}]
    return tuple(binary) if len(binary) > 1 else ()


def _read_table(
    table: CsvRows, split: str | None, places: PictureIndex, columns: tuple[str, ...]
) -> list[EyeRecord]:
    patients = table.column(table.require_column(PATIENT, "the patient"))
    splits = [split] * len(patients) if split else table.column(table.one_of(SPLIT))
    labels = _labels(table, columns)
    where = [f"line {line:,} of {table.file}" for line in table.lines]
    bare = [place for place, patient in zip(where, patients, strict=True) if not patient]
    if bare:
        raise DataError(f"{len(bare):,} rows have no patient ({some(bare)})", expected="one each")
    if (eye := table.one_of(EYE)) is not None:
        sides = [_side(cell, line) for cell, line in zip(table.column(eye), where, strict=True)]
        return _join_eyes(table, places, sides, where, (patients, splits, labels))
    both = _eyes(table, places, [str(patient) for patient in patients], where)
    texts = {kind: table.column(table.one_of(names)) for kind, names in TEXTS.items()}
    return [
        EyeRecord(
            str(patients[row]),
            *both[row],
            tuple(texts[kind][row] or "" for kind in TEXTS),  # type: ignore[arg-type]
            labels[row],
            splits[row],
            where[row],
        )
        for row in range(len(where))
    ]


def _eyes(
    table: CsvRows, places: PictureIndex, patients: Sequence[str], where: Sequence[str]
) -> list[tuple[PicturePlace | None, PicturePlace | None]]:
    """Return the pictures of each row: of its columns, or of files named for the patient."""
    columns = [table.one_of(names) for names in PICTURES.values()]
    if any(columns):
        sides = [table.column(name) for name in columns]  # None in each row without the column
        left, right = (
            [
                places.find(cell, line) if cell else None
                for cell, line in zip(cells, where, strict=True)
            ]
            for cells in sides
        )
        return list(zip(left, right, strict=True))
    if (one := table.one_of(ONE_PICTURE)) is not None:
        cells = table.column(one)
        found = [places.find(cell or "", line) for cell, line in zip(cells, where, strict=True)]
        return [(place, place) for place in found]
    return [
        _named_for(patient, places, line) for patient, line in zip(patients, where, strict=True)
    ]


def _named_for(
    patient: str, places: PictureIndex, where: str
) -> tuple[PicturePlace | None, PicturePlace | None]:
    left, right = places.get(f"{patient}_left"), places.get(f"{patient}_right")
    if left is not None or right is not None:
        return left, right
    found = places.find(patient, where)  # the guide's table: one photograph, named by its index
    return found, found


def _labels(table: CsvRows, columns: tuple[str, ...]) -> list[tuple[str, ...] | None]:
    if columns:
        cells = [table.column(name) for name in columns]
        found: list[tuple[str, ...] | None] = []
        for row, line in enumerate(table.lines):
            values = [column[row] for column in cells]
            if not set(values) <= {"0", "1"}:
                raise DataError(
                    f"line {line:,} of {table.file} has {', '.join(map(str, values))} as labels",
                    expected=f"0 or 1 in each of {', '.join(columns)}",
                )
            found.append(tuple(n for n, value in zip(columns, values, strict=True) if value == "1"))
        return found
    return [(cell,) if cell else None for cell in table.column(table.one_of(LABEL))]


def _side(cell: str | None, where: str) -> str:
    side = SIDES.get((cell or "").casefold())
    if side is None:
        raise DataError(f"the eye {quote(cell or '')} in {where}", expected="left or right")
    return side


def _join_eyes(
    table: CsvRows,
    places: PictureIndex,
    sides: Sequence[str],
    where: Sequence[str],
    columns: tuple[Sequence[str | None], Sequence[str | None], Sequence[tuple[str, ...] | None]],
) -> list[EyeRecord]:
    """Join rows of one eye each to rows of patients; all labels of both eyes count."""
    patients, splits, labels = columns
    names = table.column(table.require_column(ONE_PICTURE, "the picture"))
    texts = table.column(table.one_of(TEXTS["patient"]))
    joined: dict[str, EyeRecord] = {}
    for row, side in enumerate(sides):
        patient = str(patients[row])
        old = joined.get(patient) or EyeRecord(patient, None, None, ("", "", ""), None)
        if getattr(old, side) is not None:
            raise DataError(
                f"the {side} eye of patient {quote(patient)} is listed twice, in {old.where} and "
                f"{where[row]}",
                expected="each eye of a patient once",
                remedy="Give each visit a patient_id of its own.",
            )
        if old.where and old.split != splits[row]:
            raise DataError(
                f"the eyes of patient {quote(patient)} are in {old.split} and {splits[row]}",
                expected="all photographs of a patient in one split",
            )
        at = 1 if side == "left" else 2
        new_texts = list(old.texts)
        new_texts[at] = texts[row] or ""
        both = None
        if old.labels is not None or labels[row] is not None:
            both = tuple(dict.fromkeys((*(old.labels or ()), *(labels[row] or ()))))
        picture = places.find(names[row] or "", where[row])
        joined[patient] = old._replace(
            left=picture if side == "left" else old.left,
            right=picture if side == "right" else old.right,
            texts=(new_texts[0], new_texts[1], new_texts[2]),
            labels=both,
            split=splits[row],
            where=old.where or where[row],
        )
    return list(joined.values())
