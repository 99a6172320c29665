"""The HTML report: whole, alone, harmless, and true to the record."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import msgspec
import pytest

from scanner_agent.errors import SourceError
from scanner_agent.records import Placement, PlacementResult, Quality, ScanReport, Verdict, WindowPoint
from scanner_agent.report.charts import charts
from scanner_agent.report.html import STATES, html_page, write_html
from scanner_agent.report.mrsinmrs import NOT_RECORDED, mrsinmrs
from tests.support import results

EMPTY = dict.fromkeys(("shots", "spectra", "metabolites", "limits", "findings", "segments", "assessments", "notes"), ())


def own_part(page: str) -> str:
    """The page without Plotly's script."""
    return re.sub(r"<script>/\*\*.*?</script>", "", page, flags=re.DOTALL)


@pytest.fixture(scope="module")
def page() -> str:
    return own_part(html_page(results.report()))


def test_it_tells_the_story(page: str) -> None:
    for text in (
        "WATCH",
        "Extend by 16 shots",
        "motion during scan",
        "frequency step 5 Hz",
        "%SD of Glu",
        "30 of 32 shots in the result",
        "first study, its exclusion rule",
        "Glu (decides)",
        "No water reference",
        "coils whitened and combined",
        "MRSinMRS",
        "20 × 20 × 20 mm, 8.0 mL",
    ):
        assert text in page


def test_it_needs_nothing_else(page: str) -> None:
    assert re.findall(r'(?:src|href|action)="(?!data:)', page) == []
    assert "default-src 'none'" in page
    assert "<link" not in page
    assert "sendChartToCloud" in page
    assert 'plotlyServerURL: ""' in page


def test_text_from_outside_cannot_become_markup() -> None:
    evil = "<script>alert(1)</script>"
    header = results.scan_header(scanner=evil, sequence=f"{evil}&")
    page = own_part(html_page(results.report(scan=header, notes=(evil,), advice_text=evil)))
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4


def test_the_download_is_the_report(page: str) -> None:
    coded = re.search(r"data:application/json;base64,([A-Za-z0-9+/=]+)", page)
    assert coded is not None
    assert msgspec.json.decode(base64.b64decode(coded.group(1)), type=ScanReport) == results.report()


def test_the_charts_hold_the_record_s_numbers(page: str) -> None:
    data = re.search(r"const CHARTS = (\[.*\]);", page)
    assert data is not None
    drawn = json.loads(data.group(1))
    assert len(drawn) == 3
    spectrum = {trace["name"]: trace for trace in drawn[0]["data"]}
    assert spectrum["spectrum"]["y"] == pytest.approx(results.spectrum().data)
    low_end, high_end = drawn[0]["layout"]["xaxis"]["range"]
    assert low_end > high_end, "ppm runs from right to left"
    used = next(t for t in drawn[1]["data"] if t["name"] == "used" and t["yaxis"] == "y6")
    assert used["y"] == pytest.approx([t.frequency_hz for t in results.tracks() if t.used])
    assert len(drawn[1]["layout"]["shapes"]) == 1, "the second pose is shaded"
    limits = [t for t in drawn[2]["data"] if t["name"].startswith("limit")]
    assert [t["y"][0] for t in limits] == pytest.approx([0.1 * 123.25, 8.0])


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.COLLECTING])
def test_every_verdict_has_its_word(verdict: Verdict) -> None:
    page = html_page(results.report(verdict=verdict))
    assert f"</span> {STATES[verdict][0]}</p>" in page
    assert f'<header class="{verdict.value}">' in page


def test_a_report_of_nothing_is_still_a_page() -> None:
    empty = results.report(verdict=Verdict.CANNOT_JUDGE, forecast=None, quality=Quality(), **EMPTY)
    page = own_part(html_page(empty))
    assert "CANNOT JUDGE" in page
    assert "const CHARTS = [];" in page
    assert re.search(r"\bnan\b", page.lower()) is None


def test_sliding_windows_are_a_chart() -> None:
    points = tuple(
        WindowPoint(first_shot=i, last_shot=i + 7, name="GABA+", ratio_to_tCr=0.3 if i else None, ratio_to_tCr_sd=0.02)
        for i in range(5)
    )
    (chart,) = [c for c in charts(results.report(window=points)) if c.title == "Sliding window"]
    assert chart.data[0]["x"] == [5.5, 6.5, 7.5, 8.5]


def test_reporting_items_say_what_is_not_recorded() -> None:
    bare = results.scan_header(scanner=None, echo_time_s=None, voxel_size_mm=None)
    items = mrsinmrs(results.report(scan=bare))
    assert dict(items["1. Hardware"])["b. Manufacturer and c. model"] == NOT_RECORDED
    assert dict(items["2. Acquisition"])["d. TR, TE"] == f"3000 ms, {NOT_RECORDED}"
    assert "percent_sd_lcmodel of Glu <= 20 %" in dict(items["4. Data quality"])["b. Exclusion criteria"]


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot write the report"):
        write_html(tmp_path / "no" / "report.html", results.report())


def test_no_field_of_a_report_can_hold_a_patient(page: str) -> None:
    fields = set(re.findall(r'"(\w+)":', base64.b64decode(re.search(r"base64,([^\"]+)", page).group(1)).decode()))  # type: ignore[union-attr]
    forbidden = ("patient", "birth", "sex", "age", "weight_kg", "institution", "physician", "operator", "subject")
    assert not [f for f in fields if any(word in f.lower().split("_") for word in forbidden)]


def test_a_localiser_s_result_stands_beside_the_report() -> None:
    result = PlacementResult(
        state="moved", text="The head has <moved>.", centre_displacement_mm=6.54, share_inside=0.6,
        consoles={"Siemens": "Position L1.0"},
    )  # fmt: skip
    placement = Placement(placement_id="p", scan_id="scan-1", made_at=0.0, initials="AB", result=result)
    part = own_part(html_page(results.report(), [placement]))
    assert "AB: The head has &lt;moved&gt;." in part
    assert "<td>6.5</td>" in part
    assert "Position L1.0" in part
    assert "Where the voxel was" not in own_part(html_page(results.report()))
