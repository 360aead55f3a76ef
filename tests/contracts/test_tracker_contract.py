"""The tracker of a package keeps the contract; the shipped ones have tests of their own."""

import json
from collections.abc import Mapping
from typing import Any

from tunewright.testing.trackers import TrackerContract
from tunewright.training.trackers.tracker import TRACKERS, RunInfo, Tracker


class TestAPlugin(TrackerContract):
    def make(self) -> Tracker:
        return TRACKERS["notebook"](file="copy.json")

    def points(self, run: RunInfo, metric: str) -> list[tuple[int, float]]:
        found = self.read(run)["points"].items()
        return [(int(step), metrics[metric]) for step, metrics in found]

    def copies(self, run: RunInfo) -> int:
        return len(list(run.folder.path.rglob("copy.json")))

    def settings(self, run: RunInfo) -> Mapping[str, str]:
        return {path: str(value) for path, value in self.read(run)["config"].items()}

    def read(self, run: RunInfo) -> Any:
        return json.loads((run.folder.path / "copy.json").read_text())
