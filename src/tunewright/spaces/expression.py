"""Small arithmetic over config paths and facts of the data, read from space files.

`image_width / model.tokens % value == 0` is parsed with `ast` and evaluated by hand: numbers,
names, arithmetic, comparisons, `and`, `or`, `not`, `min`, `max`. Nothing else is allowed. Numbers
are the decimals that people write, computed as fractions: 0.6 % 0.2 is 0, and 0.1 + 0.2 <= 0.3
holds.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from tunewright.errors import SpaceError
from tunewright.spaces.domain import close


def _divide(one: Any, other: Any) -> Any:
    return one / (Fraction(other) if isinstance(other, int) else other)


def _floor_divide(one: Any, other: Any) -> Any:
    whole = one // other
    return Fraction(whole) if isinstance(one, Fraction) or isinstance(other, Fraction) else whole


def _power(one: Any, other: Any) -> Any:
    return operator.pow(_plain(one), _plain(other))  # exact powers of fractions could take forever


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
_CALLS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "round": round}


def evaluate(text: str, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression; `names` maps dotted names to values.

    Raises SpaceError for anything but arithmetic, and for unknown names.
    """
    try:
        return _plain(_value(_parse(text), names))
    except (TypeError, ZeroDivisionError, OverflowError) as error:
        raise SpaceError(f"the expression {text!r} cannot be computed: {error}") from None


def names_in(text: str) -> set[str]:
    """Return the dotted names that an expression refers to."""
    found: set[str] = set()
    _gather(_parse(text), found)
    return found


def _parse(text: str) -> ast.expr:
    try:
        return ast.parse(str(text), mode="eval").body
    except SyntaxError as error:
        raise SpaceError(
            f"the expression {text!r}", expected=f"arithmetic over names ({error.msg})"
        ) from None


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
                    f"{name!r} in an expression", expected=f"one of {', '.join(sorted(names))}"
                )
            return _exact(names[name])
        case ast.BinOp() if type(node.op) in _BINARY:
            left, right = _value(node.left, names), _value(node.right, names)
            return _exact(_BINARY[type(node.op)](left, right))
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, names)
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
    raise SpaceError(f"{ast.unparse(node)!r} in an expression", expected="arithmetic over names")


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
    raise SpaceError(f"{ast.unparse(node)!r} in an expression", expected="a dotted name")
