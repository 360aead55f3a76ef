"""The sentences that describe each class. Imports without torch."""

from collections.abc import Mapping, Sequence

from tunewright.errors import ConfigError, did_you_mean
from tunewright.images.sources.build_table import some
from tunewright.recipes.retina.config import ZeroShotConfig


def class_sentences(
    section: ZeroShotConfig, classes: Sequence[str], names: Mapping[str, str]
) -> list[list[str]]:
    """Return the sentences of each class, in the order of `classes`.

    Prompts are bound to classes by name, so the order of either does not matter. names: readable
    names of classes, which prompts may use too. Raises ConfigError for a class without prompts, and
    for prompts of what is no class.
    """
    if section.prompts is None:
        readable = [names.get(name, name).replace("_", " ") for name in classes]
        return [[template.format(name) for template in section.templates] for name in readable]
    by_name = {names.get(name, name): name for name in classes} | {name: name for name in classes}
    strangers = [name for name in section.prompts if name not in by_name]
    if strangers:
        raise ConfigError(
            f"zero_shot.prompts describes {some(strangers)}",
            expected=f"classes of the data: {some(classes)}",
            remedy=did_you_mean(strangers[0], by_name),
        )
    found = {by_name[name]: list(sentences) for name, sentences in section.prompts.items()}
    bare = [name for name in classes if not found.get(name)]
    if bare:
        raise ConfigError(
            f"zero_shot.prompts has no sentence for {some(bare)}",
            expected="at least one for each class",
        )
    return [found[name] for name in classes]
