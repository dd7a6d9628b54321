"""Small drawings of the PDF report."""

from reportlab.graphics.shapes import Circle, Drawing, Line, Polygon, String
from reportlab.lib.colors import Color, HexColor
from reportlab.platypus import Flowable

from explanations import rendering
from explanations.content import Removal
from explanations.exports.fonts import TEXT

TRACK, EDGE = HexColor("#e3e8eb"), HexColor("#3a4650")
AXIS, RANDOM, NAMED, BEFORE = (
    HexColor("#788993"), HexColor("#8fa3b0"), HexColor("#b4540a"), HexColor("#16222b"),
)  # fmt: skip


class Bar(Flowable):
    """A share in [0, 1] as a bar."""

    def __init__(self, width: float, share: float, colour: Color) -> None:
        super().__init__()
        self.width, self.height = width, 5.0
        self.share, self.colour = share, colour

    def draw(self) -> None:
        self.canv.setFillColor(TRACK)
        self.canv.roundRect(0, 0, self.width, self.height, 2, stroke=0, fill=1)
        if self.share > 0:
            self.canv.setFillColor(self.colour)
            filled = max(1.0, self.width * min(self.share, 1))
            self.canv.roundRect(0, 0, filled, self.height, min(2, filled / 2), stroke=0, fill=1)


class Swatch(Flowable):
    """The colour of a finding's contour."""

    def __init__(self, colour: Color) -> None:
        super().__init__()
        self.width, self.height = 7.5, 9.0
        self.colour = colour

    def draw(self) -> None:
        self.canv.setFillColor(self.colour)
        self.canv.setStrokeColor(EDGE)
        self.canv.setLineWidth(0.5)
        self.canv.roundRect(0, 0.5, 7.5, 7.5, 1.5, stroke=1, fill=1)


def check_plot(check: Removal) -> Drawing:
    """The probabilities after removal, as on the case page; `rendering.dot_plot` has the places."""
    plot = rendering.dot_plot(check)
    height, floor = 128.0, rendering.DotPlot.FLOOR
    drawing = Drawing(400, height - 4)
    drawing.hAlign = "LEFT"

    def up(y: float) -> float:
        """Places count downwards, PDF upwards."""
        return height - y

    left, right = plot.ticks[0][0], plot.ticks[-1][0]
    drawing.add(Line(left, up(floor), right, up(floor), strokeColor=AXIS, strokeWidth=0.7))
    for x, text in plot.ticks:
        drawing.add(Line(x, up(floor), x, up(floor + 4), strokeColor=AXIS, strokeWidth=0.7))
        drawing.add(_words(x, up(floor + 14), text, "middle"))
    for x, y in plot.dots:
        drawing.add(Circle(x, up(y), plot.radius, fillColor=RANDOM, strokeColor=None))
    drawing.add(
        Line(
            plot.before_x, up(12), plot.before_x, up(floor),
            strokeColor=BEFORE, strokeWidth=1, strokeDashArray=[3, 3],
        )
    )  # fmt: skip
    drawing.add(
        Line(plot.named_x, up(12), plot.named_x, up(floor), strokeColor=NAMED, strokeWidth=1.4)
    )
    drawing.add(Circle(plot.before_x, up(12), 3.6, fillColor=BEFORE, strokeColor=None))
    drawing.add(_diamond(plot.named_x, up(12)))
    _legend(drawing, up(floor + 27))
    return drawing


def _diamond(x: float, y: float) -> Polygon:
    points = [x, y + 5, x + 4.5, y, x, y - 5, x - 4.5, y]
    return Polygon(points, fillColor=NAMED, strokeColor=None)


def _legend(drawing: Drawing, y: float) -> None:
    drawing.add(_diamond(18, y + 2.5))
    drawing.add(_words(27, y, "named units removed"))
    drawing.add(Circle(128, y + 2.5, 3.6, fillColor=BEFORE, strokeColor=None))
    drawing.add(_words(136, y, "nothing removed"))
    drawing.add(Circle(222, y + 2.5, 3, fillColor=RANDOM, strokeColor=None))
    drawing.add(_words(230, y, "a random set removed"))


def _words(x: float, y: float, text: str, anchor: str = "start") -> String:
    return String(
        x, y, text, fontName=TEXT, fontSize=7.6, fillColor=HexColor("#526270"), textAnchor=anchor
    )
