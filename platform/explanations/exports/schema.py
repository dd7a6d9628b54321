"""The JSON Schema of exported records, derived from their types, so that the two cannot differ."""

import inspect
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from explanations.exports.record import Record

DIALECT = "https://json-schema.org/draft/2020-12/schema"
IDENTIFIER = "urn:unitscope:explanation:1"
PRIMITIVES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def record_schema() -> dict[str, Any]:
    """The schema of `Record.json`: every property is required, no other is allowed."""
    definitions: dict[str, Any] = {}
    root = _schema(Record, definitions)
    return {"$schema": DIALECT, "$id": IDENTIFIER, **root, "$defs": definitions}


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"const": inner[0]}
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(part, definitions) for part in inner]}
    if origin is list:
        return {"type": "array", "items": _schema(inner[0], definitions)}
    if is_dataclass(hint):
        name = str(getattr(hint, "__name__"))  # noqa: B009
        if name not in definitions:
            definitions[name] = {}  # holds the place while its own fields are described
            definitions[name] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{name}"}
    return {"type": PRIMITIVES[hint]}


def _object(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    return {
        "type": "object",
        "description": " ".join((inspect.getdoc(kind) or "").split()),
        "properties": {name: _schema(hints[name], definitions) for name in names},
        "required": names,
        "additionalProperties": False,
    }
