"""No credential gets out: a canary in the place of each, everything that can be seen searched, and nothing found."""

import gzip
import io
import json
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from canary.hostile import KINDS, Hostile, hostile_server
from canary.search import Search
from canary.values import Canaries
from canary.world import FAST, KEY, Arguments, Tried, World, family, proc, wait_until
from postgres import PASSWORD, Postgres

from importer.sandbox import Sandbox

SAMPLES = Path(__file__).parents[1] / "samples"
LOG = ("--log-level", "debug")
_COPIES = count()
ENDS = {0, 3, 4, 5}
"""How a command may end against such a server; 1 is a bug."""


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(api_key=KEY) as running:
        yield running


@pytest.fixture
def hostile(box: Sandbox) -> Iterator[Hostile]:
    with hostile_server(box) as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, hostile: Hostile) -> World:
    return World(tmp_path / "world", tmp_path / "given", hostile.url)


def all_fields(canaries: Canaries, copies: int = 1) -> pd.DataFrame:
    """The rows of samples/connections.csv, which have every field of every auth scheme, with canaries of all kinds."""
    frame = pd.read_csv(SAMPLES / "connections.csv", dtype=str, keep_default_na=False)
    frames = []
    for copy in range(copies):
        own = frame.copy()
        own["consumer_ref"] += f"-{next(_COPIES)}"  # each is a key of its own, whoever shares the server
        for column in own.columns:
            filled = own[column].str.startswith("fake-")
            make = {"password": canaries.short if copy % 2 else canaries.password}.get(column, canaries.token)
            own.loc[filled, column] = [make() for _ in range(filled.sum())]
        frames.append(own)
    return pd.concat(frames)


def together(*steps: Any) -> list[Tried]:
    """Run commands of different worlds at once, as many as there are cores."""
    with ThreadPoolExecutor(2) as pool:
        return [tried for part in pool.map(lambda step: step(), steps) for tried in part]


# the search itself


@pytest.mark.parametrize("kind", ["token", "jwt", "password", "short"])
def test_the_search_finds_a_canary_in_each_form(kind: str) -> None:
    import base64
    import html
    from urllib.parse import quote

    canary = getattr(Canaries(), kind)()
    raw = canary.encode()
    forms = [canary, canary.upper(), json.dumps(canary), repr([canary]), quote(canary, safe=""), html.escape(canary)]
    forms += [raw.hex(), raw.hex().upper(), *(base64.b64encode(b"x" * n + raw + b"yy").decode() for n in range(3))]
    forms += [canary[:12], canary[-12:], json.dumps(json.dumps(canary))]
    search = Search([canary])
    assert [form for form in forms if not search.in_bytes(b"before " + form.encode() + b" after")] == []
    assert not search.in_bytes(b"nothing of it in here, whatever one does")


# what the command line shows


def test_a_server_that_echoes_in_each_kind_of_answer_gets_nothing_out(world: World, hostile: Hostile) -> None:
    """Every credential field of every auth scheme, against every kind of answer, through every verb."""
    rows = world.input("rows.csv", all_fields(world.canaries, 2).to_csv(index=False))
    tried = [world.run("plan", rows, "--online", *LOG), world.run("run", rows, *LOG)]
    tried += [world.run("run", rows, "--log-format", "json", *LOG)]
    changed = pd.read_csv(world.given / "rows.csv", dtype=str, keep_default_na=False)
    changed["api_key"] = [world.canaries.token() if key else "" for key in changed["api_key"]]
    world.input("rows.csv", changed.to_csv(index=False))
    tried += [world.run("run", rows, "--yes", "--json", *LOG), world.run("report"), world.run("status", "--json")]
    run_id = json.loads(tried[-1].out)["runs"][-1]["run_id"]
    hostile.spoils_reads = True
    for words in (("verify",), ("verify", "--refresh", "--yes"), ("run", rows), ("plan", rows, "--online")):
        tried.append(world.run(*words, *LOG))
    hostile.spoils_reads = False
    tried += [world.run("rollback", "--run", run_id, "--yes", *LOG), world.run("run", rows, "--quiet")]

    assert world.leaks(*tried) == {}
    assert {one.words: one.exit_code for one in tried if one.exit_code not in ENDS} == {}
    assert KINDS - set(hostile.used) == set()


