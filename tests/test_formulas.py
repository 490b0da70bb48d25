"""No cell of a report is a formula to a spreadsheet, whatever the refs, the server's words and the file names are."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import Ended, read_csv, write_csv
from hypothesis import example, given
from hypothesis import strategies as st

from importer.ledger.base import ProblemRow, Result
from importer.outcomes import Code, Issue, Outcome, Stage
from importer.records import Identity, Place
from importer.reports.tables import write_errors, write_results
from importer.sandbox import Sandbox

SIGNS = "=+-@＝＋－＠"
STARTS = (*SIGNS, "\t", "\r", "\n")
FORMULA = '=HYPERLINK("http://127.0.0.1/?"&A1,"x")'


def cells_of(path: Path) -> list[str]:
    """All cells of a report but those of its header."""
    with path.open(encoding="utf-8", newline="") as file:
        _, *lines = csv.reader(file)
    return [cell for line in lines for cell in line]


def written(folder: Path, text: str) -> tuple[list[str], list[str]]:
    """The cells of both kinds of reports, in which a text stands wherever one can."""
    place, identity = Place(text, 0, 1), Identity(text, text, text)
    write_results(folder / "results.csv", [Result(place, identity, Outcome.CREATED, text, 201, 1, 0.0)])
    issue = Issue(text, Code.BAD_DATE, text, text, Stage.SEND, request_id=text)
    write_errors(folder / "errors.csv", [ProblemRow(place, identity, issue)], {"message": text, "fix": text})
    return cells_of(folder / "results.csv"), cells_of(folder / "errors.csv")


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text(f"{SIGNS}\t\r\n;,\"' a1", max_size=12))
@example(FORMULA)
@example(f'a";{FORMULA}')
@example(f'","{FORMULA}')
@example(f"a\n{FORMULA}")
@example(f"\ufeff {FORMULA}")
@example("-12")
@example("+49 30 1234")
@example("\t")
@example("a\rb")
def test_no_text_makes_a_cell_that_a_spreadsheet_runs(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Nor what a spreadsheet reads as a cell that splits lines at semicolons or tabs; and no character is lost."""
    results, errors = written(tmp_path_factory.mktemp("report"), text)

    for cell in results + errors:
        assert not cell.startswith(STARTS)
        assert not [piece for piece in re.split(r"[;\t\r\n]", cell) if piece.startswith(tuple(SIGNS))]
    plain = text.replace("'", "")
    assert [cell.replace("'", "") for cell in results].count(plain) >= 5
    assert [cell.replace("'", "") for cell in errors].count(plain) >= 10
    assert (len(results), len(errors)) == (10, 28)


def test_an_ordinary_text_stays_as_it_is(tmp_path: Path) -> None:
    for text in ("acme-12", "a=b", "user+tag@example.com", "é", " x", "", "12"):
        results, errors = written(tmp_path, text)
        assert text in results
        assert text in errors


def test_a_ref_that_is_a_formula_is_none_in_any_report(
    home: Path, sandbox: Sandbox, importer: Callable[..., Ended]
) -> None:
    """It is sent as it is, and stands behind an apostrophe in what people open."""
    bad = {"provider": "hubspot", "group_ref": FORMULA, "consumer_ref": "@u"}
    write_csv(home / "=rows.csv", [bad, {**bad, "group_ref": "+49", "access_token": "fake-access-1"}])

    importer("plan", "=rows.csv")
    assert importer("run", "=rows.csv").exit_code == 3
    (only,) = sandbox.connections()
    sandbox.remove_connection(only["id"])
    assert importer("verify").exit_code == 3

    reports = {path.name: cells_of(path) for path in (home / "importer-report").glob("*.csv")}
    assert {"results.csv", "errors.csv", "plan-errors.csv", "plan-warnings.csv", "verify-errors.csv"} <= set(reports)
    for name, cells in reports.items():
        assert [cell for cell in cells if cell.startswith(STARTS)] == [], name
    assert {line["group_ref"] for line in read_csv(home / "importer-report/results.csv")} == {f"'{FORMULA}", "'+49"}
    assert only["groupRef"] == "+49"
