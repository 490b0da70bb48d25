"""The same file every night: new rows, changed rows, rows that are there already, rows that stand twice."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from desk import Ended, key_row, read_csv, token_row, write_csv

from importer.sandbox import Sandbox

Importer = Callable[..., Ended]


def outcomes(home: Path) -> list[str]:
    return [row["outcome"] for row in read_csv(home / "importer-report/results.csv")]


def codes(home: Path) -> list[str]:
    return [row["code"] for row in read_csv(home / "importer-report/errors.csv")]


def current(sandbox: Sandbox, group: str) -> dict[str, object]:
    (connection,) = sandbox.connections(group)
    return dict(connection["current"])


def basic_row(**more: str) -> dict[str, str]:
    refs = {"provider": "freshdesk", "group_ref": "g1", "consumer_ref": "u1", "metadata.workspace": "acme"}
    return {**refs, "username": "fake-u", **more}


def client_row(**more: str) -> dict[str, str]:
    refs = {"provider": "marketo", "group_ref": "g1", "consumer_ref": "u1", "metadata.workspace": "acme"}
    return {**refs, "client_id": "fake-i", **more}


def grant_row(**more: str) -> dict[str, str]:
    refs = {"provider": "sugarCRM", "group_ref": "g1", "consumer_ref": "u1", "metadata.workspace": "https://a.example"}
    return {**refs, "username": "fake-u", "client_id": "fake-i", "client_secret": "fake-s", **more}


# changed rows


@pytest.mark.parametrize(
    ("before", "after", "mask"),
    [
        (key_row(1), key_row(1, api_key="fake-new-1"), {"apiKey"}),
        (
            key_row(1, **{"metadata.workspace": "acme"}),
            key_row(1, **{"metadata.workspace": "beta"}),
            {"providerMetadata", "providerWorkspaceRef"},
        ),
        (
            key_row(1, **{"metadata.workspace": "acme"}),
            key_row(1, api_key="fake-new-1", **{"metadata.workspace": "beta"}),
            {"apiKey", "providerMetadata", "providerWorkspaceRef"},
        ),
        (
            token_row(1, **{"metadata.team": "a"}),
            token_row(1, **{"metadata.team": "b"}),
            {"providerMetadata"},
        ),
        (basic_row(password="fake-p"), basic_row(password="fake-q"), {"basicAuth"}),
        (client_row(client_secret="fake-s"), client_row(client_secret="fake-t"), {"oauth2ClientCredentials"}),
        (grant_row(password="fake-p"), grant_row(password="fake-q"), {"oauth2PasswordCredentials"}),
    ],
    ids=["key", "workspace", "key and workspace", "metadata of a token", "basic", "client", "password grant"],
)  # fmt: skip
def test_a_changed_row_is_patched_with_the_right_mask_and_never_posted(
    before: dict[str, str], after: dict[str, str], mask: set[str], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [before])
    assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", [after])

    ended = importer("run", "rows.csv")

    assert ended.exit_code == 0, ended.err
    assert outcomes(home) == ["updated"]
    assert sandbox.requests.kinds["generate"] == 1
    (patch,) = sandbox.patches()
    assert set(patch["updateMask"]) == set(patch["connection"]) == mask
    assert importer("run", "rows.csv").exit_code == 0
    assert outcomes(home) == ["unchanged"]
    assert sandbox.requests.kinds["patch"] == 1


def test_metadata_that_the_row_does_not_name_is_kept(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    """The connector filled in a value of its own after the login: the API replaces the whole map, so it is merged."""
    write_csv(home / "rows.csv", [key_row(1, **{"metadata.region": "eu"})])
    assert importer("run", "rows.csv").exit_code == 0
    sandbox.set_metadata(sandbox.connections("g1")[0]["id"], {"tenantId": {"value": "t1", "source": "provider"}})

    write_csv(home / "rows.csv", [key_row(1, **{"metadata.region": "us"})])
    assert importer("run", "rows.csv").exit_code == 0

    metadata = current(sandbox, "g1")["providerMetadata"]
    assert metadata == {
        "region": {"value": "us", "source": "input"},
        "tenantId": {"value": "t1", "source": "provider"},
    }


@pytest.mark.parametrize("fault", ["drop_before", "drop_after_commit", "500_before", "500_after_commit", "html_502"])
def test_a_lost_patch_is_sent_again_and_never_becomes_a_post(
    fault: str, home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [key_row(1)])
    assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", [key_row(1, api_key="fake-new-1")])
    sandbox.next(fault, 2, on="patch")

    assert importer("run", "rows.csv").exit_code == 0

    assert current(sandbox, "g1")["apiKey"] == "fake-new-1"
    assert sandbox.requests.kinds["generate"] == 1


def test_a_patch_that_was_never_answered_is_sent_again_by_the_next_run(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The new key arrived, and nobody told us; meanwhile the file has gone back to the old one."""
    write_csv(home / "rows.csv", [key_row(1)])
    assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", [key_row(1, api_key="fake-new-1")])
    sandbox.next("drop_after_commit", 10, on="patch")
    assert importer("run", "rows.csv", "--attempts", "2").exit_code == 4
    assert current(sandbox, "g1")["apiKey"] == "fake-new-1"
    sandbox.calm()

    write_csv(home / "rows.csv", [key_row(1)])
    assert importer("run", "rows.csv").exit_code == 0

    assert current(sandbox, "g1")["apiKey"] == "fake-key-1"
    assert sandbox.requests.kinds["generate"] == 1


