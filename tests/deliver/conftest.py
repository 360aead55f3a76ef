"""As many threads here as tiny networks can use, and small pictures to time them with."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A network this small only waits for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding 600 x 600 pixels a hundred times would be most of the time of these tests."""
    monkeypatch.setattr("tunewright.deliver.classification.ensemble_report.INPUT", 48)
