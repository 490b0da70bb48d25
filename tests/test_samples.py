"""The samples plan and run as their README says, and what is said about their bad rows is what is wrong with them."""

import csv
import io
import json
import runpy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from desk import read_csv

import importer
from importer import commands
from importer.console import Console
from importer.ledger import SqliteLedger
from importer.outcomes import Code, State
from importer.records import Identity, Target
from importer.sandbox import Sandbox
from importer.sandbox.catalog import CATALOG
from importer.sandbox.schema import BLOCKS

SAMPLES = Path(__file__).parents[1] / "samples"
GOOD = {"connections.csv": 24, "connections.parquet": 24, "crm-export.toml": 9}
"""Samples of good rows only, and how many there are."""

TROUBLES: dict[int, set[Code]] = {
    2: {Code.RAGGED_ROW},
    3: {Code.RAGGED_ROW},
    5: {Code.BAD_ENCODING},
    6: {Code.BAD_QUOTE},
    7: {Code.BAD_QUOTE},
    9: {Code.MISSING_VALUE},
    10: {Code.MISSING_VALUE},
    11: {Code.MISSING_VALUE},
    12: {Code.BAD_REF},
    13: {Code.BAD_REF},
    14: {Code.BAD_REF},
    15: {Code.BAD_REF},
    16: {Code.BAD_REF},
    18: {Code.CREDENTIAL_IN_REF},
    19: {Code.CREDENTIAL_IN_REF},
    20: {Code.CREDENTIAL_IN_REF},
    21: {Code.BAD_DATE},
    22: {Code.BAD_DATE},
    23: {Code.BAD_DATE},
    25: {Code.NO_CREDENTIAL},
    26: {Code.SEVERAL_CREDENTIALS},
    27: {Code.SEVERAL_CREDENTIALS, Code.MISSING_VALUE},
    28: {Code.MISSING_VALUE},
    29: {Code.MISSING_VALUE},
    30: {Code.WRONG_SCHEME},
    31: {Code.WRONG_SCHEME},
    33: {Code.BAD_SCOPES},
    34: {Code.BAD_SCOPES},
    35: {Code.BAD_SCOPES},
    36: {Code.BAD_JSON},
    37: {Code.BAD_JSON},
    38: {Code.BAD_TYPE},
    39: {Code.BAD_REQUEST},
    40: {Code.BAD_TYPE},
    41: {Code.MISSING_VALUE, Code.BAD_DATE},
    45: {Code.CONFLICT},
    46: {Code.SHARED_TOKEN},
    47: {Code.SHARED_TOKEN},
    48: {Code.UNKNOWN_PROVIDER},
    49: {Code.MISSING_INPUT},
    50: {Code.WRONG_CREDENTIAL},
    51: {Code.NOT_IMPORTABLE},
    53: {Code.ENCRYPTED},
    54: {Code.MASKED},
    55: {Code.BAD_TOKEN},
}
"""Row of troubles.csv -> its codes; every other row is a good one."""

TROUBLES_BY_MAPPING = {
    **{row: codes for row, codes in TROUBLES.items() if row != 12},
    38: {Code.MISSING_INPUT},
    39: {Code.MISSING_INPUT},
    48: {Code.NOT_IN_VALUES},
    51: {Code.NO_CREDENTIAL},
}
"""The same with the mapping of troubles.toml, which translates the provider of row 12."""

CODES_OF: dict[str, dict[int, set[Code]]] = {
    "troubles.csv": TROUBLES,
    "troubles.toml": TROUBLES_BY_MAPPING,
    **{sample: {} for sample in GOOD},
}
DUPLICATE_ROW, ROWS_OF_TROUBLES = 44, 56

NOT_IN_A_SAMPLE = {
    Code.FIELD_TOO_LONG: "takes a field of a megabyte",
    Code.CANNOT_DECRYPT: "takes a key in the environment",
    Code.SHARED_GROUP: "a warning, of which samples/connections.csv has two: tests/test_readme.py",
    Code.EXISTS: "takes a connection that is there already, and policy.existing = fail",
    Code.CHANGED: "takes a ledger in which the row is done with other credentials",
    Code.STALE: "takes a ledger in which these credentials were replaced",
    Code.ROLLED_BACK: "takes a ledger with a rollback",
    Code.MISSING: "takes a ledger in which verify missed the connection",
    Code.NO_PROVIDER_APP: "takes a project without a provider app: tests/test_preflight.py",
    Code.OTHER_CLIENT: "takes a project whose provider app has another client: tests/test_preflight.py",
    Code.LOGIN_SCOPES: "a warning: tests/test_token_rules.py",
    Code.ID_TOKEN: "a warning: tests/test_token_rules.py",
    **dict.fromkeys(
        (
            Code.DEFAULT_INPUT,
            Code.UNKNOWN_INPUT,
            Code.BAD_WORKSPACE,
            Code.NO_WORKSPACE,
            Code.DOUBLED_PREFIX,
            Code.ODD_CREDENTIAL,
            Code.NO_SCOPES,
            Code.NO_ACCESS_TOKEN,
            Code.NO_REFRESH_TOKEN,
            Code.EXPIRED_TOKEN,
        ),
        "mostly a warning, which rejects no row: tests/test_catalog.py",
    ),
}

