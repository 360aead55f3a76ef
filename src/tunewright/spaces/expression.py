"""Small arithmetic over config paths and facts of the data, read from space files.

`image_width / model.tokens % value == 0` is parsed with `ast` and evaluated by hand: numbers,
names, arithmetic, comparisons, `and`, `or`, `not`, `min`, `max`. Nothing else is allowed.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from tunewright.errors import SpaceError

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
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
    """The value of an expression; `names` maps dotted names to values.

    Raises SpaceError for anything but arithmetic, and for names that are not there.
    """
    try:
        return _value(_parsed(text), names)
    except (TypeError, ZeroDivisionError, OverflowError) as error:
        raise SpaceError(f"the expression {text!r} cannot be computed: {error}") from None


def names_in(text: str) -> set[str]:
    """The dotted names that an expression refers to."""
    found: set[str] = set()
    _gather(_parsed(text), found)
    return found


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(str(text), mode="eval").body
    except SyntaxError as error:
        raise SpaceError(
            f"the expression {text!r}", expected=f"arithmetic over names ({error.msg})"
        ) from None


def _gather(node: ast.AST, found: set[str]) -> None:
    if isinstance(node, ast.Name | ast.Attribute):
        found.add(_dotted(node))
        return
    inner = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
    for child in inner:
        _gather(child, found)


def _value(node: ast.AST, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float | str | bool):
            return value
        case ast.Name() | ast.Attribute():
            name = _dotted(node)
            if name not in names:
                raise SpaceError(
                    f"{name!r} in an expression", expected=f"one of {', '.join(sorted(names))}"
                )
            return names[name]
        case ast.BinOp() if type(node.op) in _BINARY:
            return _BINARY[type(node.op)](_value(node.left, names), _value(node.right, names))
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
                if not _COMPARE[type(comparison)](left, right):
                    return False
                left = right
            return True
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _CALLS:
            return _CALLS[name](*(_value(argument, names) for argument in node.args))
    raise SpaceError(f"{ast.unparse(node)!r} in an expression", expected="arithmetic over names")


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise SpaceError(f"{ast.unparse(node)!r} in an expression", expected="a dotted name")
