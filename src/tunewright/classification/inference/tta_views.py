"""Views of test-time augmentation, as options and as text. Imports without torch."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from tunewright.errors import ConfigError, did_you_mean
from tunewright.runs.documents import YamlProblem, parse_yaml

Mean = Literal["logits", "probabilities"]
NAMES = ("hflip", "vflip", "rotate", "brightness", "mean")
"""Settings of views."""
DEGREES, BRIGHTNESS = 5.0, 0.1
"""Default numbers of `rotate` and `brightness`, as in the guide."""


@dataclass(frozen=True)
class View:
    """One view: flipped, rotated (degrees, counter-clockwise), brighter (a factor)."""

    name: str
    hflip: bool = False
    vflip: bool = False
    degrees: float = 0.0
    brightness: float = 1.0


IMAGE = View("image")


@dataclass(frozen=True)
class Views:
    """The views used besides the picture itself, and what is averaged over all of them.

    rotate: degrees, in both directions (0: off). brightness: a fraction, in both directions (0:
    off). mean: of logits, or of probabilities.
    """

    hflip: bool = False
    vflip: bool = False
    rotate: float = 0.0
    brightness: float = 0.0
    mean: Mean = "logits"

    def all(self) -> tuple[View, ...]:
        """Return every view, the picture itself first."""
        found = [IMAGE]
        if self.hflip:
            found.append(View("hflip", hflip=True))
        if self.vflip:
            found.append(View("vflip", vflip=True))
        if self.rotate:
            found += [
                View(f"rotate{angle:+g}", degrees=angle) for angle in (self.rotate, -self.rotate)
            ]
        if self.brightness:
            found += [
                View(f"brightness{100 * by:+g}%", brightness=1.0 + by)
                for by in (self.brightness, -self.brightness)
            ]
        return tuple(found)

    @property
    def plain(self) -> bool:
        """Whether there is no view besides the picture itself."""
        return len(self.all()) == 1

    @property
    def words(self) -> tuple[str, ...]:
        """These views as command-line arguments."""
        usual = Views(hflip=True)
        words = [
            f"tta.{name}={_format_value(getattr(self, name))}"
            for name in NAMES
            if getattr(self, name) != getattr(usual, name)
        ]
        return () if self.plain else tuple(words)


ALONE = Views()
MIRRORED = Views(hflip=True)
"""What a bare `--tta` means, as in the guide: the picture and its mirror image."""


def read_views(
    *, tta: bool = False, named: str | Iterable[str] = (), words: Mapping[str, str] | None = None
) -> Views:
    """Read the requested views: from `--tta`, a list of names, and `tta.name=value`.

    named: such as `hflip,vflip,rotate=5,brightness=0.1`; then only these are used, besides the
    picture. words: override the others; alone they change what `--tta` means. Raises ConfigError
    for unknown names and values.
    """
    listed = [name.strip() for name in named.split(",")] if isinstance(named, str) else list(named)
    listed = [name for name in listed if name not in ("", "image")]
    views = MIRRORED if (tta or words) and not listed else ALONE
    for entry in listed:
        name, _, value = entry.partition("=")
        views = _set_view(views, name, value or None, where="--views")
    for path, value in (words or {}).items():
        views = _set_view(views, path.removeprefix("tta."), value, where=f"{path}={value}")
    return views


def _set_view(views: Views, name: str, written: str | None, *, where: str) -> Views:
    if name not in NAMES:
        raise ConfigError(
            f"view {name!r}",
            expected=f"one of {', '.join(NAMES[:4])}",
            where=where,
            remedy=did_you_mean(name, NAMES) or "For example --views hflip,vflip,rotate=5.",
        )
    usual = {"rotate": DEGREES, "brightness": BRIGHTNESS}.get(name, True)
    value: Any = usual if written is None else _value(written)
    if name in ("hflip", "vflip"):
        if not isinstance(value, bool):
            raise ConfigError(f"tta.{name} = {value!r}", expected="true or false", where=where)
        changed: Mapping[str, Any] = {name: value}
        return replace(views, **changed)
    if name == "mean":
        if value not in get_args(Mean):
            raise ConfigError(f"tta.mean = {value!r}", expected="logits or probabilities")
        return replace(views, mean=value)
    if isinstance(value, bool):
        value = usual if value else 0.0
    most = 180.0 if name == "rotate" else 1.0
    if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value < most:
        unit = "degrees, such as 5" if name == "rotate" else "a share, such as 0.1 for 10 %"
        raise ConfigError(f"tta.{name} = {value!r}", expected=unit, where=where)
    changed = {name: float(value)}
    return replace(views, **changed)


def _value(written: str) -> Any:
    """Parse as YAML; text that is not YAML stays text, and is refused later."""
    try:
        return parse_yaml(written)
    except YamlProblem:
        return written


def _format_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"
