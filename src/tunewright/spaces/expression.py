"""Small arithmetic over config paths and facts of the data, read from space files.

`image_width / model.tokens % value == 0` is parsed with `ast` and evaluated by hand: numbers,
names, arithmetic, comparisons, `and`, `or`, `not`, `min`, `max`, `round`. Nothing else is allowed.
Numbers are the decimals that people write, computed as fractions: 0.6 % 0.2 is 0, and
0.1 + 0.2 <= 0.3 holds. Texts can be compared, not computed with. Length, nesting and the size of
every intermediate number are bounded, so that an expression takes microseconds whatever it says.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from tunewright.errors import SpaceError, quote
from tunewright.spaces.domain import close

MAX_CHARACTERS = 1_000
MAX_NESTING = 40
MAX_BITS = 4_096
"""Of an intermediate number, or of each part of a fraction; a float spans 2,100."""
MAX_PLACES = 30
"""Decimal places for `round`, before or after the point."""


def _divide(one: Any, other: Any) -> Any:
    return one / (Fraction(other) if isinstance(other, int) else other)


def _floor_divide(one: Any, other: Any) -> Any:
    whole = one // other
    return Fraction(whole) if isinstance(one, Fraction) or isinstance(other, Fraction) else whole


def _power(one: Any, other: Any) -> Any:
    one, other = _plain(one), _plain(other)  # exact powers of fractions could take forever
    whole = isinstance(one, int) and isinstance(other, int)
    if whole and other > 0 and one.bit_length() * other > MAX_BITS:
        raise OverflowError(_TOO_LONG)
    return operator.pow(one, other)


def _round(one: Any, places: Any = None) -> Any:
    if places is None:
        return round(one)
    if not isinstance(places, int) or abs(places) > MAX_PLACES:
        raise OverflowError(f"round takes at most {MAX_PLACES} places")
    return round(one, places)


_TOO_LONG = f"a number in it has more than {MAX_BITS:,} bits"


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divide,
    ast.FloorDiv: _floor_divide,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_CALLS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "round": _round}


def evaluate(text: str, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression; `names` maps dotted names to values.

    Raises SpaceError for anything but arithmetic, and for unknown names.
    """
    try:
        value = _plain(_value(_parse(str(text)), names))
        if isinstance(value, int):
            float(value)  # raises OverflowError for one that no float can hold
        return value
    except (TypeError, ZeroDivisionError, OverflowError) as error:
        raise SpaceError(f"the expression {quote(text)} cannot be computed: {error}") from None


def names_in(text: str) -> frozenset[str]:
    """Return the dotted names that an expression refers to."""
    return _names_in(str(text))


@lru_cache(maxsize=256)  # a rule is asked at every point that is drawn
def _names_in(text: str) -> frozenset[str]:
    found: set[str] = set()
    _gather(_parse(text), found)
    return frozenset(found)


@lru_cache(maxsize=256)
def _parse(text: str) -> ast.expr:
    if len(text) > MAX_CHARACTERS:
        raise SpaceError(
            f"the expression {quote(text)} has {len(text):,} characters",
            expected=f"at most {MAX_CHARACTERS:,}",
        )
    try:
        parsed = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or str(error) or type(error).__name__
        raise SpaceError(
            f"the expression {quote(text)}", expected=f"arithmetic over names ({reason})"
        ) from None
    level: list[ast.AST] = [parsed]
    for _ in range(MAX_NESTING):
        level = [inner for node in level for inner in ast.iter_child_nodes(node)]
        if not level:
            return parsed
    raise SpaceError(
        f"the expression {quote(text)} is nested deeper than {MAX_NESTING} levels",
        expected="a shorter one",
    )


def _gather(node: ast.AST, found: set[str]) -> None:
    if isinstance(node, ast.Name | ast.Attribute):
        found.add(_dotted_name(node))
        return
    inner = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
    for child in inner:
        _gather(child, found)


def _value(node: ast.AST, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float | str | bool):
            return _exact(value)
        case ast.Name() | ast.Attribute():
            name = _dotted_name(node)
            if name not in names:
                raise SpaceError(
                    f"{quote(name)} in an expression",
                    expected=f"one of {', '.join(sorted(names))}",
                )
            return _exact(names[name])
        case ast.BinOp() if type(node.op) in _BINARY:
            left, right = _value(node.left, names), _value(node.right, names)
            return _check_bits(_exact(_BINARY[type(node.op)](_number(left), _number(right))))
        case ast.UnaryOp(op=ast.USub()):
            return -_number(_value(node.operand, names))
        case ast.UnaryOp(op=ast.Not()):
            return not _value(node.operand, names)
        case ast.BoolOp():
            values = (_value(value, names) for value in node.values)
            return all(values) if isinstance(node.op, ast.And) else any(values)
        case ast.Compare() if all(type(comparison) in _COMPARE for comparison in node.ops):
            left = _value(node.left, names)
            for comparison, right_node in zip(node.ops, node.comparators, strict=True):
                right = _value(right_node, names)
                if not _compare(type(comparison), left, right):
                    return False
                left = right
            return True
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _CALLS:
            return _CALLS[name](*(_value(argument, names) for argument in node.args))
    raise SpaceError(
        f"{quote(ast.unparse(node))} in an expression", expected="arithmetic over names"
    )


def _number(value: Any) -> Any:
    """Return an operand; raise TypeError for a text or a list, which `*` would multiply."""
    if isinstance(value, int | float | Fraction):
        return value
    raise TypeError(f"{quote(value)} is not a number")


def _check_bits(value: Any) -> Any:
    """Return a result; raise OverflowError for one that is too long to go on with."""
    if isinstance(value, complex):
        raise TypeError("a root of a negative number")
    parts = (value.numerator, value.denominator) if isinstance(value, int | Fraction) else ()
    if any(part.bit_length() > MAX_BITS for part in parts):
        raise OverflowError(_TOO_LONG)
    return value


def _compare(comparison: type[ast.cmpop], left: Any, right: Any) -> bool:
    """Compare with tolerance for rounding, since a value may have been computed elsewhere."""
    numbers = isinstance(left, int | float | Fraction) and isinstance(right, int | float | Fraction)
    if numbers and close(left, right):
        return comparison in (ast.Eq, ast.LtE, ast.GtE)
    return bool(_COMPARE[comparison](left, right))


def _exact(value: Any) -> Any:
    """Return a number as the exact fraction of its written decimal."""
    return Fraction(str(value)) if isinstance(value, float) and math.isfinite(value) else value


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Fraction) else value


def _dotted_name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted_name(node.value)}.{node.attr}"
    raise SpaceError(f"{quote(ast.unparse(node))} in an expression", expected="a dotted name")
