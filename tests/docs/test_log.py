"""The log's index and the changelog's headings are whole."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def lines_of(page: str) -> list[str]:
    return (ROOT / page).read_text(encoding="utf-8").splitlines()


def anchor(title: str) -> str:
    """Return the anchor that GitHub and MkDocs give a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_the_log_begins_with_an_index_of_its_entries() -> None:
    lines = lines_of("LOG.md")
    titles = [line.removeprefix("### ") for line in lines if line.startswith("### ")]
    index = [line for line in lines if line.startswith("- [") and line.endswith(")")]
    assert index == [f"- [{title}](#{anchor(title)})" for title in titles]
    assert len(set(map(anchor, titles))) == len(titles)


def test_the_log_has_no_entry_without_a_heading() -> None:
    assert [line for line in lines_of("LOG.md") if line.startswith("**20")] == []


def test_the_changelog_is_kept_by_the_kind_of_change() -> None:
    kinds = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    headings = [line for line in lines_of("CHANGELOG.md") if line.startswith("#")]
    assert headings[:2] == ["# Changelog", "## Unreleased"]
    for version in "\n".join(headings[1:]).split("\n## "):
        found = [line.removeprefix("### ") for line in version.splitlines()[1:]]
        assert found
        assert found == [kind for kind in kinds if kind in found], "each once, in this order"
