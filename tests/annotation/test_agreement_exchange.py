import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.agreement.exporting import Format, Kind, export
from annotation.agreement.importing import ImportPlan, ImportRefusedError, import_table, plan_import
from annotation.agreement.tables import (
    TableError,
    json_of,
    read_table,
    texts_of,
    to_csv,
    to_json,
)
from annotation.models import Consensus, Label
from annotation.moving import use_vocabulary
from annotation.questions import DEFAULT, revise
from catalog.models import Term, Vocabulary
from tests.annotation.saying import SKIN, SPICULATED, VESSEL, say, settle
from tests.platform.factories import World, build_world

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
ODD = st.one_of(
    TEXT,
    st.sampled_from(
        ["=cmd|' /C calc'!A0", "'=1", "''@x", "-1", "+1", "\t=1", "a;b", 'a"b', "\r\n", "'tis", "﻿"]
    ),
)
LISTS = st.lists(ODD.filter(bool), max_size=3)


@given(st.lists(st.fixed_dictionaries({"note": ODD, "terms": LISTS, "more": ODD}), min_size=1))
def test_any_text_comes_back_from_either_format(rows: list[dict[str, Any]]) -> None:
    columns = ["note", "terms", "more"]
    read = read_table(to_csv(rows, columns).encode(), kind="labels", columns=columns)
    assert [{**row, "terms": texts_of(row["terms"])} for row in read] == rows
    text = to_json(rows, kind="labels", about={})
    assert read_table(text.encode(), kind="labels", columns=columns) == rows


@given(st.recursive(ODD | st.integers() | st.booleans(), lambda inner: st.dictionaries(ODD, inner)))
def test_objects_come_back_from_their_cell(value: Any) -> None:
    rows = [{"answers": {"key": value}}]
    (row,) = read_table(to_csv(rows, ["answers"]).encode(), kind="labels", columns=["answers"])
    assert json_of(row["answers"]) == {"key": value}


def test_semicolons_between_cells_are_read_as_well() -> None:
    data = b'layer;terms\nlayer4;"a;""b;c"""\n'
    (row,) = read_table(data, kind="labels", columns=["layer", "terms"])
    assert texts_of(row["terms"]) == ["a", "b;c"]


def test_no_cell_starts_a_formula(world: World) -> None:
    for unit, start in enumerate("=+-@"):
        say(world, "expert1", unit, recognisable="no", note=f"{start}cmd|' /C calc'!A0")
    text = export(world.project, Kind.LABELS, Format.CSV)
    cells = [cell for line in csv.reader(io.StringIO(text, newline="")) for cell in line]
    assert any("calc" in cell for cell in cells)
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


def fill(world: World) -> None:
    say(world, "expert1", 0, SPICULATED, VESSEL, confidence=3, note='=1, "x";\nβ 放射')
    say(world, "expert1", 1, recognisable="no", note="'quoted'")
    say(world, "expert2", 0, recognisable="unsure")
    say(world, "expert2", 1, note="only a note yet")
    label = Label.objects.get(author__username="expert1", unit_index=0)
    repeat = Label.with_repeats.create(
        model=label.model, layer_name="layer4", unit_index=0, author=label.author, occasion=1,
        recognisable="yes", answers={"association": ["normal", "benign"], "phenomena": "one"},
    )  # fmt: skip
    repeat.terms.set(label.terms.all())
    Label.with_repeats.update(created=datetime(2025, 1, 2, tzinfo=UTC))
    Term.objects.filter(code=VESSEL).update(retired=True)
    settle(world, "admin", 0, SPICULATED, note="@clear")
    settle(world, "admin", 1, recognisable="no")


def take(world: World, kind: Kind, data: str, *, replace: bool = False) -> ImportPlan:
    return import_table(
        project=world.project,
        user=world.people["admin"],
        kind=kind,
        data=data.encode(),
        replace=replace,
    )


def rows_of(text: str) -> list[dict[str, Any]]:
    changing = ("updated", "revisions", "number", "source")
    return [
        {name: value for name, value in row.items() if name not in changing}
        for row in json.loads(text)["rows"]
    ]


@pytest.mark.parametrize("file_format", list(Format))
def test_a_project_comes_back_from_its_exports(world: World, file_format: Format) -> None:
    fill(world)
    before = {kind: export(world.project, kind, Format.JSON) for kind in Kind}
    files = {kind: export(world.project, kind, file_format) for kind in Kind}
    for kind in Kind:
        assert take(world, kind, files[kind]).counts["keep"] == len(rows_of(before[kind]))
    Label.with_repeats.all().delete()
    Consensus.objects.all().delete()
    for kind in Kind:
        take(world, kind, files[kind])
        assert rows_of(export(world.project, kind, Format.JSON)) == rows_of(before[kind])
    assert take(world, Kind.LABELS, files[Kind.LABELS]).counts["add"] == 0
    assert set(Consensus.objects.values_list("source", flat=True)) == {"import"}


