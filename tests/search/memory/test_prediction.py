"""What is expected of a trial's memory, from those that ran."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.search.memory.prediction import (
    CEILING,
    KNOWN,
    MARGIN,
    REMEMBERED,
    ExpectedPeak,
    Peaks,
)

IDLE = 300.0
ASSUMED = ExpectedPeak(1500.0, 1500.0)
SMALL = {"model.type": "mlp", "model.hidden_dim": 512, "training.batch_size": 1024, "optim.lr": 0.1}


def peaks(*seen: tuple[dict[str, object], float]) -> Peaks:
    """After trials that took so many MiB beyond their worker."""
    found = Peaks(ASSUMED)
    for parameters, excess in seen:
        found.learn(parameters, 1.0, IDLE, ExpectedPeak(IDLE + excess, 0.0))
    return found


def test_before_anything_ran_a_worker_is_assumed() -> None:
    assert peaks().predict(SMALL) == ASSUMED


def test_the_same_again_needs_the_same_and_a_little() -> None:
    again = SMALL | {"optim.lr": 0.003}
    expected = peaks((SMALL, 100.0)).predict(again)
    assert expected.memory_mib == pytest.approx(IDLE + MARGIN * 100.0)


@pytest.mark.parametrize(
    ("larger", "growth"),
    [
        ({"model.hidden_dim": 1024}, 2),
        ({"training.batch_size": 2048}, 4),  # logits are rows by rows
        ({"model.hidden_dim": 2048, "training.batch_size": 2048}, 8),
        ({"model.hidden_dim": 256}, 1),
        ({"model.hidden_dim": 256, "training.batch_size": 512}, 1),
    ],
)
def test_a_larger_one_needs_more_by_its_two_largest_ratios(
    larger: dict[str, int], growth: float
) -> None:
    expected = peaks((SMALL, 100.0)).predict(SMALL | larger)
    assert expected.memory_mib == pytest.approx(IDLE + MARGIN * growth * 100.0)


def test_smaller_micro_batches_are_no_reason_to_expect_less_until_they_ran() -> None:
    found = peaks((SMALL, 800.0))
    assert found.predict(SMALL, 4.0) == found.predict(SMALL)
    found.learn(SMALL, 4.0, IDLE, ExpectedPeak(IDLE + 250.0, 0.0))
    assert found.predict(SMALL, 4.0).memory_mib == pytest.approx(IDLE + MARGIN * 250.0)
    assert found.predict(SMALL).memory_mib == pytest.approx(IDLE + MARGIN * 800.0)


def test_other_kinds_are_expected_to_need_the_most_that_any_did() -> None:
    found = peaks((SMALL, 100.0), (SMALL | {"model.hidden_dim": 1024}, 5000.0))
    other = SMALL | {"model.type": "attention"}
    assert found.predict(other).memory_mib >= 5300.0
    assert peaks((SMALL, 1.0)).predict(other).memory_mib == ASSUMED.memory_mib


def test_a_size_that_does_not_matter_loses_its_weight_with_experience() -> None:
    """A seed among the parameters, say."""
    found = peaks((SMALL | {"count": 1}, 100.0))
    wild = SMALL | {"count": 1_000_000}
    assert found.predict(wild).memory_mib > 1e6
    for count in range(2, KNOWN + 1):
        found.learn(SMALL | {"count": count}, 1.0, IDLE, ExpectedPeak(IDLE + 100.0, 0.0))
    assert found.predict(wild).memory_mib <= CEILING * (IDLE + 100.0)


def test_of_equal_trials_the_higher_peak_stays() -> None:
    found = peaks((SMALL, 100.0), (SMALL, 40.0))
    assert found.predict(SMALL).memory_mib == pytest.approx(IDLE + MARGIN * 100.0)


def test_only_the_latest_are_remembered() -> None:
    other = SMALL | {"kind": "large"}
    found = peaks((other, 1e6), *((SMALL | {"n": n}, 10.0) for n in range(1, REMEMBERED)))
    assert found.predict(other).memory_mib > 1e6
    found.learn(SMALL | {"n": REMEMBERED}, 1.0, IDLE, ExpectedPeak(IDLE + 10.0, 0.0))
    assert found.predict(other).memory_mib < 1e6, "the oldest is forgotten"


def test_of_a_device_the_context_does_not_grow() -> None:
    found = Peaks(ASSUMED)
    found.learn(SMALL, 1.0, IDLE, ExpectedPeak(IDLE, 2500.0))
    doubled = found.predict(SMALL | {"model.hidden_dim": 1024})
    assert doubled.device_mib == pytest.approx(500.0 + MARGIN * 2 * 2000.0)


sizes = st.fixed_dictionaries(
    {name: st.integers(1, 4096) for name in ("training.batch_size", "width", "depth")}
)


@given(st.lists(sizes, min_size=1, max_size=8), sizes)
def test_a_need_of_products_of_two_sizes_is_never_underestimated(
    seen: list[dict[str, int]], new: dict[str, int]
) -> None:
    def excess(size: dict[str, int]) -> float:
        rows, width, depth = size["training.batch_size"], size["width"], size["depth"]
        return 1e-3 * (rows * rows + rows * width + width * depth)

    def learned(many: list[dict[str, int]]) -> Peaks:
        found = Peaks(ASSUMED)
        for size in many:
            found.learn(size, 1.0, IDLE, ExpectedPeak(IDLE + excess(size), 0.0))
        return found

    few = [size for number, size in enumerate(seen) if number < KNOWN - 1]
    assert learned(few).predict(new).memory_mib >= IDLE + excess(new) * 0.999
