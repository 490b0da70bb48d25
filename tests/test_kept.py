"""The send pass takes the first rows as the plan pass made them, and reads again what did not fit."""

from collections.abc import Callable
from pathlib import Path

import pytest
from desk import Ended, key_row, write_csv

from importer import kept
from importer.sandbox import Sandbox

FITS = {"all": 1 << 20, "the first file": 200, "none": 0}
"""How many bytes of bodies are kept, where a file has about 170."""


@pytest.mark.parametrize("fits", FITS)
def test_each_row_is_sent_once_whether_it_was_kept_or_is_read_again(
    fits: str, home: Path, sandbox: Sandbox, importer: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "KEPT_BYTES", FITS[fits])  # else it takes a file of 16 MiB for each case
    for number in range(3):
        write_csv(home / f"part-{number}.csv", [key_row(2 * number), key_row(2 * number + 1)])

    assert importer("run", "part-0.csv", "part-1.csv", "part-2.csv").exit_code == 0

    there = {(c["groupRef"], c["request"]["apiKey"]) for c in sandbox.connections()}
    assert there == {(f"g{n}", f"fake-key-{n}") for n in range(6)}
    assert sandbox.count() == 6


@pytest.mark.parametrize("fits", FITS)
def test_a_row_that_a_later_file_replaces_is_not_sent_though_it_was_kept(
    fits: str, home: Path, sandbox: Sandbox, importer: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "KEPT_BYTES", FITS[fits])  # else it takes a file of 16 MiB for each case
    write_csv(home / "old.csv", [key_row(1), key_row(2)])
    write_csv(home / "new.csv", [key_row(1, api_key="fake-key-of-today")])

    assert importer("run", "old.csv", "new.csv").exit_code == 0

    assert [c["request"]["apiKey"] for c in sandbox.connections("g1")] == ["fake-key-of-today"]
    assert sandbox.count("g2") == 1


def test_a_file_that_changes_while_it_is_sent_stops_the_run_though_its_rows_were_kept(
    home: Path, sandbox: Sandbox, importer: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in memory would be sent all the same, and is no longer what the file says."""
    for name in ("a.csv", "b.csv"):
        write_csv(home / name, [key_row(ord(name[0]))])
    take = kept.Kept.take

    def slowly(self: kept.Kept) -> object:
        for chunk in take(self):
            write_csv(home / "b.csv", [key_row(1), key_row(2)])
            yield chunk

    monkeypatch.setattr(kept.Kept, "take", slowly)  # the one moment at which the file must change

    ended = importer("run", "a.csv", "b.csv")

    assert ended.exit_code == 5
    assert "b.csv changed" in ended.err + ended.out
    assert sandbox.count() == 0