def table(world: World, **changes: Any) -> str:
    row = {
        "model_sha256": world.model.sha256, "layer": "layer4", "unit": 0, "author": "expert1",
        "recognisable": "yes", "terms": [VESSEL], **changes,
    }  # fmt: skip
    return to_json([row], kind="labels", about={})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_sha256": "00"}, "Add the model first"),
        ({"unit": 99}, "Dissect the layer first"),
        ({"unit": -1}, "whole number"),
        ({"unit": True}, "whole number"),
        ({"layer": "absent"}, "Dissect the layer first"),
        ({"layer": 4}, "has to be a text"),
        ({"author": "clinician"}, "no expert of this project"),
        ({"author": "nobody"}, "no expert of this project"),
        ({"recognisable": "maybe"}, "yes, no or unsure"),
        ({"recognisable": "no"}, "answer “yes” only"),
        ({"terms": ["absent"]}, "not a term"),
        ({"terms": 5}, "list of codes"),
        ({"confidence": 4}, "confidence"),
        ({"answers": [1]}, "has to be an object"),
        ({"answers": {"association": {"a": 1}}}, "takes a list of answers"),
        ({"answers": {"association": [1]}}, "is no answer to"),
        ({"answers": {"shape": {"a": 1}}}, "is no question of set 1"),
        ({"answers": {"note": "x"}}, "is no question of set 1"),
        ({"question_set": 7}, "no question set 7"),
        ({"note": "x" * 4001}, "at most 4000"),
        ({"created": "yesterday"}, "no time"),
        ({"created": "2025-01-01T00:00:00"}, "time zone"),
        ({"occasion": 70000}, "at most"),
    ],
)
def test_a_wrong_row_says_what_to_do(world: World, changes: dict[str, Any], message: str) -> None:
    data = table(world, **changes).encode()
    plan = plan_import(project=world.project, kind=Kind.LABELS, data=data, replace=False)
    assert [row.number for row in plan.refused] == [1]
    assert message in plan.refused[0].message


def test_one_wrong_row_keeps_all_rows_out(world: World) -> None:
    rows = [json.loads(table(world, unit=unit))["rows"][0] for unit in (0, 1, 0, 99)]
    with pytest.raises(ImportRefusedError) as refused:
        take(world, Kind.LABELS, to_json(rows, kind="labels", about={}))
    assert [row.number for row in refused.value.plan.refused] == [3, 4]
    assert "same as row 1" in refused.value.plan.refused[0].message
    assert not Label.objects.exists()


def test_what_is_here_is_replaced_only_when_asked_and_its_history_stays(world: World) -> None:
    say(world, "expert1", 0, SKIN)
    with pytest.raises(ImportRefusedError) as refused:
        take(world, Kind.LABELS, table(world))
    assert refused.value.plan.conflicts == 1
    assert [term.code for term in Label.objects.get().terms.all()] == [SKIN]
    take(world, Kind.LABELS, table(world), replace=True)
    label = Label.objects.get()
    assert [term.code for term in label.terms.all()] == [VESSEL]
    states = [
        [term["code"] for term in revision.state["terms"]] for revision in label.revisions.all()
    ]
    assert states == [[SKIN], [VESSEL]]
    last = label.revisions.last()
    assert last is not None
    assert last.state["imported_by"] == "admin"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"", "no rows"),
        (b"layer,unit\n", "no rows"),
        (b"layer,unit\nlayer4,0\n", "no column"),
        (b"layer,unit\nlayer4\n", "Row 1 has 1 cells"),
        (b'layer\n"open', "no CSV"),
        (b"layer\n\0", "zero characters"),
        (b'{"format": "other"}', "no export of labels"),
        (b'{"format": "unitscope-labels", "version": 1, "rows": [1]}', "list of objects"),
        (b"{", "no JSON"),
        (b'{"a": NaN}', "no JSON"),
    ],
)
def test_files_that_are_no_table_are_refused(world: World, data: bytes, message: str) -> None:
    with pytest.raises(TableError, match=message):
        plan_import(project=world.project, kind=Kind.LABELS, data=data, replace=False)


def test_labels_move_to_another_project_with_the_same_model(world: World) -> None:
    fill(world)
    other = build_world(images=3, units=6, slug="second")
    Term.objects.filter(vocabulary=other.project.vocabulary, code=VESSEL).update(retired=True)
    take(other, Kind.LABELS, export(world.project, Kind.LABELS, Format.CSV))
    assert rows_of(export(other.project, Kind.LABELS, Format.JSON)) == rows_of(
        export(world.project, Kind.LABELS, Format.JSON)
    )


def test_answers_to_an_earlier_set_come_back(world: World) -> None:
    say(world, "expert1", 0, VESSEL, answers={"phenomena": "one"})
    kept = [question for question in DEFAULT if question.key != "phenomena"]
    revise(world.project, kept, world.people["admin"])
    label = say(world, "expert1", 0, SKIN)
    assert label.question_set is not None
    assert (label.question_set.number, label.answers) == (2, {"phenomena": "one"})
    text = export(world.project, Kind.LABELS, Format.CSV)
    Label.objects.all().delete()
    take(world, Kind.LABELS, text)
    assert Label.objects.get().answers == {"phenomena": "one"}


def test_labels_come_back_after_the_vocabulary_and_a_role_have_changed(world: World) -> None:
    fill(world)
    world.project.memberships.filter(user=world.people["expert2"]).delete()
    other = Vocabulary.objects.create(slug="plain", name="Plain", version="1")
    use_vocabulary(project=world.project, vocabulary=other)
    world.project.refresh_from_db()
    before = {kind: export(world.project, kind, Format.JSON) for kind in Kind}
    for kind in Kind:
        assert take(world, kind, before[kind]).counts["keep"] == len(rows_of(before[kind]))
    Label.with_repeats.filter(author=world.people["expert1"]).delete()
    Consensus.objects.all().delete()
    for kind in Kind:
        take(world, kind, before[kind])
        assert rows_of(export(world.project, kind, Format.JSON)) == rows_of(before[kind])
