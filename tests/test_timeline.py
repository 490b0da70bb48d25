"""The course of a run in a bounded number of slices."""

import json
import math

import pytest

from importer.outcomes import Outcome
from importer.timeline import FIRST_WIDTH_S, MOST_SLICES, Timeline, percentile_ms


def test_what_happens_is_counted_in_the_slice_of_its_time() -> None:
    line = Timeline(100.0)
    line.heard(100.1, 201, 0.050)
    line.heard(100.2, 429, 0.010)
    line.finished(100.3, Outcome.CREATED, 2)
    line.tick(100.4, 20.0, paused=False)
    line.heard(101.6, 503, 0.020)
    line.heard(101.7, None, 30.0)
    line.tick(101.8, 10.0, paused=True)

    said = line.as_json()

    assert said["width_s"] == FIRST_WIDTH_S
    assert said["requests"] == [2, 0, 0, 2]
    assert said["throttled"] == [1, 0, 0, 0]
    assert said["failed"] == [0, 0, 0, 2]
    assert said["again"] == [1, 0, 0, 0]
    assert said["finished"] == {"created": [1, 0, 0, 0]}
    assert said["allowed"] == [20.0, None, None, 10.0]
    assert said["paused_s"] == [0.0, 0.0, 0.0, FIRST_WIDTH_S]


@pytest.mark.parametrize(("hours", "width_s"), [(0.03, 0.5), (0.05, 1.0), (1.0, 16.0), (24.0, 512.0)])
def test_a_long_run_has_wider_slices_and_not_more_of_them(hours: float, width_s: float) -> None:
    line = Timeline(0.0)
    seconds = int(hours * 3_600)
    for second in range(seconds):
        line.heard(float(second), 201, 0.05)
        line.finished(float(second), Outcome.CREATED, 1)

    said = line.as_json()

    assert said["width_s"] == width_s
    assert MOST_SLICES / 2 - 1 <= len(said["requests"]) <= MOST_SLICES or hours < 0.05
    assert sum(said["requests"]) == sum(said["finished"]["created"]) == seconds
    assert {len(values) for values in said.values() if isinstance(values, list)} == {len(said["requests"])}


def test_a_pause_of_hours_costs_no_more_slices_than_it_takes() -> None:
    line = Timeline(0.0)
    line.heard(0.1, 201, 0.05)
    line.heard(40_000.0, 201, 0.05)

    said = line.as_json()

    assert len(said["requests"]) <= MOST_SLICES
    assert (said["requests"][0], said["requests"][-1], sum(said["requests"])) == (1, 1, 2)


@pytest.mark.parametrize(
    ("latencies_ms", "percent", "expected_ms"),
    [
        ([100.0], 50, 100.0),
        ([float(ms) for ms in range(1, 1_001)], 50, 500.0),
        ([float(ms) for ms in range(1, 1_001)], 95, 950.0),
        ([float(ms) for ms in range(1, 1_001)], 99, 990.0),
        ([10.0] * 99 + [30_000.0], 99, 10.0),
        ([10.0] * 98 + [30_000.0] * 2, 99, 30_000.0),
        ([0.2], 99, 0.2),
    ],
)
def test_a_percentile_is_right_to_five_percent(latencies_ms: list[float], percent: int, expected_ms: float) -> None:
    line = Timeline(0.0)
    for ms in latencies_ms:
        line.heard(0.0, 201, ms / 1_000)

    found = percentile_ms(line.slices[0].latencies, percent)

    assert found == pytest.approx(expected_ms, rel=0.05)
    assert line.as_json()["whole"][f"p{percent}_ms"] == found


def test_percentiles_stay_right_when_slices_are_merged() -> None:
    line = Timeline(0.0)
    for second in range(600):
        line.heard(float(second), 201, 0.010 if second % 10 else 1.0)

    said = line.as_json()

    assert said["width_s"] > FIRST_WIDTH_S
    assert said["whole"]["p50_ms"] == pytest.approx(10, rel=0.05)
    assert said["whole"]["p95_ms"] == pytest.approx(1_000, rel=0.05)


def test_it_is_json_whatever_the_pace_was() -> None:
    line = Timeline(5.0)
    line.tick(5.0, math.inf, paused=False)
    line.heard(5.0, 200, 0.0)

    said = line.as_json()

    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["allowed"] == [None]
    assert said["p50_ms"] == [0.0]
