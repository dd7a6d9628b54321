"""The report that a clinician reads and files: one to two pages of A4."""

import io
from collections.abc import Sequence
from typing import Any

from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    Image,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

from explanations import rendering
from explanations.content import Content, Finding, Removal, Side
from explanations.exports.figures import Bar, Swatch, check_plot
from explanations.exports.fonts import BOLD, TEXT, marked_up, register_fonts
from explanations.exports.page import MARGIN, NumberedPages
from explanations.exports.record import Material, Record
from explanations.pages import SMALL_SHARE
from explanations.wording import listing, number, percent, signed

WIDTH = A4[0] - 2 * MARGIN
IMAGE_BOX = (76 * mm, 88 * mm)
OUTLINED_FOR, OUTLINED_AGAINST = 3, 1
"""Findings whose contours are drawn: more would hide the image. The page shows each, the DICOM
segmentation has them all."""
UNNAMED_SHOWN = 6
CLASSES_SHOWN = 6
INK, MUTED, LINE = HexColor("#16222b"), HexColor("#526270"), HexColor("#c9d2d8")
SHADE, ACCENT = HexColor("#f2f5f6"), HexColor("#0b6a6c")
WARN_INK, WARN_FILL, WARN_LINE = HexColor("#6b3d00"), HexColor("#fdf0d3"), HexColor("#d08700")

BODY = ParagraphStyle(
    "body", fontName=TEXT, fontSize=9.2, leading=12.8, textColor=INK, spaceAfter=2
)
SMALL = ParagraphStyle("small", BODY, fontSize=7.8, leading=10.4, textColor=MUTED)
CELL = ParagraphStyle("cell", BODY, fontSize=8.4, leading=11)
STRONG = ParagraphStyle("strong", CELL, fontName=BOLD)
RIGHT = ParagraphStyle("right", CELL, alignment=TA_RIGHT)
LABEL = ParagraphStyle("label", SMALL, fontSize=7.2, leading=9)
LABEL_RIGHT = ParagraphStyle("label right", LABEL, alignment=TA_RIGHT)
TITLE = ParagraphStyle("title", BODY, fontName=BOLD, fontSize=17, leading=21)
HEADING = ParagraphStyle(
    "heading", BODY, fontName=BOLD, fontSize=11, leading=14, spaceBefore=9, spaceAfter=3
)
WARNING = ParagraphStyle("warning", BODY, textColor=WARN_INK)
WARNING_TITLE = ParagraphStyle("warning title", WARNING, fontName=BOLD, fontSize=10.5)

PLAIN = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ("TOPPADDING", (0, 0), (-1, -1), 1.5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
]


def pdf_report(material: Material) -> bytes:
    """The report as PDF; equal material gives equal bytes.

    Raises:
        ImageError: the image cannot be read.
    """
    register_fonts()
    record, content = material.record, material.record.content
    buffer = io.BytesIO()
    document = BaseDocTemplate(
        buffer,
        pagesize=A4,
        pageTemplates=[PageTemplate(frames=[_frame()])],
        title=f"{content.target_name} on {record.image.name}: explanation of a prediction",
        author=f"{record.software.name} {record.software.version}",
        subject=f"Explanation {record.number} of {record.model.name}",
        lang="en-GB",
        invariant=1,
    )
    parts = [
        *_head(record),
        *_warning(record),
        _picture_and_prediction(material),
        *_words(record),
        *_findings(content),
        *_coverage(content),
        *_check(content),
        *_provenance(record),
    ]
    document.build(parts, canvasmaker=NumberedPages.with_footer(_footer(record)))
    return buffer.getvalue()


def _frame() -> Frame:
    top, bottom = 14 * mm, 18 * mm
    sides = {f"{side}Padding": 0 for side in ("left", "right", "top", "bottom")}
    return Frame(MARGIN, bottom, WIDTH, A4[1] - top - bottom, **sides)