SOURCES = ["csv", "gz", "parquet", "json", "jsonl", "records", "sqlite", "stdin"]


def source_of(world: World, kind: str) -> tuple[tuple[str, ...], bytes]:
    """The rows in a source of that kind: the words that name it, and what stands on standard input."""
    frame = all_fields(world.canaries)
    text = frame.to_csv(index=False)
    if kind == "gz":
        return (world.input("rows.csv.gz", gzip.compress(text.encode())),), b""
    if kind == "parquet":
        frame.to_parquet(buffer := io.BytesIO())
        return (world.input("rows.parquet", buffer.getvalue()),), b""
    if kind in {"json", "jsonl"}:
        return (world.input(f"rows.{kind}", frame.to_json(orient="records", lines=kind == "jsonl")),), b""
    if kind == "records":
        rows = json.dumps({"result": {"items": json.loads(frame.to_json(orient="records"))}})
        path = world.input("rows.json", rows)
        world.config(f'{FAST}\n[source]\npaths = ["{path}"]\nrecords = "$.result.items"\n')
        return (), b""
    if kind == "sqlite":
        with closing(sqlite3.connect(world.given / "store.db")) as database, database:
            frame.to_sql("tokens", database)
        world.environment["STORE"] = f"sqlite:///{world.given / 'store.db'}"
        world.config(f'{FAST}\n[source]\nurl_env = "STORE"\nquery = "select * from tokens"\n')  # noqa: S608 - no SQL of ours
        return (), b""
    if kind == "stdin":
        return ("-",), text.encode()
    return (world.input("rows.csv", text),), b""


def test_no_source_lets_anything_out(tmp_path: Path, hostile: Hostile) -> None:
    worlds = {kind: World(tmp_path / str(n), tmp_path / f"given-{n}", hostile.url) for n, kind in enumerate(SOURCES)}

    def through(kind: str) -> list[Tried]:
        words, stdin = source_of(worlds[kind], kind)
        verbs = [("run", *words, *LOG)] if kind == "stdin" else [("inspect", *words), ("run", *words, *LOG)]
        return [worlds[kind].run(*verb, stdin=stdin) for verb in verbs]

    tried = together(*(lambda kind=kind: through(kind) for kind in SOURCES))

    assert {one.words: (one.exit_code, one.err) for one in tried if one.exit_code not in ENDS} == {}
    assert {kind: found for kind, world in worlds.items() if (found := world.leaks(*tried))} == {}


def test_a_database_and_its_password_stay_hidden(world: World, postgres: Postgres) -> None:
    frame = all_fields(world.canaries)
    postgres.fill("canaries", [f'"{name}"' for name in frame.columns], frame.to_numpy().tolist())
    world.canaries.made.append(PASSWORD)
    world.environment["STORE"] = postgres.url
    world.config(f"{FAST}\n[source]\nurl_env = \"STORE\"\nquery = 'select * from canaries'\n")  # noqa: S608 - no SQL of ours
    tried = [world.run("inspect"), world.run("run", *LOG)]
    world.environment["STORE"] = postgres.url.replace("@", "-wrong@")
    world.canaries.made.append(PASSWORD + "-wrong")
    tried += [world.run("plan"), world.run("run", postgres.url.replace("/postgres", "/nothing"), *LOG)]
    world.config(f"{FAST}\n[source]\nurl_env = \"STORE\"\nquery = 'select access_token::int from canaries'\n")  # noqa: S608 - no SQL of ours
    world.environment["STORE"] = postgres.url
    tried += [world.run("plan", *LOG)]

    seen = [one for one in tried if one.words[0] != "run" or len(one.words) == 3]  # a typed URL is in the arguments
    assert world.leaks(*seen) == {}
    assert [one.exit_code for one in tried][2:] == [2, 2, 2]


