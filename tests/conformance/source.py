"""What every `importer.sources.base.Source` does, whatever it reads from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from importer.sources.base import Chunk, Source
from importer.sources.columns import require_columns

COLUMNS = ["group_ref", "consumer_ref", "access_token"]
ROWS = [[f"00{number}", "NA" if number % 3 else "", f"fake-access-token-{number}"] for number in range(1, 24)]


def read(source: Source, size: int) -> tuple[list[int], list[list[Any]]]:
    """The numbers and the cells of all whole rows."""
    chunks = list(source.chunks(size))
    return [row for chunk in chunks for row in chunk.rows], [cells for chunk in chunks for cells in cells_of(chunk)]


def cells_of(chunk: Chunk) -> list[list[Any]]:
    """The rows of a chunk, as lists of cells."""
    columns = [list(chunk.frame[name]) for name in chunk.frame.columns]
    return [list(cells) for cells in zip(*columns, strict=True)]


class SourceContract:
    """Inherit, and give `holding`."""

    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        """A source made in `folder` that holds these rows of text."""
        raise NotImplementedError  # whoever inherits the contract gives it

    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        return self.holding(tmp_path, COLUMNS, ROWS)

    def test_the_columns_come_in_their_order(self, source: Source) -> None:
        assert source.columns() == COLUMNS

    @pytest.mark.parametrize("size", [1, 2, 5, 23, 24, 5_000])
    def test_every_row_comes_once_with_its_number_whatever_the_size_of_a_chunk(self, source: Source, size: int) -> None:
        assert read(source, size) == (list(range(1, 24)), ROWS)

    @pytest.mark.parametrize("size", [1, 5])
    def test_a_chunk_holds_no_more_rows_than_asked_for_and_at_least_one(self, source: Source, size: int) -> None:
        assert all(1 <= len(chunk.rows) + len(chunk.bad) <= size for chunk in source.chunks(size))

    def test_asking_for_the_columns_loses_no_row(self, source: Source) -> None:
        source.columns()
        source.columns()

        assert read(source, 5) == (list(range(1, 24)), ROWS)
        assert source.columns() == COLUMNS

    def test_the_numbers_stand_beside_the_rows_of_the_frame(self, source: Source) -> None:
        for chunk in source.chunks(5):
            assert len(chunk.rows) == len(chunk.frame)
            assert list(chunk.frame.columns) == COLUMNS
            assert cells_of(chunk) == [ROWS[row - 1] for row in chunk.rows]

    def test_a_source_that_says_so_can_be_read_twice(self, source: Source) -> None:
        first = read(source, 5)
        if source.repeatable:
            assert read(source, 7) == first
        else:
            with pytest.raises(Exception, match="only once"):
                next(iter(source.chunks()))

    def test_the_stamp_is_the_same_while_nothing_changes_and_unknown_for_a_stream(self, source: Source) -> None:
        assert source.stamp() == source.stamp()
        assert (source.stamp() is not None) == source.repeatable

    def test_a_source_without_rows_has_columns_and_no_chunk(self, tmp_path: Path) -> None:
        source = self.holding(tmp_path, COLUMNS, [])

        assert source.columns() == COLUMNS
        assert list(source.chunks()) == []

    def test_a_chunk_does_not_show_its_cells(self, source: Source) -> None:
        shown = "".join(f"{chunk!r} {chunk}" for chunk in source.chunks(5))

        assert source.name in shown
        assert "fake-access" not in shown

    def test_a_missing_column_is_told_with_the_nearest(self, source: Source) -> None:
        require_columns(source, COLUMNS)

        with pytest.raises(Exception, match="has no column accessToken") as caught:
            require_columns(source, ["group_ref", "accessToken"])
        assert "Did you mean access_token?" in str(getattr(caught.value, "hint", ""))