def test_a_refused_patch_leaves_the_row_created_and_is_tried_again(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [key_row(1)])
    assert importer("run", "rows.csv").exit_code == 0
    sandbox.next("echo_secret_422", on="patch")
    write_csv(home / "rows.csv", [key_row(1, api_key="fake-new-1")])

    refused = importer("run", "rows.csv")

    assert refused.exit_code == 3
    assert codes(home) == ["update_refused"]
    assert json.loads(importer("status", "--json").out)["entries"]["created"] == 1
    assert importer("run", "rows.csv").exit_code == 0
    assert current(sandbox, "g1")["apiKey"] == "fake-new-1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (token_row(1), token_row(1, access_token="fake-newer-1")),
        (
            {"provider": "gitlab", "group_ref": "g1", "consumer_ref": "u1", "custom_auth.token": "fake-t"},
            {"provider": "gitlab", "group_ref": "g1", "consumer_ref": "u1", "custom_auth.token": "fake-u"},
        ),
    ],
    ids=["tokens", "custom auth"],
)
def test_what_cannot_be_patched_is_an_error_on_the_first_night_only(
    before: dict[str, str], after: dict[str, str], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [before])
    assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", [after])

    first, second = importer("run", "rows.csv"), importer("run", "rows.csv")

    assert (first.exit_code, second.exit_code) == (3, 0)
    assert outcomes(home) == ["changed"]
    assert codes(home) == []
    assert sandbox.requests.kinds["patch"] == 0
    assert sandbox.requests.kinds["generate"] == 1


def test_an_expiry_that_moved_is_no_change(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1, access_token_expires_at="2030-01-01T00:00:00Z")])
    assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", [token_row(1, access_token_expires_at="2031-01-01T00:00:00Z")])

    assert importer("run", "rows.csv").exit_code == 0
    assert outcomes(home) == ["unchanged"]


