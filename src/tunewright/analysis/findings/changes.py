"""Changes to make, as text that can be copied: commands, space files, lines of Python."""

import math
import shlex
from collections.abc import Mapping
from typing import Any

from tunewright.analysis.findings.finding import StudyContext
from tunewright.config.overrides import quote_override
from tunewright.runs.atomic import dump_yaml
from tunewright.spaces.domain import Categorical, Domain, Int


def continue_study(context: StudyContext, *words: str) -> str:
    """Return the command that goes on with a study, with further words and half as many trials."""
    total = context.ran + max(10, context.ran // 2)
    return f"{_resume(context)} {' '.join(words)} --trials {total}"


def _resume(context: StudyContext) -> str:
    return f"tunewright tune --resume {shlex.quote(context.study)}"


def more_trials(context: StudyContext, total: int) -> str:
    """Return how to run `total` trials in all; of an exhausted space, how to learn more."""
    if context.exhausted and context.recipe == "function":
        return "# every point of this space has been tried: give a larger one"
    if context.exhausted:
        return train_with_seeds(context)
    if context.is_foreign:
        return f"study.optimize(objective, n_trials={max(1, total - context.ran)})"
    if context.recipe == "function":
        return f"tune(function, space, trials={total})  # the same call, with more trials"
    return f"{_resume(context)} --trials {total}"


def train_with_seeds(context: StudyContext) -> str:
    """Return the command that trains the best configuration with several seeds."""
    return f"tunewright train {shlex.quote(context.study + '/best_config.yaml')} 'seeds=[1,2,3]'"


def setting(context: StudyContext, path: str, value: Any) -> str:
    """Return the value of a parameter as a word of the command line."""
    plain = isinstance(value, str) and value.replace("_", "").isalnum()
    section = f"{context.section}." if context.section else ""
    return shlex.quote(f"{section}{path}={value if plain else quote_override(value)}")


def change_space(
    context: StudyContext,
    domains: Mapping[str, Domain],
    *,
    name: str = "changed",
    when: Mapping[str, Any] | None = None,
) -> str:
    """Return how to search other domains: a space file over the study's own, or Optuna's lines.

    name: of the file. when: conditions by path.
    """
    if context.is_foreign:
        return "\n".join(_suggest(path, domain) for path, domain in domains.items())
    file = f"{name}.yaml"
    use = continue_study(context, f"--space {file}")
    if context.recipe == "function":
        use = f"tune(function, {file!r}, ...), the rest of the call as before"
    fields = {path: _fields(domain) for path, domain in domains.items()}
    for path, condition in (when or {}).items():
        fields[path]["when"] = condition
    tree = {"inherit": context.space_file, "parameters": fields}
    return f"# {file}, for: {use}\n{dump_yaml(tree)}".rstrip()


def narrow_space(context: StudyContext, study: str, domains: Mapping[str, Domain]) -> str:
    """Return how to search in smaller domains: commands, or Optuna's lines. study: its name."""
    if context.needs_python:
        return change_space(context, domains, name="narrower")
    write = f"tunewright narrow {shlex.quote(context.study)} --write narrower.yaml"
    return f"{write}\n{new_study(context, study, 'refine', '--space narrower.yaml')}"


def keep_fixed(context: StudyContext, values: Mapping[str, Any], study: str) -> str:
    """Return how to search on with some parameters fixed. study: its name."""
    if context.needs_python:
        return "\n".join(f"params[{path!r}] = {value!r}" for path, value in values.items())
    words = [setting(context, path, _plain(value)) for path, value in values.items()]
    return new_study(context, study, "fixed", *words)


def new_study(context: StudyContext, study: str, suffix: str, *words: str) -> str:
    """Return the command that starts another study from the best trial of this one.

    study: its name; suffix: what the new one is called after it.
    """
    name = shlex.quote(f"{study}-{suffix}")
    return " ".join(["tunewright tune --from", shlex.quote(context.study), "--name", name, *words])


def _plain(value: Any) -> Any:
    return round_number(value) if isinstance(value, float) else value


def round_number(number: float, digits: int = 2) -> float:
    """Return a number with so many significant digits."""
    return float(f"{number:.{digits}g}") if math.isfinite(number) else number


def _fields(domain: Domain) -> dict[str, Any]:
    if isinstance(domain, Categorical):
        return {"choices": list(domain.choices)}
    return {"low": domain.low, "high": domain.high}


def _suggest(path: str, domain: Domain) -> str:
    if isinstance(domain, Categorical):
        return f"trial.suggest_categorical({path!r}, {list(domain.choices)!r})"
    kind = "int" if isinstance(domain, Int) else "float"
    log = ", log=True" if domain.log else ""
    step = "" if domain.step in (None, 1) else f", step={domain.step!r}"
    return f"trial.suggest_{kind}({path!r}, {domain.low!r}, {domain.high!r}{log}{step})"
