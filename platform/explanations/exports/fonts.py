"""The type of the PDF report: an embedded font, and what stands in where it has no letter."""

import re
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont

FOLDER = Path(__file__).parent / "fonts"
TEXT = "UnitscopeText"
BOLD = "UnitscopeText-Bold"
CHINESE, JAPANESE, KOREAN = "STSong-Light", "HeiseiKakuGo-W5", "HYGothic-Medium"
"""Not embedded: readers of PDF bring these three, or a font like them."""

EAST_ASIAN = re.compile(
    "[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef]+"
)
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]")
KANA = re.compile("[\u3040-\u30ff\u31f0-\u31ff]")


@cache
def register_fonts() -> None:
    pdfmetrics.registerFont(TTFont(TEXT, FOLDER / "DejaVuSansCondensed.ttf"))
    pdfmetrics.registerFont(TTFont(BOLD, FOLDER / "DejaVuSansCondensed-Bold.ttf"))
    pdfmetrics.registerFontFamily(TEXT, normal=TEXT, bold=BOLD, italic=TEXT, boldItalic=BOLD)
    for name in (CHINESE, JAPANESE, KOREAN):
        pdfmetrics.registerFont(UnicodeCIDFont(name))


def marked_up(text: str) -> str:
    """Plain text for a paragraph: nothing in it is markup, and East Asian runs name their font."""
    font = CHINESE
    if KANA.search(text):
        font = JAPANESE
    elif HANGUL.search(text):
        font = KOREAN
    return EAST_ASIAN.sub(lambda run: f'<font name="{font}">{run.group()}</font>', escape(text))
