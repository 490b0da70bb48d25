"""Figures of the last run as a Prometheus text file, for the textfile collector of the node exporter.

A batch job is not there to be asked, so its figures are gauges about its last run, with the times of its end and of its
last success (https://prometheus.io/docs/practices/instrumentation/#batch-jobs). The label `project` keeps the files of
two projects apart.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from importer import private
from importer.config import Config
from importer.errors import ConfigError, Exit

_FINISHED = frozenset({Exit.DONE, Exit.ROWS_NEED_A_FIX})
"""A success as far as machines go: what is left needs a person."""

_LAST_SUCCESS = "importer_last_success_timestamp_seconds"
_FIGURES = {
    "importer_last_run_exit_code": ("exit_code", "Exit code of the last run."),
    "importer_last_run_duration_seconds": ("elapsed_s", "Seconds that the last run took."),
    "importer_last_run_read_rows": ("read", "Rows that the last run read."),
    "importer_last_run_problems": ("problems", "Problems in errors.csv of the last run."),
    "importer_last_run_requests": ("requests", "Requests of any kind that the last run sent."),
    "importer_last_run_throttled_requests": ("throttled", "Requests that were refused for pace (429)."),
    "importer_last_run_complete": ("complete", "1 where the last run read every row of its sources."),
}


def check_metrics(config: Config) -> None:
    """Raise ConfigError where `metrics.textfile` cannot be written, before anything is sent."""
    if not config.metrics.textfile:
        return
    try:
        import prometheus_client as _found  # noqa: F401 - whether it is there
    except ImportError:
        raise ConfigError(
            "metrics.textfile needs a library that is not there", hint="pip install 'importer[metrics]'."
        ) from None
    path = _path(config)
    try:
        private.probe(path.parent)
    except OSError as error:
        raise ConfigError(
            f"metrics.textfile cannot be written in {path.parent}: {error.strerror}",
            hint="Give a folder that the user of the importer may write to.",
        ) from None
    if path.suffix != ".prom":
        raise ConfigError(
            f"metrics.textfile is {path.name}: the node exporter reads *.prom only", hint=f"Name it {path.stem}.prom."
        )


def write_metrics(config: Config, summary: Mapping[str, Any]) -> str:
    """Write the figures of a run that has ended, whole or not at all; what went wrong in words, or "".

    Readable by all, unlike reports: it holds numbers and the project's name, and the node exporter is another user.
    """
    if not config.metrics.textfile:
        return ""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    path, registry, now = _path(config), CollectorRegistry(), time.time()
    labels = {"project": config.api.project or ""}

    def gauge(name: str, what: str, value: float, **more: str) -> None:
        if name not in gauges:
            gauges[name] = Gauge(name, what, [*labels, *more], registry=registry)
        gauges[name].labels(**labels, **more).set(value)

    gauges: dict[str, Gauge] = {}
    gauge("importer_last_run_end_timestamp_seconds", "When the last run ended.", now)
    for name, (key, what) in _FIGURES.items():
        if key in summary:
            gauge(name, what, float(summary[key]))
    for outcome, count in summary.get("outcomes", {}).items():
        gauge("importer_last_run_rows", "Rows of the last run by what became of them.", count, outcome=outcome)
    success = now if summary["exit_code"] in _FINISHED else _last_success(path, labels)
    if success is not None:
        gauge(_LAST_SUCCESS, "When a run last finished, whatever some of its rows need.", success)
    try:
        with private.whole_file(path, "wb") as file:
            file.write(generate_latest(registry))
            os.fchmod(file.fileno(), 0o644)
    except OSError as error:
        return f"metrics.textfile could not be written: {error.strerror}"
    return ""


def _last_success(path: Path, labels: Mapping[str, str]) -> float | None:
    """What the file of the run before says of it."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(path.read_text("utf-8")))
    except (OSError, ValueError):
        return None
    samples = (sample for family in families for sample in family.samples if sample.name == _LAST_SUCCESS)
    return next((sample.value for sample in samples if sample.labels == labels), None)


def _path(config: Config) -> Path:
    return config.base / (config.metrics.textfile or "")
