"""What a command loads before it does anything: those that send nothing start at once."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from desk import key_row, write_csv

from importer.ledger import SqliteLedger

HEAVY = ("pandas", "numpy", "pyarrow", "pydantic", "httpx", "aiohttp", "tenacity", "sqlalchemy", "tqdm")

LOADED = """
import sys
from importer import cli
code = cli.run_command(sys.argv[1:])
print(code, *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words", [("--help",), ("run", "--help"), ("status",), ("status", "--json"), ("init",)], ids=" ".join
)
def test_a_command_that_sends_nothing_loads_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    if words != ("init",):
        (tmp_path / "config.toml").write_text("[limits]\nrate = 5\n")
    SqliteLedger(tmp_path / "importer-ledger.db").close()

    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    code, *loaded = done.stderr.splitlines()[-1].split()

    assert code == "0", done.stderr
    assert set(loaded).isdisjoint(HEAVY)


ALLOCATED = """
import sys
from importer import cli
try:
    cli.main(["plan", "rows.csv"])
finally:
    import pyarrow
    print(pyarrow.default_memory_pool().backend_name, file=sys.stderr)
"""


@pytest.mark.parametrize("chosen", [None, "mimalloc"])
def test_what_pyarrow_has_read_is_given_back_unless_somebody_chose_otherwise(
    tmp_path: Path, chosen: str | None
) -> None:
    write_csv(tmp_path / "rows.csv", [key_row(1)])
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AMP_", "ARROW_"))}

    done = subprocess.run(
        [sys.executable, "-c", ALLOCATED], cwd=tmp_path, capture_output=True, text=True, check=True,
        env=own | ({"ARROW_DEFAULT_MEMORY_POOL": chosen} if chosen else {}),
    )  # fmt: skip

    assert done.stderr.splitlines()[-1] == (chosen or "system")


FREED = """
import sys
from importer.process import give_memory_back
size = int(sys.argv[1])
if sys.argv[2:]:
    give_memory_back()

def resident_mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4_096 >> 20

block = b"x" * size  # given back, it has glibc take the next ones from its heap
del block
before = resident_mib()
blocks = [b"x" * size for _ in range(100_000_000 // size)]
last = blocks.pop()  # keeps what lies before it in a heap
assert resident_mib() - before > 40
blocks.clear()
print(resident_mib() - before)
"""


def kept_mib(size: int, *more: str) -> int:
    """Of 100 MB in blocks of a size that were freed, what the process keeps."""
    words = [sys.executable, "-c", FREED, str(size), *more]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="a setting of glibc's malloc")
def test_large_blocks_go_back_to_the_system_and_those_of_a_read_of_tls_do_not() -> None:
    """asyncio takes and frees 256 KiB at every read: asking the system each time cost a tenth of a run."""
    assert kept_mib(1_000_000, "given back") <= 5 < kept_mib(1_000_000)
    assert kept_mib(256 * 1024, "given back") > 5
