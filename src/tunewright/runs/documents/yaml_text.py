"""Read a YAML text within limits, and say at which line each key stands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from tunewright.errors import quote
from tunewright.runs.documents.limits import MAX_DEPTH, MAX_DIGITS

MAX_YAML_BYTES = 4 << 20
"""Size of a YAML text: configurations, spaces and studies take some kilobytes."""
MAX_NODES = 50_000
"""Values and keys of a YAML text, where each alias counts as what it stands for."""

_TAG = "tag:yaml.org,2002:"
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # slower without libyaml
_BOOLEANS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
_KINDS = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "null": "null",
    "map": "a mapping",
    "seq": "a list",
}


class YamlProblem(ValueError):
    """A YAML text that cannot be read; the message names the line."""


def parse_yaml(text: str, lines: dict[str, int] | None = None) -> Any:
    """Return the value of a YAML text; `1e-4` is a number and a date is a text.

    lines: filled with the line of each key, from 1, by dotted path. Raises YamlProblem.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_YAML_BYTES:
        raise YamlProblem(f"it is larger than {MAX_YAML_BYTES:,} bytes")
    if not text.strip():
        raise YamlProblem(
            "it is empty, as a write that failed leaves it; a comment (#) alone changes nothing"
        )
    try:
        return _Builder({} if lines is None else lines).build(yaml.parse(text, Loader=_Parser))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlProblem(f"line {mark.line + 1}: {what}" if mark else what) from None
    except (yaml.YAMLError, UnicodeError) as error:  # characters that YAML does not allow
        raise YamlProblem(" ".join(str(error).split())) from None


@dataclass
class _Node:
    """A list or mapping that is being read, or a finished value with its size after expansion."""

    value: Any
    line: int
    anchor: str | None = None
    prefix: str | None = None  # of the paths of its keys; None inside a list
    key: Any = None
    waits_for_key: bool = True
    merged: list[dict[Any, Any]] = field(default_factory=list)
    nodes: int = 1
    height: int = 0


_MERGE = object()


