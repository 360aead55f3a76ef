"""Draw the figures of the examples from `benchmarks/results/`: `python docs/draw_examples.py`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#7d5ba6")
WIDTH, LEFT, RIGHT, ROW, GAP = 760, 210, 40, 20, 16


@dataclass(frozen=True)
class Point:
    """A figure with its 95 % interval. series: what its colour stands for."""

    name: str
    series: str
    value: float
    low: float
    high: float


def main() -> None:
    tail = json.loads((RESULTS / "cifar10_lt.json").read_text())
    draw(
        "Recall on a balanced test set, mean of three seeds, 95 % intervals",
        {group: list(of_losses(tail["losses"], group)) for group in ("all", "many", "tail")},
        DOCS / "cifar10-lt.svg",
    )
    flowers = json.loads((RESULTS / "flowers17.json").read_text())
    draw(
        "Accuracy on 170 test pictures of 17 flowers, small networks from scratch at 80 pixels",
        {"": list(of_runs(flowers["test_by_predictions"]))},
        DOCS / "flowers17.svg",
    )


def of_losses(losses: Mapping[str, Mapping[str, dict]], group: str) -> Iterator[Point]:
    for loss, found in losses.items():
        low, high = found[group]["interval"]
        yield Point(loss, loss, found[group]["recall"], low, high)


def of_runs(runs: Mapping[str, dict]) -> Iterator[Point]:
    for name, found in runs.items():
        low, high = found["interval"]
        series = "with its mirror image" if "mirror" in name else "alone"
        yield Point(name.removeprefix("flowers17-"), series, found["accuracy"], low, high)


def draw(title: str, groups: Mapping[str, Sequence[Point]], file: Path) -> None:
    """Points with whiskers, a row each, on one axis from 0 to 1."""
    series = list(dict.fromkeys(point.series for points in groups.values() for point in points))
    colour = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(series)}
    rows = sum(map(len, groups.values()))
    bottom = 50 + rows * ROW + len(groups) * GAP
    parts = [f'<text x="12" y="24" font-size="15">{escape(title)}</text>']
    for tick in range(0, 11, 2):
        x = at(tick / 10)
        parts.append(f'<line x1="{x}" x2="{x}" y1="38" y2="{bottom}" stroke="#dde3ea"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{tick / 10:g}</text>')
    y = 38.0
    for group, points in groups.items():
        y += GAP
        if group:
            parts.append(f'<text x="12" y="{y + 4}" font-weight="bold">{escape(group)}</text>')
        for point in points:
            ink = colour[point.series]
            parts.append(f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{point.name}</text>')
            parts.append(
                f'<line x1="{at(point.low)}" x2="{at(point.high)}" y1="{y}" y2="{y}" '
                f'stroke="{ink}" stroke-width="3" stroke-linecap="round" opacity="0.45"/>'
                f'<circle cx="{at(point.value)}" cy="{y}" r="4.5" fill="{ink}"/>'
                f'<text x="{at(point.high) + 8}" y="{y + 4}" fill="{ink}">{point.value:.3f}</text>'
            )
            y += ROW
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{bottom + 28}" '
        f'font-family="sans-serif" font-size="12" fill="#1f2933">'
        '<rect width="100%" height="100%" fill="white"/>'
    )
    file.write_text("\n".join([head, *parts, "</svg>"]) + "\n", encoding="utf-8")
    print(file)


def at(value: float) -> float:
    return round(LEFT + value * (WIDTH - LEFT - RIGHT), 1)


if __name__ == "__main__":
    main()
