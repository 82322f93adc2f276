"""A curve drawn in the terminal: one quantity over the steps of a run, in the theme's colours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual.content import Content
from textual.widget import Widget
from textual_plotext import Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import RenderResult
    from textual.color import Color

    from storyteller.tui.training.progress import Point

_LOWEST: Final = 4  # rows in which axes and a curve have room
_NARROWEST: Final = 16
_DOTS: Final = 2  # points a cell in braille
_TICK_ROWS: Final = 4  # rows between two labels

_COLOURS: Final = {"main": "room-accent", "second": "room-muted"}  # of the legend, as in the style sheet

_PlotColour = str | int | tuple[int, int, int]


@dataclass(frozen=True)
class Series:
    """Points of one line, in order of their steps. `kind` names its colour; a dotted one has no line through it."""

    name: str
    kind: str
    points: Sequence[Point]
    dotted: bool = False


class Curve(Widget):
    """Draws `Series` with plotext. Lines are told apart by how they are drawn, also without colours."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"curve--main", "curve--second", "curve--axes"}

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._title = title
        self.border_title = Content(title)
        self._series: tuple[Series, ...] = ()
        self._steps = 0

    def show(self, series: Sequence[Series], steps: int) -> None:
        """Draw these from now on, over `steps` steps."""
        self._series, self._steps = tuple(series), steps
        legend = [
            Content.assemble(("∙∙∙ " if one.dotted else "── ", f"${_COLOURS[one.kind]}"), one.name)
            for one in self._series
            if one.points
        ]
        self.border_title = Content("   ").join([Content(self._title), *legend])
        self.refresh()

    def render(self) -> RenderResult:
        """The plot at the widget's present size."""
        width, height = self.content_size
        shown = [one for one in self._series if one.points]
        if width < _NARROWEST or height < _LOWEST or not shown:
            return Content("")
        return Text.from_ansi(self._drawn(shown, width, height))

    def _drawn(self, shown: Sequence[Series], width: int, height: int) -> str:
        plot = Plot()
        plot.plotsize(width, height)
        plot._set_size(width, height)  # as the widget of textual-plotext does
        plot.theme("clear")
        axes = self._colour("curve--axes")
        plot.axes_color("default")
        plot.ticks_color(axes)
        plot.xaxes(lower=True, upper=False)
        plot.yaxes(left=True, right=False)
        last = max(self._steps, *(one.points[-1][0] for one in shown), 1)
        plot.xlim(0, last)
        low, high = _range(shown)
        plot.ylim(low, high)
        ticks = _ticks(low, high, max(3, height // _TICK_ROWS))
        plot.yticks(ticks, [_label(tick) for tick in ticks])
        plot.xticks([0, last // 2, last], [f"{step:,}" for step in (0, last // 2, last)])
        for one in sorted(shown, key=lambda series: not series.dotted):  # lines over dots
            points = thinned(one.points, width * (1 if one.dotted else _DOTS))
            steps, values = [step for step, _ in points], [value for _, value in points]
            colour = self._colour(f"curve--{one.kind}")
            if one.dotted or len(points) == 1:
                plot.scatter(steps, values, marker="∙" if one.dotted else "●", color=colour)
            else:
                plot.plot(steps, values, marker="braille", color=colour)
        return str(plot.build())

    def _colour(self, component: str) -> _PlotColour:
        """A component's colour as plotext takes it: the terminal's own number, or red, green and blue."""
        colour: Color = self.get_component_styles(component).color
        if colour.ansi is not None:
            return colour.ansi if colour.ansi >= 0 else "default"
        return colour.rgb


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` points, each the mean of its neighbours where there are more; the last one stays at its step."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / most)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def smoothed(points: Sequence[Point], width: int = 20) -> list[Point]:
    """Each value as the mean of the last `width` ones, weighted towards the newest."""
    kept = 1 - 1 / max(1, width)
    mean, weight = 0.0, 0.0
    smooth: list[Point] = []
    for step, value in points:
        if math.isfinite(value):
            mean, weight = kept * mean + value, kept * weight + 1
        if weight:
            smooth.append((step, mean / weight))
    return smooth


def _range(shown: Sequence[Series]) -> tuple[float, float]:
    """From the lowest to the highest value, with air around a flat line."""
    values = [value for one in shown for _, value in one.points if math.isfinite(value)] or [0.0]
    low, high = min(values), max(values)
    air = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return low - air, high + air


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between `low` and `high`, at most `most` of them or so."""
    rough = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= rough)
    first = math.ceil(low / step)
    return [index * step for index in range(first, math.floor(high / step) + 1)]


def _label(value: float) -> str:
    return f"{value:.4g}"
