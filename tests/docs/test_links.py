"""Every link in the pages leads to a file, or to a page that is written when the site is built."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import reference  # noqa: E402

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
GENERATED = {(ROOT / "docs" / page).resolve() for page in reference.write_pages()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    targets = {link: (page.parent / link).resolve() for link in links}
    assert [link for link, to in targets.items() if not to.exists() and to not in GENERATED] == []
