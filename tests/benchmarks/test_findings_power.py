"""Each kind of finding on a few simulated studies: made where it is true, and else not."""

import json
import sys
from pathlib import Path

import pytest

import tunewright
from tunewright.analysis.findings.find import KINDS

BENCHMARKS = Path(tunewright.__file__).parents[2] / "benchmarks"
NAMES = (
    *("alike", "noise", "too_few", "repeats", "top_agree", "top_disagree", "no_effect", "unread"),
    *("unused", "edge", "decided", "pruning", "overfitting", "unstable", "out_of_memory", "slow"),
    *("idle", "warmup", "test_split", "tail_flat", "batch_size", "subset"),
)
STUDIES = 4


@pytest.fixture
def power(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield __import__("findings_power")
    for name in ("findings_power", "simulated_studies", "machine"):
        sys.modules.pop(name, None)


def test_every_kind_is_measured(power):
    assert tuple(case.name for case in power.CASES) == NAMES
    assert {case.look or case.name for case in power.CASES} == set(KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_a_finding_is_made_where_it_is_true(power, name):
    case = next(case for case in power.CASES if case.name == name)
    assert power.rate_of(case, case.without, STUDIES, 1000)[0] <= 0.25
    assert power.rate_of(case, case.with_it, STUDIES, 1001)[0] >= 0.5


def test_the_page_has_the_measured_rates():
    stored = json.loads((BENCHMARKS / "results" / "findings_power.json").read_text())
    page = (BENCHMARKS.parent / "docs" / "findings.md").read_text(encoding="utf-8")
    for row in stored["rows"]:
        shown = f"{100 * row['false_alarms']:.1f} % | {100 * row['power']:.1f} %"
        assert f"| `{row['finding']}` | {row['matters']} | {shown} |" in page
        assert row["met"], row["finding"]
