"""Files become rows: none is lost, changed or made up, and what cannot be read is told."""

import contextlib
import csv
import datetime as dt
import gzip
import io
import os
import re
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conformance.source import COLUMNS, ROWS, SourceContract, cells_of, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importer.errors import SourceError
from importer.outcomes import Code, Issue, Stage
from importer.sources import open_sources
from importer.sources.base import Source
from importer.sources.columns import nearest_column, require_columns
from importer.sources.delimited import FIELD_LIMIT, LINE_LIMIT


def text_of(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """The rows as csv.writer writes them."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue().encode()


def source_of(folder: Path, content: bytes, name: str = "tokens.csv") -> Source:
    """The source of a file with this content."""
    (folder / name).write_bytes(content)
    return open_sources([name], folder)[0]


def parquet_of(folder: Path, table: pa.Table, **options: Any) -> Source:
    """The source of a Parquet file with this table."""
    pq.write_table(table, folder / "tokens.parquet", **options)
    return open_sources(["tokens.parquet"], folder)[0]


def issues(source: Source, size: int = 5_000) -> dict[int, Issue]:
    """Row -> what is wrong with it."""
    return {bad.row: bad.issue for chunk in source.chunks(size) for bad in chunk.bad}


def until_refused(source: Source, size: int = 5_000) -> tuple[list[int], SourceError]:
    """The numbers of the rows, good and bad, that came before the error that ends the reading; and that error."""
    came: list[int] = []

    def read_on() -> None:
        for chunk in source.chunks(size):
            came.extend(sorted([*chunk.rows, *(bad.row for bad in chunk.bad)]))

    with pytest.raises(SourceError) as caught:
        read_on()
    assert caught.value.hint
    return came, caught.value


def refusal(source: Source) -> SourceError:
    """The error that ends the reading of a source."""
    return until_refused(source)[1]


class Pipe:
    """A named pipe that a thread fills: what `<(zcat tokens.csv.gz)` gives."""

    def __init__(self, path: Path, *parts: bytes) -> None:
        os.mkfifo(path)
        self.go_on = threading.Event()
        self._thread = threading.Thread(target=self._fill, args=(path, parts), daemon=True)
        self._thread.start()

    def _fill(self, path: Path, parts: Sequence[bytes]) -> None:
        # a reader that wanted the header only has closed its end
        with contextlib.suppress(BrokenPipeError), path.open("wb") as pipe:
            for number, part in enumerate(parts):
                if number and not self.go_on.wait(timeout=20):
                    return
                pipe.write(part)
                pipe.flush()


class TestCsv(SourceContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        return source_of(folder, text_of(columns, rows))


class TestGzippedCsv(SourceContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        return source_of(folder, gzip.compress(text_of(columns, rows)), "tokens.csv.gz")


class TestPipedCsv(SourceContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        Pipe(folder / "pipe", text_of(columns, rows))
        return open_sources(["pipe"], folder)[0]


class TestParquet(SourceContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        cells = {name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(columns)}
        return parquet_of(folder, pa.table(cells), row_group_size=7)


# --- which files -------------------------------------------------------------------------------------------------


def names(sources: Sequence[Source]) -> list[str]:
    return [Path(source.name).name for source in sources]


def test_a_folder_gives_its_visible_files_with_a_known_suffix_in_natural_order(tmp_path: Path) -> None:
    for name in ["t10.csv", "t2.csv", "t1.CSV.GZ", "t3.parquet", ".t4.csv", "notes.md", "_SUCCESS"]:
        (tmp_path / name).write_text("a,b\n")
    (tmp_path / "t5.csv").mkdir()

    assert names(open_sources(["."], tmp_path)) == ["t1.CSV.GZ", "t2.csv", "t3.parquet", "t10.csv"]
    assert names(open_sources(["."], tmp_path, "parquet")) == ["t3.parquet"]


def test_a_glob_gives_its_files_in_natural_order_and_an_absolute_one_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ["t10.csv", "t9.csv", "u1.csv"]:
        (tmp_path / "in" / name).write_text("a,b\n")

    assert names(open_sources(["in/t*.csv"], tmp_path)) == ["t9.csv", "t10.csv"]
    assert names(open_sources([f"{tmp_path}/*/t*.csv"], Path())) == ["t9.csv", "t10.csv"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "t[1].csv").write_text("a,b\n")

    assert names(open_sources(["t[1].csv"], tmp_path)) == ["t[1].csv"]


def test_the_same_file_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "t1.csv").write_text("a,b\n")
    (tmp_path / "t2.csv").write_text("a,b\n")
    (tmp_path / "link.csv").symlink_to("t1.csv")

    assert names(open_sources(["t2.csv", "./t1.csv", "*.csv", "link.csv"], tmp_path)) == ["t2.csv", "t1.csv"]
    assert len(open_sources(["-", "-"], tmp_path)) == 1


def test_a_source_is_called_as_the_user_would_call_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "t1.csv").write_text("a,b\n")
    monkeypatch.chdir(tmp_path)
    assert open_sources(["../t1.csv"], Path("conf"))[0].name == "t1.csv"
    assert open_sources(["-"], Path())[0].name == "stdin"

    monkeypatch.chdir(tmp_path / "conf")
    assert open_sources([f"{tmp_path}/t1.csv"], Path())[0].name == f"{tmp_path}/t1.csv"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("token.csv", "token.csv is not there"),
        ("*.tsv", r"\*\.tsv matches no file"),
        ("empty", "empty is a folder without a file"),
        ("tokens.csv/x.csv", "tokens.csv/x.csv is not there"),
    ],
)
def test_a_path_that_gives_nothing_is_told(tmp_path: Path, path: str, told: str) -> None:
    (tmp_path / "tokens.csv").write_text("a,b\n")
    (tmp_path / "empty").mkdir()

    with pytest.raises(SourceError, match=told) as caught:
        open_sources(["tokens.csv", path], tmp_path)
    assert caught.value.hint


def test_a_slip_in_the_name_of_a_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "tokens.csv").write_text("a,b\n")

    with pytest.raises(SourceError) as caught:
        open_sources(["tokenz.csv"], tmp_path)
    assert caught.value.hint == "Did you mean tokens.csv?"


def test_no_source_an_unknown_format_and_parquet_on_stdin_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no source is given"):
        open_sources([], tmp_path)
    with pytest.raises(SourceError, match="xml is not a format"):
        open_sources(["-"], tmp_path, "xml")
    with pytest.raises(SourceError, match="standard input"):
        open_sources(["-"], tmp_path, "parquet")


def test_where_the_suffix_says_nothing_the_content_does(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "export")
    (tmp_path / "export2").write_bytes(gzip.compress(b"a\n1\n", mtime=0))

    parquet, text = open_sources(["export", "export2"], tmp_path)

    assert read(parquet, 5) == ([1], [[1]])
    assert read(text, 5) == ([1], [["1"]])


def test_the_format_asked_for_wins_over_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("a\n1\n")

    assert read(open_sources(["t.parquet"], tmp_path, "csv")[0], 5) == ([1], [["1"]])


def test_a_file_that_vanishes_after_it_was_found_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    sources = [source_of(tmp_path, b"a\n1\n", "t.csv"), *open_sources(["t.parquet"], tmp_path)]
    for source in sources:
        Path(tmp_path / Path(source.name).name).unlink()
        for act in (source.columns, source.stamp, lambda source=source: list(source.chunks())):
            with pytest.raises(SourceError, match=r"t\.(csv|parquet) cannot be read: No such file"):
                act()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    source = source_of(tmp_path, b"a\n1\n")
    (tmp_path / "tokens.csv").chmod(0)

    assert "Permission denied" in str(refusal(source))


def test_a_changed_file_has_another_stamp(tmp_path: Path) -> None:
    source = source_of(tmp_path, b"a\n1\n")
    before = source.stamp()
    (tmp_path / "tokens.csv").write_bytes(b"a\n1\n2\n")

    assert source.stamp() != before


def test_pandas_and_pyarrow_are_loaded_only_when_a_source_is_opened() -> None:
    program = (
        "import sys, importer.sources, importer.sources.base, importer.sources.columns\n"
        "sys.exit(bool({'pandas', 'pyarrow'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# --- text --------------------------------------------------------------------------------------------------------


CELL = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
SPECIAL = st.text(alphabet=',;\t|"\r\n a\u2028é', max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(data=st.data(), width=st.integers(1, 5), size=st.integers(1, 8), packed=st.booleans())
def test_what_a_csv_writer_wrote_comes_back_exactly(
    tmp_path: Path, data: st.DataObject, width: int, size: int, packed: bool
) -> None:
    row = st.lists(CELL | SPECIAL, min_size=width, max_size=width)
    rows = data.draw(st.lists(row, max_size=20))
    columns = [f"column{number}" for number in range(width)]
    content = text_of(columns, rows)

    source = source_of(tmp_path, gzip.compress(content) if packed else content)

    assert issues(source) == {}
    assert read(source, size) == (list(range(1, len(rows) + 1)), rows)


def test_cells_stay_as_they_were_written(tmp_path: Path) -> None:
    cells = ["007", "NA", "null", "1e5", "12345678901234567890", "TRUE", "", " x ", "1.10", "nan", "2026-01-31"]
    columns = [f"column{number}" for number in range(len(cells))]
    source = source_of(tmp_path, text_of(columns, [cells]))

    ((read_back,),) = [cells_of(chunk) for chunk in source.chunks()]

    assert read_back == cells
    assert {type(cell) for cell in read_back} == {str}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_the_header_outside_quotes(tmp_path: Path, delimiter: str) -> None:
    others = ",;\t|".replace(delimiter, "") * 5
    header, row = ["group_ref", f'"name{others}last"', "token"], ["acme", "Ann", "x"]
    source = source_of(tmp_path, f"{delimiter.join(header)}\n{delimiter.join(row)}\n".encode())

    assert source.columns() == ["group_ref", f"name{others}last", "token"]
    assert read(source, 5) == ([1], [row])


def test_a_file_of_one_column_is_legal(tmp_path: Path) -> None:
    source = source_of(tmp_path, b'refresh_token\nfake-1\n""\nfake-2\n')

    assert read(source, 5) == ([1, 2, 3], [["fake-1"], [""], ["fake-2"]])


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n3,4\n",
        b"a,b\r\n1,2\r\n3,4\r\n",
        b"a,b\r1,2\r3,4",
        b"\xef\xbb\xbfa,b\n1,2\n3,4",
        b"\n\r\na,b\n\n1,2\n\n\n3,4\n\n",
        b" a , b\n1,2\n3,4\n",
        "a,b\n1,2\n3,4\n".encode("utf-16"),
        b"\xfe\xff" + "a,b\r\n1,2\r\n3,4".encode("utf-16-be"),
    ],
    ids=["lf", "crlf", "cr", "bom", "blank-lines", "blanks-in-header", "utf-16-le", "utf-16-be"],
)
def test_ways_of_writing_the_same_text_give_the_same_rows(tmp_path: Path, content: bytes) -> None:
    source = source_of(tmp_path, content)

    assert source.columns() == ["a", "b"]
    assert read(source, 1) == ([1, 2], [["1", "2"], ["3", "4"]])


@pytest.mark.parametrize("codec", ["gzip", "zstd", "bz2", "lz4"])
def test_compressed_text_is_unpacked_whatever_it_is_called(tmp_path: Path, codec: str) -> None:
    with pa.output_stream(tmp_path / "tokens.csv", compression=codec) as file:
        file.write(text_of(COLUMNS, ROWS))

    assert read(open_sources(["tokens.csv"], tmp_path)[0], 5) == (list(range(1, 24)), ROWS)


def test_standard_input_is_read_as_csv() -> None:
    program = (
        "from pathlib import Path; from importer.sources import open_sources\n"
        "source = open_sources(['-'], Path())[0]\n"
        "print(source.repeatable, source.stamp(), source.columns(), sum(len(chunk.rows) for chunk in source.chunks(4)))"
    )

    for content in (text_of(COLUMNS, ROWS), gzip.compress(text_of(COLUMNS, ROWS))):
        done = subprocess.run([sys.executable, "-c", program], input=content, capture_output=True, check=True)
        assert done.stdout.decode().strip() == f"False None {COLUMNS} 23"
        assert done.stderr == b""


# --- rows that cannot be read ------------------------------------------------------------------------------------

BAD_LINES = [
    (b"1,2\n", Code.RAGGED_ROW, "2 fields where the header has 3 (line 4)"),
    (b"1\n", Code.RAGGED_ROW, "1 field where the header has 3 (line 4)"),
    (b"   \n", Code.RAGGED_ROW, "1 field where the header has 3 (line 4)"),
    (b"1,2,3,4\n", Code.RAGGED_ROW, "4 fields where the header has 3 (line 4)"),
    (b'1,"2\n3\n4"\n', Code.RAGGED_ROW, "2 fields where the header has 3 (lines 4-6 were read as one row)"),
    (b"1,M\xfcller,3\n", Code.BAD_ENCODING, "holds bytes that are not UTF-8 (line 4)"),
    (b"1,\xed\xa0\x80,3\n", Code.BAD_ENCODING, "holds bytes that are not UTF-8 (line 4)"),
    (b"1,a\0b,3\n", Code.BAD_ENCODING, "holds a NUL character (line 4)"),
    (b'1,"abc"def,3\n', Code.BAD_QUOTE, "a quoted field goes on behind its closing quote (line 4)"),
    (b'1,2,"abc\n4,"5",6\n', Code.BAD_QUOTE,
     "a quoted field goes on behind its closing quote (lines 4-5 were read as one row)"),
    (b"1,%b,3\n" % (b"x" * (FIELD_LIMIT + 1)), Code.FIELD_TOO_LONG,
     "holds a field of more than 1,048,576 characters (line 4)"),
    (b'1,"%b",3\n' % (b"x" * (FIELD_LIMIT + 1)), Code.FIELD_TOO_LONG,
     "holds a field of more than 1,048,576 characters (line 4)"),
    (b'1,"%b",3\n' % (b"x" * (2 * LINE_LIMIT)), Code.FIELD_TOO_LONG,
     "holds a line of more than 16,777,216 characters (line 4)"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "reason"), BAD_LINES, ids=[str(at) for at in range(len(BAD_LINES))])
@pytest.mark.parametrize("size", [1, 2, 5_000])
def test_a_row_that_cannot_be_read_is_told_and_the_rest_goes_on(
    tmp_path: Path, line: bytes, code: Code, reason: str, size: int
) -> None:
    source = source_of(tmp_path, b"\na,b,c\n1,2,3\n" + line + b"7,8,9\n" + line + b"10,11,12\n")

    found = issues(source, size)

    assert read(source, size) == ([1, 3, 5], [["1", "2", "3"], ["7", "8", "9"], ["10", "11", "12"]])
    assert list(found) == [2, 4]
    assert (found[2].code, found[2].reason, found[2].stage) == (code, reason, Stage.READ)
    assert found[2].fix
    assert found[4].code == code


def test_what_is_told_of_a_row_quotes_no_cell(tmp_path: Path) -> None:
    lines = [b"fake,secret", b"fake,se\xfccret,x", b'fake,"sec"ret,x', b"fake,secret,x,y", b"fake\0secret,x,y"]
    source = source_of(tmp_path, b"a,b,c\n" + b"\n".join(lines))

    told = issues(source)

    assert len(told) == 5
    assert not re.search("fake|s.{0,4}cret|sec", repr(told))


def test_a_character_cut_in_two_in_utf_16_ends_the_file_after_the_rows_before_it(tmp_path: Path) -> None:
    source = source_of(tmp_path, "a,b\n1,2\n3,4".encode("utf-16")[:-1])

    assert "breaks off or is damaged after row 1" in str(refusal(source))


@pytest.mark.parametrize(
    ("rest", "row", "line"),
    [
        (b'4,"5,6\n7,8,9\n', 3, 6),
        (b'4,5,"', 3, 6),
        (b'"4\n4","5,6\n7,8,9\n', 3, 7),
        (b'4,"5\nsay ""hi""\n7,8,9\n', 3, 6),
        (b'4,"5\n' + b"7,8,9\n" * (FIELD_LIMIT // 5), 3, 6),
        (b'4,"5' + b"x" * 3 * LINE_LIMIT, 3, 6),
    ],
    ids=[
        "to-the-end",
        "at-the-end",
        "in-the-second-line",
        "before-doubled-ones",
        "over-many-rows",
        "in-an-endless-line",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5_000])
def test_a_quote_that_is_never_closed_is_told_where_it_opens(
    tmp_path: Path, rest: bytes, row: int, line: int, size: int
) -> None:
    source = source_of(tmp_path, b"a,b,c\n1,2,3\n\n1,2\n\n" + rest)

    came, error = until_refused(source, size)

    assert str(error) == f"{source.name} row {row} (line {line}): a quote opened here is never closed"
    assert came == [1, 2]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from([b'"', b'""', b",", b"\n", b"\n", b"\r", b"a", b"\xff", b"\0"]), max_size=40))
def test_whatever_the_bytes_every_row_is_told_once_whatever_the_size_of_a_chunk(
    tmp_path: Path, pieces: list[bytes]
) -> None:
    source = source_of(tmp_path, b"x,y\n" + b"".join(pieces))

    def told(size: int) -> list[str]:
        found: list[str] = []
        try:
            for chunk in source.chunks(size):
                whole = zip(chunk.rows, map(repr, cells_of(chunk)), strict=True)
                found += [text for _, text in sorted([*whole, *((bad.row, repr(bad)) for bad in chunk.bad)])]
                assert len(found) == max([*chunk.rows, *(bad.row for bad in chunk.bad)])
        except SourceError as error:
            found.append(str(error))
        return found

    assert told(1) == told(3) == told(5_000)


# --- files that cannot be read -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"\n\r\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"a,b,a\n1,2,3\n", "columns 1 and 3 of .* have the same name"),
        (b"a,b, a\n1,2,3\n", "columns 1 and 3 of .* have the same name"),
        (b"a,,c\n1,2,3\n", "column 2 of .* has no name"),
        (b"a,b, \n1,2,3\n", "column 3 of .* has no name"),
        (b'a,"b"c\n1,2\n', "header of .* a quoted field goes on behind its closing quote"),
        (b'a,"b\n1,2\n', r"header \(line 1\): a quote opened here is never closed"),
        (b"a,M\xfcller\n1,2\n", "header of .* holds bytes that are not UTF-8"),
        (b"a\0b,c\n1,2\n", "header of .* holds a NUL"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "header of .* holds a NUL"),
        (b"\x89PNG\r\n\x1a\n\0\0", "seems to be a PNG image"),
        (b"PK\x03\x04\x14\0", "seems to be an Excel workbook"),
        (gzip.compress(b"PK\x03\x04\x14\0", mtime=0), "seems to be an Excel workbook"),
        (b"PAR1....PAR1", "seems to be Parquet"),
        (b'{"access_token": "fake-access-token-1"}\n', "seems to be JSON"),
        (b"x" * (LINE_LIMIT + 1), "first line of more than"),
        (b"x" * (FIELD_LIMIT + 1), "header of .* holds a field of more than"),
        (b"acme,ann@example.com,x\n", "no header: column 2 of its first line looks like data"),
        (b"acme,shpat_00fake00fake00fake,x\n", "no header: column 2 of its first line looks like data"),
    ],
)  # fmt: skip
def test_a_file_without_a_usable_header_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    source = source_of(tmp_path, content)

    assert re.search(told, str(refusal(source)))
    with pytest.raises(SourceError, match=told):
        source.columns()


@pytest.mark.parametrize("codec", ["gzip", "zstd", "bz2", "lz4"])
def test_a_compressed_file_that_breaks_off_is_told_after_the_rows_before(tmp_path: Path, codec: str) -> None:
    # digits that do not repeat, so that each codec writes several blocks
    rows = [[str(number), str(number**9 % 10**9), "x"] for number in range(200_000)]
    path = tmp_path / "tokens.csv"
    with pa.output_stream(path, compression=codec) as file:
        file.write(text_of(COLUMNS, rows))
    os.truncate(path, path.stat().st_size * 3 // 4)
    source = open_sources(["tokens.csv"], tmp_path)[0]

    came, error = until_refused(source)

    assert len(came) > 50_000
    assert str(error) == f"{source.name}: the compressed data breaks off or is damaged after row {len(came)}"


# --- as a stream -------------------------------------------------------------------------------------------------


def test_the_first_rows_come_before_the_last_are_there(tmp_path: Path) -> None:
    """The pipe's other end writes on only once the first chunk has come: reading ahead would wait for ever."""
    row = b"x" * 100 + b",y\n"
    pipe = Pipe(tmp_path / "pipe", b"a,b\n" + row * 1_000, row * 1_000)
    chunks = open_sources(["pipe"], tmp_path)[0].chunks(100)

    first = next(chunks)
    assert not pipe.go_on.is_set()
    pipe.go_on.set()

    assert list(first.rows) == list(range(1, 101))
    assert sum(len(chunk.rows) for chunk in chunks) == 1_900


def lines(count: int) -> Iterator[str]:
    return (f"{number},{'x' * 400}\n" for number in range(count))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        with (tmp_path / "tokens.csv").open("w") as file:
            file.write("a,b\n")
            file.writelines(lines(count))
        tracemalloc.start()
        try:
            assert sum(len(chunk.rows) for chunk in open_sources(["tokens.csv"], tmp_path)[0].chunks(500)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1_000)

    assert peak(40_000) < 1.5 * peak(4_000)


def test_an_endless_line_is_not_held_in_memory(tmp_path: Path) -> None:
    source = source_of(tmp_path, b"a,b\n1," + b"x" * 8 * LINE_LIMIT + b"\n2,3\n")
    tracemalloc.start()

    (chunk,) = source.chunks()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert list(chunk.rows) == [2]
    assert peak < 5 * LINE_LIMIT


def test_reading_that_is_broken_off_closes_the_file(tmp_path: Path) -> None:
    source = source_of(tmp_path, text_of(COLUMNS, ROWS))
    chunks = source.chunks(1)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]  # a generator

    assert read(source, 5) == (list(range(1, 24)), ROWS)


