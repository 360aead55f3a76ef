"""What timm knows about a model, as plain values; imports neither timm nor torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TimmFacts:
    """A model of timm by one of its names.

    name: in full, with the tag of its weights. repository, files: where its weights are on the hub,
    the preferred file first; url: where they are otherwise (both empty: there are none). size: side
    of its usual input; fixed: another size must be passed to it; rigid: it takes no other.
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
