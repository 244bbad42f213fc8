"""`fundtrail report`: one safe file that says everything, checked as text and in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from detectors.alert_record import Alert
from detectors.money import format_money
from streams.people import glossary, overview, report
from streams.people.figures import legible
from streams.people.folder import AlertHistory, FolderMistake, Results, Summary, read_results
from streams.people.markup import element, join
from streams.people.report import ALERTS_DRAWN_MAX, write_report
from streams.people.trail_drawing import BOX_WIDTH, draw_trail
from tests.unit import people_sample as sample

VOID = {"br", "hr", "input", "link", "meta"}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BROWSER_SECONDS_MAX = 60


class Page(HTMLParser):
    """Elements, attributes and texts of a page; fails on elements that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sample.write_folder(tmp_path / "result", [*sample.sample_alerts(), sample.hostile()])


@pytest.fixture
def page(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


def many(number: int) -> list[Alert]:
    """So many open alerts on different loans, most of them alike."""
    models = (sample.securities_over_two_shells()[1], sample.return_to_legal_representative(), sample.loan_repays_loan())
    return [
        msgspec.structs.replace(
            models[i % 3],
            alert_id=f"{models[i % 3].typology}-{i:016x}",
            subject=msgspec.structs.replace(models[i % 3].subject, loan_id=f"JJ-{i:06d}"),
        )
        for i in range(number)
    ]


def test_the_page_is_written_beside_the_alerts_unless_told_otherwise(folder: Path, tmp_path: Path) -> None:
    assert write_report(folder) == folder / "report.html"
    assert write_report(folder, tmp_path / "other.html") == tmp_path / "other.html"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.html", "result"]


def test_the_same_folder_gives_the_same_page(folder: Path) -> None:
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_the_page_loads_nothing_from_elsewhere(page: Page) -> None:
    sources = [
        value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href", "srcset")
    ]
    assert [value for value in sources if not (value or "").startswith("#")] == []
    style = (Path(report.__file__).parent / "report.css").read_text()
    assert "url(" not in style
    assert "@import" not in style


def test_every_link_in_the_page_leads_somewhere_and_ids_are_unique(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {(attributes.get("href") or "").removeprefix("#") for attributes in page.of("a")} <= set(ids)


def test_text_from_data_never_becomes_an_element_or_an_attribute(page: Page) -> None:
    assert len(page.of("script")) == 1
    assert page.of("img") == []
    assert page.of("b") == []
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
    assert any("<script>alert(1)</script>" in text for text in page.texts)


def test_control_and_direction_characters_are_spelled_out(folder: Path) -> None:
    text = write_report(folder).read_text(encoding="utf-8")
    assert not any(char in text for char in "\x1b\x07\u202e")
    assert "\\u202e" in text


@pytest.mark.parametrize("alert", sample.sample_alerts()[1:], ids=lambda alert: f"{alert.typology}-r{alert.revision}")
def test_every_fact_of_an_alert_is_on_the_page(alert: Alert, tmp_path: Path) -> None:
    page = Page(write_report(sample.write_folder(tmp_path / "one", [alert])).read_text(encoding="utf-8"))
    text = " ".join(page.texts)
    money = (alert.traced_min_minor, alert.traced_estimate_minor, alert.traced_max_minor, alert.traced_fifo_minor)
    facts = [
        alert.alert_id,
        alert.sentence_en,
        alert.sentence_zh,
        alert.typology_name_zh,
        alert.evidence_digest,
        alert.rule_set.why,
    ]
    facts += [format_money(amount, alert.currency) for amount in money] + [step.txn_id for step in alert.path]
    facts += [*alert.bounds_rest_on, *alert.recommended_checks, *alert.recommended_measures, *alert.prior_alerts]
    assert [fact for fact in facts if fact not in text] == []


def test_withdrawn_alerts_stand_last_and_say_why(page: Page) -> None:
    rows = [attributes for attributes in page.of("tr") if "data-severity" in attributes]
    assert [row["data-status"] for row in rows] == ["OPEN"] * 8 + ["WITHDRAWN"]
    assert f"Withdrawn: {glossary.STATUSES['WITHDRAWN'].meaning}." in page.texts


def test_records_that_do_not_add_up_are_called_a_mismatch(folder: Path) -> None:
    assert "every record is accounted for" in write_report(folder).read_text(encoding="utf-8")
    (folder / "summary.json").write_text('{"records": {"read": 10, "applied": 7, "rejected": 1, "duplicate": 1}}')
    assert "MISMATCH: +1 records are not accounted for" in write_report(folder).read_text(encoding="utf-8")


def test_a_folder_with_alerts_only_and_one_without_any_make_a_page(tmp_path: Path) -> None:
    (tmp_path / "alerts.jsonl").write_bytes(msgspec.json.encode(sample.pass_through()))
    assert "holds no summary.json" in write_report(tmp_path).read_text(encoding="utf-8")
    (tmp_path / "alerts.jsonl").write_bytes(b"")
    assert "There is no open alert" in write_report(tmp_path).read_text(encoding="utf-8")


def test_a_folder_that_is_none_leaves_no_page_behind(tmp_path: Path) -> None:
    with pytest.raises(FolderMistake):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rejects_are_grouped_by_what_was_wrong_not_by_what_was_found(folder: Path) -> None:
    groups = read_results(folder).rejects
    assert [(group.field, group.records) for group in groups] == [("amount_minor", 2), ("$", 1)]


def test_a_loan_with_several_alerts_is_counted_once_in_the_certain_sum() -> None:
    first = sample.alert("T01", "L1", (), traced=60, certain=50, loan_amount_minor=100)
    second = sample.alert("T05", "L1", (), traced=60, certain=30, loan_amount_minor=100)
    other = sample.alert("T05", "L2", (), traced=60, certain=7, loan_amount_minor=100)
    pattern = sample.alert("T12", "L3", (), traced=60, certain=40, loan_amount_minor=100)
    assert overview.certain_by_currency([first, second, other, pattern]) == {"CNY": 57}


def test_the_most_urgent_alerts_are_drawn_and_the_rest_is_counted(tmp_path: Path) -> None:
    page = Page(write_report(sample.write_folder(tmp_path / "many", many(ALERTS_DRAWN_MAX + 5))).read_text(encoding="utf-8"))
    assert len(page.of("article")) == ALERTS_DRAWN_MAX
    assert len([row for row in page.of("tr") if "data-severity" in row]) == ALERTS_DRAWN_MAX + 5
    assert any("The other 5 stand in the list above only" in text for text in page.texts)


def test_five_thousand_alerts_give_a_file_that_opens(tmp_path: Path) -> None:
    started = time.monotonic()
    written = write_report(sample.write_folder(tmp_path / "many", many(5_000)))
    assert written.stat().st_size < 15_000_000
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "alert", [*sample.sample_alerts(), sample.hostile()], ids=lambda alert: f"{alert.typology}-{alert.revision}"
)
def test_boxes_and_labels_of_a_drawing_do_not_overlap_and_stay_inside(alert: Alert) -> None:
    for row, width in _drawn_rows(draw_trail(alert, 1, 480)):
        boxes = [(float(x), float(y), float(x) + BOX_WIDTH, float(y) + float(height)) for x, y, height in row]
        assert all(not _overlap(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
        assert all(box[0] >= 0 and box[2] <= width and box[1] >= 0 for box in boxes)


def _drawn_rows(drawing: str) -> list[tuple[list[tuple[str, str, str]], float]]:
    rect = re.compile(rf'<rect x="([^"]+)" y="([^"]+)" width="{BOX_WIDTH}" height="([^"]+)"')
    view = re.search(r'viewBox="0 0 (\d+) \d+"', drawing)
    assert view is not None
    return [(rect.findall(row), float(view[1])) for row in drawing.split("translate(2 ")[1:]]


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_labels_at_one_account_keep_a_line_apart() -> None:
    path = tuple(sample.step(i, i, f"P{i}", "HUB-1", 1_000_000 - i, 1) for i in range(1, 8))
    drawing = draw_trail(sample.alert("T05", "L1", path), 1, 480)
    heights = sorted(float(y) for y in re.findall(r'y="([\d.]+)" class="sum"', drawing))
    assert len(heights) == 7
    assert min(after - before for before, after in pairwise(heights)) >= 40
    ((boxes, _),) = _drawn_rows(drawing)
    assert max(float(height) for _, _, height in boxes) >= heights[-1] - heights[0]  # all arrows end at the account's box


def test_wider_arrows_carry_more_of_the_loan() -> None:
    drawing = draw_trail(sample.securities_over_two_shells()[1], 1, 480)
    widths = [float(width) for width in re.findall(r'stroke-width="([\d.]+)"', drawing)]
    assert widths == [9.6, 5.6, 9.4, 5.5, 14.4]


def test_accounts_beyond_the_most_are_folded_into_a_box_that_counts_them() -> None:
    drawing = draw_trail(sample.entrusted_payee_forwards(), 1, 480)
    assert "6 more accounts" in drawing
    assert "225,000.00" in drawing  # what the six got together
    assert drawing.count('class="box"') == 1 + 1 + 9


def test_sixty_hops_are_drawn_in_rows_and_none_is_lost() -> None:
    drawing = draw_trail(sample.long_chain(), 1, 480)
    assert len(_drawn_rows(drawing)) == 15
    assert len(re.findall('class="flow"', drawing)) == 60
    assert ">Hop 60<" in drawing


def test_what_is_not_marked_as_markup_is_escaped() -> None:
    assert element("p", "<b>", class_='"x"') == '<p class="&quot;x&quot;">&lt;b&gt;</p>'
    assert join(element("i", "a"), "<", None, ["&", 3]) == "<i>a</i>&lt;&amp;3"
    assert legible("a\u2066b\ud800") == "a\\u2066b\\ud800"


def test_every_severity_kind_and_result_is_explained() -> None:
    assert set(glossary.SEVERITIES) == set(glossary.MARKS) == {"LOW", "MEDIUM", "HIGH", "CRITICAL"}
    assert set(glossary.KINDS) == {"BREACH", "PATTERN", "EVENT"}
    names = [term.english for term in glossary.GLOSSARY]
    assert names == sorted(names)


def test_the_timeline_counts_every_open_alert_once_however_long_the_period() -> None:
    late = msgspec.structs.replace(sample.pass_through(), event_time="2027-03-01T20:00:00.000Z")
    alerts = [AlertHistory(item, ()) for item in (sample.loan_repays_loan(), late)]
    drawn = overview.timeline(Results(Path(), alerts, {}, [], Summary()), 480)
    assert "Alerts per 8 days" in drawn
    assert sum(int(number) for number in re.findall(r'text-anchor="middle" class="when">(\d+)<', drawn)) == 2


def _browse(page: Path, profile: Path, fragment: str = "") -> tuple[str, str]:
    """(the page as the browser has it after its script ran, what the browser wrote to its console)."""
    if CHROMIUM is None:
        pytest.skip("needs a Chromium: none of chromium, chromium-browser, google-chrome is installed")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
        f"--user-data-dir={profile}", "--dump-dom", f"file://{page}{fragment}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=BROWSER_SECONDS_MAX, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def _listed(dom: str) -> list[tuple[str, bool]]:
    """(loan, shown) of the rows of the list, in the browser's order."""
    rows = re.findall(r"<tr ([^>]*)>(.*?)</tr>", dom.split('id="alert-table"')[1].split("</table>")[0])
    return [(re.findall(r'<td class="id">(.*?)</td>', cells)[0], "hidden" not in attributes) for attributes, cells in rows]


def test_a_browser_sorts_the_list_and_reports_no_error(folder: Path, tmp_path: Path) -> None:
    dom, console = _browse(write_report(folder), tmp_path / "profile", "#sort=possible")
    assert console == ""
    assert 'aria-sort="ascending"' in dom
    amounts = [int(amount) for amount in re.findall(r'<td data-order="(\d+)" class="number">', dom)][2::3]
    assert len(amounts) == 9
    assert amounts == sorted(amounts)
    assert _listed(dom)[-1] == ("JJ-2026-0005", True)


def test_a_browser_filters_the_list_and_says_how_many_are_left(folder: Path, tmp_path: Path) -> None:
    dom, console = _browse(write_report(folder), tmp_path / "profile", "#typology=T05&words=legal+0002")
    assert console == ""
    assert [loan for loan, shown in _listed(dom) if shown] == []
    dom, _ = _browse(write_report(folder), tmp_path / "profile", "#typology=T05&words=0002")
    assert [loan for loan, shown in _listed(dom) if shown] == ["JJ-2026-0002"]
    assert "1 of 9 alerts" in dom


def test_a_browser_runs_no_text_from_the_data(folder: Path, tmp_path: Path) -> None:
    """Even a script that got into the page unescaped does not run: the policy names the page's own one by its digest."""
    written = write_report(folder)
    written.write_text(written.read_text(encoding="utf-8").replace("</main>", "<script>document.title='taken'</script></main>"))
    dom, console = _browse(written, tmp_path / "profile")
    assert "<title>taken" not in dom
    assert "Content Security Policy" in console
