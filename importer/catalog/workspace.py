"""The shape of a provider's `workspace`, from where the catalog's URLs have it, and the workspace out of a URL.

`https://{{.workspace}}.zendesk.com` wants a label, `https://{{.workspace}}/api` a host, `{{.workspace}}/rest` a URL,
and `https://auth.seismic.com/tenants/{{.workspace}}` an id. Where no URL has it, nothing is known of its shape.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from importer.catalog.quirks import NUMBERED_WORKSPACES, OTHER_URLS

WORKSPACE = "workspace"

TEMPLATE = re.compile(r"\{\{\s*\.?(\w+)\s*\}\}")
"""`{{.workspace}}`, a Go template as the catalog writes it; group 1 is the name."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(:[0-9]{1,5})?")
_LONGEST = 2_000
"""Characters that an address may have."""

_TOP_LEVEL = (".com", ".net", ".org", ".io")
"""Ends of whole hosts. A label may have dots, as `acme--dev.sandbox` and `rest.eu` have, but not these ends."""


class Kind(StrEnum):
    """What a workspace is."""

    LABEL = "label"
    HOST = "host"
    URL = "URL"
    ID = "id"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Oddity:
    """What is wrong with a workspace, without quoting it; `certain` if no request could succeed with it."""

    certain: bool
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of one provider's workspace.

    `judge` is the rule of its kind; `templates` are the hosts or addresses that hold it, the catalog's own first;
    `domains` are the last two parts of the hosts that hold a label; `path` is what follows a base URL.
    """

    kind: Kind
    judge: Callable[["Shape", str], Oddity | None]
    templates: tuple[str, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()
    domains: tuple[str, ...] = ()
    path: str = ""
    numbered: bool = False

    def __str__(self) -> str:
        """For people: `label in <workspace>.zendesk.com`."""
        return f"{self.kind} in {self.template}" if self.templates else str(self.kind)

    @property
    def template(self) -> str:
        """The provider's own host or address, with the names of what stands in it in angle brackets."""
        return TEMPLATE.sub(r"<\1>", self.templates[0])

    def oddity(self, text: str) -> Oddity | None:
        """What is wrong with a workspace; None where nothing is known against it."""
        return self.judge(self, text)

    def derive(self, text: str) -> str | None:
        """The workspace out of a URL or a host, or `text` itself where it is one already; None where it has none."""
        text = text.strip()
        if not text or self.kind is Kind.FREE:
            return None
        return self.cut_out(text) or (text if self.oddity(text) is None else None)

    def cut_out(self, address: str) -> str | None:
        """The workspace in a URL or in a host; None where it is not one of this provider's."""
        if (host := _host(address)) is None:
            return None
        if self.kind is Kind.HOST:
            return host
        if self.kind is Kind.URL:
            return _base_url(address, self.path)
        host = host.partition(":")[0]
        whole = host if self.kind is Kind.LABEL else host + _parts(address).path
        matches = (pattern.match(whole) for pattern in self.patterns)
        return next((match[1] for match in matches if match), None)


def read_shape(provider: str, urls: Iterable[str], *, declared: bool) -> Shape | None:
    """The shape of a provider's workspace from its URLs; `declared` if it is one of its inputs; None if neither."""
    templates = [(_kind(url), url) for url in urls if WORKSPACE in TEMPLATE.findall(url)]
    if not templates:
        return Shape(Kind.FREE, _no_oddity) if declared else None
    # one that is a whole host in one URL and a label in another cannot be both: the wider shape is the safer one
    kind = next(kind for kind in (Kind.URL, Kind.HOST, Kind.LABEL, Kind.ID) if any(kind is own for own, _ in templates))
    own = [url for of, url in templates if of is kind]
    parts = tuple(dict.fromkeys(_part(kind, url) for url in (*own, *OTHER_URLS.get(provider, ()))))
    domains = dict.fromkeys(_domain(part) for part in parts) if kind is Kind.LABEL else {}
    return Shape(
        kind,
        _ODDITIES[kind],
        parts,
        tuple(_pattern(part, whole=kind is Kind.LABEL) for part in parts) if kind in {Kind.LABEL, Kind.ID} else (),
        tuple(domain for domain in domains if domain),
        own[0][own[0].index("}}") + 2 :].partition("/")[2] if kind is Kind.URL else "",
        provider in NUMBERED_WORKSPACES,
    )


def salesforce_label(url_or_host: str) -> str | None:
    """The label of an `instance_url`, without a catalog: `acme` of acme.my.salesforce.com; None for na139 and the like.

    Hosts such as na139.salesforce.com name a machine, not a customer: only the customer can say the label.
    """
    return _SALESFORCE.derive(url_or_host)


# --- reading templates ---


def _kind(url: str) -> Kind:
    if url.startswith("{{"):
        return Kind.URL
    authority = _authority(url)
    if TEMPLATE.fullmatch(authority):
        return Kind.HOST
    return Kind.LABEL if WORKSPACE in TEMPLATE.findall(authority) else Kind.ID