# --- Parquet -----------------------------------------------------------------------------------------------------


def test_typed_cells_arrive_as_python_values(tmp_path: Path) -> None:
    zone = dt.timezone.utc  # noqa: UP017 - what pyarrow gives compares equal to it
    moment = dt.datetime(2026, 1, 31, 12, 0, 0, 123456)  # noqa: DTZ001 - a column without zone
    cells: dict[str, tuple[pa.DataType, Any]] = {
        "whole": (pa.int64(), 2**53 + 1),
        "unsigned": (pa.uint64(), 2**64 - 1),
        "real": (pa.float64(), 0.1),
        "truth": (pa.bool_(), True),
        "text": (pa.string(), "007"),
        "large": (pa.large_string(), "NA"),
        "dictionary": (pa.dictionary(pa.int32(), pa.string()), "salesforce"),
        "moment": (pa.timestamp("us"), moment),
        "nanos": (pa.timestamp("ns"), moment),
        "zoned": (pa.timestamp("ns", "UTC"), moment.replace(tzinfo=zone)),
        "day": (pa.date32(), dt.date(2026, 1, 31)),
        "decimal": (pa.decimal128(38, 2), Decimal("12345678901234567890.10")),
        "list": (pa.list_(pa.string()), ["a", "b"]),
        "struct": (pa.struct([("x", pa.string())]), {"x": "y"}),
        "bytes": (pa.binary(), b"\x00\xff"),
    }
    table = pa.table({name: pa.array([cell, None], type=kind) for name, (kind, cell) in cells.items()})
    source = parquet_of(tmp_path, table)

    (chunk,) = source.chunks()
    full, empty = cells_of(chunk)

    assert full == [cell for _, cell in cells.values()]
    assert [type(cell) for cell in full] == [type(cell) for _, cell in cells.values()]
    assert empty == [None] * len(cells)


