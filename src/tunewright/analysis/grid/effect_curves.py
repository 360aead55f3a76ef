"""Scores along one parameter, with a curve for each combination of the others."""

from collections import defaultdict
from dataclasses import dataclass

from tunewright.analysis.grid.heat_map import DECADE
from tunewright.analysis.grid.rank_cells import LambdaRanking
from tunewright.analysis.grid.run_result import Value, is_finite, label_of, sort_values


@dataclass(frozen=True)
class EffectCurve:
    """Means of a score by the values of a parameter, while the others stay as `name` says.

    places: indices into the values of the panel. spreads: standard deviations, 0 for one run.
    """

    name: str
    places: tuple[int, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class EffectPanel:
    """The curves of one lambda. values: of the parameter, in rising order.

    numeric: whether they are numbers; logarithmic: whether these span a wide range.
    """

    title: str
    values: tuple[Value, ...]
    curves: tuple[EffectCurve, ...]
    numeric: bool
    logarithmic: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """The values as an axis shows them."""
        return tuple(map(label_of, self.values))


def effect_panel(ranking: LambdaRanking, parameter: str) -> EffectPanel:
    """Return the curves along a parameter, one for each combination of the other parameters."""
    values = sort_values(cell.parameters[parameter] for cell in ranking.cells)
    grouped: dict[str, list[tuple[int, float, float, int]]] = defaultdict(list)
    for cell in ranking.cells:
        rest = {name: value for name, value in cell.parameters.items() if name != parameter}
        name = ", ".join(f"{name} = {label_of(value)}" for name, value in rest.items())
        place = values.index(cell.parameters[parameter])
        grouped[name].append((place, cell.mean, cell.spread or 0.0, cell.runs))
    curves = tuple(
        EffectCurve(name, *zip(*sorted(points), strict=True))
        for name, points in sorted(grouped.items())
    )
    numeric = is_finite(values)
    numbers = [value for value in values if isinstance(value, float)]
    wide = numeric and numbers[0] > 0 and numbers[-1] / numbers[0] >= DECADE / 4
    title = "" if ranking.lmbda is None else f"lambda = {label_of(ranking.lmbda)}"
    return EffectPanel(title, tuple(values), curves, numeric, wide)
