"""What the platform is asked before anything is sent: by `run`, by `plan --online`, and the module of a provider."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from desk import Ended, key_row, read_csv, token_row, write_csv

import importer as library
from importer.catalog import Catalog
from importer.catalog.cache import default_path, save
from importer.catalog.judge import refuse_unknown_modules
from importer.ledger import SqliteLedger
from importer.sandbox import Sandbox
from importer.sandbox.catalog import CATALOG

Importer = Callable[..., Ended]
READS = {"project", "providers", "provider_apps", "list"}


def salesforce_row(n: int, **more: str) -> dict[str, str]:
    return token_row(n, **{"provider": "salesforce", "metadata.workspace": f"acme-{n}", **more})


def configure(home: Path, text: str) -> None:
    path = home / "config.toml"
    path.write_text(path.read_text() + text)


def errors(home: Path, name: str = "errors.csv") -> set[tuple[str, str]]:
    """Group and code of each problem in a report."""
    return {(line["group_ref"], line["code"]) for line in read_csv(home / "importer-report" / name)}


def online(ended: Ended) -> list[str]:
    """What the plan's screen says of the platform."""
    return [line.partition("online: ")[2] for line in ended.out.splitlines() if "online: " in line]


# --- plan --online ---


def test_plan_online_says_what_is_there_and_sends_reads_only(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "t.csv", [token_row(1), token_row(2), key_row(3)])
    sandbox.add_connection("stripe", "g3", "u3")

    ended = importer("plan", "t.csv", "--online")

    assert ended.exit_code == 0, ended.err
    assert online(ended) == [
        "key and project are right (sandbox)",
        "provider apps are there for hubspot",
        "1 of 3 rows to post is there already, to be adopted (policy.existing)",
    ]
    assert set(sandbox.requests.kinds) == READS
    assert sandbox.requests.kinds["list"] == 2
    assert not (home / "importer-ledger.db").exists()
    assert ended.out.endswith("next: importer run t.csv\n")


def test_plan_asks_nothing_unless_told_to(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "t.csv", [token_row(1)])
    sandbox.remove_app("hubspot")

    plain, offline = importer("plan", "t.csv", AMP_API_KEY=""), importer("plan", "t.csv", "--checks", "offline")

    assert (plain.exit_code, offline.exit_code, sandbox.requests.total) == (0, 0, 0)


def test_json_has_what_the_platform_said_as_an_object(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "t.csv", [token_row(1), salesforce_row(2)])
    sandbox.remove_app("hubspot")

    document = json.loads(importer("plan", "t.csv", "--checks", "online", "--json").out)

    assert document["online"] == {
        "project_id": sandbox.project_id, "apps_checked": True, "with_app": ["salesforce"],
        "without_app": {"hubspot": 1}, "other_client": {}, "to_post": 1, "there_already": {},
        "policy_existing": "adopt",
    }  # fmt: skip


