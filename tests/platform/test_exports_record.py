"""The JSON record: complete, described by its schema, and made from what is stored."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from pytest_django import Settings

from explanations.content import Content, from_json
from explanations.exports.forms import Form, entity_tag, file_name
from explanations.exports.record import Record, record_of
from explanations.exports.schema import record_schema
from explanations.services import content_of
from tests.platform.case_world import finished, name_unit, world_with_cases
from tests.platform.exporting import material, named_units
from unitscope.version import code_version

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "explanation.schema.json"


@pytest.fixture
def record(db: None) -> Record:
    world = world_with_cases(images=3)
    name_unit(world, 0)
    name_unit(world, 2)
    name_unit(world, 2, who="expert2")
    explanation = finished(world)
    return record_of(explanation, content_of(explanation))


def validator() -> Draft202012Validator:
    schema = json.loads(COMMITTED.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def test_the_committed_schema_is_current() -> None:
    assert json.loads(COMMITTED.read_text()) == record_schema(), (
        "Run `python manage.py export_schema > docs/explanation.schema.json` and commit the result."
    )


def test_a_record_says_where_everything_in_it_comes_from(record: Record) -> None:
    data = json.loads(record.json)
    validator().validate(data)
    assert data["format"] == "unitscope-explanation"
    assert data["model"] == {"name": "Small classifier", "sha256": "a" * 64}
    assert data["image"]["name"] == "image000"
    assert data["image"]["patient"] == "p000"
    assert data["dissection"]["layer"] == "stage4"
    assert data["labels_digest"] == record.labels_digest
    assert data["vocabulary"]["slug"] == "lexicon-study"
    (finding,) = data["content"]["support"]["findings"]
    by_unit = {unit["index"]: unit["experts"] for unit in finding["units"]}
    assert by_unit == {0: ["Ada Reyes"], 2: ["Ada Reyes", "Ben Okafor"]}
    assert data["software"]["version"] == code_version().version
    assert data["narrative"]["prediction"].startswith("The model gives malignant")
    assert from_json(Content, data["content"]) == record.content, "nothing is lost on the way"
    assert record.time.isoformat() == data["completed"]


@pytest.mark.parametrize("units", [named_units(), []])
def test_records_with_and_without_a_check_fit_the_schema(units: list[Any]) -> None:
    validator().validate(json.loads(material(units=units).record.json))


def test_the_schema_refuses_what_is_no_record() -> None:
    good = json.loads(material().record.json)
    spoilt = [
        {**good, "version": 2},
        {**good, "remark": "more"},
        {key: value for key, value in good.items() if key != "labels_digest"},
        {**good, "content": {**good["content"], "probabilities": ["high"]}},
        {**good, "content": {**good["content"], "support": None}},
    ]
    for data in spoilt:
        with pytest.raises(ValidationError):
            validator().validate(data)


def test_another_record_has_another_tag_and_names_stay_safe() -> None:
    one, other = material().record, material(patient="p0002").record
    assert entity_tag(Form.PDF, one) == entity_tag(Form.PDF, material().record)
    assert entity_tag(Form.PDF, one) != entity_tag(Form.PDF, other)
    assert entity_tag(Form.PDF, one) != entity_tag(Form.JSON, one)
    assert file_name(Form.FHIR, one) == "p0001-l-mlo-malignant-explanation-12.fhir.json"


@pytest.fixture
def fresh_version() -> Iterator[None]:
    """Forgets the version that is kept for the life of the process."""
    code_version.cache_clear()
    yield
    code_version.cache_clear()


def test_the_code_version_names_the_commit_where_it_is_known(
    fresh_version: None, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "2.5"\n')
    settings.BASE_DIR = tmp_path
    assert (code_version().version, code_version().commit) == ("2.5", None)
    code_version.cache_clear()
    settings.COMMIT = "c0ffee" * 5
    assert str(code_version()) == "2.5 (c0ffeec0ff)"
