"""The tree in the README names the rooms and folders that there are."""

import re
from pathlib import Path

import tunewright

ROOT = Path(__file__).parents[2]
SOURCE = Path(tunewright.__file__).parent


def rooms() -> dict[str, str]:
    """The phrase of each entry of `src/tunewright`, with the lines that continue it."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^src/tunewright/\n((?:  .*\n)+)", page, re.M)
    assert block is not None
    joined = re.sub(r"\n {4,}", " ", block[1])
    lines = [line.strip().partition(" ") for line in joined.splitlines()]
    return {name: phrase for name, _, phrase in lines}


def test_every_room_has_a_phrase() -> None:
    folders = {f"{file.parent.name}/" for file in SOURCE.glob("*/__init__.py")}
    files = {file.name for file in SOURCE.glob("[!_]*.py")}
    named = " ".join([*rooms(), *re.findall(r"\w+\.py", " ".join(rooms().values()))]).split()
    assert sorted((folders | files) - set(named)) == []
    assert sorted(name for name in rooms() if not (SOURCE / name).exists()) == []


def test_every_folder_of_a_room_is_named() -> None:
    unnamed, gone = [], []
    for room, phrase in rooms().items():
        folders = {f"{file.parent.name}/" for file in (SOURCE / room).glob("*/__init__.py")}
        named = set(re.findall(r"\b[a-z_]+/", phrase))
        unnamed += [f"{room}{folder}" for folder in sorted(folders - named)]
        gone += [f"{room}{name}" for name in sorted(named) if not list((SOURCE / room).rglob(name))]
    assert (unnamed, gone) == ([], [])