PRESETS = {
    "authjs": "authjs-accounts.csv", "better-auth": "better-auth-account.csv", "allauth": "allauth-tokens.csv",
    "python-social-auth": "python-social-auth.csv", "omniauth": "omniauth-identities.csv",
    "socialite": "socialite-accounts.csv", "nango": "nango-connections.json", "composio": "composio-accounts.jsonl",
    "token-response": "token-responses.csv",
}  # fmt: skip


def test_no_preset_lets_anything_out(tmp_path: Path, hostile: Hostile) -> None:
    """Also of columns that are never sent: ID tokens, passwords of the app, sessions."""
    worlds = {name: World(tmp_path / name, tmp_path / f"given-{name}", hostile.url) for name in PRESETS}

    def through(name: str) -> list[Tried]:
        world = worlds[name]
        sample = (SAMPLES / PRESETS[name]).read_text("utf-8")
        path = world.input(PRESETS[name], world.canaries.in_place_of_the_made_up(sample))
        (world.work / "config.toml").rename(world.work / "fast.toml")
        tried = [world.run("init", "--from", path), world.run("run", path, "--preset", name, "-c", "fast.toml", *LOG)]
        return [*tried, world.run("plan", path, "--json", *LOG)]  # with what init wrote

    tried = together(*(lambda name=name: through(name) for name in PRESETS))

    assert {one.words: (one.exit_code, one.err) for one in tried if one.exit_code not in ENDS} == {}
    assert {name: found for name, world in worlds.items() if (found := world.leaks(*tried))} == {}
    assert all(len(world.canaries.made) >= 4 for world in worlds.values())


def test_what_is_decrypted_stays_hidden(world: World) -> None:
    from cryptography.fernet import Fernet

    key, token = Fernet.generate_key(), world.canaries.token()
    world.canaries.made.append(key.decode())
    world.environment["TOKEN_KEY"] = key.decode()
    sealed = Fernet(key).encrypt(token.encode()).decode()
    path = world.input("rows.csv", f"provider,org,user,sealed\nstripe,g1,u1,{sealed}\nstripe,g2,u2,gAAAAAbroken\n")
    world.config(
        f'{FAST}\n[source]\npaths = ["{path}"]\n[mapping]\n'
        'provider = "provider"\ngroupRef = "org"\nconsumerRef = "user"\n'
        'apiKey = { column = "sealed", decrypt = { scheme = "fernet", key_env = "TOKEN_KEY" } }\n'
    )
    tried = [world.run("plan", *LOG), world.run("run", *LOG)]
    assert world.leaks(*tried) == {}
    assert tried[1].exit_code in ENDS
    assert (world.work / "importer-report/results.csv").exists()


def test_wrong_input_and_swapped_columns_are_refused_unseen(tmp_path: Path, hostile: Hostile) -> None:
    """Each row of samples/troubles.csv, and rows whose columns are all one place off."""
    worlds = [World(tmp_path / name, tmp_path / f"given-{name}", hostile.url) for name in ("troubles", "swapped")]
    text = (SAMPLES / "troubles.csv").read_bytes().decode("latin-1")
    troubles = worlds[0].input("rows.csv", worlds[0].canaries.in_place_of_the_made_up(text).encode("latin-1"))
    frame = all_fields(worlds[1].canaries)
    swapped = frame.set_axis([*frame.columns[1:], frame.columns[0]], axis=1)
    rows = worlds[1].input("rows.csv", swapped.to_csv(index=False))
    keys = pd.DataFrame({"provider": "stripe", "group_ref": [worlds[1].canaries.token() for _ in range(30)],
                         "consumer_ref": [worlds[1].canaries.short() for _ in range(30)], "api_key": "g1"})  # fmt: skip
    pairs = worlds[1].input("pairs.csv", keys.to_csv(index=False))
    tried = together(
        lambda: [worlds[0].run("plan", troubles, *LOG), worlds[0].run("run", troubles, "--json", *LOG)],
        lambda: [worlds[1].run(verb, path, *LOG[: 2 * (verb != "inspect")])
                 for path in (rows, pairs) for verb in ("plan", "run", "inspect")],
    )  # fmt: skip
    short = {canary for canary in worlds[1].canaries.made if len(canary) < 10}
    assert worlds[0].leaks(*tried) == {}
    assert {place for place, found in worlds[1].leaks(*tried).items() if found - short} == set()
    assert {one.words: one.err for one in tried if one.exit_code == 1} == {}


