"""Read YAML and JSON that come from outside, within limits that no honest file reaches.

Every YAML and JSON text that this program did not just make itself is parsed here. A hostile or
damaged text ends in one error that names the line: aliases that multiply, nesting without end,
numbers of thousands of digits, tags that build objects, duplicate keys.
"""

from tunewright.runs.documents.json_text import parse_json
from tunewright.runs.documents.yaml_text import MAX_YAML_BYTES, YamlProblem, parse_yaml

__all__ = ["MAX_YAML_BYTES", "YamlProblem", "parse_json", "parse_yaml"]
