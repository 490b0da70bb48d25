"""The log: one event a line, of what calls name and nothing else."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Ended, token_row, write_csv

from importer.logs import RUN_ID, event, log_to
from importer.sandbox import Sandbox

LOG = logging.getLogger("importer.test_logs")
SECRET = "fake-secret-of-a-customer"
Run = Callable[..., Ended]


def events(err: str) -> list[dict[str, Any]]:
    """Every line of stderr, each of which has to be an object."""
    return [json.loads(line) for line in err.splitlines()]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(autouse=True)
def _root_level() -> Iterator[None]:
    """The level of the root logger as it was."""
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


# what a run logs


def test_stderr_is_json_lines_and_nothing_else(home: Path, shell: Run, sandbox: Sandbox) -> None:
    sandbox.next("503_retryable", 2)
    write_csv(home / "rows.csv", [token_row(n) for n in range(1, 6)] + [token_row(6, provider="")])
    ended = shell("run", "rows.csv", "--log-format", "json", "--log-level", "debug")
    assert ended.exit_code == 3, ended.err
    logged = events(ended.err)
    assert all(one["time"].endswith("Z") and one["level"] in {"debug", "info", "warning", "error"} for one in logged)
    names = [one["event"] for one in logged]
    assert names.count("row_finished") == 6
    assert names.count("command_ended") == 1
    ids = {one["run_id"] for one in logged if one["event"] not in {"asyncio", "library"} and "run_id" in one}
    assert len(ids) == 1
    rejected = next(one for one in logged if one.get("outcome") == "rejected")
    assert (rejected["source"], rejected["row"], rejected["group_ref"]) == ("rows.csv", 6, "g6")
    assert rejected["codes"] == "missing_value"


def test_info_has_the_run_and_the_rows_to_mend_but_not_the_others(home: Path, shell: Run) -> None:
    write_csv(home / "rows.csv", [token_row(1), token_row(2), token_row(3, group_ref="")])
    logged = events(shell("run", "rows.csv", "--log-format=json").err)
    names = [one["event"] for one in logged]
    assert names.count("row_finished") == 1
    assert "request" not in names
    assert [name for name in names if name.startswith("command_")] == ["command_started", "command_ended"]
    assert logged[-1]["exit_code"] == 3


def test_text_is_a_line_an_event_beside_the_words(home: Path, shell: Run) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    err = shell("run", "rows.csv", "--log-level", "info").err
    ended = next(line for line in err.splitlines() if " command_ended " in line)
    assert " info    command_ended run_id=" in ended
    assert " exit_code=0 requests=" in ended


def test_without_the_options_nothing_is_logged(home: Path, shell: Run) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    assert "command_started" not in shell("run", "rows.csv").err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "missing.csv"), "missing.csv"),
        (("run", "rows.csv", "--config", "missing.toml"), "missing.toml"),
        (("run", "rows.csv", "--rate", "no number"), "rate"),
        (("run", "rows.csv", "--no-such-option"), "--no-such-option"),
        (("verify", "--api-key", SECRET), "never an argument"),
    ],
)
def test_what_an_operator_can_cause_is_an_event_too(home: Path, shell: Run, words: Any, message: str) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    ended = shell(*words, "--log-format", "json")
    assert ended.exit_code == 2
    stopped = events(ended.err)[-1]
    assert stopped["event"] == "stopped"
    assert message in stopped["message"]
    assert stopped["exit_code"] == 2
    assert SECRET not in ended.err


def test_a_request_is_logged_with_its_status_and_without_its_header(home: Path, shell: Run) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    ended = shell("run", "rows.csv", "--log-format", "json", "--log-level", "debug")
    asked = [one for one in events(ended.err) if one["event"] == "request"]
    assert [one["http_status"] for one in asked if one["request"] == "generate"] == [201]
    assert all(one["latency_ms"] > 0 for one in asked)
    assert "fake-" not in ended.err
    assert "sandbox-key" not in ended.err


# what gets into a line


def test_fields_stand_in_their_order_and_in_quotes_where_they_must(stream: io.StringIO) -> None:
    with log_to(stream, "info", "text"):
        event(LOG, logging.INFO, "row_finished", row=7, group_ref='a "b" \n c', codes=None, ok=True)
    line = stream.getvalue()
    assert line.endswith(' info    row_finished row=7 group_ref="a \\"b\\" \\n c" ok=true\n')
    assert line.count("\n") == 1


def test_a_value_of_other_scripts_and_controls_stays_one_line_of_json(stream: io.StringIO) -> None:
    with log_to(stream, "info", "json"):
        event(LOG, logging.INFO, "row_finished", group_ref="Zürich\u2028\x1b[31m\r\nrot")
    assert json.loads(stream.getvalue())["group_ref"] == "Zürich\u2028\x1b[31m\r\nrot"
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().isascii()


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_another_library_logs_is_told_without_its_words(stream: io.StringIO, form: Any) -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    with log_to(stream, "debug", form):
        try:
            raise KeyError(SECRET)
        except KeyError:
            logging.getLogger("aiohttp.client").exception("failed with %s", SECRET)
        logging.getLogger("sqlalchemy.engine").warning(SECRET)
        logging.getLogger("importerx").warning(SECRET, extra={"fields": {"hint": SECRET}})
        logging.getLogger("asyncio").debug(SECRET)
    assert SECRET not in stream.getvalue()
    assert "aiohttp.client" in stream.getvalue()
    assert "KeyError" in stream.getvalue()
    assert "sqlalchemy.engine" in stream.getvalue()
    assert "asyncio" not in stream.getvalue()


def test_a_record_of_ours_that_is_no_event_is_told_without_its_words(stream: io.StringIO) -> None:
    with log_to(stream, "debug", "json"):
        LOG.warning("a text with %s in it", SECRET)
    assert SECRET not in stream.getvalue()


def test_nothing_propagates_to_the_handlers_of_the_program_around(stream: io.StringIO) -> None:
    outer = io.StringIO()
    handler = logging.StreamHandler(outer)
    logging.getLogger().addHandler(handler)
    try:
        with log_to(stream, "debug", "json"):
            event(LOG, logging.INFO, "one")
        event(LOG, logging.INFO, "another")
    finally:
        logging.getLogger().removeHandler(handler)
    assert outer.getvalue() == ""
    assert "another" not in stream.getvalue()


def test_a_log_whose_reader_has_gone_does_not_stop_the_run(home: Path, start: Any) -> None:
    write_csv(home / "rows.csv", [token_row(n) for n in range(1, 4)])
    with start("run", "rows.csv", "--log-level=debug", "--json") as process:
        process.stderr.close()
        out = process.stdout.read()
    assert process.wait(60) == 0
    assert json.loads(out.splitlines()[-1])["exit_code"] == 0


def test_each_task_has_its_own_run_id(stream: io.StringIO) -> None:
    async def one(name: str) -> None:
        RUN_ID.set(name)
        await asyncio.sleep(0)
        event(LOG, logging.INFO, name)

    async def both() -> None:
        await asyncio.gather(one("first"), one("second"))

    with log_to(stream, "info", "json"):
        asyncio.run(both())
    logged = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {one["event"]: one["run_id"] for one in logged} == {"first": "first", "second": "second"}
