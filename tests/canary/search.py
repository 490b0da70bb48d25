"""Finding canaries in bytes: any twelve characters of one, in whatever form they left."""

import base64
import html
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

WINDOW = 12
"""Characters in a row that count as found; a canary that is shorter counts as a whole."""


class Search:
    """Looks for canaries in bytes: as they stand, escaped or encoded, in upper or lower case, whole or a piece."""

    def __init__(self, canaries: Iterable[str]) -> None:
        self._windows: dict[bytes, str] = {}
        self._short: dict[bytes, str] = {}
        for canary in canaries:
            for form in _forms(canary):
                if len(form) < WINDOW:
                    self._short[form] = canary
                for start in range(len(form) - WINDOW + 1):
                    self._windows[form[start : start + WINDOW]] = canary

    def in_bytes(self, content: bytes) -> set[str]:
        """The canaries of which a piece is in it."""
        text = content.lower()
        found = {canary for form, canary in self._short.items() if form in text}
        windows = self._windows
        pieces = {text[start : start + WINDOW] for start in range(len(text) - WINDOW + 1)}
        return found | {windows[piece] for piece in pieces & windows.keys()}

    def in_files(self, folder: Path) -> dict[str, set[str]]:
        """File -> the canaries in it or in its name, for each that holds one."""
        found: dict[str, set[str]] = {}
        for path in sorted(folder.rglob("*")):
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            if canaries := self.in_bytes(bytes(path.relative_to(folder)) + b"\n" + content):
                found[str(path.relative_to(folder))] = canaries
        return found


def _forms(canary: str) -> Iterator[bytes]:
    """The forms in which a canary could leave, in lower case."""
    raw = canary.encode()
    texts = {canary, json.dumps(canary)[1:-1], json.dumps(json.dumps(canary))[3:-3], repr(canary)[1:-1], quote(canary)}
    texts |= {quote_plus(canary), html.escape(canary), canary.replace('"', '""'), raw.hex()}
    for shift in range(3):
        # the first characters carry what stands before a canary, the last what comes after it
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")[-(-shift * 4 // 3) : -1]
        texts |= {encoded, encoded.replace("+", "-").replace("/", "_")}
    return (text.encode().lower() for text in texts)
