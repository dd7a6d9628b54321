"""Footers that know how many pages there are."""

from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph

from explanations.exports.fonts import TEXT, marked_up

MARGIN = 18 * mm
FOOTER = ParagraphStyle(
    "footer", fontName=TEXT, fontSize=7.2, leading=9, textColor=HexColor("#526270")
)


class NumberedPages(Canvas):
    """Holds every page back until the last one is known."""

    footer = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._held: list[dict[str, Any]] = []

    @classmethod
    def with_footer(cls, footer: str) -> type["NumberedPages"]:
        return type("Pages", (cls,), {"footer": footer})

    def showPage(self) -> None:  # noqa: N802
        self._held.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        for number, page in enumerate(self._held, start=1):
            self.__dict__.update(page)
            self._draw_footer(f"Page {number} of {len(self._held)}")
            super().showPage()
        super().save()

    def _draw_footer(self, place: str) -> None:
        self.setStrokeColor(HexColor("#c9d2d8"))
        self.setLineWidth(0.6)
        self.line(MARGIN, 13.5 * mm, A4[0] - MARGIN, 13.5 * mm)
        words = Paragraph(marked_up(self.footer), FOOTER)
        _, height = words.wrap(A4[0] - 2 * MARGIN - 25 * mm, 10 * mm)
        words.drawOn(self, MARGIN, 12 * mm - height)
        self.setFont(TEXT, FOOTER.fontSize)
        self.setFillColor(FOOTER.textColor)
        self.drawRightString(A4[0] - MARGIN, 12 * mm - 7, place)
