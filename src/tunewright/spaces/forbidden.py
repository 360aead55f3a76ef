"""The forbid rules of a space, as files state them, and whether they leave a point to try."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tunewright.errors import SpaceError
from tunewright.spaces.expression import names_in
from tunewright.spaces.parameter import Surroundings, check_names, translate_condition
from tunewright.spaces.rules import ForbidRule, conditions
from tunewright.spaces.sample import draw, uniform
from tunewright.spaces.space import Parameter, Space

SHOWN = 3
"""Rules that an error names at most."""


def read_rules(specs: Iterable[Any], around: Surroundings) -> list[ForbidRule]:
    """Return the rules under `forbid:` of a file; raise SpaceError for names that are no keys."""
    rules: list[ForbidRule] = []
    for spec in specs:
        if isinstance(spec, Mapping) and set(spec) == {"fits"}:
            check_names(spec["fits"], around.known_names, "forbid")
            rules.append(ForbidRule(fits=str(spec["fits"])))
            continue
        found = tuple(translate_condition(c, around) for c in conditions(spec, "forbid"))
        for condition in found:
            check_names(condition.path, around.known_names, "forbid")
        rules.append(ForbidRule(found))
    return rules


def rules_of_fits(
    raw: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, Parameter]
) -> list[ForbidRule]:
    """Return the `fits` of parameters that name other parameters, as rules."""
    texts = {path: str(raw[path].get("fits") or "") for path in parameters}
    return [
        ForbidRule(fits=re.sub(r"\bvalue\b", path, fits))
        for path, fits in texts.items()
        if fits and names_in(fits) & raw.keys()
    ]


def drop_decided(
    rules: Sequence[ForbidRule],
    parameters: Mapping[str, Parameter],
    around: Surroundings,
    notices: list[str],
) -> list[ForbidRule]:
    """Return the rules without those that only forbid what was set by hand.

    They say where to search. As a value that is set by hand may lie outside of a domain, several
    may be what a rule of a file leaves out.
    """
    kept = []
    by_hand = {*around.typed, *around.reserved}
    for rule in rules:
        decided = rule.paths.isdisjoint(parameters) and rule.paths & by_hand
        if decided and rule.is_violated_by(around.fixed):
            notices.append(f"the rule against {rule} is left out: this was set by hand")
        else:
            kept.append(rule)
    return kept


def check_some_point_is_left(space: Space) -> None:
    """Raise SpaceError, with the rules that forbid most, if no draw satisfies the rules."""
    rng = random.Random(0)
    if draw(space, rng) is not None:
        return
    drawn = (space.draw(lambda p: uniform(p.domain, rng)) for _ in range(100))
    broken = Counter(str(space.broken_rule(values)) for values in drawn)
    named = "; ".join(rule for rule, _ in broken.most_common(SHOWN))
    raise SpaceError(
        f"the forbid rules leave no combination ({named})",
        expected="rules that some point of the space satisfies",
        remedy="Take out one of these rules, or widen the domains.",
    )
