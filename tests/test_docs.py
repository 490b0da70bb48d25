"""The pages of docs/: whoever follows them gets what they say."""

import re
from pathlib import Path

import pytest
from pages import DOCS, plain, try_page
from postgres import Postgres

from importer.sandbox import Sandbox

BETTER_AUTH = (
    """create table "user" (id text primary key, name text, email text)""",
    """create table organization (id text primary key, name text, slug text)""",
    """create table member (id text primary key, "organizationId" text references organization,
                            "userId" text references "user", role text)""",
    """create table account (id text primary key, "accountId" text, "providerId" text, "userId" text references "user",
                             "accessToken" text, "refreshToken" text, "idToken" text,
                             "accessTokenExpiresAt" timestamptz, "refreshTokenExpiresAt" timestamptz, scope text,
                             password text, "createdAt" timestamptz, "updatedAt" timestamptz)""",
    """insert into organization select 'org-' || n, 'Example ' || n, 'example-' || n from generate_series(1, 16) n""",
    """insert into "user" select 'usr-' || n, 'User ' || n, null from generate_series(10, 25) n""",
    """insert into member select 'mem-' || n, 'org-' || n - 9, 'usr-' || n, 'owner' from generate_series(10, 25) n""",
    """insert into account
       select 'acc-' || n, '20000' || n, (array['credential', 'hubspot', 'google', 'notion'])[n % 4 + 1], 'usr-' || n,
              case when n % 4 > 0 then 'fake-access-token-' || n end,
              case when n % 4 in (1, 2) then 'fake-refresh-token-' || n end, null,
              case when n % 4 in (1, 2) then timestamptz '2030-01-31 12:00:00+00' end, null,
              (array[null, 'oauth,crm.objects.contacts.read', 'https://www.googleapis.com/auth/gmail.readonly', null])
                [n % 4 + 1],
              case when n % 4 = 0 then 'fake-hash' end, timestamptz '2026-01-31 12:00:00+00',
              timestamptz '2026-01-31 12:00:00+00'
       from generate_series(10, 25) n""",
)
"""What Better Auth keeps, its plugin for organisations included: 16 users, of whom four have a password only."""


@pytest.fixture
def shop(postgres: Postgres) -> str:
    """The URL of an application's database."""
    url = postgres.url.removesuffix("/postgres") + "/shop"
    postgres.run("drop database if exists shop", "create database shop")
    postgres.run(*BETTER_AUTH, database="shop")
    return url


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", (DOCS / page).read_text("utf-8"))
    assert [target for target in targets if not (DOCS / target).exists()] == []


def test_the_way_from_better_auth_to_a_verified_import(tmp_path: Path, sandbox: Sandbox, shop: str) -> None:
    given = sandbox.environment() | {"DATABASE_URL": shop}
    for tried in try_page("migrating.md", tmp_path, given):
        assert plain(tried.printed) == plain(tried.promised), tried.command
        assert tried.exit_code == 0, tried.command
    assert sandbox.count() == 12
