"""The initial weights of a model: from the hub, from a file, or random.

Imports neither torch nor timm, so that a coordinator can refuse unavailable weights before any
worker starts; `load_file_weights` takes the torch modules that it fills.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tunewright.classification.models.config import COLORNET, ImageModelConfig, check_model
from tunewright.classification.models.timm_info import TimmFacts
from tunewright.classification.models.timm_query import timm_facts
from tunewright.errors import ConfigError
from tunewright.runs.callbacks import OnNotice
from tunewright.runs.regular_files import open_regular
from tunewright.training.weights.weights_file import (
    EXPECTED,
    SAVE_AGAIN,
    read_weights,
    weights_fault,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

CONNECT_SECONDS = 3.0
"""How long a hub may take to answer before it counts as unreachable."""
WRAPPERS = ("module.", "_orig_mod.", "backbone.model.", "backbone.")
"""Prefixes that other programs, and our own models of four levels, add to names of weights."""
SHOWN = 5


def check_weights(section: ImageModelConfig) -> list[str]:
    """Return notices on where the weights will come from.

    Raises ConfigError before anything starts: for a model that does not exist, for hub weights that
    are neither on this machine nor reachable, and for a file that holds more than tensors.
    """
    check_model(section)
    if section.weights is not None:
        _check_file(section)
        return [f"initial weights: {section.weights}"]
    if section.name == COLORNET:
        return []
    facts = timm_facts(section.name)
    if not section.pretrained:
        return [f"model.pretrained = false: {facts.name} starts from random weights"]
    if (file := cached_file(facts)) is not None:
        return [f"initial weights: {facts.name}, cached at {file}"]
    _check_reachable(facts)
    return [f"initial weights: {facts.name}, from {facts.repository or facts.url}"]


def pretrained_file(section: ImageModelConfig) -> Path | None:
    """Return the file of the hub's weights on this machine; None if timm has to download it.

    Raises ConfigError if it cannot be downloaded.
    """
    facts = timm_facts(section.name)
    file = cached_file(facts)
    if file is None:
        _check_reachable(facts)
    return file


def cached_file(facts: TimmFacts) -> Path | None:
    """Return the file of an earlier download of these weights, or None."""
    if not facts.repository:
        return None  # torch caches these, and timm finds them
    from huggingface_hub import try_to_load_from_cache

    for name in facts.files:
        found = try_to_load_from_cache(facts.repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def no_weights(facts: TimmFacts, why: str) -> ConfigError:
    """Make the error for weights that are not available."""
    return ConfigError(
        f"model.pretrained = true, but the weights of {facts.name} {why}",
        remedy="Set model.pretrained=false to start from random weights, or model.weights=FILE "
        "to use a file.",
    )


def _check_reachable(facts: TimmFacts) -> None:
    if not facts.has_weights:
        raise no_weights(facts, "were never published")
    from huggingface_hub import constants, get_session

    place = facts.url
    if facts.repository:
        place = f"{constants.ENDPOINT}/{facts.repository}/resolve/main/{facts.files[0]}"
    reasons: list[str] = []

    def ask() -> None:
        try:
            get_session().head(place, timeout=CONNECT_SECONDS, follow_redirects=False)
            reasons.append("")
        except Exception as error:  # its kind depends on the installed client
            reasons.append(type(error).__name__)

    # In a thread, since resolving a name may take longer than the client's timeout.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(2 * CONNECT_SECONDS)
    reason = reasons[0] if reasons else f"no answer in {2 * CONNECT_SECONDS:g} s"
    if reason:
        host = urlsplit(place).hostname
        raise no_weights(facts, f"are not on this machine, and {host} cannot be reached ({reason})")


def _check_file(section: ImageModelConfig) -> None:
    """Refuse a file that holds more than tensors, or has another hash than configured."""
    assert section.weights is not None
    file = Path(section.weights).expanduser()
    if not file.is_file():
        raise ConfigError(f"model.weights = {file}", expected="a file that exists")
    if fault := weights_fault(file):
        raise ConfigError(f"model.weights = {file} ({fault})", expected=EXPECTED, remedy=SAVE_AGAIN)
    if section.sha256 is not None and (found := sha256(file)) != section.sha256.lower():
        raise ConfigError(
            f"model.weights = {file} has the SHA-256 {found}",
            expected=f"model.sha256 = {section.sha256.lower()}",
            remedy="Download the file again, or correct model.sha256.",
        )


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with open_regular(file) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def load_file_weights(
    model: "nn.Module",
    head: "list[str]",
    section: ImageModelConfig,
    on_notice: OnNotice,
    converted: "Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]" = lambda found: found,
) -> None:
    """Load `section.weights` into `model`, with notices on what fitted and what did not.

    head: names of the last layer's parameters, which stay as they are if the file has them for
    another number of classes. converted: converts a publisher's names. Raises ConfigError for a
    file of another model, and in the cases of `check_weights`.
    """
    _check_file(section)
    stored, notices = read_weights(Path(str(section.weights)).expanduser())
    for notice in notices:
        on_notice(notice)
    wanted = model.state_dict()
    found = dict(_rename_to_match(converted(_rename_to_match(stored, wanted)), wanted))
    fitting = {
        name: tensor
        for name, tensor in found.items()
        if name in wanted and tensor.shape == wanted[name].shape
    }
    clashing = [name for name in found if name in wanted and name not in fitting]
    other_head = [name for name in clashing if name in head]
    if wrong := [name for name in clashing if name not in head]:
        came = f"{wrong[0]} {list(found[wrong[0]].shape)}"
        raise ConfigError(
            f"model.weights = {section.weights} holds {came}",
            expected=f"{list(wanted[wrong[0]].shape)}, as in {section.name}",
            remedy="These weights belong to another model: set model.name to it, or use others.",
        )
    if not fitting:
        raise ConfigError(
            f"model.weights = {section.weights} holds {_some(list(stored))}",
            expected=f"weights of {section.name}, such as {next(iter(wanted))}",
        )
    model.load_state_dict(fitting, strict=False)
    on_notice(f"{len(fitting)} of {len(wanted)} tensors loaded from {section.weights}")
    if other_head:
        classes = len(found[other_head[0]])
        on_notice(f"the file's head is for {classes} classes: the head starts from random weights")
    missing = [name for name in wanted if name not in found]
    if missing:
        on_notice(f"not in the file, start from random weights: {_some(missing)}")
    unknown = [name for name in found if name not in wanted]
    if unknown:
        on_notice(f"in the file but not in the model, ignored: {_some(unknown)}")


def _rename_to_match(
    stored: "Mapping[str, Tensor]", wanted: "Mapping[str, Tensor]"
) -> "Mapping[str, Tensor]":
    """Return the tensors under the names of `wanted`, with a prefix added or removed."""
    best = stored
    for prefix in WRAPPERS:
        without = {name.removeprefix(prefix): tensor for name, tensor in stored.items()}
        with_it = {prefix + name: tensor for name, tensor in stored.items()}
        best = max(best, without, with_it, key=lambda names: len(names.keys() & wanted.keys()))
    return best


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
