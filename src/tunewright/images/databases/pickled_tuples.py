"""Read pickled tuples of texts, bytes and numbers without unpickling them.

A pickle is a program for a small machine. The opcodes that look up, call or build objects are
refused, and those that are left can make nothing but plain values, so a value from a stranger can
neither run anything nor take more memory than it has bytes.
"""

import pickletools
from typing import TypeAlias

from tunewright.errors import DataError

Plain: TypeAlias = str | bytes | int | float | bool | None
PICKLE = b"\x80"
"""The first byte of a pickle of protocol 2 or later; no picture file begins with it."""
BUILD_AGAIN = (
    "Build it again from the pictures: tunewright retina build-lmdb PLACE --output FOLDER."
)

_VALUES = frozenset(
    {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
)
"""Opcodes that push their argument."""
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")


class _Mark:
    """What MARK leaves on the stack."""


_MARK = _Mark()


def read_tuple(content: bytes, where: str) -> tuple[Plain, ...]:
    """Return the flat tuple of plain values in a pickle; nothing of it is executed.

    where: the key and its file, for messages. Raises DataError for anything else, such as an object
    of a class, a call, a list, or bytes that are no pickle.
    """
    try:
        found = _run(content)
    except _Refusal as refusal:
        raise DataError(
            f"the value of {where} is a pickle that holds {refusal}; nothing of it was run",
            expected="a tuple of texts, bytes and numbers",
            remedy=BUILD_AGAIN,
        ) from None
    except (ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
        raise DataError(
            f"the value of {where} is a damaged pickle ({' '.join(str(error).split())[:120]})",
            expected="a tuple of texts, bytes and numbers",
            remedy=BUILD_AGAIN,
        ) from None
    return found


class _Refusal(Exception):
    """What a pickle asks for beside plain values."""


def _run(content: bytes) -> tuple[Plain, ...]:
    """Follow the opcodes of a pickle; raises _Refusal, or ValueError and others for damage."""
    stack: list[object] = []
    memo: dict[int, object] = {}
    for opcode, argument, _position in pickletools.genops(content):
        name = opcode.name
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            size = _TUPLES[name]
            if len(stack) < size:
                raise ValueError("a tuple of more values than there are")
            values = tuple(stack[len(stack) - size :])
            del stack[len(stack) - size :]
            stack.append(values)
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            at = len(stack) - 1 - stack[::-1].index(_MARK)
            stack[at:] = [tuple(stack[at + 1 :])]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in _PUTS:
            memo[int(str(argument))] = stack[-1]
        elif name in _GETS:
            stack.append(memo[int(str(argument))])
        elif name == "STOP":
            break
        elif name not in ("PROTO", "FRAME"):
            named = str(argument).replace(" ", ".")[:80] if isinstance(argument, str) else ""
            raise _Refusal(f"{named} ({name})" if named else f"more than plain values ({name})")
    [made] = stack
    if not isinstance(made, tuple):
        raise _Refusal(f"{type(made).__name__}, not a tuple")
    if any(isinstance(value, tuple | _Mark) for value in made):
        raise _Refusal("tuples in a tuple")
    return made
