"""Values in the grammar of overrides, so that a text means itself and nothing else."""

import re
from typing import Any


def quote_override(value: Any) -> str:
    """What stands behind the `=` of an override for exactly this value, without interpolations."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(quote_override, value))}]"
    return in_quotes(re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", str(value)))


def in_quotes(text: str) -> str:
    """A text as Hydra reads it back; a backslash before a quote is its escape."""
    plain = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), text)
    return f"'{plain}'"