class _Builder:
    """Builds the value of a stream of YAML events, with a stack in place of recursion."""

    def __init__(self, lines: dict[str, int]) -> None:
        self.lines = lines
        self.open: list[_Node] = []
        self.anchors: dict[str, _Node | None] = {}
        self.result: Any = None
        self.documents = 0

    def build(self, events: Iterator[Any]) -> Any:
        for event in events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.ScalarEvent):
                value = _scalar(event, line, key=self._wants_key())
                self._add(_Node(value, line, event.anchor))
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._begin(event, line)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._end()
            elif isinstance(event, yaml.AliasEvent):
                known = self.anchors.get(str(event.anchor), self)
                if known is self:
                    _fail(line, f"the alias *{event.anchor} has no anchor")
                if known is None:
                    _fail(line, f"the alias *{event.anchor} stands inside its own anchor")
                assert isinstance(known, _Node)
                self._add(_Node(known.value, line, nodes=known.nodes, height=known.height))
            elif isinstance(event, yaml.DocumentStartEvent):
                self.documents += 1
                if self.documents > 1:
                    _fail(line, "a second document begins")
        return self.result

    def _wants_key(self) -> bool:
        return bool(
            self.open and isinstance(self.open[-1].value, dict) and self.open[-1].waits_for_key
        )

    def _begin(self, event: Any, line: int) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        kind = "map" if mapping else "seq"
        if event.tag not in (None, "!", _TAG + kind):
            _fail(line, f"{_shown_tag(event.tag)} on {_KINDS[kind]}; expected no tag")
        if self._wants_key():
            _fail(line, f"{_KINDS[kind]} as a key; expected a text")
        if len(self.open) >= MAX_DEPTH:
            _fail(line, f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # unfinished: an alias to it would be endless
        prefix: str | None = ""
        if self.open:
            above = self.open[-1]
            inside = isinstance(above.value, dict) and above.prefix is not None
            prefix = f"{above.prefix}{above.key}." if inside else None
        self.open.append(_Node({} if mapping else [], line, event.anchor, prefix))

    def _end(self) -> None:
        node = self.open.pop()
        if node.merged:  # own keys first, then earlier mappings over later ones
            for mapping in reversed(node.merged):
                node.value = {**mapping, **node.value}
        self._add(node)

    def _add(self, node: _Node) -> None:
        """Place a finished node into the list or mapping that is open, or make it the result."""
        if node.anchor is not None:
            self.anchors[node.anchor] = node
        if not self.open:
            self.result = node.value
            return
        above = self.open[-1]
        above.nodes += node.nodes
        above.height = max(above.height, node.height + 1)
        if above.nodes > MAX_NODES:
            _fail(node.line, f"more than {MAX_NODES:,} values, aliases counted as what they name")
        if len(self.open) + node.height > MAX_DEPTH:
            _fail(node.line, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(above.value, list):
            above.value.append(node.value)
        elif above.waits_for_key:
            self._take_key(above, node)
        else:
            self._take_value(above, node)

    def _take_key(self, above: _Node, node: _Node) -> None:
        key = node.value
        if isinstance(key, dict | list):
            _fail(node.line, f"{_KINDS['map' if isinstance(key, dict) else 'seq']} as a key")
        if key is None:
            _fail(node.line, "a key without a name")
        if key is not _MERGE and key in above.value:
            _fail(node.line, f"duplicate key {quote(key)}")
        above.key, above.waits_for_key = key, False
        if above.prefix is not None and key is not _MERGE:
            self.lines[f"{above.prefix}{key}"] = node.line

    def _take_value(self, above: _Node, node: _Node) -> None:
        above.waits_for_key = True
        if above.key is not _MERGE:
            above.value[above.key] = node.value
            return
        given = node.value if isinstance(node.value, list) else [node.value]
        if not all(isinstance(mapping, dict) for mapping in given):
            _fail(node.line, "<< takes mappings only")
        above.merged += given


def _scalar(event: Any, line: int, *, key: bool) -> Any:
    text: str = event.value
    if event.tag is None:
        if not event.implicit[0]:
            return text  # in quotes, or a block
        kind = _kind_of(text)
        if kind == "merge" and key:
            return _MERGE
    elif event.tag == "!":
        return text
    elif event.tag.startswith(_TAG) and event.tag.removeprefix(_TAG) in ("str", *_KINDS):
        kind = event.tag.removeprefix(_TAG)
    else:
        _fail(line, f"{_shown_tag(event.tag)}; expected a plain value, text in quotes")
    if kind in ("int", "float") and len(text) > MAX_DIGITS:
        _fail(line, f"a number of {len(text):,} characters; expected at most {MAX_DIGITS}")
    try:
        return _CONSTRUCTORS.get(kind, str)(text)
    except (ValueError, KeyError, OverflowError):
        _fail(line, f"!!{kind} {quote(text)}; expected {_KINDS[kind]}")


def _kind_of(text: str) -> str:
    """Return the short tag that YAML 1.1 gives a plain scalar, without dates."""
    for tag, pattern in _RESOLVERS.get(text[:1], ()):
        if pattern.match(text):
            return str(tag).removeprefix(_TAG)
    return "str"


_RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = {
    first: [(tag, pattern) for tag, pattern in known if tag not in (_TAG + "timestamp",)]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _first in "-+0123456789":  # 1e-4 and 1E5, which YAML 1.1 takes for texts
    _RESOLVERS[_first] = [
        *_RESOLVERS.get(_first, ()),
        (_TAG + "float", re.compile(r"[-+]?\d[\d_]*\.?[\d_]*[eE][-+]?\d+$")),
    ]


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if ":" in digits:  # 1:30 is 90, by the sixties
        return sign * int(_by_sixty(digits))
    bare = len(digits) > 1 and digits.startswith("0") and digits.isdigit()
    return sign * (int(digits, 8) if bare else int(digits, 0))


def _float(text: str) -> float:
    digits = text.replace("_", "").lower()
    sign = -1.0 if digits.startswith("-") else 1.0
    digits = digits.lstrip("+-")
    if digits in (".inf", ".nan"):
        return sign * float(digits[1:])
    return sign * (_by_sixty(digits) if ":" in digits else float(digits))


def _by_sixty(digits: str) -> float:
    value = 0.0
    for part in digits.split(":"):
        value = 60 * value + float(part)
    return value


def _null(text: str) -> None:
    if text.lower() not in ("", "~", "null"):
        raise ValueError


def _no_scalar(text: str) -> NoReturn:
    raise ValueError


_CONSTRUCTORS: dict[str, Any] = {
    "int": _integer,
    "float": _float,
    "bool": lambda text: _BOOLEANS[text.lower()],
    "null": _null,
    "map": _no_scalar,
    "seq": _no_scalar,
}


def _shown_tag(tag: str) -> str:
    return "the tag " + quote(tag.replace(_TAG, "!!"))


def _fail(line: int, problem: str) -> NoReturn:
    raise YamlProblem(f"line {line}: {problem}")
