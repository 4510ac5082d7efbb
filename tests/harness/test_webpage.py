"""The web page as a text: whole whatever is missing, closed to what a name contains, and alone."""

from __future__ import annotations

import copy
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from browsing import CLASS, HOSTILE, Page, hostile, planted_page
from harness.claims import read_claims
from harness.quantities.published_anatomy import operating_point, published_anatomy
from harness.rendering.cells import in_brackets
from harness.report import markdown
from harness.tables import Estimate
from harness.verdicts import MARGIN
from harness.webpage import accuracy, webpage
from harness.webpage.differences import differences, of_its_own
from harness.webpage.explanations import in_the_papers, operations, unlike_the_papers, where_time_goes
from harness.webpage.headline import title
from harness.webpage.introductions import introduce, plain
from harness.webpage.judgements import MEANINGS, judgements
from harness.webpage.markup import prose, read, unbroken
from harness.webpage.plates import plates

V1 = json.loads((Path(__file__).parent / "data" / "summary-v1.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return planted_page(tmp_path_factory.mktemp("run") / "planted")


class Reader(HTMLParser):
    """All start tags with their attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str | None, str] = {}
        self._inside: str | bool | None = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("id") if tag == "script" else False

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside is not False:
            self.scripts[self._inside] = self.scripts.get(self._inside, "") + data  # type: ignore[index]


def ratio(value: float, spread: float = 0.05) -> dict[str, Any]:
    return {"total": {"value": value, "low": value * (1 - spread), "high": value * (1 + spread)}}


def run_of(speedups: dict[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A summary of R-CNN and of others, each with a time."""
    names = ["rcnn", *speedups]
    ok = {"status": "ok", "reason": None, "seconds": {"total": {"mean": 0.5, "low": None, "high": None}}}
    plan = {"methods": names, "dataset": "shapes", "backbone": "mini"}
    return {
        "baseline": "rcnn",
        "plan": plan,
        "methods": {name: dict(ok) for name in names},
        "speedup": speedups,
        **more,
    }


def test_data_are_in_the_page_as_they_are(page: Page) -> None:
    """What a program finds in the page is the summary and the manifest, to the last digit."""
    scripts = Reader(page.html).scripts
    assert json.loads(scripts["summary-json"]) == page.summary
    assert json.loads(scripts["manifest-json"]) == page.manifest


def test_nothing_comes_from_elsewhere(page: Page) -> None:
    """No address leads out of the page, and its policy says so before anything else is read."""
    tags = Reader(page.html).tags
    for tag, attributes in tags:
        for key in ("src", "href", "xlink:href", "action", "srcset", "data", "poster"):
            value = attributes.get(key)
            assert value is None or value.startswith(("#", "data:")), (tag, key, value)
    (policy,) = [of["content"] for tag, of in tags if of.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    style = page.html.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_every_method_has_a_card_with_the_numbers_of_the_report(page: Page) -> None:
    """Time, accuracy and speed-up stand in the page in the digits of report.md."""
    part = page.html.partition('<div class="cards">')[2].partition('<p class="note">')[0]
    cards = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", part)).split())
    report = markdown(page.summary)
    for name, result in page.summary["methods"].items():
        cells = next(line for line in report.splitlines() if line.startswith(f"| **{name}**")).split("|")
        accuracy, ratio_of_total = cells[2].strip(), cells[7].strip()
        assert accuracy.replace(" [", " % [") in cards
        times, _, interval = ratio_of_total.rstrip("]").partition(" [")
        assert ratio_of_total == "baseline" or times in cards
        assert f"between {interval.replace(', ', ' and ')} times as fast" in cards or not interval
        total = Estimate(*(result["seconds"]["total"][key] for key in ("mean", "low", "high")))
        shown = (total, " s") if (total.value or 0) >= 1 else (total.shifted(3), " ms")
        assert in_brackets(shown[0], str, shown[1], interval=True) in cards


def test_hostile_names_are_words(page: Page) -> None:
    """A class, a method, a notice, a file or a reason opens no tag, loads nothing and ends no script."""
    bad = hostile(page)
    plain_tags, tags = (
        [
            tag
            for tag, _ in Reader(text).tags
            if tag in ("script", "img", "iframe", "a", "style", "link", "meta", "image")
        ]
        for text in (page.html, bad.html)
    )
    assert tags.count("script") == plain_tags.count("script") == 3
    assert "img" not in tags
    assert all(value.startswith("#") for tag, of in Reader(bad.html).tags if tag == "a" if (value := of["href"] or ""))
    scripts = Reader(bad.html).scripts
    assert json.loads(scripts["summary-json"]) == bad.summary
    assert json.loads(scripts["manifest-json"])["argv"] == [HOSTILE]
    assert html.escape(CLASS, quote=False) in bad.html
    handlers = [key for _, of in Reader(bad.html).tags for key in of if key.startswith("on")]
    assert handlers == []


def test_an_old_summary_has_a_page() -> None:
    """One of schema 1, with neither findings nor series nor figures."""
    text = webpage(V1, {}, read_claims())
    assert "<h1>" in text
    assert "undefined" not in text.lower()
    assert not re.search(r">\s*None\s*<", text)


@pytest.mark.parametrize(
    "key", ["claims", "waterfall", "anatomy", "series", "published_anatomy", "machine", "dataset", "speedup", "trust"]
)
@pytest.mark.parametrize("null", [True, False], ids=["null", "missing"])
def test_a_page_comes_whatever_is_missing(page: Page, key: str, null: bool) -> None:
    """Each part of a summary may be null or not there at all."""
    summary = {**copy.deepcopy(page.summary), key: None}
    if not null:
        del summary[key]
    text = webpage(summary, page.manifest, read_claims())
    assert text.endswith("</html>\n")
    assert not re.search(r">\s*None\s*<", text)


def test_a_run_without_any_time_says_so() -> None:
    """All methods failed: no ratio is made up, and each says why."""
    summary = run_of({"spp": {}})
    for about in summary["methods"].values():
        about |= {"status": "oom", "reason": "no memory for 2,000 boxes", "seconds": {}}
    text = webpage(summary, {})
    assert "No method gave a time" in text
    assert text.count("No time: oom: no memory for 2,000 boxes") == 2


@pytest.mark.parametrize(
    ("speedups", "words"),
    [
        ({"spp": ratio(2.0), "fast": ratio(4.0)}, "Fast R-CNN was 4.00 times as fast as R-CNN, SPP-net 2.00 times"),
        ({"spp": ratio(1.02)}, "SPP-net was about as fast as R-CNN"),
        ({"spp": ratio(0.5)}, "SPP-net took 2.00 times as long as R-CNN"),
        (
            {"spp": ratio(2.0), "fast": ratio(0.5)},
            "SPP-net was 2.00 times as fast as R-CNN, Fast R-CNN took 2.00 times as long",
        ),
        (
            {"spp": ratio(0.8), "fast": ratio(0.5)},
            "SPP-net took 1.25 times as long as R-CNN, Fast R-CNN 2.00 times",
        ),
        (
            {"spp": ratio(0.8), "fast": ratio(0.5), "fast:svd": ratio(0.4)},
            "No method was faster than R-CNN: SPP-net took 1.25 times as long as R-CNN",
        ),
        (
            {"spp": ratio(2.0), "fast": ratio(4.0), "fast:svd": ratio(8.0)},
            "The fastest of 4 methods, Fast R-CNN (SVD), was 8.00 times as fast as R-CNN",
        ),
        ({}, "R-CNN took 500 ms per image"),
    ],
    ids=["two", "alike", "slower", "both", "none", "none of three", "three", "alone"],
)
def test_the_title_says_the_main_result(speedups: dict[str, Any], words: str) -> None:
    """Who was how many times as fast as whom; nothing is claimed where the interval holds 1."""
    assert title(run_of(speedups)) == words


def test_methods_are_called_as_in_their_papers() -> None:
    """Variants and networks keep their names, and a method of a plug-in its own."""
    assert plain("spp:5+rcnn") == "SPP-net (five scales) + R-CNN"
    assert plain("rcnn:batch24@zf5") == "R-CNN (batch24) on zf5"
    assert plain("mine:x") == "mine:x"
    assert "compressed" in introduce("fast:svd").does


def claim(verdict: str, **more: Any) -> dict[str, Any]:
    """As `harness.quantities.judged` gives one: 102x of SPP Table 10."""
    return {
        **{"source": "SPP", "version": "1406.4729v4", "locator": "Table 10", "method": "spp", "variant": ""},
        **{"backbone": "ZF-5", "train": "", "test": "", "stages": ["conv", "fc"], "quantity": "speedup_total"},
        **{"part": "", "printed": "102", "reading": "printed", "unit": "x", "relative_to": "rcnn@ZF-5"},
        **{"hardware": None, "note": "", "measured_as": None, "delta": -0.9, "reason": None, "verdict": verdict},
        "measured": {"value": 10.0, "low": 9.5, "high": 10.5, "reason": None, "interval": "over images"},
        **more,
    }


def test_decided_claims_stand_before_the_others() -> None:
    """What was met, what was not and what is open is told one by one; of the rest, what differs."""
    apart = "network mini, {} there; other hardware: Nvidia K40 there, CPU (X) here"
    found = judgements(
        run_of(
            {},
            claims=[
                claim("not comparable", reason=apart.format("ZF-5")),
                claim("not comparable", reason=apart.format("VGG16")),
                claim("not met"),
                claim("met", printed="8", delta=0.25),
            ],
        ),
        (),
    )
    assert [one.verdict for one in found.decided] == ["met", "not met"]
    assert [(one.printed, one.measured, one.delta) for one in found.decided] == [
        ("8×", "10.00× [9.50, 10.50]", "+25 %"),
        ("102×", "10.00× [9.50, 10.50]", "-90 %"),
    ]
    assert found.decided[0].about == "SPP-net with ZF-5: speed-up over R-CNN, conv + fc"
    assert [count for _, count, _ in found.counts] == [1, 1, 0, 2]
    assert [(one.here, one.there) for one in found.differences] == [
        ("network mini", "ZF-5, or VGG16"),
        ("hardware: CPU (X)", "Nvidia K40"),
    ]


def test_what_cannot_be_compared_has_no_difference() -> None:
    """An accuracy on other data is neither better nor worse; what was decided has its own. Reasons stand once."""
    apart = claim(
        "not comparable", reason="network mini, ZF-5 there; no rcnn@ZF-5 in this run, which it is relative to"
    )
    text = webpage(run_of({}, claims=[apart, claim("not met")]), {})
    tables = [part.partition("</table>")[0] for part in text.split("<table ")[1:] if "conv + fc" in part]
    assert [
        ("-90" in table, "network mini" in table, "in this run" in table) for table in tables if "102×" in table
    ] == [
        (True, False, False),
        (False, False, True),
    ]


def test_printed_speedups_are_taken_apart(page: Page) -> None:
    """The factors multiply to what the paper prints, as far as three digits go; no table has two sentences."""
    told = in_the_papers(page.summary)
    assert any("SPP Table 10" in sentence and "faster code" in sentence for sentence in told)
    tables = [re.findall(r"\((\w+ Table \d+)\)", sentence) for sentence in told]
    assert len({table for (table,) in tables}) == len(told)
    for sentence in told:
        printed, *factors = (float(number) for number in re.findall(r"([\d.]+)×", sentence))
        if "faster code. " in sentence:
            saved, rate, again, fewer, mix = factors
            assert saved == again == pytest.approx(fewer * mix, rel=0.02)
            factors = [saved, rate]
        assert factors[0] * factors[1] == pytest.approx(printed, rel=0.02)


def test_the_sentence_of_a_table_is_on_the_network_that_ran() -> None:
    """Else on that of the largest speed-up, whatever its variant."""
    apart = published_anatomy(read_claims(), ["fast"])
    for network, printed in (("vgg-m", "80"), ("caffenet", "98"), ("mini", "146")):
        (sentence,) = in_the_papers(
            run_of({"fast": {}}, plan={"methods": ["rcnn", "fast"], "backbone": network}, published_anatomy=apart)
        )
        assert sentence.startswith(f"Fast R-CNN’s {printed}× over R-CNN")
        assert "do not tell apart" in sentence


def test_what_the_words_say_of_boxes_is_what_is_counted() -> None:
    """Most operations of those that convolve the image once are spent on each box, so no page may say otherwise."""
    for counted in operating_point()["operations"].values():
        per_box = counted["fast"]["fc"] + counted["fast"]["decode"]
        assert per_box > counted["fast"]["conv"]
    plan = {"methods": ["rcnn"], "backbone": "mini"}
    few = {"proposals_per_image": {"mean": 200.0}}
    told = " ".join(unlike_the_papers(run_of({}, plan=plan, dataset=few)))
    assert "R-CNN convolves every box" in told
    assert "mostly for the image" not in told


def test_networks_are_those_that_ran() -> None:
    """Not the one of a plan whose methods name their own; each with the methods that ran on it."""
    names = ["rcnn@caffenet", "spp@alexnet"]
    plan = {"methods": names, "backbone": "mini"}
    ran = run_of({}, plan=plan, baseline=names[0], methods={name: {"status": "ok"} for name in names})
    (told,) = unlike_the_papers(ran)
    assert "alexnet is none of the papers’ networks" in told
    assert "mini" not in told
    (one,) = differences(ran, ["network caffenet, VGG16 there", "the baseline's network caffenet, ZF-5 there"])
    assert (one.here, one.there) == ("networks: caffenet (R-CNN), alexnet (SPP-net)", "VGG16, or ZF-5")


def test_differences_are_told_in_plain_words() -> None:
    """Hardware without a name once; what concerns one number alone is no condition of the run."""
    reasons = [
        "other hardware: GPU, not named beside the table there, CPU (X) here; untrained",
        "other hardware: Nvidia K40 there, CPU (X) here; iterations quick, the paper's there",
        "other hardware: GPU, not named there, CPU (X) here; at most 2000 boxes an image, 1000 there",
        "185 boxes an image, about 2,000 there; no rcnn@VGG16 in this run, which it is relative to",
    ]
    assert {one.here: one.there for one in differences(run_of({}), reasons)} == {
        "hardware: CPU (X)": "Nvidia K40, or a GPU that is not named",
        "untrained": "trained",
        "short training (quick)": "the papers’ full schedules",
        "185 boxes an image": "about 2,000",
    }
    assert [of_its_own(reason) for reason in reasons] == [
        None,
        None,
        "at most 2000 boxes an image, 1000 there",
        "no rcnn@VGG16 in this run, which it is relative to",
    ]


def test_a_ratio_of_a_part_is_told_beside_that_of_the_whole() -> None:
    """One name has two numbers only where the page says what each covers."""
    about = {"method": "spp", "baseline": "rcnn", "stages": ["conv", "fc"]}
    told = judgements(run_of({"spp": ratio(4.0)}, claims=[claim("not comparable", measured_as=about)]), ()).spans
    assert told is not None
    assert (
        "times conv and fc alone is set against conv and fc alone, hence 10.00× here and 4.00× above for SPP-net"
        in told
    )


def test_claims_that_read_the_same_are_told_apart() -> None:
    """By what they were trained on, else by what they ran on; and prepositions fit what is measured."""
    same = {"quantity": "map", "relative_to": None, "stages": [], "unit": "%"}
    found = judgements(
        run_of(
            {},
            claims=[
                claim("met", **same, train="VOC07"),
                claim("met", **same, train="VOC12"),
                claim("met", **same, train="VOC12", part="1000 proposals"),
                claim("met", quantity="total", part="other", relative_to=None),
                claim("met", **{**same, "quantity": "share"}, part="other"),
                claim("met", **same, part="IoU 0.5"),
            ],
        ),
        (),
    )
    assert [one.about.removeprefix("SPP-net with ZF-5: ") for one in found.decided] == [
        "accuracy (mAP), trained on VOC07",
        "accuracy (mAP), trained on VOC12",
        "accuracy (mAP) with 1000 proposals",
        "time of all other steps",
        "share of the time in all other steps",
        "accuracy (mAP) at IoU 0.5",
    ]


def test_what_is_slower_is_told_as_longer() -> None:
    """No number below one is called fewer or faster; the largest part need not be most."""
    node = {**ratio(0.5)["total"], "flop_ratio": 0.8, "utilisation_ratio": 0.625}
    (told, _) = operations(run_of({"spp": {"total": node}}))
    assert "1.25× as many operations as R-CNN, at 0.625× as many of them a second, took 2.00× as long" in told
    seconds = {"conv": 0.04, "fc": 0.03, "pool": 0.03, "total": 0.1}
    summary = run_of({}, methods={"rcnn": {"status": "ok", "seconds": seconds}})
    assert where_time_goes(summary) == ["The largest part of R-CNN’s time is conv: 40.0 %."]


@pytest.mark.parametrize(("points", "told"), [(-9.0, True), (-1.3, False), (7.0, True)])
def test_accuracies_beyond_those_of_the_papers_are_explained(points: float, told: bool) -> None:
    """SPP-net has 58.0 % where R-CNN has 59.2 % [SPP Table 10]; nothing is said where the interval reaches that."""
    node = {"value": points / 100, "low": (points - 1) / 100, "high": (points + 1) / 100}
    sentences = accuracy.unlike_the_papers(run_of({"spp": {}}, map_difference={"spp": {"voc07": node}}), read_claims())
    assert bool(sentences) == told
    if told:
        assert "R-CNN 59.2 % and SPP-net 58.0 % (SPP Table 10, ZF-5)" in sentences[0]
        assert "the network is another (mini), training was short" in sentences[1]


def test_tiles_stand_only_where_something_was_decided() -> None:
    """Four numbers of which three are zero say less than a sentence; the papers' own baseline is none of its gains."""
    apart = claim("not comparable", reason="network mini, ZF-5 there")
    text = webpage(run_of({"spp": ratio(2.0)}, claims=[apart]), {}, read_claims())
    assert 'class="tally"' not in text
    assert "none of 1 can be compared" in text
    assert '<td data-label="speed-up of an image">1×' not in text
    assert 'class="tally"' in webpage(run_of({}, claims=[apart, claim("met")]), {})


def test_names_are_not_broken() -> None:
    """Neither that of a method nor that of an option, in prose or in a command."""
    assert unbroken("R-CNN <b> --out x") == (
        '<span class="whole">R-CNN</span> &lt;b&gt; <span class="whole">--out</span> x'
    )
    ((section,), _) = read("## One\n\n```sh\nharness --out x\n```")
    assert '<span class="whole">--out</span>' in section.body


def test_cells_carry_the_head_of_their_column() -> None:
    """On a narrow screen rows are stacked, and each number stands beside what it is."""
    ((section,), _) = read("## One\n\n| a | `b` |\n|:--|--:|\n| x | 1 [0, 2] |")
    assert re.findall(r'data-label="(\w)"', str(section.body)) == ["a", "b"]


@pytest.mark.parametrize("verdict", ["met", "not met"])
def test_verdicts_are_told_for_what_is_too_large_as_well(verdict: str) -> None:
    """A speed-up may only fall short of what is printed, a share or a ratio of pixels may also exceed it."""
    assert "speed-up" in MEANINGS[verdict]
    assert "share" in MEANINGS[verdict]
    assert f"{100 * MARGIN:g} %" in MEANINGS["met"]


def test_a_summary_without_verdicts_says_why() -> None:
    """No count of nothing, and no claim that all were looked at."""
    text = webpage(run_of({}, claims=None, claims_reason="they were not asked for"), {}, read_claims())
    assert "No verdict on the papers’ numbers: they were not asked for." in text
    assert 'class="tally"' not in text


def test_the_report_is_read_heading_by_heading() -> None:
    """Footnotes keep their numbers, a fence may hold what looks like a heading, and a picture is left out."""
    text = (
        "# T\n\nlead\n\n## One\n\n```sh\n## no\n```\n\n![x](y.svg)\n\n### Low\n\n| a |\n|:--|\n| –[^1] |\n\n## Two\n\nz"
    )
    sections, notes = read(f"{text}\n\n[^1]: untrained\n")
    assert [(one.key, str(one.title)) for one in sections] == [("one", "One"), ("two", "Two")]
    assert 'href="#note-1"' in sections[0].body
    assert "<h4>Low</h4>" in sections[0].body
    assert "y.svg" not in sections[0].body
    assert [(note.number, str(note.reason)) for note in notes] == [(1, "untrained")]
    assert read("## One\n\n[^1]: is no note here")[0][0].key == "one"


def test_figures_take_the_colours_of_the_page() -> None:
    """Ink follows the page; what stands on a coloured area does not; a file's prologue and size are gone."""
    svg = (
        '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg width="9pt" height="8pt" viewBox="0 0 9 8">'
        '<path style="fill: #0072B2; stroke: #ffffff"/><path style="stroke: #1A1A1A"/>'
        '<text style="font-size: 9px; fill: #0072b2">rcnn</text><text style="fill: #ffffff">65</text></svg>'
    )
    (plate,) = plates({"stages": svg}).values()
    assert plate.svg.startswith('<svg role="img" aria-label="Where the time of one image goes" viewBox="0 0 9 8">')
    assert "fill: #0072B2; stroke: var(--paper)" in plate.svg
    assert plate.svg.count("var(--ink)") == 2
    assert "fill: #ffffff" in plate.svg
    assert plate.how_to_read


def test_dots_and_lines_take_the_colours_of_a_dark_page() -> None:
    """By a variable that is their own colour where a page has none; areas with letters on them stay as they are."""
    svg = '<svg viewBox="0 0 9 8"><path style="stroke: #0072b2"/><text style="fill: #0072b2">rcnn</text></svg>'
    known = plates({"cost": svg, "stages": svg})
    assert "stroke: var(--blue, #0072b2)" in known["cost"].svg
    assert "stroke: #0072b2" in known["stages"].svg
    assert all("fill: var(--ink)" in plate.svg for plate in known.values())


def test_every_figure_says_how_to_read_it(page: Page) -> None:
    """No figure that the harness draws is without its sentence, and each is in the page once."""
    known = plates(page.figures)
    assert set(known) == set(page.figures)
    assert all(plate.how_to_read for plate in known.values())
    for name in page.figures:
        assert page.html.count(f'id="plate-{name}"') == 1


def test_prose_is_not_broken_before_a_unit() -> None:
    """Nor within an option; and it stays a text."""
    assert prose("18 % of <b>; --repeats") == "18\N{NO-BREAK SPACE}% of &lt;b&gt;; <code>--repeats</code>"


def test_the_same_run_gives_the_same_bytes(page: Page) -> None:
    """A page that was written yesterday can be held against one of today."""
    assert Page(page.summary, page.manifest, page.figures).html == page.html
