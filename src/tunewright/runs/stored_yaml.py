"""Read YAML files of runs and studies, which a worker does before every trial."""

from pathlib import Path
from typing import Any

from tunewright.errors import ConfigError
from tunewright.runs.documents import MAX_YAML_BYTES, YamlProblem, parse_yaml
from tunewright.runs.regular_files import read_regular


def read_stored(path: Path) -> dict[str, Any]:
    """Return the mapping in a file that `write_yaml` wrote, when a run or a study is resumed.

    Raises ConfigError for a file that cannot be read, or holds no mapping.
    """
    try:
        tree = parse_yaml(read_regular(path, most=MAX_YAML_BYTES).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not readable as YAML: byte {error.start + 1} is no UTF-8",
            expected="a text in UTF-8",
            remedy="Save it again with this encoding.",
        ) from error
    except (YamlProblem, OSError) as error:
        raise ConfigError(f"{path} is not readable as YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} holds {type(tree).__name__}", expected="a mapping (key: value) at the top"
        )
    return {str(key): value for key, value in tree.items()}
