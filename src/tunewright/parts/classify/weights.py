"""Where the first weights of a model come from. Imports no torch until weights are loaded."""

from tunewright.parts.classify.model_config import ImageModel


def check_weights(section: ImageModel) -> list[str]:
    """Notices; raises ConfigError before anything starts where weights cannot be had."""
    raise NotImplementedError