def _head(record: Record) -> list[Flowable]:
    image, content = record.image, record.content
    facts = [
        ("Case", image.name),
        ("Patient", image.patient),
        ("Study", image.study),
        ("View", image.hanging),
        ("Model", record.model.name),
        ("Model’s SHA-256", f"{record.model.sha256[:16]}…"),
        ("Explained class", content.target_name),
        ("Made", f"{record.time.day} {record.time:%b %Y, %H:%M %Z}"),
    ]
    cells = [[_text(name, LABEL), _text(value or "not known", STRONG)] for name, value in facts]
    table = Table(
        [cells[:4], cells[4:]],
        colWidths=[WIDTH * share for share in (0.26, 0.24, 0.22, 0.28)],
        style=[
            *PLAIN,
            ("BACKGROUND", (0, 0), (-1, -1), SHADE),
            ("LEFTPADDING", (0, 0), (-1, -1), 6),
            ("TOPPADDING", (0, 0), (-1, -1), 4),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
        ],
    )
    return [
        _text("Explanation of a prediction", TITLE),
        Spacer(0, 4),
        table,
        Spacer(0, 7),
    ]


def _warning(record: Record) -> list[Flowable]:
    warning = record.narrative.warning
    if not warning:
        return []
    box = Table(
        [[[_text("Not supported by its causal check", WARNING_TITLE), _text(warning, WARNING)]]],
        colWidths=[WIDTH],
        style=[
            ("BACKGROUND", (0, 0), (-1, -1), WARN_FILL),
            ("BOX", (0, 0), (-1, -1), 1.2, WARN_LINE),
            ("LEFTPADDING", (0, 0), (-1, -1), 8),
            ("RIGHTPADDING", (0, 0), (-1, -1), 8),
            ("TOPPADDING", (0, 0), (-1, -1), 5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 7),
        ],
    )
    return [box, Spacer(0, 8)]


def _picture_and_prediction(material: Material) -> Flowable:
    content = material.record.content
    shown = _outlined(content)
    picture = _picture(material, shown)
    side: list[Flowable] = [_text("Prediction", _first(HEADING)), _prediction(content)]
    if shown:
        side += [
            _text("Outlined on the image", HEADING),
            _legend(content, shown),
            Spacer(0, 3),
            _text(
                "An outline encloses the smallest area that holds half of a finding’s evidence.",
                SMALL,
            ),
        ]
    left = picture.drawWidth + 6 * mm
    return Table(
        [[picture, side]],
        colWidths=[left, WIDTH - left],
        style=[*PLAIN, ("RIGHTPADDING", (0, 0), (-1, -1), 0)],
    )


def _outlined(content: Content) -> list[Finding]:
    leading = [
        *content.support.findings[:OUTLINED_FOR],
        *content.against.findings[:OUTLINED_AGAINST],
    ]
    return [finding for finding in leading if finding.place]


def _picture(material: Material, shown: Sequence[Finding]) -> Image:
    content = material.record.content
    layers = [
        (material.maps[finding.key], rendering.colour_index(content, finding.key))
        for finding in shown
    ]
    picture = rendering.outlined(material.pixels, layers)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    stream.seek(0)
    scale = min(IMAGE_BOX[0] / picture.width, IMAGE_BOX[1] / picture.height)
    return Image(stream, picture.width * scale, picture.height * scale, hAlign="LEFT")


def _prediction(content: Content) -> Flowable:
    rows = []
    for index in _classes_shown(content):
        share, predicted = content.probabilities[index], index == content.predicted
        rows.append(
            [
                _text(content.class_names[index], STRONG if predicted else CELL),
                Bar(28 * mm, share, ACCENT if predicted else MUTED),
                _text(percent(share), RIGHT),
            ]
        )
    return Table(
        rows,
        colWidths=[34 * mm, 30 * mm, 28 * mm],
        hAlign="LEFT",
        style=[*PLAIN, ("VALIGN", (0, 0), (-1, -1), "MIDDLE")],
    )


def _classes_shown(content: Content) -> list[int]:
    """All classes, or of many the most probable and the explained one."""
    every = range(len(content.class_names))
    if len(every) <= CLASSES_SHOWN:
        return list(every)
    falling = sorted(every, key=lambda index: -content.probabilities[index])
    return list(dict.fromkeys([*falling[: CLASSES_SHOWN - 1], content.target]))


def _legend(content: Content, shown: Sequence[Finding]) -> Flowable:
    rows = [
        [
            Swatch(_colour(content, finding)),
            _text(finding.name, CELL),
            _text(f"{percent(finding.share)} {_direction(finding)}", RIGHT),
        ]
        for finding in shown
    ]
    return Table(rows, colWidths=[5 * mm, 55 * mm, 32 * mm], hAlign="LEFT", style=PLAIN)


def _direction(finding: Finding) -> str:
    return "for" if finding.key.startswith("for") else "against"