# when it breaks

LAYERS = {
    "the source": "importer.sources.delimited:DelimitedSource.chunks",
    "the mapping": "importer.mapping.requests:Mapper.map",
    "the preparing": "importer.preparing:Preparer._prepared",
    "the plan": "importer.planner:Planner._decide_chunk",
    "the spool": "importer.spool:Spool.add",
    "the ledger": "importer.ledger.sqlite:SqliteLedger.apply",
    "the client": "importer.api.client:ConnectionsClient.generate",
    "the reading of answers": "importer.api.client:ConnectionsClient._answer",
    "the sending": "importer.sending:Sender.act",
    "the pool": "importer.worker:WorkerPool._claim",
    "the lookup": "importer.existing:Existing.list_provider",
    "the reports": "importer.reports.files:_explained",
    "the console": "importer.console:Console.summary",
}


def test_a_crash_in_any_layer_shows_no_value(tmp_path: Path, box: Sandbox) -> None:
    """A crash is put in, whose text, cause, attributes and variables hold every canary of the world."""
    worlds = {layer: World(tmp_path / str(n), tmp_path / f"given-{n}", box.url) for n, layer in enumerate(LAYERS)}

    def through(layer: str) -> list[Tried]:
        world = worlds[layer]
        rows = world.input("rows.csv", all_fields(world.canaries).to_csv(index=False))
        form = ("--log-format", "json") if len(layer) % 2 else ()
        return [world.run("run", rows, *LOG, *form, tamper=f"crash:{LAYERS[layer]}")]

    tried = dict(zip(LAYERS, together(*(lambda layer=layer: through(layer) for layer in LAYERS)), strict=True))

    assert {layer: found for layer, world in worlds.items() if (found := world.leaks(tried[layer]))} == {}
    assert {layer: one.exit_code for layer, one in tried.items() if one.exit_code not in {1, 4, 5}} == {}
    assert {
        layer for layer, one in tried.items() if b"ExceptionGroup" not in one.err and b"KeyError" not in one.err
    } == set()


def large(world: World) -> str:
    """A file that is prepared in a second process."""
    rows = 6_000
    filler = Canaries(seed=2)
    keys = [world.canaries.token() for _ in range(50)]
    frame = pd.DataFrame({
        "provider": "stripe", "group_ref": [f"g{n}" for n in range(rows)], "consumer_ref": "u1",
        "api_key": [f"{keys[n % 50]}{n}" for n in range(rows)],
        "group_name": [" ".join(filler.token()[4:12] for _ in range(12)) for _ in range(rows)],
    })  # fmt: skip
    frame.to_parquet(buffer := io.BytesIO())
    return world.input("large.parquet", buffer.getvalue())


@pytest.mark.parametrize("layer", ["importer.sources.parquet:ParquetSource.chunks", LAYERS["the mapping"]])
def test_a_crash_in_the_process_that_reads_shows_no_value(world: World, layer: str) -> None:
    tried = world.run("run", large(world), *LOG, tamper=f"crash there:{layer}")
    assert world.leaks(tried) == {}
    assert tried.exit_code == 1
    assert b"KeyError" in tried.err
    assert b"importer/reading.py" in tried.err
    assert tried.arguments.count(b"-P") >= 1


