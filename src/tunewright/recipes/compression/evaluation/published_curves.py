"""Published rate-distortion curves, as data with their source; without torch.

Means over the pictures of a set; PSNR in decibels, models trained for MSE.
"""

from dataclasses import dataclass

from tunewright.errors import UsageError, did_you_mean

PREFIX = "published:"
HPCM = (
    "Li et al., Learned Image Compression with Hierarchical Progressive Context Modeling, ICCV "
    "2025; R-D_Data.md of the public repository lyq133/LIC-HPCM"
)


@dataclass(frozen=True)
class PublishedCurve:
    """A curve that was not measured here.

    codec: as it is shown. data: the set of pictures (`kodak`, 24 pictures; `clic`, CLIC
    Professional's validation set; `tecnick`). bpp: estimated or real, as the source has it.
    """

    codec: str
    data: str
    bpp: tuple[float, ...]
    psnr: tuple[float, ...]
    source: str

    @property
    def name(self) -> str:
        """The name that selects the curve, after `published:`."""
        return f"{self.codec.lower()}@{self.data}"


PUBLISHED: tuple[PublishedCurve, ...] = (
    PublishedCurve(
        "HPCM-Base",
        "kodak",
        (0.1211, 0.1757, 0.2729, 0.4125, 0.5898, 0.8209),
        (29.4022, 30.7547, 32.4012, 34.2063, 36.0145, 37.7525),
        HPCM,
    ),
    PublishedCurve(
        "HPCM-Large",
        "kodak",
        (0.0951, 0.1537, 0.2438, 0.3778, 0.5516, 0.7843),
        (28.9135, 30.4490, 32.1219, 33.9923, 35.8511, 37.7480),
        HPCM,
    ),
    PublishedCurve(
        "HPCM-Base",
        "clic",
        (0.0916, 0.1308, 0.1984, 0.2963, 0.4236, 0.603),
        (31.2149, 32.5118, 33.9748, 35.5043, 37.0008, 38.4556),
        HPCM,
    ),
    PublishedCurve(
        "HPCM-Large",
        "clic",
        (0.0744, 0.1164, 0.179, 0.2722, 0.3954, 0.5714),
        (30.8092, 32.2879, 33.7716, 35.3509, 36.8762, 38.4535),
        HPCM,
    ),
    PublishedCurve(
        "HPCM-Base",
        "tecnick",
        (0.0992, 0.1358, 0.1955, 0.2812, 0.3942, 0.5607),
        (31.3661, 32.704, 34.1426, 35.623, 37.0529, 38.4279),
        HPCM,
    ),
    PublishedCurve(
        "HPCM-Large",
        "tecnick",
        (0.084, 0.1234, 0.1792, 0.26, 0.3687, 0.5265),
        (31.0122, 32.5245, 33.9732, 35.4888, 36.9471, 38.4423),
        HPCM,
    ),
)


def find_published(name: str) -> PublishedCurve:
    """Return the curve `name` (`hpcm-base@kodak`); raises UsageError with the known names."""
    known = {curve.name: curve for curve in PUBLISHED}
    found = known.get(name.lower())
    if found is None:
        raise UsageError(
            f"no published curve {name!r}",
            expected=f"one of {', '.join(known)}",
            remedy=did_you_mean(name.lower(), known, stem=PREFIX),
        )
    return found


def published_on(data: str) -> tuple[PublishedCurve, ...]:
    """Return the published curves of a set of pictures."""
    return tuple(curve for curve in PUBLISHED if curve.data == data)
