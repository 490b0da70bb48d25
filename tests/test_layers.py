"""The house is layered: a module imports only from levels below its own, and there is no circle."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "importer"

LEVELS: tuple[tuple[str, ...], ...] = (
    ("importer",),
    ("bulk", "errors", "records", "outcomes", "redaction", "clock", "notes", "pace", "catalog.names", "catalog.quirks"),
    (
        "fields",
        "private",
        "process",
        "scratch",
        "values",
        "catalog.workspace",
        "online",
        "timeline",
        "crash",
        "logs",
        "api.trust",
    ),
    ("config", "presets", "sources", "api.key", "api.models", "api.problems", "api.transport", "ledger", "sandbox"),
    ("event_loop", "freshness", "exposures", "metrics", "notify"),
    ("keys", "api.listing", "api.wire", "mapping", "pacing", "spool"),
    ("api.client", "retry", "decide", "catalog", "inputs"),
    ("existing", "jobs", "preparing", "summary"),
    ("planned", "reading"),
    ("conflicts", "kept"),
    ("planner", "events", "remarks"),
    ("project", "reports", "inspection", "progress_line"),
    ("sending", "session", "preflight", "starter"),
    ("worker", "console", "event_log", "telling"),
    ("runner", "status", "verifier", "undo"),
    ("commands", "provider_words", "options"),
    ("demo", "ending", "rehearsal"),
    ("verbs",),
    ("cli",),
    ("__main__",),
)
"""From the bottom to the top; a name stands for a module or for all modules of a package."""

LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}


def modules() -> list[str]:
    names = (path.relative_to(PACKAGE).with_suffix("").parts for path in PACKAGE.rglob("*.py"))
    return sorted({".".join(parts).removesuffix(".__init__") for parts in names} - {"__init__", "api"})


def room_of(module: str) -> str:
    """The name in LEVELS that a module belongs to."""
    room = module
    while room and room not in LEVEL:
        room = room.rpartition(".")[0]
    return room or "importer"


def imports_of(module: str) -> set[str]:
    """The modules of ours that a module imports, wherever in it; not those that only a type checker sees."""
    path = PACKAGE.joinpath(*module.split("."))
    tree = ast.parse(
        (path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py").read_text()
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    found |= {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    return {name.removeprefix("importer").lstrip(".") for name in found if name.split(".")[0] == "importer"}


def test_every_module_has_a_level() -> None:
    assert [module for module in modules() if room_of(module) == "importer"] == []
    assert {room for room in LEVEL if room != "importer"} == {room_of(module) for module in modules()}


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_from_below(module: str) -> None:
    room = room_of(module)
    for imported in imports_of(module):
        other = room_of(imported)
        assert other == room or LEVEL[other] < LEVEL[room], f"{module} imports {imported}, which is not below it"


def test_the_sandbox_shares_nothing_with_the_client() -> None:
    """A mistake in the models must not be made twice, once on each side of the wire."""
    for module in modules():
        if module.startswith("sandbox"):
            assert {room_of(name) for name in imports_of(module)} <= {"sandbox"}


def test_only_one_module_reveals_a_secret() -> None:
    """`get_secret_value` outside of api/models.py and api/wire.py is a leak waiting to happen."""
    revealing = {module for module in modules() if "get_secret_value" in _source(module)}
    assert revealing <= {"api.models", "api.wire"}


def test_only_the_client_reveals_the_api_key() -> None:
    assert {module for module in modules() if ".reveal()" in _source(module)} == {"api.client"}


def test_only_the_client_calls_httpx() -> None:
    assert {module for module in modules() if "import httpx" in _source(module)} == {"api.client", "api.transport"}


def _source(module: str) -> str:
    path = PACKAGE.joinpath(*module.split("."))
    return (path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py").read_text()
