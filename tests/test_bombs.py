"""Inputs that are small and become large, or never end: one line within a bounded time and memory, and no row lost.

The command runs as a process of its own, whose peak of memory the system tells.
"""

import base64
import bz2
import functools
import gzip
import hashlib
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from importer.mapping.ciphers import SCHEMES
from importer.sources import open_sources
from importer.sources.base import CHUNK_ROWS

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the peak of a process's memory")

MOST_MB = 600
"""Peak of the whole process; some 150 of it are pandas and pyarrow."""

LONGEST_S = 60
"""Seconds; on a machine with nothing else to do it takes a few."""

MIB = 1024 * 1024

_HEADER = b"provider,group_ref,consumer_ref,api_key\n"
_ROW = b"stripe,g1,u1,fake-key-" + b"1" * 300 + b"\n"

_MEASURED = """
import sys
from pathlib import Path
from importer import cli
try:
    cli.main()
except SystemExit as ended:
    code = ended.code
# not ru_maxrss, which begins with what the process that started this one holds
(peak_kb,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
print("peak", int(peak_kb) // 1024, file=sys.stderr)
raise SystemExit(code)
"""


def plan(home: Path, *words: str) -> tuple[int, str, int]:
    """Exit code, what was said, and the peak of memory in MiB."""
    # with the rows prepared in the same process, whose memory is measured
    (home / "config.toml").write_text("[source]\nprocesses = 1\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AMP_")}
    ended = subprocess.run(
        [sys.executable, "-c", _MEASURED, "plan", *words],
        cwd=home, env=environment, capture_output=True, text=True, timeout=LONGEST_S, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    said, _, peak = ended.stderr.rpartition("peak ")
    return ended.returncode, said, int(peak)


_READ = """
import sys
from pathlib import Path
from importer.errors import SourceError
from importer.sources import open_sources
code = 0
try:
    (source,) = open_sources([sys.argv[1]], Path())
    assert sum(len(chunk.rows) for chunk in source.chunks()) == int(sys.argv[2])
except SourceError as error:
    code = print(error, file=sys.stderr) or 2
(peak_kb,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
print("peak", int(peak_kb) // 1024, file=sys.stderr)
raise SystemExit(code)
"""


def measured(home: Path, *words: str | int) -> tuple[int, str, int]:
    """The same of reading every row of a file and doing nothing with it."""
    ended = subprocess.run(
        [sys.executable, "-c", _READ, *map(str, words)], cwd=home, capture_output=True, text=True, timeout=LONGEST_S
    )
    said, _, peak = ended.stderr.rpartition("peak ")
    return ended.returncode, said, int(peak)


def zeros(mib: int) -> Iterator[bytes]:
    yield from [b"\0" * MIB] * mib


def of(head: bytes, unit: bytes, mib: int, tail: bytes = b"") -> Iterator[bytes]:
    """A head, a unit again and again, and a tail."""
    yield head
    piece = unit * (MIB // len(unit))
    yield from (piece for _ in range(mib))
    yield tail


def packed(path: Path, pieces: Iterator[bytes], *, in_one: bool = False) -> Path:
    """A compressed file, by its suffix: `in_one` stream, or in one for each piece, of which the same costs nothing."""
    pack = functools.cache({
        ".gz": functools.partial(gzip.compress, compresslevel=1),
        ".bz2": functools.partial(bz2.compress, compresslevel=1),
        ".zst": functools.partial(pa.compress, codec="zstd", asbytes=True),
    }[path.suffix])  # fmt: skip
    with path.open("wb") as file:
        file.writelines([pack(b"".join(pieces))] if in_one else map(pack, pieces))
    return path


BOMBS: dict[str, tuple[str, Callable[[], Iterator[bytes]]]] = {
    "zeros_gz": ("b.csv.gz", lambda: zeros(1024)),
    "zeros_zst": ("b.csv.zst", lambda: zeros(2048)),
    "zeros_bz2": ("b.csv.bz2", lambda: zeros(512)),
    "one_row_again": ("b.csv.zst", lambda: of(_HEADER, _ROW, 512)),
    "blank_lines": ("b.csv.gz", lambda: of(_HEADER + _ROW, b"\n", 512)),
    "blank_lines_first": ("b.csv.gz", lambda: of(b"", b"\n", 512)),
    "one_cell": ("b.csv.gz", lambda: of(_HEADER + b'stripe,g1,"', b"x", 512, b'",a\n')),
    "an_open_quote": ("b.csv.gz", lambda: of(_HEADER + b'stripe,g1,"', b"x\n", 512)),
    "delimiters": ("b.csv.gz", lambda: of(_HEADER, b",", 512)),
    "columns": ("b.csv.gz", lambda: of(b"", b"ab,", 512)),
    "json_zeros": ("b.jsonl.gz", lambda: zeros(1024)),
    "json_string": ("b.json.gz", lambda: of(b'[{"a": "', b"x", 512, b'"}]')),
    "json_string_in_lines": ("b.jsonl.gz", lambda: of(b'{"a": "', b"x", 512, b'"}\n')),
    "json_rows": ("b.jsonl.zst", lambda: of(b"", b'{"provider": "stripe", "group_ref": "g1"}\n', 512)),
    "json_nesting": ("b.json.gz", lambda: of(b'[{"a": ', b"[", 512)),
    "json_list": ("b.json.gz", lambda: of(b'[{"a": [1', b",1", 512, b"]}]")),
    "json_name": ("b.json.gz", lambda: of(b'{"', b"x", 512, b'": [{}]}')),
    "json_blanks": ("b.json.gz", lambda: of(b"[", b" ", 512, b"{}]")),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_one_line_in_bounded_time_and_memory(tmp_path: Path, name: str) -> None:
    file, pieces = BOMBS[name]
    path = packed(tmp_path / file, pieces(), in_one=name == "one_cell")

    code, said, peak = plan(tmp_path, path.name)

    assert code in (2, 3)
    assert file in said
    assert "Traceback" not in said
    assert peak < MOST_MB
    assert max(map(len, said.splitlines())) < 300


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("dictionary", [False, True])
def test_a_long_value_that_a_page_repeats_is_never_there_as_often(
    tmp_path: Path, dictionary: bool, nested: bool
) -> None:
    """Ten gigabytes in 50 kB: one long value to which all rows of a file point, or of which each has a copy."""
    rows = 10_000 if dictionary else 400
    long = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * MIB]))
    column = pa.StructArray.from_arrays([long], ["a"]) if nested else long
    schema = pa.schema([("id", pa.string()), ("long", pa.struct({"a": pa.string()}) if nested else pa.string())])
    table = pa.table({"id": [str(n) for n in range(rows)], "long": column.cast(schema.field("long").type)
                      if not dictionary else column})  # fmt: skip
    pq.write_table(table, tmp_path / "b.parquet", compression="zstd", use_dictionary=dictionary)

    code, said, peak = measured(tmp_path, "b.parquet", rows)

    assert peak < MOST_MB
    assert code == (0 if dictionary else 2), said
    assert dictionary or "expands to more than 250 times its size" in said


