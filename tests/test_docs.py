"""The pages of docs/: whoever follows them gets what they say."""

import re
import shlex
from pathlib import Path

import pytest
from pages import DOCS, plain, try_page
from postgres import Postgres

from importer.cli import importer
from importer.sandbox import Sandbox

ROOT = DOCS.parent

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


PAGES = [ROOT / "README.md", ROOT / "samples" / "README.md", *sorted(DOCS.glob("*.md"))]


def said_in_passing() -> list[tuple[str, str]]:
    """Page and words of each `importer …` that stands in a sentence, in a table or in a block of a shell."""
    texts = [(page.name, page.read_text("utf-8")) for page in PAGES]
    found = [(name, words) for name, text in texts for words in re.findall(r"`(importer [a-z][^`]*)`", text)]
    found += [(name, words) for name, text in texts for words in re.findall(r"^ {4}(importer .*)$", text, re.MULTILINE)]
    return sorted({(name, " ".join(words.split())) for name, words in found})


@pytest.mark.parametrize(("page", "words"), said_in_passing())
def test_a_command_that_is_said_in_passing_is_one(page: str, words: str) -> None:
    """Its verb and its options are there; the commands of console blocks are run besides."""
    verb, *given = shlex.split(words)[1:]
    assert verb in importer.commands
    context = importer.commands[verb].make_context(verb, given)
    assert not context.args
