"""The kernel's control groups of this process, of version 1 or 2."""

from pathlib import Path
from typing import Literal

ROOT, MEMBER = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def groups_of(
    controller: str, root: Path = ROOT, member: Path = MEMBER
) -> list[tuple[Path, Literal[1, 2]]]:
    """Return the group folders of `controller` and their version: the own one, then its parents.

    Empty where there are none, and on other systems than Linux.
    """
    found: list[tuple[Path, Literal[1, 2]]] = []
    try:
        lines = member.read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        version: Literal[1, 2] = 2 if controllers == "" else 1
        if version == 1 and controller not in controllers.split(","):
            continue
        top = root if version == 2 else root / controller
        # Inside a container the path may be the host's: then only the top exists.
        own = top / path.lstrip("/")
        places = [own, *own.parents[: len(own.relative_to(top).parts)]]
        found += [(place, version) for place in places if place.is_dir()]
    return found
