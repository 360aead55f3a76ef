"""What MkDocs calls while it builds the site: adds generated pages, and results that pages cite."""

import logging
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"
ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*>"
)
"""A tag for which a browser would fetch something from another host."""

log = logging.getLogger("mkdocs.plugins.tunewright")
sys.path.insert(0, str(DOCS))

from reference import write_pages  # noqa: E402


def on_files(files: Files, config: Any) -> Files:
    """Add the reference pages and the measured figures to what is built."""
    for path, text in write_pages().items():
        files.append(File.generated(config, path, content=text))
    for result in sorted(RESULTS.glob("*.json")):
        path = f"benchmarks/results/{result.name}"
        files.append(File.generated(config, path, abs_src_path=str(result)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point links to the measured figures, which lie outside of `docs/`, at their copies."""
    return markdown.replace("](../benchmarks/results/", "](benchmarks/results/")


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Warn, which ends a strict build, of what a page would fetch from a network."""
    for tag in ELSEWHERE.findall(output):
        log.warning("%s fetches from another host: %s", page.file.src_uri, tag)
    return output
