"""What a command loads before it does anything: those that send nothing start at once."""

import subprocess
import sys
from pathlib import Path

import pytest

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
