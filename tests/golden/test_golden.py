"""What the recipes report for fixed seeds, held against recorded logs.

Equal to the last bit where processor, Python, torch and numpy are those that recorded one of them.
Elsewhere the last bits of float32 differ, and two epochs multiply that: each number within 5 %
or .02 of the first.
"""

import base64
import json
import math

import pytest
from replay import RUNS, logs_of, machine, replay

FIRST = "Intel(R) Xeon(R) Processor"
"""The processor whose logs others are compared with."""
RELATIVE, ABSOLUTE = 0.05, 0.02
FILES = ("predictions", "compressed")


def differences(found, recorded, path=""):
    """The places where a log is outside of the tolerance of another, in words."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key in sorted({*found, *recorded}):
            yield from differences(found.get(key), recorded.get(key), f"{path}/{key}")
    elif isinstance(recorded, list) and isinstance(found, list) and len(found) == len(recorded):
        for index, (one, other) in enumerate(zip(found, recorded, strict=True)):
            yield from differences(one, other, f"{path}/{index}")
    elif isinstance(recorded, float) and isinstance(found, float):
        if not math.isclose(found, recorded, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
            yield f"{path}: {found}, recorded {recorded}"
    elif found != recorded:
        yield f"{path}: {found}, recorded {recorded}"


def share_of_equal_lines(found: str, recorded: str) -> float:
    """Compare two tables line by line; two empty ones are equal."""
    lines = recorded.splitlines()
    return sum(map(str.__eq__, found.splitlines(), lines)) / len(lines) if lines else 1.0


def recorded_on(processor: str, name: str):
    file = logs_of(processor) / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "pairs")) for name in RUNS]
)
def test_two_trials_of_two_epochs_are_what_they_were(name, tmp_path):
    stored = recorded_on(machine()["processor"], name)
    if stored is None or stored["machine"] != machine():
        stored = recorded_on(FIRST, name)
    found, recorded = json.loads(json.dumps(replay(name, tmp_path))), stored["log"]
    if machine() == stored["machine"]:
        assert found == recorded
        return
    predictions, compressed = ((log.pop(key, "") for log in (found, recorded)) for key in FILES)
    assert share_of_equal_lines(*predictions) >= 0.9
    sizes = [len(base64.b64decode(text)) for text in compressed]
    assert sizes[0] == pytest.approx(sizes[1], rel=RELATIVE)
    assert list(differences(found, recorded)) == []


def test_what_is_outside_the_tolerance_is_told():
    recorded = {"a": {"val_loss": 2.0, "step": 1}, "b": [0.5, 0.25]}
    near = {"a": {"val_loss": 2.09, "step": 1}, "b": [0.51, 0.25]}
    assert list(differences(near, recorded)) == []
    far = {"a": {"val_loss": 2.2, "step": 2}, "b": [0.5]}
    assert [line.split(":")[0] for line in differences(far, recorded)] == [
        "/a/step",
        "/a/val_loss",
        "/b",
    ]
