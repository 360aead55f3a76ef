"""When the report of a large study is first seen in a browser, and when its charts are.

The study of `report_speed.py` is reported, and the page opened in a headless Chromium, each time in
a browser of its own. `first_paint` and `first_contentful_paint` are the browser's own times since
navigation; `loaded` is the end of all scripts; `charts` when those near the window are drawn. A
phone is emulated by its width alone.

    python benchmarks/report_paint.py [--trials 1000 20000] [--rounds 5]
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import optuna
from chromium import browser
from report_speed import make_study
from rounds import save

import tunewright
from tunewright.runs.sqlite_url import sqlite_url

WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
TIMES = """
(async () => {
  const near = [...document.querySelectorAll(".plot")].filter(
    (place) => place.getBoundingClientRect().top < innerHeight + 600);
  while (near.some((place) => !place.dataset.drawn)) await new Promise((go) => setTimeout(go, 5));
  const charts = performance.now();
  await new Promise((go) => requestAnimationFrame(() => setTimeout(go, 50)));
  const paints = Object.fromEntries(
    performance.getEntriesByType("paint").map((one) => [one.name.replaceAll("-", "_"), one.startTime]));
  const [load] = performance.getEntriesByType("navigation");
  return {...paints, loaded: load.loadEventEnd, charts};
})()
"""  # noqa: E501


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 20000])
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for trials in chosen.trials:
            file = Path(folder) / f"{trials}.db"
            make_study(file, trials, 50)
            page = Path(folder) / f"{trials}.html"
            tunewright.report(storage=sqlite_url(file), name="study", output=page)
            file.unlink()
            found[str(trials)] = {
                "page_mb": page.stat().st_size / 1e6,
                **{name: measure(page, size, chosen.rounds) for name, size in WIDTHS.items()},
            }
            print(trials, json.dumps(found[str(trials)]))
    save("report_paint", "python benchmarks/report_paint.py", None, by_trials=found)


def measure(page: Path, size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Return milliseconds: the median over rounds and all of them, by name."""
    all_times: list[dict[str, float]] = []
    for _ in range(rounds):
        with browser() as tab:
            tab.show(*size, phone=size[0] < 700)
            tab.open(page)
            all_times.append(tab.evaluate(TIMES))
    return {
        name: {
            "median_ms": statistics.median(times[name] for times in all_times),
            "rounds_ms": [round(times[name], 1) for times in all_times],
        }
        for name in all_times[0]
    }


if __name__ == "__main__":
    main()