@pytest.mark.parametrize("limit", [64 * 1024, 64 * MIB], ids=["written out", "in the dictionary"])
@pytest.mark.parametrize("at", [0, 30_000, 59_999], ids=["first", "in the middle", "last"])
def test_the_rows_of_a_batch_are_as_few_as_the_longest_value_wants(tmp_path: Path, at: int, limit: int) -> None:
    """A megabyte in one row of 60,000, behind a dictionary of short values and in another row group than the first."""
    values = [f"fake-value-{n}" for n in range(60_000)]
    values[at] = "x" * MIB
    table = pa.table({"id": [str(n) for n in range(60_000)], "long": values})
    pq.write_table(table, tmp_path / "b.parquet", dictionary_pagesize_limit=limit, row_group_size=25_000)

    (source,) = open_sources([str(tmp_path / "b.parquet")], tmp_path)

    assert {len(chunk.rows) for chunk in source.chunks()} <= set(range(1, 17))
    assert next(source.chunks()).rows == range(1, 17)
    pq.write_table(table.slice(0, 20_000).set_column(1, "long", [["short"] * 20_000]), tmp_path / "b.parquet")
    assert next(source.chunks()).rows == range(1, CHUNK_ROWS + 1)


def test_rows_that_differ_in_a_number_are_no_bomb(tmp_path: Path) -> None:
    """What compresses best of all that is honest: numbered refs, and one key for all."""
    rows = b"".join(b"stripe,g%d,u%d,fake-key-of-the-whole-company-1234567890\n" % (n, n) for n in range(300_000))
    path = packed(tmp_path / "tokens.csv.gz", iter([_HEADER, rows]))

    (source,) = open_sources([str(path)], tmp_path)

    assert len(rows) > 15 * MIB
    assert sum(len(chunk.rows) for chunk in source.chunks()) == 300_000


@pytest.mark.parametrize("depth", [90, 150, 900, 4_000])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
@pytest.mark.parametrize("marker", ["a", "$oid"])
def test_a_row_is_read_or_says_that_it_is_too_deep(tmp_path: Path, name: str, depth: int, marker: str) -> None:
    deep = f'{{"a": {"[" * depth}{{"{marker}": 1}}{"]" * depth}}}'
    sound = json.dumps({"a": 1})
    lines = [deep, sound]
    (tmp_path / name).write_text("\n".join(lines) if name.endswith("l") else f"[{', '.join(lines)}]")

    (source,) = open_sources([name], tmp_path)
    (chunk,) = source.chunks()

    assert [*chunk.rows] == ([1, 2] if depth < 100 else [2])
    assert [bad.row for bad in chunk.bad] == ([] if depth < 100 else [1])


def test_a_cell_that_expands_to_gigabytes_does_not_open() -> None:
    """Rails compresses what it encrypts: a megabyte of base64 could hold a gigabyte."""
    key = hashlib.pbkdf2_hmac("sha256", b"fake-primary-key", b"fake-salt", 2**16, 32)

    def sealed(plain: bytes) -> bytes:
        iv, whole = b"0" * 12, AESGCM(key).encrypt(b"0" * 12, zlib.compress(plain), None)
        text = [base64.b64encode(part).decode() for part in (whole[:-16], iv, whole[-16:])]
        return json.dumps({"p": text[0], "h": {"iv": text[1], "at": text[2], "c": True}}).encode()

    open_ = SCHEMES["rails"]("fake-primary-key", "fake-salt")
    assert open_([sealed(b"fake-token-1" * 20)]) == b"fake-token-1" * 20
    with pytest.raises(ValueError, match=r"^$"):
        open_([sealed(b"\0" * 300 * MIB)])
