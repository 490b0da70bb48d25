"""No input of any parser ends in a traceback, hangs, or loses a row: see `fuzz/targets.py` for what each may not do.

Here each gets some hundred inputs out of pieces of its own samples, and all that ever broke one; `fuzz/guided.py` does
the same for millions.
"""

import random
from datetime import timedelta
from pathlib import Path

import pytest
from fuzz.targets import TARGETS, seeds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_HOSTILE = [
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\\ud800",
    b'"',
    b"''",
    b"\r\n",
    b"\x1c",
    b"\x85",
    b"{",
    b"[",
    b"]",
    b"}",
    b"$",
    b"..",
    b"%",
    b"9" * 400,
    b"1e999",
    b"-0",
    b"NaN",
    b"null",
    b"true",
    b"{}",
    b"[[",
    "\u2028".encode(),
    "İ".encode(),
    b"{row.__class__}",
    b"$.__class__",
    b"__proto__",
    b"%s%n",
    b"../" * 9,
    b"=cmd|",
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"\x1f",
]


def _inputs(samples: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Random bytes, and samples that were cut, joined and spoiled."""

    def spoiled(sample: bytes, seed: int) -> bytes:
        chance, content = random.Random(seed), bytearray(sample)
        for _ in range(chance.randint(0, 6)):
            at = chance.randrange(len(content) + 1)
            length = chance.choice((0, 1, 4, 40))
            content[at : at + length] = chance.choice(
                [*_HOSTILE, bytes([chance.randrange(256)]), content[at : at + 30]]
            )
        return bytes(content)

    return st.one_of(
        st.binary(max_size=200),
        st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.builds(spoiled, st.sampled_from(samples), st.integers(0, 2**32)),
        st.builds(bytes.__add__, st.sampled_from(samples), st.sampled_from(_HOSTILE)),
    )


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # else that is all that is told of what broke
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_parser(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=150, deadline=timedelta(seconds=5), suppress_health_check=list(HealthCheck))
    @given(_inputs(target.samples))
    def try_(content: bytes) -> None:
        target.run(content)

    for sample in target.samples:
        target.run(sample)
    try_()


@pytest.mark.parametrize("seed", [pytest.param(path, id=f"{n}-{path.name}") for n in TARGETS for path in seeds(n)])
def test_what_once_broke_a_parser_does_not_any_more(seed: Path) -> None:
    TARGETS[seed.parent.name].run(seed.read_bytes())