def _words(record: Record) -> list[Flowable]:
    words = record.narrative
    paragraphs = [words.prediction, " ".join(words.support), words.against, words.coverage]
    if not words.warning:
        paragraphs.append(words.check)
    return [
        _text(f"Why {record.content.target_name}?", HEADING),
        *(_text(paragraph, BODY) for paragraph in paragraphs if paragraph),
    ]


def _findings(content: Content) -> list[Flowable]:
    if not content.findings():
        return []
    rows: list[list[Any]] = [
        [
            "",
            _text("Finding", LABEL),
            _text("Share", LABEL_RIGHT),
            _text("Score", LABEL_RIGHT),
            _text("Units", LABEL),
            _text("Named by", LABEL),
        ]
    ]
    style = [
        *PLAIN,
        ("LINEBELOW", (0, 0), (-1, 0), 0.6, LINE),
        ("RIGHTPADDING", (2, 0), (3, -1), 8),
    ]
    for words, side in (("for", content.support), ("against", content.against)):
        if side.findings:
            style += [
                ("BACKGROUND", (0, len(rows)), (-1, len(rows)), SHADE),
                ("SPAN", (0, len(rows)), (-1, len(rows))),
                ("LEFTPADDING", (0, len(rows)), (-1, len(rows)), 4),
                ("NOSPLIT", (0, len(rows)), (-1, len(rows) + 1)),
            ]
            rows.append([_text(f"Evidence {words} {content.target_name}", STRONG)])
            large, small = _by_size(side.findings)
            rows += [_finding_row(content, finding) for finding in large]
            if small:
                rows.append(_small_row(small))
    table = Table(
        rows,
        colWidths=[5 * mm, 62 * mm, 22 * mm, 15 * mm, 24 * mm, WIDTH - 128 * mm],
        repeatRows=1,
        style=style,
    )
    return [
        _text("Findings", HEADING),
        _text(
            "What experts named the units that moved this prediction. Share: of all evidence on "
            f"its side. Score: its part of the score (logit) of {content.target_name}.",
            SMALL,
        ),
        Spacer(0, 3),
        table,
    ]


def _finding_row(content: Content, finding: Finding) -> list[Any]:
    name = [_text(finding.name, STRONG)]
    if finding.place:
        name.append(_text(finding.place.phrase, SMALL))
    return [
        Swatch(_colour(content, finding)) if finding in _outlined(content) else "",
        name,
        _text(percent(finding.share), RIGHT),
        _text(signed(finding.effect), RIGHT),
        _text(", ".join(content.unit_label(unit.index) for unit in finding.units), CELL),
        _text(listing(finding.namers), CELL),
    ]


