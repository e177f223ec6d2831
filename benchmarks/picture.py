"""A picture of the races: bars of time relative to our fastest, as one SVG file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bench_step import Race
from report import best, number

_WIDTH, _LEFT, _RIGHT = 900, 230, 190
_BAR, _GAP, _TITLE = 16, 5, 30
_DECADE_FLOOR = 0.2


def picture(races: Sequence[Race]) -> str:
    """Return the text of an SVG file: one group of bars a workload, on a logarithmic axis."""
    most = max((_factor(race, name) for race in races for name in race.results), default=1.0)
    low, high = math.log(_DECADE_FLOOR), math.log(max(most, 2.0))
    parts: list[str] = []
    y = 40.0
    for race in races:
        parts.append(
            f'<text x="10" y="{y + 14}" class="title">{escape(race.workload)}, '
            f"{escape(race.optimizer)}</text>"
        )
        y += _TITLE
        for name in sorted(race.results, key=lambda name: race.results[name].timing.median):
            factor = _factor(race, name)
            part = (max(math.log(factor), low) - low) / (high - low)
            length = max(part * (_WIDTH - _LEFT - _RIGHT), 1.0)
            kind = "ours" if name.startswith("isograd") else "peer"
            label = f"{number(race.results[name].timing.median)} us, {factor:.2f}x"
            parts += [
                f'<text x="{_LEFT - 8}" y="{y + 12}" class="name">{escape(name)}</text>',
                f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" class="{kind}"/>',
                f'<text x="{_LEFT + length + 6:.1f}" y="{y + 12}">{label}</text>',
            ]
            y += _BAR + _GAP
        y += _GAP
    one = _LEFT + (0.0 - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 10:.0f}" '
        'font-family="sans-serif" font-size="12">\n'
        "<style>.title{font-weight:bold;font-size:14px}.name{text-anchor:end}"
        ".ours{fill:#2a6f97}.peer{fill:#b8b8b8}</style>\n"
        f'<rect width="{_WIDTH}" height="{y + 10:.0f}" fill="white"/>\n'
        '<text x="10" y="20">Time of a training step, relative to the fastest of isograd '
        "(logarithmic; shorter is better)</text>\n"
        f'<line x1="{one:.1f}" x2="{one:.1f}" y1="34" y2="{y:.0f}" stroke="#888" '
        'stroke-dasharray="3 3"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _factor(race: Race, name: str) -> float:
    mine = best(race, ours=True) or min(
        race.results, key=lambda other: race.results[other].timing.median
    )
    return race.results[name].timing.median / race.results[mine].timing.median
