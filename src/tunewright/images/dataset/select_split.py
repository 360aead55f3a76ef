"""Select the set of a split that a command names."""

from typing import Protocol, TypeVar

from tunewright.errors import ConfigError

Table = TypeVar("Table", covariant=True)


class Splits(Protocol[Table]):
    """A train, a validation and, if there is one, a test set."""

    @property
    def train(self) -> Table:
        """The training set."""
        ...

    @property
    def valid(self) -> Table:
        """The validation set."""
        ...

    @property
    def test(self) -> Table | None:
        """The test set."""
        ...


def select_split(sets: Splits[Table], split: str | None) -> tuple[Table, str]:
    """Return the set of a split and its name; None is test if there is one, else valid.

    Raises ConfigError for a split that does not exist.
    """
    found = {"train": sets.train, "valid": sets.valid, "test": sets.test}
    name = split or ("valid" if sets.test is None else "test")
    name = "valid" if name == "val" else name
    table = found.get(name)
    if table is None:
        there = ", ".join(known for known, rows in found.items() if rows is not None)
        raise ConfigError(f"split {split!r}", expected=f"one of {there}")
    return table, name