def test_rows_are_held_against_the_catalog_of_now(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    """The one that was kept knows hubspot and nothing else; the one of now misses the workspace."""
    cache = home / "cache"
    kept = default_path(sandbox.url, {"XDG_CACHE_HOME": str(cache)})
    assert save(kept, json.dumps({"hubspot": CATALOG["hubspot"]}).encode(), 1_700_000_000.0)
    write_csv(home / "t.csv", [token_row(1, provider="salesforce")])

    importer("plan", "t.csv", XDG_CACHE_HOME=str(cache))
    assert errors(home, "plan-errors.csv") == {("g1", "unknown_provider")}
    importer("plan", "t.csv", "--online", XDG_CACHE_HOME=str(cache))
    assert errors(home, "plan-errors.csv") == {("g1", "missing_input")}


@pytest.mark.parametrize(("setting", "code", "said"), [
    ({"AMP_API_KEY": ""}, 2, "no API key"),
    ({"AMP_PROJECT": ""}, 2, "no project is named"),
    ({"AMP_API_KEY": "fake-wrong-key"}, 5, "the API key is refused (401)"),
    ({"AMP_PROJECT": "another"}, 5, "the project is not there (404)"),
])  # fmt: skip
def test_a_wrong_key_or_project_is_one_message(
    setting: dict[str, str], code: int, said: str, home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "t.csv", [token_row(1)])

    ended = importer("plan", "t.csv", "--online", **setting)

    assert (ended.exit_code, ended.out) == (code, "")
    assert ended.err.startswith(f"error: {said}")
    assert sandbox.requests.total == (1 if code == 5 else 0)


def test_the_ledger_is_read_by_the_id_that_the_project_has_now(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """Its name belonged to another project when it was last asked for; and reading leaves no trace."""
    write_csv(home / "t.csv", [token_row(1)])
    importer("run", "t.csv")
    with closing(SqliteLedger(home / "importer-ledger.db")) as ledger:
        ledger.remember_project(sandbox.url, "sandbox", "project-of-before", 1_700_000_000.0)
    kept = (home / "importer-ledger.db").read_bytes()

    assert "1 new" in importer("plan", "t.csv").out
    assert "1 already done" in importer("plan", "t.csv", "--online").out
    assert (home / "importer-ledger.db").read_bytes() == kept


# --- what is there already ---


def test_with_fail_what_is_there_already_is_refused_as_run_refuses_it(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    configure(home, '[policy]\nexisting = "fail"\n')
    write_csv(home / "t.csv", [token_row(1), token_row(2)])
    sandbox.add_connection("hubspot", "g2", "u2")

    planned = importer("plan", "t.csv", "--online")

    assert planned.exit_code == 3
    assert "1 of 2 rows to post is there already, refused (policy.existing)" in online(planned)
    assert "1 new, 1 rejected" in planned.out
    assert errors(home, "plan-errors.csv") == {("g2", "exists")}
    assert importer("run", "t.csv").exit_code == 3
    assert errors(home) == {("g2", "exists")}


def test_what_may_be_there_under_other_refs_is_refused(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "t.csv", [token_row(n) for n in range(1, 4)])
    sandbox.add_connection("hubspot", "G2", "u2")

    planned = importer("plan", "t.csv", "--online")

    assert planned.exit_code == 3
    assert errors(home, "plan-errors.csv") == {("g2", "exists")}
    assert "none of 3 rows to post is there already" in online(planned)


def test_more_rows_than_are_looked_at_together_are_all_compared(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    configure(home, '[policy]\nexisting = "fail"\n')
    write_csv(home / "t.csv", [key_row(n) for n in range(2_500)])
    there = {f"g{n}" for n in range(0, 2_500, 2)}
    for group in there:
        sandbox.add_connection("stripe", group, f"u{group[1:]}")

    importer("plan", "t.csv", "--online")

    assert errors(home, "plan-errors.csv") == {(group, "exists") for group in there}


# --- provider apps ---


def test_rows_without_a_provider_app_are_held_back_and_the_others_are_sent(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "t.csv", [token_row(1), token_row(2), salesforce_row(3), key_row(4)])
    sandbox.remove_app("hubspot")

    planned = importer("plan", "t.csv", "--online")

    assert planned.exit_code == 3
    assert "hubspot: 2 rows, and the project has no provider app for it" in online(planned)
    assert "2 × no_provider_app in provider" in planned.out
    ran = importer("run", "t.csv")
    assert ran.exit_code == 3
    assert errors(home) == {("g1", "no_provider_app"), ("g2", "no_provider_app")}
    assert {found["groupRef"] for found in sandbox.connections()} == {"g3", "g4"}


def test_once_the_app_is_there_the_next_run_takes_the_rows_up(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "t.csv", [token_row(1), token_row(2)])
    sandbox.remove_app("hubspot")
    assert importer("run", "t.csv").exit_code == 3

    sandbox.add_app("hubspot")

    assert importer("run", "t.csv").exit_code == 0
    assert sandbox.count() == sandbox.requests.kinds["generate"] == 2


def test_standard_input_is_held_against_the_provider_apps_too(home: Path, sandbox: Sandbox, shell: Importer) -> None:
    text = write_csv(home / "t.csv", [token_row(1), key_row(2)]).read_text()
    sandbox.remove_app("hubspot")

    assert shell("run", "-", stdin=text).exit_code == 3
    assert [found["groupRef"] for found in sandbox.connections()] == ["g2"]


def test_without_checks_rows_are_sent_whatever_apps_there_are(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "t.csv", [token_row(1)])
    sandbox.remove_app("hubspot")

    assert importer("run", "t.csv", "--checks", "offline").exit_code == 0
    assert sandbox.count() == 1
    assert sandbox.requests.kinds["provider_apps"] == 0


@pytest.mark.parametrize("verb", [("plan", "--online"), ("run",)])
def test_a_key_that_may_not_see_provider_apps_is_told_and_no_reason_to_stop(
    verb: tuple[str, ...], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "t.csv", [token_row(1)])
    sandbox.remove_app("hubspot")
    sandbox.next("403", on="provider_apps")

    ended = importer(*verb, "t.csv")

    assert ended.exit_code == 0, ended.err
    assert "the provider apps of the project were not checked: HTTP 403" in ended.out + ended.err


def test_provider_apps_that_are_answered_late_are_asked_for_again(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "t.csv", [token_row(1)])
    sandbox.remove_app("hubspot")
    sandbox.next("500_before", 2, on="provider_apps")

    assert importer("run", "t.csv").exit_code == 3
    assert sandbox.requests.kinds["provider_apps"] == 3


def test_a_done_row_needs_no_provider_app(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "t.csv", [salesforce_row(1)])
    importer("run", "t.csv")
    sandbox.remove_app("salesforce")
    write_csv(home / "t.csv", [salesforce_row(1, **{"metadata.workspace": "acme-new"})])

    assert importer("run", "t.csv", "--yes").exit_code == 0
    assert sandbox.requests.kinds["patch"] == 1


# --- the client that issued the tokens ---

MAPPING = """
[mapping]
provider = "provider"
groupRef = "group_ref"
consumerRef = "consumer_ref"
oauth2AuthorizationCode.refreshToken.token = "refresh_token"
oauth2AuthorizationCode.accessToken.token = "access_token"
providerApp.clientId = "client"
"""


def test_tokens_of_another_client_are_a_warning_and_strict_refuses_them(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    configure(home, MAPPING)
    clients = ["fake-client-hubspot", "fake-client-of-the-login", ""]
    write_csv(home / "t.csv", [token_row(n, client=client) for n, client in enumerate(clients)])

    planned = importer("plan", "t.csv", "--online")

    assert planned.exit_code == 0, planned.err
    assert "hubspot: 1 row with tokens of another client id than its provider app has" in online(planned)
    assert errors(home, "plan-warnings.csv") == {("g1", "other_client")}
    assert read_csv(home / "importer-report" / "plan-warnings.csv")[0]["field"] == "client"
    assert "fake-client" not in planned.out + planned.err
    assert importer("run", "t.csv", "--strict").exit_code == 3
    assert {found["groupRef"] for found in sandbox.connections()} == {"g0", "g2"}


def test_the_client_id_is_never_sent(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    configure(home, MAPPING)
    write_csv(home / "t.csv", [token_row(1, client="fake-client-hubspot")])

    assert importer("run", "t.csv").exit_code == 0
    assert "fake-client" not in json.dumps(sandbox.connections()[0]["request"])


def test_any_client_of_several_provider_apps_will_do(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    configure(home, MAPPING)
    write_csv(home / "t.csv", [token_row(1, client="fake-client-second")])
    sandbox.add_app("hubspot", "fake-client-second")

    assert importer("run", "t.csv", "--strict").exit_code == 0


@pytest.mark.parametrize(("preset", "row"), [
    ("allauth", {"account_id": "1", "provider": "hubspot", "user_id": "u1", "token": "fake-access-token-1",
                 "token_secret": "fake-refresh-token-1", "client_id": "fake-client-x"}),
    ("token-response", {"provider": "hubspot", "user_id": "u1", "token_response": json.dumps({
        "access_token": "fake-access-token-1", "refresh_token": "fake-refresh-token-1",
        "client_id": "fake-client-x"})}),
    ("nango", {"connection_id": "u1", "provider": "hubspot", "provider_config_key": "hs",
               "credentials": json.dumps({"type": "OAUTH2", "access_token": "fake-access-token-1",
                                          "config_override": {"client_id": "fake-client-x"}})}),
])  # fmt: skip
def test_presets_know_the_client_where_their_store_does(
    preset: str, row: dict[str, str], home: Path, importer: Importer
) -> None:
    write_csv(home / "t.csv", [row])

    importer("plan", "t.csv", "--preset", preset, "--online")

    assert ("u1", "other_client") in errors(home, "plan-warnings.csv")


# --- the module of a provider ---


def test_the_module_of_the_config_decides_what_a_row_needs(home: Path, importer: Importer) -> None:
    write_csv(home / "t.csv", [salesforce_row(1)])
    assert importer("plan", "t.csv", "--online").exit_code == 0
    configure(home, '[catalog]\nmodules = { salesforce = "Account-Engagement" }\n')

    ended = importer("plan", "t.csv", "--online")

    assert ended.exit_code == 3
    assert "salesforce needs providerMetadata.businessUnitId" in ended.out


@pytest.mark.parametrize(("modules", "said", "hint"), [
    ('salesforce = "crn"', "salesforce has no module crn", "Did you mean crm?"),
    ('Salesforce = "crm"', "names Salesforce, which the catalog does not have", "Did you mean salesforce?"),
    ('stripe = "crm"', "names a module of stripe, which has none", "Remove the line."),
    ("salesforce = 1", "catalog.modules in config.toml is", "Give a table of texts."),
])  # fmt: skip
def test_a_module_that_is_none_is_one_line_and_nothing_is_sent(
    modules: str, said: str, hint: str, home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    configure(home, f"[catalog]\nmodules = {{ {modules} }}\n")
    write_csv(home / "t.csv", [salesforce_row(1)])

    ended = importer("run", "t.csv")

    assert ended.exit_code == 2
    assert said in ended.err
    assert hint in ended.err
    assert sandbox.count() == 0


def test_a_module_is_not_doubted_where_the_catalog_cannot_tell() -> None:
    """No catalog at all, or an entry that is malformed."""
    refuse_unknown_modules(Catalog({}), {"salesforce": "crm"})
    refuse_unknown_modules(Catalog({"stripe": CATALOG["stripe"], "salesforce": "?"}), {"salesforce": "crm"})


def test_the_library_plans_online_when_it_is_told_to(home: Path, sandbox: Sandbox) -> None:
    write_csv(home / "t.csv", [token_row(1)])
    env = sandbox.environment()
    config = library.load_config(home / "config.toml", env, source__paths=[str(home / "t.csv")])

    assert library.plan(config).online is None
    found = library.plan(config, library.RunOptions(checks="online"), env=env).online

    assert found is not None
    assert (found.project_id, found.with_app, found.to_post) == (sandbox.project_id, ["hubspot"], 1)
