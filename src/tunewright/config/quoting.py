"""Quote values for the override grammar, so that a text stands for itself and nothing else."""

import re
from typing import Any


def quote_override(value: Any) -> str:
    """Return the text after the `=` of an override for exactly this value, uninterpolated."""
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
    """Quote a text for Hydra; a backslash before a quote escapes it."""
    plain = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), text)
    return f"'{plain}'"