def test_an_older_version_that_comes_back_is_never_patched_over_the_newer_one(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    for key in ("fake-a", "fake-b"):
        write_csv(home / "rows.csv", [key_row(1, api_key=key)])
        assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", [key_row(1, api_key="fake-a")])

    stale = importer("run", "rows.csv")

    assert stale.exit_code == 3
    assert codes(home) == ["stale"]
    assert current(sandbox, "g1")["apiKey"] == "fake-b"


def test_a_workspace_that_is_no_longer_named_is_kept(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [key_row(1, provider_workspace_ref="acme", **{"metadata.workspace": "acme"})])
    assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", [key_row(1)])

    assert importer("run", "rows.csv").exit_code == 0
    assert importer("run", "rows.csv").exit_code == 0

    assert outcomes(home) == ["unchanged"]
    assert current(sandbox, "g1")["providerWorkspaceRef"] == "acme"


def test_a_mass_change_needs_a_yes(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [key_row(n) for n in range(100)])
    assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", [key_row(n, api_key=f"fake-new-{n}") if n < 21 else key_row(n) for n in range(100)])

    refused = importer("run", "rows.csv")

    assert refused.exit_code == 2
    assert "21 of 100 done rows look changed" in refused.err
    assert sandbox.requests.kinds["patch"] == 0
    assert importer("run", "rows.csv", "--yes").exit_code == 0
    assert sandbox.requests.kinds["patch"] == 21


def test_a_change_that_was_reported_before_is_no_part_of_a_mass_change(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """Tokens cannot be replaced: such rows look changed every night, and were agreed to on the first."""
    newer = [token_row(n, access_token=f"fake-newer-{n}") for n in range(30)]
    write_csv(home / "rows.csv", [token_row(n) for n in range(100)])
    assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", newer + [token_row(n) for n in range(30, 100)])
    assert importer("run", "rows.csv").exit_code == 2
    assert importer("run", "rows.csv", "--yes").exit_code == 3
    assert codes(home) == ["changed"] * 30

    write_csv(
        home / "rows.csv",
        newer + [token_row(30, access_token="fake-newer-30")] + [token_row(n) for n in range(31, 101)],
    )
    next_night, last_night = importer("run", "rows.csv"), importer("run", "rows.csv")

    assert next_night.exit_code == 3, next_night.err
    assert sandbox.count() == sandbox.requests.kinds["generate"] == 101
    assert last_night.exit_code == 0, last_night.err
    assert outcomes(home).count("changed") == 31


def test_rows_that_vanished_from_the_file_are_left_alone(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(n) for n in range(5)])
    assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", [token_row(5)])

    assert importer("run", "rows.csv").exit_code == 0

    assert sandbox.count() == 6
    assert sandbox.requests.kinds["delete"] == 0


# connections that are there already


def test_a_lost_ledger_doubles_nothing(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(n) for n in range(5)])
    assert importer("run", "rows.csv").exit_code == 0
    for path in home.glob("importer-ledger*"):
        path.unlink()

    assert importer("run", "rows.csv").exit_code == 0

    assert outcomes(home) == ["adopted"] * 5
    assert sandbox.count() == 5