def test_rows_are_numbered_over_all_row_groups(tmp_path: Path) -> None:
    source = parquet_of(tmp_path, pa.table({"a": list(range(1, 101))}), row_group_size=9)

    for size in (4, 9, 50, 1_000):
        assert read(source, size) == (list(range(1, 101)), [[number] for number in range(1, 101)])


def test_timestamps_of_spark_after_2262_are_right(tmp_path: Path) -> None:
    far = dt.datetime(9999, 12, 31)  # noqa: DTZ001 - INT96 has no zone
    table = pa.table({"expires": pa.array([far], pa.timestamp("us"))})
    source = parquet_of(tmp_path, table, use_deprecated_int96_timestamps=True)

    assert read(source, 5)[1] == [[far]]


def test_a_row_group_is_not_held_in_memory(tmp_path: Path) -> None:
    table = pa.table({"a": [f"{number}{'x' * 1_000}" for number in range(40_000)]})
    source = parquet_of(tmp_path, table, compression="none", use_dictionary=False, row_group_size=40_000)
    size = (tmp_path / "tokens.parquet").stat().st_size
    tracemalloc.start()

    rows = sum(len(chunk.rows) for chunk in source.chunks(1_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert rows == 40_000
    assert peak < size / 4


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**62], pa.timestamp("us")),
        pa.Array.from_buffers(pa.string(), 1, pa.array([b"fake\xff"]).buffers()),
    ],
    ids=["year-148000", "not-utf-8"],
)
def test_a_value_that_python_cannot_hold_is_told_with_its_column_and_rows(tmp_path: Path, column: pa.Array) -> None:
    error = refusal(parquet_of(tmp_path, pa.table({"b": column})))

    assert "column b, rows 1-1" in str(error)
    assert "fake" not in str(error)


