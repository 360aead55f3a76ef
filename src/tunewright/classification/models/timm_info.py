"""What timm knows of a model, as plain values; imports neither timm nor torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TimmFacts:
    """A model of timm by one of its names.

    name: in full, with the tag of its weights. repository, files: where its weights lie on the
    hub, the file to prefer first; url: where they lie otherwise (both empty: none exist). size:
    side of the pictures it was made for; fixed: it must be told another; rigid: it takes no other.
    """

    name: str
    repository: str
    files: tuple[str, ...]
    url: str
    licence: str | None
    size: int
    fixed: bool
    rigid: bool

    @property
    def has_weights(self) -> bool:
        """Whether pretrained weights exist anywhere."""
        return bool(self.repository or self.url)