def _authority(url: str) -> str:
    return re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]


def _part(kind: Kind, url: str) -> str:
    """What tells the workspace: the host, or for an id all up to it."""
    if kind in {Kind.LABEL, Kind.HOST}:
        return _authority(url)
    end = next(match.end() for match in TEMPLATE.finditer(url) if match[1] == WORKSPACE)
    return url[:end].partition("://")[2] or url[:end]


def _domain(part: str) -> str:
    """The domain that a label stands in: `zendesk.com`; "" where that is an input too, as with talkdesk."""
    tail = re.split(r"[.-]", TEMPLATE.split(part)[-1], maxsplit=1)[-1]
    return ".".join(tail.casefold().split(".")[-2:]) if "." in tail else ""


def _pattern(part: str, *, whole: bool) -> re.Pattern[str]:
    """A host or an address as a pattern; group 1 is the workspace, other templates stand for anything."""
    pieces = TEMPLATE.split(part)
    made = "".join(
        re.escape(piece) if at % 2 == 0 else ("([^/?#]+?)" if piece == WORKSPACE else "[^/?#]+")
        for at, piece in enumerate(pieces)
    )
    return re.compile(f"{made}$" if whole else f"{made}(?=[/?#]|$)", re.IGNORECASE)


# --- reading addresses ---


def _parts(text: str) -> SplitResult:
    """The parts of a URL, or of one without its scheme."""
    return urlsplit(text if "://" in text else f"//{text}")


def _host(text: str) -> str | None:
    """The host of an address in lower case, with its port if it has one; None where there is none."""
    try:
        host = _parts(text).netloc.rpartition("@")[2].casefold().rstrip(".")
    except ValueError:
        return None
    return host if len(text) <= _LONGEST and _HOST.fullmatch(host) else None


def _base_url(text: str, path: str) -> str:
    """A URL without what the provider's template puts behind it; https where it has no scheme."""
    url = (text if "://" in text else f"https://{text}").rstrip("/")
    return url[: -len(path)].rstrip("/") if path and url.endswith(f"/{path}") else url


# --- what is wrong with one ---


def _odd_label(shape: Shape, text: str) -> Oddity | None:
    if _BARE.fullmatch(text):
        return None  # nearly all of them
    folded, wanted = text.casefold().rstrip("."), f"only the <workspace> of {shape.template} is wanted"
    if "/" in text:
        return Oddity(True, f"this is an address, and {wanted}", _shorter(shape, text))
    if f".{folded}".endswith(tuple(f".{domain}" for domain in shape.domains)):
        return Oddity(True, f"this ends with the provider's own domain, and {wanted}", _shorter(shape, text))
    if not _HOST.fullmatch(text):
        return Oddity(
            False, f"this has characters that no host has, and {wanted}", "Check that it is the right column."
        )
    if folded.endswith(_TOP_LEVEL):
        return Oddity(False, f"this looks like a whole host, and {wanted}", _shorter(shape, text))
    return None


def _odd_host(_shape: Shape, text: str) -> Oddity | None:
    if "/" in text:
        return Oddity(
            True, "this is an address, and the provider wants a host alone", "Remove https:// and everything after /."
        )
    if not _HOST.fullmatch(text):
        return Oddity(False, "this has characters that no host has", "Check it; a host is e.g. shop.example.com.")
    if "." not in text:
        return Oddity(
            False, "this is one word, and the provider wants a whole host", "Write the host, e.g. shop.example.com."
        )
    return None


def _odd_url(shape: Shape, text: str) -> Oddity | None:
    if not text.casefold().startswith(("https://", "http://")) or _host(text) is None:
        return Oddity(
            True,
            "this is no URL, and the provider wants one",
            "Write it with its scheme, e.g. https://crm.example.com.",
        )
    if shape.path and text.rstrip("/").endswith(f"/{shape.path}"):
        return Oddity(
            True, f"this ends with /{shape.path}, which the connector adds itself", f"Remove /{shape.path} at its end."
        )
    return None


def _odd_id(shape: Shape, text: str) -> Oddity | None:
    if "/" in text:
        wanted = f"only the <workspace> of {shape.template} is wanted"
        return Oddity(True, f"this is an address, and {wanted}", _shorter(shape, text))
    if shape.numbered and not text.isdecimal():
        return Oddity(
            False, "this is no number, and the number of an account is wanted", "Take it from the web address."
        )
    return None


def _no_oddity(_shape: Shape, _text: str) -> None:
    return None


_ODDITIES: dict[Kind, Callable[[Shape, str], Oddity | None]] = {
    Kind.LABEL: _odd_label,
    Kind.HOST: _odd_host,
    Kind.URL: _odd_url,
    Kind.ID: _odd_id,
}


def _shorter(shape: Shape, text: str) -> str:
    if shape.cut_out(text) is None:
        return "It cannot be told from this address; ask the customer for it."
    return "Write only that part of it."


_SALESFORCE = read_shape("salesforce", OTHER_URLS["salesforce"], declared=True) or Shape(Kind.FREE, _no_oddity)
