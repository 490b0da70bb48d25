"""`importer providers`: the catalog live, and the one of last time where the API does not answer."""

import json
from collections.abc import Callable
from pathlib import Path

from desk import Ended

from importer.sandbox import Sandbox

Importer = Callable[..., Ended]


def test_every_provider_is_listed_with_what_it_needs(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    ended = importer("providers", XDG_CACHE_HOME=str(home / "cache"), AMP_API_KEY="")

    assert ended.exit_code == 0, ended.err
    lines = {line.split()[0]: line.split()[1:] for line in ended.out.splitlines()}
    assert lines["salesforce"] == ["oauth2/authorizationCodePKCE", "workspace"]
    assert lines["stripe"] == ["apiKey"]
    assert sandbox.requests.kinds == {"providers": 1}


def test_one_provider_is_told_whole(home: Path, importer: Importer) -> None:
    ended = importer("providers", "discourse", XDG_CACHE_HOME=str(home / "cache"))

    assert ended.exit_code == 0, ended.err
    assert "custom_auth.apiKey" in ended.out
    assert "metadata.workspace" in ended.out
    document = json.loads(importer("providers", "discourse", "--json", XDG_CACHE_HOME=str(home / "cache")).out)
    assert document["custom_auth"] == ["apiKey", "username"]


def test_a_name_that_is_not_quite_right_is_answered_with_the_nearest(home: Path, importer: Importer) -> None:
    ended = importer("providers", "Salesforce", XDG_CACHE_HOME=str(home / "cache"))

    assert ended.exit_code == 2
    assert "Did you mean salesforce?" in ended.err


def test_without_an_answer_the_catalog_of_last_time_serves(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    cache = str(home / "cache")
    first = importer("providers", XDG_CACHE_HOME=cache)
    sandbox.next("500_before", 10, on="providers")

    second = importer("providers", XDG_CACHE_HOME=cache)
    without = importer("providers", XDG_CACHE_HOME=str(home / "another"))

    assert second.out == first.out
    assert "the API does not answer" in second.err
    assert without.exit_code == 5
