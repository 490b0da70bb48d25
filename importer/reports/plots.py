"""The plots of report.html, as SVG without a style or a script of its own.

pygal draws them, for it gives each mark a class and no inline style: page.css colours them for light, dark and paper,
under a content policy that forbids inline style. It loads in 50 ms and writes 10 kB a plot; matplotlib took 350 ms and
50 MiB and styles each mark inline, and a bundle of plotly would add 4.5 MB to each report.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, tostring

from importer.reports.markup import legend, safe

WIDTH, HEIGHT = 480, 190

Values = Sequence[float | None]


def over_time(title: str, unit: str, width_s: float, lines: Mapping[str, Values], least: float = 0.0) -> str:
    """A figure of up to three lines, one value a slice of `width_s` seconds; None leaves a gap.

    Its axis goes up to `least` at least: a count needs no steps of a half.
    """
    seconds = width_s * max(len(values) for values in lines.values())
    highest = max((value for values in lines.values() for value in values if value is not None), default=0.0)
    levels = ticks(max(highest, least))
    chart = _pygal().XY(
        width=WIDTH, height=HEIGHT, margin=6, margin_left=8, css=[], js=[], show_legend=False, show_dots=False,
        disable_xml_declaration=True, show_x_guides=False, range=(0, levels[-1]), xrange=(0, seconds), title=None,
        allow_interruptions=True,
    )  # fmt: skip
    chart.y_labels = [{"value": level, "label": f"{level:,g}"} for level in levels]
    chart.x_labels = [{"value": at, "label": _clock(at)} for at in ticks(seconds, time=True) if at <= seconds]
    for name, values in lines.items():
        chart.add(name, [(width_s * (at + 0.5), value) for at, value in enumerate(values)])
    tree = chart.render_tree()
    _strip(tree)
    tree.set("role", "img")
    tree.set("aria-label", _said(title, unit, lines))
    tree.attrib.pop("id", None)
    swatches = legend((f"swatch-{number}", safe(name)) for number, name in enumerate(lines))
    drawn = tostring(tree, encoding="unicode", short_empty_elements=True)
    return f"<figure><figcaption>{safe(title)}, {safe(unit)}</figcaption>{swatches}{drawn}</figure>"


def _pygal() -> Any:
    """pygal, loaded where a report is written, so that no other command pays for it.

    It leaves a finder of its map plug-ins behind, which Python 3.12 and later pass over and 3.11 warns of at each
    import that follows: none is needed here.
    """
    import pygal

    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    return pygal


def _said(title: str, unit: str, lines: Mapping[str, Values]) -> str:
    """What a screen reader says of a plot; the table below the plots has every number."""
    spans = []
    for name, values in lines.items():
        known = [value for value in values if value is not None]
        spans.append(f"{name} from {min(known):,g} to {max(known):,g}" if known else f"{name}: nothing")
    return f"{title}, {unit}: {'; '.join(spans)}. The numbers stand in the table below the plots."


def _strip(tree: Element) -> None:
    """Take out what pygal adds for its own script: styles, configuration, tooltips and titles."""
    for parent in list(tree.iter()):
        for child in list(parent):
            # a comment's tag is a function
            if not isinstance(child.tag, str) or child.tag.endswith(_NOT_NEEDED) or _is_overlay(child):
                parent.remove(child)


_NOT_NEEDED = ("defs", "title", "desc")


def _is_overlay(element: Element) -> bool:
    return (element.get("class") or "").startswith(
        ("plot overlay", "plot text-overlay", "plot tooltip-overlay", "titles")
    )


def ticks(highest: float, *, time: bool = False) -> list[float]:
    """Round values from 0 to at least `highest` in at most six steps; of a time in s, in steps that clocks have."""
    if highest <= 0:
        return [0.0, 1.0]
    steps = _clock_steps if time else _decimal_steps
    step = next(step for step in steps(highest) if step * 5 >= highest)
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def _decimal_steps(highest: float) -> list[float]:
    power = 10 ** math.floor(math.log10(highest / 5))
    return [power * factor for factor in (1, 2, 5, 10)]


def _clock_steps(highest: float) -> list[float]:
    if highest <= 5:
        return _decimal_steps(highest)
    hours = [3_600.0 * factor for factor in (1, 2, 3, 6, 12)]
    days = 86_400.0 * math.ceil(highest / 5 / 86_400)
    return [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, *hours, days]


def _clock(seconds: float) -> str:
    """A time since the start: `1.5 s`, `2:30`, `1:02:00`."""
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def plots(timeline: Mapping[str, Any]) -> list[str]:
    """Pace, latency, and what was refused, failed or sent again; as many as there is something to draw of."""
    width_s = float(timeline["width_s"])
    per_s = [n / width_s for n in timeline["requests"]]
    # while nothing may start, nothing is allowed
    share = [1 - paused / width_s for paused in timeline["paused_s"]]
    allowed = [None if rate is None else rate * part for rate, part in zip(timeline["allowed"], share, strict=True)]
    rows = [sum(each) / width_s for each in zip(*timeline["finished"].values(), strict=True)] or [0.0] * len(per_s)
    pace: dict[str, Values] = {"requests": per_s, "allowed": allowed, "rows finished": rows}
    if not any(value is not None for value in allowed):
        del pace["allowed"]
    found = [over_time("Pace", "a second", width_s, pace)]
    latency = {name: timeline[f"{name}_ms"] for name in ("p50", "p95", "p99")}
    found.append(over_time("Latency", "ms (p50: half of the answers came within it)", width_s, latency))
    trouble = {"refused for pace (429)": "throttled", "failed (5xx, no answer)": "failed", "sent again": "again"}
    if any(any(timeline[key]) for key in trouble.values()):
        lines = {name: timeline[key] for name, key in trouble.items()}
        found.append(over_time("Refusals and retries", f"in {width_s:g} s each", width_s, lines, least=4))
    return found
