"""report.html as a file: what is in it, what cannot be, and what it costs to write."""

import hashlib
import json
import re
import stat
import tracemalloc
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from desk import Ended, key_row, token_row, write_csv
from page import HOSTILE, Made

from importer.outcomes import Outcome
from importer.reports import embedded, groups
from importer.reports.html import write_page
from importer.reports.plots import ticks
from importer.reports.sections import outcome_sentence
from importer.sandbox import Sandbox

Importer = Callable[..., Ended]


class Markup(HTMLParser):
    """Every element with its attributes, and the text of the scripts and styles."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._within = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = (dict(attrs).get("id") or tag) if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the signature of its base class
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within:
            self.texts[self._within] = data


def page_of(made: Made, folder: Path, **more: Any) -> Markup:
    write_page(folder / "report.html", made.report(**more))
    return Markup((folder / "report.html").read_text("utf-8"))


def rows_of(page: Markup, identifier: str = "row-data") -> list[list[Any]]:
    data = json.loads(page.texts[identifier])
    worded = [number for number, kind in enumerate(data["kinds"]) if kind in "wm"]
    return [[data["words"][cell] if at in worded else cell for at, cell in enumerate(row)] for row in data["rows"]]


def test_hostile_refs_are_texts_and_never_markup(tmp_path: Path) -> None:
    ordinary = page_of(Made(60, bad_every=2), tmp_path)
    hostile = page_of(Made(60, bad_every=2, refs=HOSTILE), tmp_path)

    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in ordinary.elements]
    assert {name for _, attributes in hostile.elements for name in attributes} <= {
        name for _, attributes in ordinary.elements for name in attributes
    }
    refs = {row[3] for row in rows_of(hostile)}
    assert refs == {
        *HOSTILE[:6], "a‹U+2028›b", "invoice‹U+202E›gpj.exe", "a‹U+0000›b‹U+001B›c", "L" * 200 + "…",
    }  # fmt: skip


def test_hostile_sources_and_messages_are_texts_too(tmp_path: Path) -> None:
    ordinary, hostile = Made(3).report(), Made(3).report()
    for report, text in ((ordinary, "x"), (hostile, HOSTILE[1])):
        report.summary["stopped"] = {"message": text, "fix": text}  # type: ignore[index]  # a dict, in the tests
        report.summary["run_id"] = text  # type: ignore[index]  # the same
        report.course["sources"] = [text]  # type: ignore[index]  # the same
        report.course["tokens"][0]["provider"] = text  # type: ignore[index]  # the same
    found = []
    for report in (ordinary, hostile):
        write_page(tmp_path / "report.html", report)
        found.append(Markup((tmp_path / "report.html").read_text("utf-8")))

    assert [tag for tag, _ in found[0].elements] == [tag for tag, _ in found[1].elements]


def test_the_content_policy_allows_this_style_and_this_script_and_nothing_else(tmp_path: Path) -> None:
    page = page_of(Made(5), tmp_path)
    metas = [attributes for tag, attributes in page.elements if tag == "meta"]
    policy = next(meta["content"] or "" for meta in metas if meta.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))

    def digest(text: str) -> str:
        return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert rules == {
        "default-src": "'none'", "style-src": digest(page.texts["style"]), "script-src": digest(page.texts["script"]),
        "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    assert not [name for _, attributes in page.elements for name in attributes if name == "style" or name[:2] == "on"]
    assert not [a for _, a in page.elements if (a.get("href") or "#")[0] != "#" and a["href"] != "data:,"]
    assert not [a for _, a in page.elements if "src" in a]


def test_of_too_many_rows_those_that_are_not_done_are_all_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "MOST_ROWS", 100)  # else the test would write a million rows

    rows = rows_of(page_of(Made(1_000, bad_every=20, left=10), tmp_path))

    assert len(rows) == 100
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    assert sum(row[5] == "rejected" for row in rows) == 49
    assert sum(row[5] == "not_sent" for row in rows) == 10


def test_more_kinds_of_problems_than_one_reads_are_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "MOST_GROUPS", 3)  # else the test would take a thousand kinds

    page_of(Made(100, bad_every=2), tmp_path)

    text = (tmp_path / "report.html").read_text("utf-8")
    (rest,) = re.findall(r"(\d+) problems of yet other kinds are in errors.csv", text)
    counted = [int(n) for n in re.findall(r'data-label="rows" data-v="(\d+)"', text)]
    assert len(counted) == 3
    assert sum(counted) + int(rest) == 50


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        tracemalloc.start()
        write_page(tmp_path / "report.html", Made(rows, bad_every=10).report())
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)  # what is loaded once
    assert peak(20_000) < 2 * peak(2_000)


def test_a_run_writes_the_page_for_its_owner_and_report_writes_it_anew(home: Path, importer: Importer) -> None:
    rows = [token_row(1), token_row(2, refresh_token=""), key_row(3), key_row(4, group_ref="")]
    write_csv(home / "rows.csv", rows)

    importer("run", "rows.csv", "--checks", "offline")
    written = home / "importer-report" / "report.html"
    first = written.read_text("utf-8")
    mode = stat.S_IMODE(written.stat().st_mode)
    written.unlink()
    anew = importer("report")

    assert mode == 0o600
    assert anew.exit_code == 0
    assert written.read_text("utf-8") == first
    assert "3 of 4 rows are done; 1 rejected." in first
    assert "missing_value" in first
    assert "without refresh token" in first
    assert "Half of the answers came within" in first
    assert "fake-key" not in first
    assert "fake-access" not in first
    assert "fake-refresh" not in first


def test_a_run_of_standard_input_has_its_tokens_on_the_page_too(home: Path, shell: Callable[..., Ended]) -> None:
    """Of a source that is read once, nothing is known before it is sent."""
    text = write_csv(home / "rows.csv", [token_row(1), token_row(2, refresh_token="")]).read_text()

    ended = shell("run", "-", stdin=text)

    page = (home / "importer-report" / "report.html").read_text("utf-8")
    assert ended.exit_code == 0, ended.err
    assert "All 2 rows are done." in page
    assert 'data-label="without refresh token" data-v="1"' in page


def test_a_run_that_stops_early_says_why_on_its_page(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [key_row(n) for n in range(20)])
    sandbox.next("500_before", on="list", times=20)

    ended = importer("run", "rows.csv", "--checks", "offline")

    page = (home / "importer-report" / "report.html").read_text("utf-8")
    assert ended.exit_code == 5
    assert "Stopped early" in page
    assert "the connections of stripe cannot be listed" in page
    assert "<h1>0 of 20 rows are done; 20 not sent.</h1>" in page


def test_the_second_run_says_what_changed(home: Path, importer: Importer) -> None:
    write_csv(home / "rows.csv", [key_row(1), key_row(2, api_key=""), key_row(3, api_key="")])
    importer("run", "rows.csv")
    write_csv(home / "rows.csv", [key_row(1, api_key=""), key_row(2), key_row(3, api_key="")])

    importer("run", "rows.csv")

    text = (home / "importer-report" / "report.html").read_text("utf-8")
    for line in ("<b>1</b> newly created", "<b>1</b> newly failing", "<b>1</b> fixed since", "<b>1</b> failing again"):
        assert line in text


def test_a_night_without_changes_says_that_nothing_was_to_be_done(home: Path, importer: Importer) -> None:
    write_csv(home / "rows.csv", [key_row(n) for n in range(3)])
    importer("run", "rows.csv")
    importer("run", "rows.csv")

    page = (home / "importer-report" / "report.html").read_text("utf-8")

    assert "<h1>Nothing was to be done: all 3 rows were done before.</h1>" in page


def test_a_run_that_ended_before_its_rows_is_not_called_done(tmp_path: Path) -> None:
    """All that the ledger has of it is why it stopped."""
    report = replace(Made(0).report(), course=None, compared=None)
    report = replace(report, summary={"stopped": {"message": "the disk is full", "fix": "Make room."}})

    write_page(tmp_path / "report.html", report)

    text = (tmp_path / "report.html").read_text("utf-8")
    assert "Stopped early" in text
    assert "the disk is full<br>Make room." in text
    assert "Done" not in text


@pytest.mark.parametrize(
    ("outcomes", "sentence"),
    [
        ({}, "No row was read."),
        ({Outcome.CREATED: 1}, "The one row is done."),
        ({Outcome.CREATED: 990, Outcome.UNCHANGED: 10}, "All 1,000 rows are done."),
        ({Outcome.UNCHANGED: 1}, "Nothing was to be done: the one row was done before."),
        ({Outcome.UNCHANGED: 8, Outcome.DUPLICATE: 1}, "Nothing was to be done: all 9 rows were done before."),
        (
            {Outcome.CREATED: 1, Outcome.REJECTED: 7, Outcome.FAILED: 2, Outcome.UNKNOWN: 3, Outcome.NOT_SENT: 4},
            "1 of 17 rows is done; 7 rejected, 2 failed, 3 in doubt, 4 not sent.",
        ),
    ],
)
def test_the_outcome_in_one_sentence(outcomes: dict[Outcome, int], sentence: str) -> None:
    assert outcome_sentence(outcomes) == sentence


@pytest.mark.parametrize(
    ("highest", "time", "expected"),
    [
        (0.0, False, [0, 1]),
        (4.0, False, [0, 1, 2, 3, 4]),
        (47.0, False, [0, 10, 20, 30, 40, 50]),
        (0.3, False, [0.0, 0.1, 0.2, 0.3]),
        (75.0, True, [0, 15, 30, 45, 60, 75]),
        (3_700.0, True, [0, 900, 1_800, 2_700, 3_600, 4_500]),
        (400_000.0, True, [0, 86_400, 172_800, 259_200, 345_600, 432_000]),
    ],
)
def test_axes_have_round_values(highest: float, time: bool, expected: list[float]) -> None:
    assert ticks(highest, time=time) == pytest.approx(expected)