def _by_size(findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """The findings that get a line each, the first in any case, and the others."""
    small = [finding for finding in findings[1:] if finding.share < SMALL_SHARE]
    return [finding for finding in findings if finding not in small], small


def _small_row(findings: Sequence[Finding]) -> list[Any]:
    names = listing([finding.name for finding in findings])
    return [
        "",
        [_text(number(len(findings), "smaller finding"), CELL), _text(names, SMALL)],
        _text(percent(sum(finding.share for finding in findings)), RIGHT),
        _text(signed(sum(finding.effect for finding in findings)), RIGHT),
    ]


def _coverage(content: Content) -> list[Flowable]:
    share = content.coverage
    parts: list[Flowable] = [_text("How much of it is named", HEADING)]
    if share is None:
        parts.append(_text(f"No unit speaks for {content.target_name} on this image.", BODY))
    else:
        words = f"Evidence for {content.target_name} carried by named units"
        row = [_text(words, CELL), Bar(50 * mm, share, ACCENT), _text(percent(share), RIGHT)]
        style = [*PLAIN, ("VALIGN", (0, 0), (-1, -1), "MIDDLE")]
        widths = [86 * mm, 54 * mm, 22 * mm]
        parts.append(Table([row], colWidths=widths, hAlign="LEFT", style=style))
    parts += [
        _text(_rest(content, side, words), BODY)
        for words, side in (("for", content.support), ("against", content.against))
        if side.rest.count
    ]
    return [KeepTogether(parts)]


def _rest(content: Content, side: Side, words: str) -> str:
    shown = side.rest.strongest[:UNNAMED_SHOWN]
    units = listing([f"{content.unit_label(unit.index)} ({percent(unit.share)})" for unit in shown])
    strongest = f"unit {units}" if len(shown) == 1 else f"units {units}"
    carry = "carries" if side.rest.count == 1 else "carry"
    return (
        f"{number(side.rest.count, 'unit')} without an agreed name {carry} "
        f"{percent(side.rest.share)} of the evidence {words} {content.target_name}; the strongest: "
        f"{strongest}."
    )


def _check(content: Content) -> list[Flowable]:
    check = content.removal
    if check is None:
        words = "No unit of this layer has an agreed name, so there was nothing to remove."
        return [KeepTogether([_text("Causal check", HEADING), _text(words, BODY)])]
    verdict = "supports" if check.supported else "does not support"
    numbers = [
        ("Probability before", percent(check.before)),
        ("Named units removed", percent(check.after)),
        ("Only named units kept", percent(check.kept)),
        ("Random sets beaten", f"{check.beaten} of {len(check.random_after)}"),
        ("Rank among the sets", f"{check.rank:.3f}"),
    ]
    facts = Table(
        [
            [_text(name, LABEL) for name, _ in numbers],
            [_text(value, STRONG) for _, value in numbers],
        ],
        colWidths=[WIDTH / len(numbers)] * len(numbers),
        style=PLAIN,
    )
    plot = [check_plot(check)] if check.random_after else []
    return [
        KeepTogether(
            [
                _text(f"Causal check: {verdict} the explanation", HEADING),
                facts,
                Spacer(0, 4),
                *plot,
                _text(_how_checked(content, check), SMALL),
            ]
        )
    ]


def _how_checked(content: Content, check: Removal) -> str:
    units = number(len(check.units), "named unit")
    was = "was" if len(check.units) == 1 else "were"
    words = (
        f"The {units} of the layer {was} set to zero in the model, and the image was run through "
        "it again. "
    )
    if check.random_after:
        sets = number(len(check.random_after), "random set")
        words += f"The same was done with {sets} of as many other units"
        if content.method == "additive":
            words += " (computed from the contributions, which foretold the real runs)"
        if check.random_activation is not None:
            words += f", on average {check.random_activation:.0%} as active as the named ones"
        words += ". "
    return (
        f"{words}The check supports the explanation where the probability falls and no more than "
        f"5 % of the sets lower it as much. {check.note}".strip()
    )


def _provenance(record: Record) -> list[Flowable]:
    method = (
        "exact contributions"
        if record.content.method == "additive"
        else ("units removed one by one")
    )
    commit = f", commit {record.software.commit}" if record.software.commit else ""
    rows = [
        ("Record", f"explanation {record.number} of project {record.project}"),
        ("Method", f"{method}; layer {record.content.layer} ({record.content.unit_count} units)"),
        ("Model", f"{record.model.name}, SHA-256 {record.model.sha256}"),
        ("Image", f"SHA-256 {record.image.sha256}"),
        (
            "Labels",
            f"digest {record.labels_digest}; vocabulary {record.vocabulary.slug} "
            f"{record.vocabulary.version}",
        ),
        ("Dissection", f"{record.dissection.number}, over {record.dissection.dataset}"),
        ("Written by", f"{record.software.name} {record.software.version}{commit}"),
    ]
    table = Table(
        [[_text(name, LABEL), _text(value, LABEL)] for name, value in rows],
        colWidths=[22 * mm, WIDTH - 22 * mm],
        style=[*PLAIN, ("LINEABOVE", (0, 0), (-1, 0), 0.6, LINE)],
    )
    words = (
        "This report says what a model’s prediction rests on. A finding is what experts named "
        "units of the model, not a statement that it is present in the patient; the report is no "
        "diagnosis."
    )
    return [
        KeepTogether(
            [_text("Where this comes from", HEADING), table, Spacer(0, 4), _text(words, SMALL)]
        )
    ]


def _footer(record: Record) -> str:
    return (
        f"{record.image.name} · patient {record.image.patient} · "
        f"{record.software.name} {record.software.version} · "
        f"model {record.model.sha256[:10]} · record {record.digest[:10]}"
    )


def _colour(content: Content, finding: Finding) -> Color:
    index = rendering.colour_index(content, finding.key)
    if index is None:
        return white
    red, green, blue = rendering.PALETTE[index]
    return Color(red / 255, green / 255, blue / 255)


def _text(words: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(marked_up(words), style)


def _first(style: ParagraphStyle) -> ParagraphStyle:
    return ParagraphStyle(f"first {style.name}", style, spaceBefore=0)
