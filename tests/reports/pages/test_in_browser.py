"""The page of a study in a real browser: charts, keyboard and what a screen reader is told."""

import sys
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import pytest
from PIL import Image

import tunewright
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.overview import overview
from tunewright.reports.pages.study_page import write_study_page
from tunewright.reports.study.contents import Command, FailureLog, StudyContents
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.reporting.study_report import read_evaluation

BENCHMARKS = Path(tunewright.__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import chromium  # noqa: E402

sys.path.remove(str(BENCHMARKS))

EVIL = "</script><script>document.title = 'hit'</script> \U0001f600"
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
ALL = [pytest.param(size, dark, id=f"{name}-{'dark' if dark else 'light'}")
       for (name, size), dark in product(SIZES.items(), [False, True])]  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.PATH is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with every kind of content: cards, tables, findings, commands, charts, logs."""
    trials = tuple(
        Trial(
            number,
            "pruned" if number % 3 == 2 else "done",
            {"lr": 10 ** -(1 + number / 10), "kind": ["a", EVIL][number % 2], "depth": number % 5},
            None if number % 3 == 2 else number / 40,
            {step: step * number / 400 for step in range(1, 6)},
            started=1e9 + 5 * number,
            seconds=8.0,
            interval=(number / 40 - 0.1, number / 40 + 0.1),
        )
        for number in range(40)
    )
    record = StudyRecord(EVIL, "own", "value", "max", trials)
    shown = overview(record, {"lr": 0.7, "kind": 0.2, "depth": 0.1}, top=10)
    said = Finding("edge", EVIL, "evidence", "size", "sure", "tunewright tune own", 0.5)
    folder = tmp_path_factory.mktemp("page")
    Image.new("RGB", (900, 90)).save(folder / "retrieval.png")
    figures = {"split": "test", "metrics": {"recall_1": 0.5}, "files": ["retrieval.png"]}
    contents = StudyContents(
        record,
        replace(shown, findings=[said]),
        commands=[Command("Do:", "tunewright train x.yaml")],
        failures=[FailureLog("error", EVIL, [3, 4], [EVIL])],
        evaluation=read_evaluation("final model", RunFolder(folder), figures, folder),
        facts=[("recipe", "own")],
        domains={"lr": {"log": True}},
    )
    file = folder / "report.html"
    write_study_page(contents, file)
    return file


@pytest.fixture(scope="module")
def tab():
    with chromium.browser() as found:
        yield found


def opened(tab, page, size, dark=False):
    tab.errors.clear()
    tab.show(*size, dark=dark, phone=size[0] < 700)
    tab.open(page)
    return tab


@pytest.mark.parametrize(("size", "dark"), ALL)
def test_charts_are_drawn_in_the_readers_colours(tab, page, size, dark):
    opened(tab, page, (size[0], 12000), dark)
    drawn = tab.evaluate("""(async () => {
      const places = [...document.querySelectorAll(".plot")];
      for (let tries = 0; tries < 2000 && places.some((p) => !p.dataset.drawn); tries++)
        await new Promise((go) => setTimeout(go, 10));
      return places.map((p) => [p.id, p.dataset.drawn, p.querySelectorAll(".main-svg").length]);
    })()""")
    assert len(drawn) >= 10
    assert [name for name, yes, count in drawn if yes != "yes" or not count] == []
    assert tab.errors == []
    assert tab.evaluate("document.title") == f"Study {EVIL}"
    ink = "rgb(228, 234, 238)" if dark else "rgb(34, 49, 63)"
    assert ink in tab.evaluate("document.querySelector('.plot').outerHTML")
    assert tab.evaluate("getComputedStyle(document.body).color") == ink


@pytest.mark.parametrize(("size", "dark"), ALL)
def test_nothing_is_wider_than_the_window(tab, page, size, dark):
    opened(tab, page, size, dark)
    assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize(("size", "dark"), ALL)
def test_texts_stand_out_from_their_ground(tab, page, size, dark):
    """At least 4.5 to 1, as WCAG 2.2 asks for."""
    opened(tab, page, size, dark)
    faint = tab.evaluate("""(() => {
      const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
      const light = (colour) => parts(colour).slice(0, 3).map((c) => c / 255)
        .map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
      const ground = (node) => { for (; node; node = node.parentElement) {
        const found = getComputedStyle(node).backgroundColor;
        if (parts(found)[3] !== 0) return found; } return "rgb(255, 255, 255)"; };
      return [...document.querySelectorAll("body *:not(script):not(.plot *)")]
        .filter((node) => [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim()))
        .map((node) => [light(getComputedStyle(node).color), light(ground(node)), node.outerHTML])
        .filter(([a, b]) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5)
        .map(([, , html]) => html.slice(0, 80));
    })()""")
    assert faint == []


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_the_keyboard_reaches_everything_and_shows_where_it_is(tab, page, size):
    opened(tab, page, size)
    wanted = tab.evaluate("""(() => {
      const every = [...document.querySelectorAll("a[href], button, summary, [tabindex]")]
        .filter((node) => node.checkVisibility());  // what is folded away has no focus
      every.forEach((node, place) => { node.dataset.place = place; });
      return every.length;
    })()""")
    reached = []
    for number in range(wanted):
        tab.press("Tab")
        if number == 0:  # the link that skips is seen when it has the focus
            assert tab.evaluate("document.activeElement.className") == "skip"
            assert tab.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
        reached.append(
            tab.evaluate("""(() => {
          const node = document.activeElement, look = getComputedStyle(node);
          return [+node.dataset.place, node.localName, look.outlineStyle, look.outlineWidth];
        })()""")
        )
    places = [place for place, *_ in reached]
    assert places == list(range(wanted)), "each once, in the order of the page"
    unseen = [one for one in reached if one[2] == "none" or one[3] == "0px"]
    assert unseen == []
    kinds = {kind for _, kind, *_ in reached}
    assert {"a", "button", "pre", "summary", "div"} <= kinds
    tab.evaluate("document.querySelector('.skip').focus()")
    tab.press("Enter")
    assert tab.evaluate("location.hash") == "#found"


def test_a_button_that_copies_is_told_and_named(tab, page):
    opened(tab, page, SIZES["desktop"])
    names = tab.evaluate(
        "[...document.querySelectorAll('.copy button')].map((b) => b.getAttribute('aria-label'))"
    )
    assert "copy tunewright train x.yaml" in names
    tab.evaluate("document.querySelector('.copy button').focus()")
    tab.press("Enter")
    told = "document.querySelector('[role=status]').textContent"
    wait = f"""(async () => {{ for (let n = 0; n < 100 && !{told}; n++)
      await new Promise((go) => setTimeout(go, 10)); return {told}; }})()"""
    assert tab.evaluate(wait) == "copied"


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_screen_reader_finds_its_way(tab, page, size):
    opened(tab, page, size)
    tab.call("Accessibility.enable")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    known = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored") and "role" in node
    ]
    roles = [role for role, _ in known]
    for landmark in ("banner", "main", "contentinfo"):
        assert roles.count(landmark) == 1, landmark
    assert ("navigation", "Sections") in known
    named = ("button", "link", "image", "img", "table", "region", "heading", "group", "figure")
    assert [one for one in known if one[0] in named[:6] and not one[1].strip()] == []
    levels = tab.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((h) => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    tables = tab.evaluate("""[...document.querySelectorAll("table")].map((t) => [
      t.caption && t.caption.textContent.trim(), t.querySelectorAll("thead th[scope=col]").length,
      t.querySelectorAll("tbody tr").length, t.querySelectorAll("tbody th[scope=row]").length])""")
    assert tables
    assert [one for one in tables if not one[0] or not one[1] or one[2] != one[3]] == []
    twice = tab.evaluate("""(() => {
      const own = [...document.querySelectorAll("[id]")].filter((node) => !node.closest("svg"));
      return own.length - new Set(own.map((node) => node.id)).size;
    })()""")
    assert twice == 0
    labels = tab.evaluate("[...document.querySelectorAll('.plot')].map((p) => p.ariaLabel)")
    assert [label for label in labels if len(label) < 8] == []
    assert tab.evaluate("document.documentElement.lang") == "en"
