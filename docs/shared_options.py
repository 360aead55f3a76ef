"""Shows options that commands share as the parameters that they are, on the page of functions."""

import importlib
import inspect
import re
from typing import Any

import griffe

MODULES = re.compile(r"\b(?:[a-z]+\.)+(?=[A-Z])|'(?=[A-Z])|(?<=None)'")
"""The modules of types, and the quotes of a type that is imported for checkers alone."""


class SharedOptions(griffe.Extension):
    """Puts the keys of `**options: Unpack[...]` into a signature, which is read without import."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Take the keywords of the signature that Python shows."""
        shared = next((one for one in func.parameters if "Unpack" in str(one.annotation)), None)
        if shared is None:
            return
        function = getattr(importlib.import_module(func.module.canonical_path), func.name)
        known = [one.name for one in func.parameters]
        del func.parameters[shared.name]
        for one in inspect.signature(function).parameters.values():
            if one.name not in known:
                func.parameters.add(
                    griffe.Parameter(
                        one.name,
                        annotation=MODULES.sub("", inspect.formatannotation(one.annotation)),
                        kind=griffe.ParameterKind.keyword_only,
                        default=MODULES.sub("", repr(one.default)),
                    )
                )