CREDENTIAL_COLUMNS = (
    "access_token", "refresh_token", "api_key", "username", "password", "client_id", "client_secret", "custom_auth",
    "custom_auth.token", "custom_auth.apiKey", "custom_auth.username", "token", "api_user",
)  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """A sample that was planned and run against a sandbox of its own: what was said, written, and made."""

    sample: str
    plan: importer.PlanSummary
    plan_errors: list[dict[str, str]]
    summary: importer.RunSummary
    said: str
    box: Sandbox
    config: importer.Config

    def report(self, name: str) -> list[dict[str, str]]:
        return read_csv(self.config.report_dir / name)

    def codes(self) -> dict[int, set[Code]]:
        return codes_of(self.report("errors.csv"))


def config_of(sample: str, box: Sandbox, folder: Path) -> importer.Config:
    """The settings to import a sample with: a TOML names its file itself."""
    config, paths = SAMPLES / sample, None
    if config.suffix != ".toml":
        config, paths = folder / "config.toml", [str(SAMPLES / sample)]
        config.touch()  # without one, a config.toml in the working directory would be read
    return importer.load_config(
        config,
        box.environment(),
        source__paths=paths,
        ledger__url=f"sqlite:///{folder / 'ledger.db'}",
        report__dir=str(folder / "report"),
        limits__rate="unlimited",
    )


def codes_of(errors: list[dict[str, str]]) -> dict[int, set[Code]]:
    codes: dict[int, set[Code]] = {}
    for line in errors:
        codes.setdefault(int(line["row"]), set()).add(Code(line["code"]))
    return codes


@pytest.fixture(scope="module", params=CODES_OF)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    with Sandbox() as box:
        config = config_of(request.param, box, tmp_path_factory.mktemp("run"))
        commands.providers(config)  # so that the plan, which is offline, has a catalog at hand
        told = io.StringIO()
        console = Console(out=told, talk=told)
        plan = importer.plan(config, listener=console)
        console.plan(plan, rate="auto", report="plan-errors.csv", command=[])
        plan_errors = read_csv(config.report_dir / "plan-errors.csv")
        assert not config.ledger_path.exists()
        assert box.requests.total == 1
        summary = importer.run(config, listener=console, env=box.environment())
        console.summary(summary, report="errors.csv", command=[])
        yield Ran(request.param, plan, plan_errors, summary, told.getvalue(), box, config)


# What becomes of each row


def test_every_row_is_answered_with_the_codes_of_what_is_wrong_with_it(ran: Ran) -> None:
    assert ran.codes() == CODES_OF[ran.sample]


def test_every_other_row_is_created(ran: Ran) -> None:
    outcomes = {int(line["row"]): line["outcome"] for line in ran.report("results.csv")}
    expected = dict.fromkeys(range(1, GOOD.get(ran.sample, ROWS_OF_TROUBLES) + 1), "created")
    if ran.sample not in GOOD:
        expected[DUPLICATE_ROW] = "duplicate"

    assert outcomes == expected | dict.fromkeys(CODES_OF[ran.sample], "rejected")
    assert ran.summary.exit_code == (0 if ran.sample in GOOD else 3)


def test_the_plan_knows_all_that_the_run_reports_but_what_only_the_api_knows(ran: Ran) -> None:
    known = [line for line in ran.report("errors.csv") if line["stage"] != "send"]

    assert ran.plan_errors == known
    assert ran.plan.problems == len(known)
    assert ran.plan.read == ran.summary.read == len(ran.report("results.csv"))


def test_results_errors_ledger_and_sandbox_agree_row_by_row(ran: Ran) -> None:
    results, refused = ran.report("results.csv"), ran.codes()
    made = {connection["id"]: connection for connection in ran.box.connections()}
    states = states_of(ran, [identity_of(line) for line in results])

    for line in results:
        row, identity = int(line["row"]), identity_of(line)
        assert (line["outcome"] == "rejected") == (row in refused)
        if line["outcome"] == "created":
            connection = made.pop(line["connection_id"])
            assert identity == Identity(connection["provider"], connection["groupRef"], connection["consumerRef"])
            assert states[identity] == (State.CREATED, connection["id"])
        elif line["outcome"] == "duplicate" or refused[row] == {Code.CONFLICT}:
            assert states[identity] == (State.CREATED, ran.box.connections(identity.group_ref)[0]["id"])
        elif all(identity) and refused[row] != {Code.SHARED_TOKEN}:
            assert states[identity] == (State.REJECTED, None)
        else:
            assert states[identity] in (None, (State.REJECTED, None))  # no key, or none that may be sent
    assert not made