def test_a_column_whose_name_is_no_utf_8_is_told(tmp_path: Path) -> None:
    source = parquet_of(tmp_path, pa.table({"client_secret": ["fake-secret"]}), store_schema=False)
    path = tmp_path / "tokens.parquet"
    path.write_bytes(path.read_bytes().replace(b"client_secret", b"cl\xefent_secret"))

    error = refusal(source)

    assert "tokens.parquet: the name of a column is no UTF-8" in str(error)
    assert error.hint


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (slice(-20), "is cut off, damaged or encrypted"),
        (slice(2), "is not a Parquet file"),
        (slice(0), "is not a Parquet file"),
        (slice(4, -20), "is not a Parquet file"),
    ],
    ids=["without-its-end", "two-bytes", "empty", "from-the-middle"],
)
def test_a_file_that_is_no_whole_parquet_is_told(tmp_path: Path, kept: slice, told: str) -> None:
    source = parquet_of(tmp_path, pa.table({"a": list(range(1_000))}))
    path = tmp_path / "tokens.parquet"
    path.write_bytes(path.read_bytes()[kept])

    assert told in str(refusal(source))


def test_a_damaged_row_group_is_told_with_its_first_row_after_the_rows_before(tmp_path: Path) -> None:
    table = pa.table({"a": [f"{number**9 % 10**9}" for number in range(40_000)]})
    source = parquet_of(tmp_path, table, row_group_size=10_000, use_dictionary=False)
    path = tmp_path / "tokens.parquet"
    offset = pq.read_metadata(path).row_group(2).column(0).data_page_offset
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 200)

    came, error = until_refused(source, 10_000)

    assert came == list(range(1, 20_001))
    assert "damaged from row 20001 on" in str(error)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])

    assert "columns 1 and 2" in str(refusal(parquet_of(tmp_path, table)))


