"""Read YAML that we wrote ourselves with libyaml, which is fast.

A worker reads it before every trial. It returns the same as `read_yaml`, without the nodes that
OmegaConf builds for interpolations: those are resolved before a configuration is stored.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from tunewright.errors import ConfigError

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # slower without libyaml


class _Loader(_Parser):  # type: ignore[misc]
    """A loader where `1e-4` is a number, a date is a text, and duplicate keys are refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {key.value!r}", key.start_mark
                )
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep=deep))


_Loader.yaml_implicit_resolvers = {
    first: [(tag, text) for tag, text in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in _Parser.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?\d[\d_]*\.?[\d_]*[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def read_stored(path: Path) -> dict[str, Any]:
    """Return the mapping in a file that `write_yaml` wrote, when a run or a study is resumed.

    Raises ConfigError for a file that cannot be read, or holds no mapping.
    """
    try:
        tree = yaml.load(path.read_bytes(), Loader=_Loader)
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not readable as YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} holds {type(tree).__name__}", expected="a mapping (key: value) at the top"
        )
    return {str(key): value for key, value in tree.items()}