def states_of(ran: Ran, identities: list[Identity]) -> Mapping[Identity, tuple[State, str | None] | None]:
    ledger = SqliteLedger(ran.config.ledger_path, read_only=True)
    try:
        ledger.aim(Target(ran.config.api_root, ran.box.project_id))
        entries = ledger.entries(identities)
    finally:
        ledger.close()
    found = [(entry.state, entry.connection_id) if entry else None for entry in entries]
    return dict(zip(identities, found, strict=True))


def identity_of(line: dict[str, str]) -> Identity:
    """The refs of a line, without the apostrophe that a report puts before what looks like a formula."""
    refs = (line["provider"], line["group_ref"], line["consumer_ref"])
    return Identity(*(ref[1:] if ref[:2] in ("'=", "'+", "'-", "'@") else ref for ref in refs))


# What is said


def test_every_reason_and_every_fix_is_a_sentence(ran: Ran) -> None:
    for line in [*ran.plan_errors, *ran.report("errors.csv")]:
        assert len(line["message"].split()) >= 3, line
        assert len(line["fix"].split()) >= 3, line
        assert line["fix"][0].isupper(), line
        assert line["fix"].endswith((".", "?")), line


def test_no_credential_is_said_reported_or_kept(ran: Ran) -> None:
    ledger = ran.config.ledger_path
    kept = [*ran.config.report_dir.iterdir(), *ledger.parent.glob(f"{ledger.name}*")]

    assert {"results.csv", "errors.csv", "summary.json", "ledger.db"} <= {path.name for path in kept}
    for path in kept:
        assert b"fake" not in path.read_bytes().lower(), path.name
    assert "fake" not in ran.said.lower()


@pytest.mark.parametrize("sample", ["connections.csv", "troubles.csv", "crm-export.csv"])
def test_every_credential_is_plainly_fake(sample: str) -> None:
    text = (SAMPLES / sample).read_text("utf-8", errors="replace")
    rows = list(csv.DictReader(io.StringIO(text), delimiter=";" if sample.startswith("crm") else ","))
    # ragged rows and stray quotes have their cells in other columns; swapped ones have the ref for a token
    whole = [row for row in rows if None not in row.values() and None not in row and "swapped" not in str(row)]
    credentials = [row[column] for row in whole for column in CREDENTIAL_COLUMNS if row.get(column)]

    assert len(credentials) >= len(whole)
    assert [text for text in credentials if "fake" not in text] == []


def test_every_code_of_read_map_and_plan_is_in_a_sample_or_excused() -> None:
    before_sending = set(takewhile(lambda code: code is not Code.API_REJECTED, Code))
    shown = set().union(*TROUBLES.values(), *TROUBLES_BY_MAPPING.values())

    assert before_sending - shown == set(NOT_IN_A_SAMPLE)


def test_every_row_of_troubles_says_in_words_what_is_wrong() -> None:
    text = (SAMPLES / "troubles.csv").read_text("utf-8", errors="replace")
    explained = [line for line in text.splitlines()[1:] if not line.startswith('"this line became a part')]

    assert len(explained) == ROWS_OF_TROUBLES
    for row, line in enumerate(explained, start=1):
        fine = line.startswith(("nothing: ", '"the row above once more, to the letter: nothing'))
        assert fine == (row not in TROUBLES), line


def test_only_the_column_that_explains_the_troubles_is_not_used_and_the_plan_says_so(ran: Ran) -> None:
    unused = [note for note in ran.plan.notes if "not used" in note]

    assert unused == (["columns not used: what_is_wrong"] if ran.sample == "troubles.csv" else [])


# The good rows


@pytest.mark.parametrize("ran", ["connections.csv", "connections.parquet"], indirect=True)
def test_connections_have_every_auth_scheme_and_ten_providers(ran: Ran) -> None:
    bodies = [connection["request"] for connection in ran.box.connections()]

    assert {block for body in bodies for block in BLOCKS if block in body} == set(BLOCKS)
    assert len({body["provider"] for body in bodies} & set(CATALOG)) >= 10