def test_a_customer_who_connected_by_hand_is_not_connected_twice(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The first run refused the row; before the second, the customer helped himself."""
    write_csv(home / "rows.csv", [token_row(1, access_token_expires_at="soon")])
    assert importer("run", "rows.csv").exit_code == 3
    by_hand = sandbox.add_connection("hubspot", "g1", "u1")
    write_csv(home / "rows.csv", [token_row(1)])

    assert importer("run", "rows.csv").exit_code == 0

    (row,) = read_csv(home / "importer-report/results.csv")
    assert (row["outcome"], row["connection_id"]) == ("adopted", by_hand)


def existing_policy(home: Path, word: str) -> None:
    config = home / "config.toml"
    config.write_text(f"{config.read_text()}\n[policy]\nexisting = '{word}'\n")


def test_existing_fail_rejects_the_row_and_touches_nothing(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    existing_policy(home, "fail")
    sandbox.add_connection("stripe", "g1", "u1")
    write_csv(home / "rows.csv", [key_row(1), key_row(2)])

    assert importer("run", "rows.csv").exit_code == 3

    assert outcomes(home) == ["rejected", "created"]
    assert codes(home) == ["exists"]
    assert sandbox.count("g1") == 1


def test_existing_update_patches_what_the_api_can_replace_and_reports_the_rest(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    existing_policy(home, "update")
    sandbox.add_connection("stripe", "g1", "u1")
    sandbox.add_connection("hubspot", "g2", "u2")
    write_csv(home / "rows.csv", [key_row(1, **{"metadata.workspace": "acme"}), token_row(2)])

    first, second = importer("run", "rows.csv"), importer("run", "rows.csv")

    assert (first.exit_code, second.exit_code) == (3, 0), first.err
    assert outcomes(home) == ["unchanged", "unchanged"]
    assert current(sandbox, "g1")["apiKey"] == "fake-key-1"
    assert sandbox.requests.kinds["generate"] == 0


def test_a_run_with_nothing_to_post_lists_nothing(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1), key_row(2)])
    assert importer("run", "rows.csv").exit_code == 0
    lists = sandbox.requests.kinds["list"]

    write_csv(home / "rows.csv", [token_row(1), key_row(2, api_key="fake-new-2")])
    assert importer("run", "rows.csv").exit_code == 0

    assert sandbox.requests.kinds["list"] == lists
    assert sandbox.requests.kinds["project"] == 2


# within one file


def test_the_same_key_twice_is_posted_once(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1), token_row(1), token_row(1, access_token="fake-other-1"), token_row(2)])

    assert importer("run", "rows.csv").exit_code == 3

    assert outcomes(home) == ["created", "duplicate", "rejected", "created"]
    (error,) = read_csv(home / "importer-report/errors.csv")
    assert (error["row"], error["code"]) == ("3", "conflict")
    assert "row 1" in error["message"]
    assert sandbox.count() == 2


def test_of_several_files_the_later_one_counts(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    folder = home / "exports"
    folder.mkdir()
    write_csv(folder / "night-9.csv", [token_row(1, access_token="fake-old-1"), token_row(2)])
    write_csv(folder / "night-10.csv", [token_row(1, access_token="fake-new-1"), token_row(3)])

    assert importer("run", "exports").exit_code == 0

    assert outcomes(home) == ["duplicate", "created", "created", "created"]
    tokens = current(sandbox, "g1")["oauth2AuthorizationCode"]
    assert tokens["accessToken"]["token"] == "fake-new-1"  # type: ignore[index]  # JSON


def test_one_refresh_token_under_two_keys_is_refused_twice(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1), token_row(2, refresh_token="fake-refresh-1"), token_row(3)])

    assert importer("run", "rows.csv").exit_code == 3

    assert outcomes(home) == ["rejected", "rejected", "created"]
    errors = read_csv(home / "importer-report/errors.csv")
    assert [(error["row"], error["code"]) for error in errors] == [("1", "shared_token"), ("2", "shared_token")]
    assert "row 2" in errors[0]["message"]
    assert "row 1" in errors[1]["message"]


def test_a_refresh_token_of_an_earlier_run_is_not_imported_under_another_key(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", [token_row(2, refresh_token="fake-refresh-1")])

    assert importer("run", "rows.csv").exit_code == 3

    assert codes(home) == ["shared_token"]
    assert sandbox.count() == 1


def test_a_refresh_token_that_made_no_connection_may_go_to_its_rightful_key(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The row was refused, and then its owner found that the token is another customer's."""
    write_csv(home / "rows.csv", [token_row(1, provider="nobody")])
    assert importer("run", "rows.csv").exit_code == 3
    write_csv(home / "rows.csv", [token_row(2, refresh_token="fake-refresh-1")])

    assert importer("run", "rows.csv").exit_code == 0
    assert sandbox.count("g2") == 1


def test_a_key_that_a_later_file_brings_twice_is_posted_once(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    folder = home / "exports"
    folder.mkdir()
    write_csv(folder / "1.csv", [token_row(1, access_token="fake-old-1")])
    write_csv(folder / "2.csv", [token_row(1), token_row(1)])

    assert importer("run", "exports").exit_code == 0

    assert outcomes(home) == ["duplicate", "created", "duplicate"]
    assert sandbox.count() == 1
    assert importer("run", "exports").exit_code == 0  # what the earlier file says is no change


def in_two_files(home: Path, earlier: list[dict[str, str]], later: list[dict[str, str]]) -> None:
    folder = home / "exports"
    folder.mkdir(exist_ok=True)
    write_csv(folder / "1.csv", earlier)
    write_csv(folder / "2.csv", later)


SALESFORCE = {"provider": "salesforce"}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pytest.param(
            [token_row(1), token_row(2, refresh_token="fake-refresh-1")],
            [token_row(1, refresh_token="fake-fresh-1"), token_row(2)],
            id="shared token",
        ),
        pytest.param(
            [token_row(1, **SALESFORCE)],
            [token_row(1, **SALESFORCE, **{"metadata.workspace": "acme"})],
            id="catalog",
        ),
        pytest.param(
            [token_row(1, access_token_expires_at="soon")],
            [token_row(1, access_token_expires_at="2030-01-01T00:00:00Z")],
            id="mapping",
        ),
        pytest.param(
            [token_row(1), token_row(1, access_token="fake-other-1")],
            [token_row(1, access_token="fake-newer-1")],
            id="conflict",
        ),
    ],
)
def test_what_was_wrong_with_a_row_that_a_later_file_replaces_is_nobodys_business(
    earlier: list[dict[str, str]], later: list[dict[str, str]], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    in_two_files(home, earlier, later)

    ended = importer("run", "exports")

    assert codes(home) == []
    assert ended.exit_code == 0
    assert outcomes(home) == ["duplicate"] * len(earlier) + ["created"] * len(later)


@pytest.mark.parametrize(
    ("first", "row"), [(["fake-a"], token_row), (["fake-a", "fake-b"], key_row)], ids=["changed", "stale"]
)
def test_a_change_that_a_later_file_takes_back_is_not_told(
    first: list[str], row: Callable[..., dict[str, str]], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The earlier file differs from what the connection holds, the later one does not."""
    cell = "api_key" if row is key_row else "access_token"
    for value in first:
        write_csv(home / "rows.csv", [row(1, **{cell: value})])
        assert importer("run", "rows.csv").exit_code == 0
    in_two_files(home, [row(1, **{cell: "fake-a" if row is key_row else "fake-c"})], [row(1, **{cell: first[-1]})])

    ended = importer("run", "exports")

    assert (ended.exit_code, codes(home)) == (0, []), ended.err
    assert outcomes(home) == ["duplicate", "unchanged"]


def test_an_update_of_a_connection_that_is_gone_says_so(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [key_row(1)])
    assert importer("run", "rows.csv").exit_code == 0
    sandbox.remove_connection(sandbox.connections()[0]["id"])
    write_csv(home / "rows.csv", [key_row(1, api_key="fake-newer-1")])

    assert importer("run", "rows.csv").exit_code == 3

    assert codes(home) == ["not_found"]
    assert sandbox.count() == 0  # and nothing is posted in its place


@pytest.mark.parametrize("changed", ["update", "report"])
def test_an_update_that_was_interrupted_is_unfinished_and_goes_on_without_a_yes(
    changed: str, home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """`existing = "update"` over 30 connections, of which the first are taken up and the PATCH of each is lost."""
    rows = [key_row(n) for n in range(30)]
    for n in range(30):
        sandbox.add_connection("stripe", f"g{n}", f"u{n}", apiKey="fake-older")
    config = home / "config.toml"
    config.write_text(f"{config.read_text()}\n[policy]\nexisting = 'update'\nchanged = '{changed}'\n")
    write_csv(home / "rows.csv", rows)
    sandbox.next("500_before", 100, on="patch")
    assert importer("run", "rows.csv", "--attempts", "1").exit_code == 4
    sandbox.calm()

    planned = importer("plan", "rows.csv")
    assert "30 unfinished" in planned.out
    assert importer("run", "rows.csv").exit_code == 0

    assert {c["current"]["apiKey"] for c in sandbox.connections()} == {f"fake-key-{n}" for n in range(30)}
    assert sandbox.requests.kinds["generate"] == 0


def newly_changed(home: Path, importer: Importer) -> str:
    """A hundred done rows, and a file in which thirty of them have new keys."""
    write_csv(home / "rows.csv", [key_row(n) for n in range(100)])
    assert importer("run", "rows.csv").exit_code == 0
    changed = [key_row(n, api_key=f"fake-newer-{n}") if n < 30 else key_row(n) for n in range(100)]
    return write_csv(home / "rows.csv", changed).read_text()


def test_a_mass_change_on_standard_input_is_refused_too(
    home: Path, sandbox: Sandbox, importer: Importer, shell: Importer
) -> None:
    stdin = newly_changed(home, importer)

    for _ in range(2):  # the first refusal must not make the second try look like an old change
        ended = shell("run", "-", stdin=stdin)
        assert ended.exit_code == 2
        assert "30 of 100 done rows look changed" in ended.err
    assert sandbox.patches() == []
    assert shell("run", "-", "--yes", stdin=stdin).exit_code == 0
    assert len(sandbox.patches()) == 30


def test_plan_ends_in_2_where_run_would_refuse_a_mass_change(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    newly_changed(home, importer)

    planned = importer("plan", "rows.csv")

    assert planned.exit_code == 2
    assert "30 of 100 done rows look changed" in planned.out
    assert "next:" not in planned.out
    assert json.loads(importer("plan", "rows.csv", "--json").out.splitlines()[-1])["mass_change"] is True


def test_plan_knows_the_rows_of_a_project_by_its_name_and_by_its_id(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [key_row(1)])
    assert importer("run", "rows.csv").exit_code == 0
    with closing(sqlite3.connect(home / "importer-ledger.db")) as db:
        ((project_id,),) = db.execute("SELECT project_id FROM targets")

    assert project_id != sandbox.environment()["AMP_PROJECT"]
    assert "1 already done" in importer("plan", "rows.csv", "--project", project_id).out


# what earlier versions and earlier files leave behind


def night(home: Path, importer: Importer, key: str, *flags: str) -> int:
    write_csv(home / "rows.csv", [key_row(1, api_key=key)])
    return importer("run", "rows.csv", *flags).exit_code


def key_of(sandbox: Sandbox) -> str:
    (connection,) = sandbox.connections()
    return str(connection["current"]["apiKey"])


def test_after_a_lost_update_and_a_refused_one_nobody_trusts_the_old_fingerprint(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The lost one was carried out: a file with the old key again is a change, whatever the ledger said before."""
    assert night(home, importer, "fake-old") == 0
    sandbox.next("drop_after_commit", on="patch")
    sandbox.next("echo_secret_422", on="patch")
    assert night(home, importer, "fake-new") == 3
    assert key_of(sandbox) == "fake-new"

    assert night(home, importer, "fake-old") == 0

    assert outcomes(home) == ["updated"]
    assert key_of(sandbox) == "fake-old"


def test_the_update_that_was_lost_last_night_and_refused_tonight_leaves_nothing_sure(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    assert night(home, importer, "fake-old") == 0
    sandbox.next("drop_after_commit", 9, on="patch")
    assert night(home, importer, "fake-new", "--attempts", "1") == 4
    sandbox.calm()
    sandbox.next("echo_secret_422", on="patch")
    assert night(home, importer, "fake-newer") == 3

    assert night(home, importer, "fake-old") == 0
    assert key_of(sandbox) == "fake-old"


def test_monday_does_not_come_back_over_tuesday(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    """Of a folder the later file counted; the earlier one alone is an older version, though it was never sent."""
    in_two_files(home, [key_row(1, api_key="fake-monday")], [key_row(1, api_key="fake-tuesday")])
    assert importer("run", "exports").exit_code == 0

    assert importer("run", "exports/1.csv").exit_code == 3

    assert codes(home) == ["stale"]
    assert key_of(sandbox) == "fake-tuesday"


def test_the_same_row_in_two_files_is_no_older_version_of_itself(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    in_two_files(home, [key_row(1)], [key_row(1)])
    assert importer("run", "exports").exit_code == 0

    assert night(home, importer, "fake-new") == 0
    assert night(home, importer, "fake-newer") == 0


def test_an_update_that_was_lost_and_then_replaced_is_an_older_version(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    assert night(home, importer, "fake-old") == 0
    sandbox.next("drop_after_commit", 9, on="patch")
    assert night(home, importer, "fake-a", "--attempts", "1") == 4
    sandbox.calm()
    assert night(home, importer, "fake-b") == 0

    assert night(home, importer, "fake-a") == 3

    assert codes(home) == ["stale"]
    assert key_of(sandbox) == "fake-b"


def test_what_is_posted_anew_after_it_was_forgotten_has_no_history(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    for key in ("fake-a", "fake-b"):
        assert night(home, importer, key) == 0
    sandbox.remove_connection(sandbox.connections()[0]["id"])
    assert importer("verify", "--forget-missing", "--yes").exit_code == 0

    for key in ("fake-b", "fake-a"):
        assert night(home, importer, key) == 0

    assert key_of(sandbox) == "fake-a"


def test_swapped_refresh_tokens_of_done_rows_are_reported_on_one_night(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """Nothing is sent for a row whose tokens cannot be replaced, so nobody is logged out by it."""
    write_csv(home / "rows.csv", [token_row(1), token_row(2)])
    assert importer("run", "rows.csv").exit_code == 0
    swapped = [token_row(1, refresh_token="fake-refresh-2"), token_row(2, refresh_token="fake-refresh-1")]
    write_csv(home / "rows.csv", swapped)

    assert importer("run", "rows.csv").exit_code == 3
    assert codes(home) == ["changed", "changed"]
    assert importer("run", "rows.csv").exit_code == 0


def test_a_key_without_its_refresh_token_does_not_hold_it_any_more(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    sandbox.next("echo_secret_422")
    write_csv(home / "rows.csv", [token_row(1)])
    assert importer("run", "rows.csv").exit_code == 3
    bare = token_row(1, refresh_token="")
    write_csv(home / "rows.csv", [bare])
    assert importer("run", "rows.csv").exit_code == 0

    write_csv(home / "rows.csv", [bare, token_row(2, refresh_token="fake-refresh-1")])
    assert importer("run", "rows.csv").exit_code == 0


def test_tokens_that_change_hands_between_two_files_are_no_conflict(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    swapped = [token_row(1, refresh_token="fake-refresh-2"), token_row(2, refresh_token="fake-refresh-1")]
    in_two_files(home, [token_row(1), token_row(2)], swapped)

    assert importer("run", "exports").exit_code == 0

    assert outcomes(home) == ["duplicate", "duplicate", "created", "created"]


@pytest.mark.parametrize("first", [[], [token_row(1)]], ids=["unsound alone", "sound and unsound"])
def test_of_three_nights_the_last_one_counts_whatever_was_wrong_before(
    first: list[dict[str, str]], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    bad = token_row(1, access_token="", refresh_token="")
    in_two_files(home, [*first, bad], [bad])
    write_csv(home / "exports/3.csv", [token_row(1, refresh_token="fake-fresh")])

    assert importer("run", "exports").exit_code == 0

    assert set(outcomes(home)[:-1]) == {"duplicate"}
    assert outcomes(home)[-1] == "created"


def test_in_one_pass_changes_wait_for_the_end_of_the_source(
    home: Path, sandbox: Sandbox, importer: Importer, shell: Importer
) -> None:
    """A fifth of all is not reached, though more than a fifth of the first chunk has changed."""
    rows = [key_row(n) for n in range(5_600)]
    write_csv(home / "rows.csv", rows)
    assert importer("run", "rows.csv").exit_code == 0
    changed = [key_row(n, api_key=f"fake-newer-{n}") for n in range(1_050)] + rows[1_050:]
    stdin = write_csv(home / "rows.csv", [*changed, key_row(9_000)]).read_text()

    assert shell("run", "-", stdin=stdin).exit_code == 0

    assert len(sandbox.patches()) == 1_050
    assert sandbox.count() == 5_601


def test_in_one_pass_new_rows_are_sent_and_a_mass_change_is_not_however_often_it_is_tried(
    home: Path, sandbox: Sandbox, importer: Importer, shell: Importer
) -> None:
    newly_changed(home, importer)
    changed = [key_row(n, api_key=f"fake-newer-{n}") if n < 30 else key_row(n) for n in range(101)]
    stdin = write_csv(home / "rows.csv", changed).read_text()

    first = shell("run", "-", stdin=stdin)
    second = shell("run", "-", stdin=stdin)

    assert (first.exit_code, second.exit_code) == (5, 2)  # a new row was sent the first time
    assert "30 of 100 done rows look changed" in first.err
    assert sandbox.patches() == []
    assert sandbox.count() == 101
