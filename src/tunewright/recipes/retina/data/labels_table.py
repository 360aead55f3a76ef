"""The optional table of labels beside pictures that come without any."""

from pathlib import Path

from tunewright.images.sources.csv_rows import read_csv

LABELS = "labels.csv"
"""Its name; its columns are patient_id and label."""


def read_labels(file: Path) -> dict[str, str]:
    """Return the label of each patient; empty where there is no such file."""
    if not file.is_file():
        return {}
    table = read_csv(file)
    patients = table.column(table.require_column(("patient_id", "patient"), "the patient"))
    labels = table.column(table.require_column(("label", "class"), "the label"))
    return {str(p): label for p, label in zip(patients, labels, strict=True) if label}