@pytest.mark.parametrize("ran", ["connections.csv", "connections.parquet"], indirect=True)
def test_awkward_refs_arrive_as_they_were_written(ran: Ran) -> None:
    arrived = {connection["groupRef"] for connection in ran.box.connections()}

    assert arrived >= {"007", "7", "NA", "na", "null", "1e5", "Smith, Jones & Co", 'The "Quoted" Company', "-42"}
    assert arrived >= {"Müller & Söhne", "東京支店", "123456789012345678901", "TRUE", "nan", "two  blanks", "#N/A"}
    assert ran.box.count("-42", consumer_ref="9007199254740993") == 1


def test_the_parquet_is_what_its_script_makes_of_the_csv() -> None:
    make = runpy.run_path(str(SAMPLES / "make.py"))

    assert pq.read_table(SAMPLES / "connections.parquet").equals(make["typed_table"](make["read_rows"]()))
    assert pq.ParquetFile(SAMPLES / "connections.parquet").metadata.num_row_groups == 3


@pytest.mark.parametrize("first", ["csv", "parquet"])
def test_csv_and_parquet_spell_the_same_credentials(first: str, tmp_path: Path) -> None:
    """Whichever comes second finds every row unchanged, and only project, catalog and provider apps are read."""
    second = {"csv": "parquet", "parquet": "csv"}[first]
    with Sandbox() as box:
        importer.run(config_of(f"connections.{first}", box, tmp_path), env=box.environment())
        before = box.requests.total
        again = importer.run(config_of(f"connections.{second}", box, tmp_path), env=box.environment())

        assert {outcome: n for outcome, n in again.outcomes.items() if n} == {"unchanged": 24}
        assert again.exit_code == 0
        assert box.requests.total - before == 3
        kinds = box.requests.kinds
        assert kinds["project"] == kinds["providers"] == kinds["provider_apps"] == 2
        assert box.count() == 24


def test_csv_and_parquet_make_the_same_requests_times_and_all(tmp_path: Path) -> None:
    sent = {}
    for kind in ("csv", "parquet"):
        (tmp_path / kind).mkdir()
        with Sandbox() as box:
            importer.run(config_of(f"connections.{kind}", box, tmp_path / kind), env=box.environment())
            sent[kind] = sorted(json.dumps(made["request"], sort_keys=True) for made in box.connections())

    assert sent["csv"] == sent["parquet"]
    assert len(sent["csv"]) == 24


def test_samples_that_share_a_ledger_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    """A refresh token in two of them would be refused under its second key."""
    with Sandbox() as box:
        for sample in ("connections.csv", "crm-export.toml", "troubles.csv"):
            importer.run(config_of(sample, box, tmp_path), env=box.environment())
            assert codes_of(read_csv(tmp_path / "report" / "errors.csv")) == CODES_OF[sample]


# The mapping


@pytest.mark.parametrize("ran", ["crm-export.toml"], indirect=True)
def test_the_crm_export_becomes_the_requests_that_its_mapping_describes(ran: Ran) -> None:
    requests = {line["row"]: request_of(ran, line["connection_id"]) for line in ran.report("results.csv")}

    assert requests["1"] == {
        "provider": "salesforce",  # translated
        "groupRef": "0042",
        "groupName": "Acme (account 0042)",  # a template
        "consumerRef": "81",
        "consumerName": "sales@acme.example",
        "providerWorkspaceRef": "acme",
        "providerMetadata": {
            "workspace": {"value": "acme", "source": "input"},
            "businessUnitId": {"value": "0Uv000000000001", "source": "input"},  # out of JSON
        },
        "oauth2AuthorizationCode": {
            "accessToken": {
                "token": "fake-access-token-c1",
                "expiresAt": "2030-01-31T12:00:00Z",  # an epoch
                "issuedAt": "2029-01-31T13:05:00Z",  # 14:05 in Berlin, in winter
            },
            "refreshToken": {"token": "fake-refresh-token-c1"},
            "scopes": ["api", "refresh_token"],
        },
    }
    assert requests["2"]["oauth2AuthorizationCode"]["accessToken"]["issuedAt"] == "2029-07-15T07:00:00Z"  # in summer
    assert "businessUnitId" not in requests["2"]["providerMetadata"]
    assert requests["4"]["consumerRef"] == "owner"  # the default
    assert set(requests["4"]["oauth2AuthorizationCode"]) == {"refreshToken", "scopes"}
    assert "groupName" not in requests["7"]  # a part of the template is blank
    assert requests["7"]["apiKey"] == "fake-key-c7"
    assert requests["8"]["customAuth"] == {"apiKey": "fake-key-c8", "username": "fake-user-c8"}


def request_of(ran: Ran, connection_id: str) -> dict[str, Any]:
    request: dict[str, Any] = next(m["request"] for m in ran.box.connections() if m["id"] == connection_id)
    return request
