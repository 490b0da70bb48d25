"""Canaries: credentials that occur once in the world, put where the samples have a made-up one."""

import random
import re
import string

MADE_UP = re.compile(r"fake-[a-z]+(?:-[a-z]+)*(?:-[a-z]*\d+)?")
"""What the samples have for a credential."""

_LETTERS = string.ascii_letters + string.digits


class Canaries:
    """Makes canaries, each other than all before, and keeps them."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self.made: list[str] = []

    def token(self) -> str:
        """An opaque token, with characters that a URL or base64 escapes."""
        return self._keep(f"fake{self._word(14)}/{self._word(10)}+{self._word(8)}=")

    def jwt(self) -> str:
        """Three parts, as an ID token."""
        return self._keep(f"eyJ{self._word(18)}.eyJ{self._word(24)}.{self._word(20)}")

    def password(self) -> str:
        """Signs that JSON, HTML, CSV and URLs escape, and a letter outside of ASCII."""
        return self._keep(f"fake{self._word(7)}\"<&ü%\\{self._word(9)}'>;={self._word(6)}")

    def short(self) -> str:
        """Eight characters, as people choose them."""
        return self._keep(f"{self._word(4)}!{self._word(3)}")

    def in_place_of_the_made_up(self, text: str) -> str:
        """A sample with a canary for each credential: the same for the same, as a shared client has."""
        own: dict[str, str] = {}
        return MADE_UP.sub(lambda found: own.setdefault(found[0], self.token()), text)

    def _word(self, length: int) -> str:
        return "".join(self._random.choices(_LETTERS, k=length))

    def _keep(self, canary: str) -> str:
        self.made.append(canary)
        return canary