IN_A_PROGRAM = """
import logging, os, sys, traceback
from pathlib import Path
import importer
logging.basicConfig(level=logging.DEBUG, filename="program.log")
config = importer.load_config(Path("config.toml"), os.environ, source__paths=[sys.argv[1]])
del sys.argv[1:]
try:
    print(importer.run(config))
except BaseException as error:
    print("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
    print(vars(error))
"""


@pytest.mark.parametrize("layer", [None, "the plan", "the mapping", "the client", "the ledger", "the reports"])
def test_a_program_that_logs_everything_and_shows_variables_gets_none(world: World, layer: str | None) -> None:
    """With the root logger at DEBUG, and each crash as an error tracker shows it."""
    rows = world.input("rows.csv", all_fields(world.canaries).to_csv(index=False))
    tamper = f"crash:{LAYERS[layer]}" if layer else ""
    tried = world.run(rows, tamper=tamper, program=("-c", IN_A_PROGRAM))
    assert tried.exit_code == 0, tried.err
    assert tried.out.startswith(b"RunSummary" if layer is None else b"Traceback")
    environment = {KEY} if b"environ" in tried.out else set[str]()  # what the program itself holds
    assert {place for place, found in world.leaks(tried).items() if found - environment} == set()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGABRT])
def test_a_run_that_is_ended_in_the_middle_leaves_nothing_behind(world: World, hostile: Hostile, end: int) -> None:
    """Files of every kind are searched, deleted ones that are still open included, and what `ps` shows meanwhile."""
    rows, before = large(world), sum(hostile.used.values())
    with world.start("run", rows, *LOG) as process, Arguments(process.pid) as arguments:
        wait_until(lambda: sum(hostile.used.values()) > before + 40 or process.poll() is not None)
        processes = family(process.pid)
        environments = [proc(pid, "environ") for pid in processes[1:]]
        opened = b"".join(
            link.read_bytes() for pid in processes for link in Path(f"/proc/{pid}/fd").glob("*")
            if link.exists() and "deleted" in str(link.readlink()) and link.stat().st_size < 50_000_000
        )  # fmt: skip
        process.send_signal(end)
        out, err = process.communicate(timeout=60)
    tried = Tried(("run",), process.returncode, out, err, arguments.seen)
    assert world.leaks(tried) == {}
    assert process.returncode in {-end, 130}
    search = Search(world.canaries.made)
    assert len(processes) > 1
    assert not search.in_bytes(opened)
    assert not Search([KEY]).in_bytes(b"".join(environments))


# whether a leak would be found


def leak_kinds() -> list[str]:
    text = (Path(__file__).parent / "canary/tampering/sitecustomize.py").read_text("utf-8")
    table = text.partition("LEAKS = {")[2].partition("\n}")[0]
    return ["leak:" + line.split('"')[1] for line in table.splitlines() if line.strip().startswith('"')]


def test_a_leak_is_found_wherever_it_is(tmp_path: Path, hostile: Hostile) -> None:
    """Each deliberate leak is found by the same search, and by it alone."""
    kinds = [*leak_kinds(), "no redaction", "bugs with their texts"]
    worlds = {kind: World(tmp_path / str(n), tmp_path / f"given-{n}", hostile.url) for n, kind in enumerate(kinds)}
    library = (
        "import logging, sys; logging.basicConfig(level=10, filename='x.log'); from importer.cli import main; main()"
    )

    def through(kind: str) -> list[Tried]:
        rows = worlds[kind].input("rows.csv", all_fields(worlds[kind].canaries).to_csv(index=False))
        program = ("-c", library) if "library" in kind else ("-m", "importer")
        return [worlds[kind].run("run", rows, *LOG, tamper=kind, program=program)]

    tried = dict(zip(kinds, together(*(lambda kind=kind: through(kind) for kind in kinds)), strict=True))

    assert len(kinds) >= 14
    assert [kind for kind in kinds if not worlds[kind].leaks(tried[kind])] == []