# --- columns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("Access Token", "access_token"), ("acess_token", "access_token"), ("groupRef", "group_ref"), ("zzz", None)],
)
def test_the_nearest_column_is_found_across_case_and_separators(name: str, nearest: str | None) -> None:
    assert nearest_column(name, COLUMNS) == nearest


def test_a_missing_column_is_told_with_a_dozen_of_those_there(tmp_path: Path) -> None:
    columns = [f"column{number}" for number in range(20)]
    source = source_of(tmp_path, text_of(columns, []))

    with pytest.raises(SourceError, match=r"tokens\.csv has no column zzz") as caught:
        require_columns(source, ["column1", "zzz"])

    assert caught.value.hint == f"It has: {', '.join(columns[:12])}, …"


def test_the_first_row_of_a_file_without_a_header_is_not_shown(tmp_path: Path) -> None:
    source = source_of(tmp_path, b"acme,fake-password-one,hubspot\n")

    with pytest.raises(SourceError) as caught:
        require_columns(source, ["group_ref", "access_token"])

    assert "hubspot" not in caught.value.hint
    assert "first line" in caught.value.hint


@pytest.mark.parametrize("name", ["secret_access_key", "Token expiration date", "metadata.workspace", "2024"])
def test_names_that_begin_as_tokens_do_are_names(tmp_path: Path, name: str) -> None:
    assert source_of(tmp_path, f"a,{name}\n".encode()).columns() == ["a", name]
