"""How the sandbox misbehaves: the closed list of faults, and who meets which one when."""

import random
from collections import defaultdict, deque
from collections.abc import Mapping
from difflib import get_close_matches

READS = frozenset({"list", "get", "project", "providers", "provider_apps"})
KINDS = READS | {"generate", "patch", "delete"}

_GENERATE = frozenset({"generate"})
_WRITES = frozenset({"generate", "patch", "delete"})

# Fault -> the kinds of request the dice let it hit. The order is part of what a seed means: append, never sort.
FAULTS: Mapping[str, frozenset[str]] = {
    "drop_before": KINDS,  # hangs up, nothing committed
    "drop_after_commit": _WRITES,  # commits, then hangs up
    "500_before": KINDS,
    "500_after_commit": _WRITES,
    "503_retryable": KINDS,  # the problem says retryable, nothing committed
    "503_retryable_after_commit": _GENERATE,  # says retryable as well, and a retry makes a second connection
    "html_502": KINDS,  # what a proxy answers; nothing committed
    "slow": _GENERATE,  # waits, then commits and answers, even when the client has gone
    "bad_json": _GENERATE,  # commits, then a 201 that does not parse
    "echo_secret_422": frozenset({"generate", "patch"}),  # refuses and quotes the credentials; nothing committed
}


NONE = "none"
"""In a script: this request meets no fault."""

SCRIPTED: Mapping[str, frozenset[str]] = {
    NONE: KINDS,
    "401": KINDS,  # the key is refused, this once
    "403": KINDS,  # the key has no right to this
    "422_retryable": _WRITES,  # refused, and the problem says that it may be tried again
    "429_wait": KINDS,  # refused for pace; Retry-After: 3
}
"""What only a script can bring about: by dice it would be no fault of one request but another server."""


class Dice:
    """Decides which fault a request meets: a scripted one first, else one drawn from a seeded generator."""

    def __init__(self, probabilities: Mapping[str, float], seed: int) -> None:
        for fault, probability in probabilities.items():
            _known(fault)
            if not 0 <= probability <= 1:
                raise ValueError(f"The probability of {fault} is {probability}: give 0 to 1.")
        # Half a millionth of slack: ten times 0.1 is a little more than 1.
        if sum(probabilities.values()) > 1 + 5e-7:
            raise ValueError(f"The probabilities of all faults add up to {sum(probabilities.values())}: at most 1.")
        self._probabilities = [(fault, probabilities[fault]) for fault in FAULTS if fault in probabilities]
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._scripted: dict[str, deque[str]] = defaultdict(deque)

    def script(self, fault: str, times: int, on: str) -> None:
        """Let the next `times` requests of the kind `on` ("read" is any GET) meet this fault."""
        if fault not in SCRIPTED:
            _known(fault)
        if on not in KINDS | {"read"}:
            raise ValueError(f"{on!r} is no kind of request: {', '.join(sorted(KINDS | {'read'}))}.")
        kinds = READS if on == "read" else {on}
        hit = FAULTS.get(fault) or SCRIPTED[fault]
        if fault != "slow" and not kinds <= hit:
            raise ValueError(f"{fault} cannot hit {on}, only {', '.join(sorted(hit))}.")
        self._scripted[on].extend([fault] * times)

    def forget(self) -> None:
        """Drop what was scripted and not met yet."""
        self._scripted.clear()

    def roll(self, kind: str) -> str | None:
        """The fault that this request meets, or None. One draw a request, whatever its kind; none if scripted."""
        for on in (kind, "read") if kind in READS else (kind,):
            if self._scripted[on]:
                fault = self._scripted[on].popleft()
                return None if fault == NONE else fault
        if not self._probabilities:
            return None
        point = self._random.random()
        for fault, probability in self._probabilities:
            if point < probability:
                return fault if kind in FAULTS[fault] else None
            point -= probability
        return None


def _known(fault: str) -> None:
    if fault in FAULTS:
        return
    near = get_close_matches(fault, FAULTS, n=1, cutoff=0.4)
    meant = f"Did you mean {near[0]}? " if near else ""
    raise ValueError(f"Unknown fault {fault!r}. {meant}The faults are {', '.join(FAULTS)}.")
