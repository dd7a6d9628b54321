"""Turn an uploaded `.pt2` file into one that is safe to load.

A `.pt2` file is a zip with weights, a graph in JSON and example inputs. `torch.export.load` trusts
it: it unpickles example inputs, pickled weights and custom objects without restriction, resolves
operators and pytree types by name, evaluates shape expressions and guards as Python, and compiles
node names into source code. So the upload is opened with `zipfile` only, what is known to be
harmless is copied into a NEW archive, and everything else is refused or left out:

- raw weights and constants, none pickled, each as large as its shape says;
- the graph with allow-listed operators, identifiers as names, parsed shape expressions and
  builtin containers as input and output;
- no example inputs, guards, stack traces, custom metadata or compiled code.
"""

from __future__ import annotations

import json
import keyword
import math
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.export.pt2_archive._package import PT2ArchiveWriter

from analysis.models import expressions, operators
from analysis.models.errors import ModelError, UnsafeModelError

MAX_TOTAL_BYTES = 4 * 2**30
MAX_GRAPH_BYTES = 256 * 2**20
MAX_CONFIG_BYTES = 64 * 2**20
MAX_MEMBERS = 50_000

_GRAPH = "models/model.json"
_FOLDERS = (
    ("data/weights/", "model_weights_config.json"),
    ("data/constants/", "model_constants_config.json"),
)
_DROPPED = re.compile(
    r"data/sample_inputs/model\.pt|extra/[\w.-]+|\.data/(version|serialization_id|"
    r"\.format_version|alignment)|\.format_version|\.storage_alignment"
)
_HEADERS = {"archive_format": b"pt2", "archive_version": b"0", "byteorder": b"little"}
_PAYLOAD = re.compile(r"(weight|tensor)_[0-9]{1,9}")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,499}")
_PATH = re.compile(r"[A-Za-z0-9_@]+(\.[A-Za-z0-9_@]+)*")
_MODULE_ENTRY = re.compile(r"([\w@.]*),([\w@.]*),([\w.<>@]*)", re.ASCII)

_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2}
"""Bytes per element by serialised scalar type: integers, half, float, double, bool, bfloat16."""

_REFUSED_KEYS = frozenset({"as_graph", "as_operator", "as_custom_obj", "custom_obj", "token"})
_NAME_KEYS = frozenset({"name", "as_name"})
_PATH_KEYS = frozenset({"parameter_name", "buffer_name", "tensor_constant_name"})


def sanitize_archive(source: Path, target: Path) -> None:
    """Write to `target` a `.pt2` holding only the harmless parts of `source`.

    `target` should end in ".pt2"; it can be passed to `torch.export.load`.

    Raises UnsafeModelError with the reason: `source` is not a `.pt2` archive, is damaged, larger
    than allowed, or has parts that could run code. Nothing of `source` is ever executed.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = _members(archive)
            graph = _clean_program(_read_json(archive, members, _GRAPH, MAX_GRAPH_BYTES))
            payloads = [_payloads(archive, members, folder, config) for folder, config in _FOLDERS]
            _write(target, archive, members, graph, payloads)
    except ModelError:
        raise
    except (zipfile.BadZipFile, EOFError, NotImplementedError, struct.error) as error:
        raise UnsafeModelError(
            "The file is not a complete .pt2 archive. Save the model with torch.export.save and "
            "upload it again."
        ) from error
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise UnsafeModelError(
            f"The description of the model in the archive is malformed ({type(error).__name__}). "
            "Export it again with a current torch."
        ) from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Accepted members by their name inside the archive's one root folder."""
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise UnsafeModelError(f"The archive has more than {MAX_MEMBERS} members.")
    if sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
        raise UnsafeModelError(
            f"The archive unpacks to more than {MAX_TOTAL_BYTES // 2**30} GB; such models are "
            "not accepted."
        )
    members: dict[str, zipfile.ZipInfo] = {}
    roots = set()
    for info in infos:
        root, _, name = info.filename.partition("/")
        roots.add(root)
        if not _is_known(name):
            raise UnsafeModelError(
                f"The archive holds {info.filename[:80]!r}, which a model saved by "
                "torch.export.save does not have; or the file is cut off."
            )
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise UnsafeModelError("The archive is compressed; torch.export.save does not do that.")
        if info.flag_bits & 0x1:
            raise UnsafeModelError("The archive is encrypted.")
        if name in members:
            raise UnsafeModelError(f"The archive holds {name!r} twice.")
        members[name] = info
    if len(roots) != 1:
        raise UnsafeModelError("The archive must hold one folder, as torch.export.save writes it.")
    for name, expected in _HEADERS.items():
        if name in members and archive.read(members[name]) != expected:
            raise UnsafeModelError(f"The archive's {name} is not {expected.decode()!r}.")
    for name in (_GRAPH, "archive_format", *("".join(pair) for pair in _FOLDERS)):
        if name not in members:
            raise UnsafeModelError(
                f"The archive has no {name}. Save the model with torch.export.save of a current "
                "torch, as one program."
            )
    return members


def _is_known(name: str) -> bool:
    if name in _HEADERS or name == _GRAPH or _DROPPED.fullmatch(name):
        return True
    for folder, config in _FOLDERS:
        rest = name.removeprefix(folder)
        if rest != name:
            return rest == config or _PAYLOAD.fullmatch(rest) is not None
    return False


def _read_json(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, limit: int
) -> dict[str, Any]:
    if members[name].file_size > limit:
        raise UnsafeModelError(f"{name} is larger than {limit // 2**20} MB.")
    document = json.loads(archive.read(members[name]))
    if not isinstance(document, dict):
        raise UnsafeModelError(f"{name} is not a JSON object.")
    return document


def _payloads(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], folder: str, config: str
) -> tuple[str, str, dict[str, Any]]:
    """Check the table of weights or constants; every entry must be a raw tensor of stated size."""
    table = _read_json(archive, members, folder + config, MAX_CONFIG_BYTES)["config"]
    clean: dict[str, Any] = {}
    for name, entry in table.items():
        _check_path(name)
        if entry["use_pickle"] is not False or entry["tensor_meta"] is None:
            raise UnsafeModelError(
                f"The tensor {name!r} is stored as a pickle, which can run code. Export a model "
                "whose weights are plain tensors."
            )
        file = entry["path_name"]
        if (
            not isinstance(file, str)
            or not _PAYLOAD.fullmatch(file)
            or folder + file not in members
        ):
            raise UnsafeModelError(f"The tensor {name!r} has no data in the archive.")
        meta = _clean(entry["tensor_meta"])
        if _span_bytes(name, meta) > members[folder + file].file_size:
            raise UnsafeModelError(f"The tensor {name!r} is larger than its data.")
        clean[name] = {
            "path_name": file,
            "is_param": entry["is_param"] is True,
            "use_pickle": False,
            "tensor_meta": meta,
        }
    return folder, config, {"config": clean}


def _span_bytes(name: str, meta: dict[str, Any]) -> int:
    """The larger of what a tensor occupies and what a copy of it would."""
    item = _ITEM_BYTES.get(meta["dtype"])
    if item is None:
        raise UnsafeModelError(f"The tensor {name!r} has a number type that is not supported.")
    sizes = [int(size["as_int"]) for size in meta["sizes"]]
    strides = [int(stride["as_int"]) for stride in meta["strides"]]
    offset = int(meta["storage_offset"]["as_int"])
    if len(sizes) != len(strides) or min([0, offset, *sizes, *strides]) < 0:
        raise UnsafeModelError(f"The tensor {name!r} has an impossible shape.")
    count = math.prod(sizes)
    reach = 1 + offset + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    return item * (max(count, reach) if count else 0)


def _clean_program(program: dict[str, Any]) -> dict[str, Any]:
    module = program["graph_module"]
    graph = module["graph"]
    if graph.get("custom_obj_values"):
        raise UnsafeModelError("The model holds custom objects. Export it without them.")
    nodes = [_clean_node(node) for node in graph["nodes"]]
    return {
        "graph_module": {
            "graph": {
                "inputs": _clean(graph["inputs"]),
                "outputs": _clean(graph["outputs"]),
                "nodes": nodes,
                "tensor_values": _clean_table(graph["tensor_values"]),
                "sym_int_values": _clean_table(graph["sym_int_values"]),
                "sym_bool_values": _clean_table(graph["sym_bool_values"]),
                "sym_float_values": _clean_table(graph.get("sym_float_values", {})),
                "custom_obj_values": {},
                "is_single_tensor_return": graph["is_single_tensor_return"] is True,
            },
            "signature": _clean(module["signature"]),
            "module_call_graph": [_clean_call(entry) for entry in module["module_call_graph"]],
            "metadata": {},
            "treespec_namedtuple_fields": {},
        },
        "opset_version": {"aten": int(program["opset_version"]["aten"])},
        "range_constraints": {
            _check_name(symbol): {
                "min_val": _integer_or_none(bounds["min_val"]),
                "max_val": _integer_or_none(bounds["max_val"]),
            }
            for symbol, bounds in program["range_constraints"].items()
        },
        "schema_version": {
            "major": int(program["schema_version"]["major"]),
            "minor": int(program["schema_version"]["minor"]),
        },
        "verifiers": [_check_verifier(name) for name in program["verifiers"]],
        "torch_version": "",
        "guards_code": [],
    }


def _clean_node(node: dict[str, Any]) -> dict[str, Any]:
    target = node["target"]
    if not isinstance(target, str) or not operators.is_allowed(target):
        raise UnsafeModelError(
            f"The model calls {str(target)[:80]!r}, which is not on the list of accepted "
            "operators. Export a model made of standard layers."
        )
    metadata = {}
    if stack := node["metadata"].get("nn_module_stack"):
        for entry in stack.split(";"):
            match = _MODULE_ENTRY.fullmatch(entry)
            if match is None:
                raise UnsafeModelError(f"The model has a layer named {entry[:80]!r}. Rename it.")
            if match[2]:
                _check_path(match[2])
        metadata["nn_module_stack"] = stack
    return {
        "target": target,
        "inputs": [
            {
                "name": _check_name(item["name"], keywords=True),
                "arg": _clean(item["arg"]),
                "kind": _integer_or_none(item.get("kind")),
            }
            for item in node["inputs"]
        ],
        "outputs": _clean(node["outputs"]),
        "metadata": metadata,
        "is_hop_single_tensor_return": None,
        "name": None if node.get("name") is None else _check_name(node["name"]),
    }


def _clean_call(entry: dict[str, Any]) -> dict[str, Any]:
    if entry["fqn"]:
        _check_path(entry["fqn"])
    signature = entry["signature"]
    if signature is None:
        return {"fqn": entry["fqn"], "signature": None}
    names = signature.get("forward_arg_names")
    return {
        "fqn": entry["fqn"],
        "signature": {
            "inputs": _clean(signature["inputs"]),
            "outputs": _clean(signature["outputs"]),
            "in_spec": _clean_tree(signature["in_spec"]),
            "out_spec": _clean_tree(signature["out_spec"]),
            "forward_arg_names": None if names is None else [_check_name(n) for n in names],
        },
    }


def _clean_tree(text: str) -> str:
    """Accept a pytree description of builtin containers; other types are imported by name."""
    version, tree = json.loads(text)
    if version != 1:
        raise UnsafeModelError("The inputs or outputs have an unknown container format.")
    return json.dumps([1, _clean_branch(tree)])


def _clean_branch(tree: dict[str, Any]) -> dict[str, Any]:
    kind, context = tree["type"], tree["context"]
    keys = None if context is None else json.loads(context)
    plain = {
        None: keys is None,
        "builtins.tuple": keys is None,
        "builtins.list": keys is None,
        "builtins.dict": isinstance(keys, list) and all(isinstance(key, str) for key in keys),
    }
    if not plain.get(kind, False):
        raise UnsafeModelError(
            f"The model takes or returns a {str(kind)[:80]}. Export a model that takes one image "
            "tensor and returns one tensor."
        )
    return {
        "type": kind,
        "context": context,
        "children_spec": [_clean_branch(child) for child in tree["children_spec"]],
    }


def _clean_table(table: dict[str, Any]) -> dict[str, Any]:
    return {_check_name(name): _clean(value) for name, value in table.items()}


def _clean(value: Any, key: str = "") -> Any:
    """Copy a piece of the graph; every string in it must be of the kind that its key asks for."""
    if isinstance(value, dict):
        if key == "device" or key == "as_device":
            return {"type": "cpu", "index": None}
        if bad := _REFUSED_KEYS & value.keys():
            raise UnsafeModelError(
                f"The model's graph has a part of the kind {min(bad)!r}, which is not accepted."
            )
        return {_check_name(name): _clean(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, key) for item in value]
    if isinstance(value, str):
        check = _STRING_CHECKS.get(key)
        if check is None:
            raise UnsafeModelError(f"The model's graph has unexpected text under {key[:40]!r}.")
        return check(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise UnsafeModelError("The model's graph is malformed.")


def _check_name(name: Any, *, keywords: bool = False) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UnsafeModelError(f"{str(name)[:80]!r} is not a valid name in a graph.")
    if keyword.iskeyword(name) and not keywords:
        raise UnsafeModelError(f"The word {name!r} cannot be a name in a graph.")
    return name


def _check_path(path: Any) -> str:
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise UnsafeModelError(f"{str(path)[:80]!r} is not a valid parameter or layer name.")
    if any(part.startswith("__") for part in path.split(".")):
        raise UnsafeModelError(f"The parameter or layer name {path[:80]!r} is not allowed.")
    return path


def _check_expression(text: str) -> str:
    if not expressions.is_safe(text):
        raise UnsafeModelError(
            f"The model has the shape expression {text[:80]!r}, which is not plain arithmetic."
        )
    return text


def _check_mode(text: str) -> str:
    if text not in operators.STRING_ARGUMENTS:
        raise UnsafeModelError(f"The model passes the text {text[:80]!r} to an operator.")
    return text


def _check_float(text: str) -> str:
    if text not in ("Infinity", "-Infinity", "NaN"):
        raise UnsafeModelError(f"{text[:80]!r} is not a number.")
    return text


def _check_verifier(name: Any) -> str:
    if name not in ("ATEN", "TRAINING"):
        raise UnsafeModelError(f"The model is in the dialect {str(name)[:80]!r}; export it again.")
    return str(name)


def _integer_or_none(value: Any) -> int | None:
    return None if value is None else int(value)


_STRING_CHECKS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(_NAME_KEYS, _check_name),
    **dict.fromkeys(_PATH_KEYS, _check_path),
    "expr_str": _check_expression,
    "as_string": _check_mode,
    "as_strings": _check_mode,
    "as_float": _check_float,
    "as_floats": _check_float,
}


def _write(
    target: Path,
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    graph: dict[str, Any],
    payloads: list[tuple[str, str, dict[str, Any]]],
) -> None:
    with PT2ArchiveWriter(str(target)) as writer:
        for folder, config, table in payloads:
            for file in sorted({entry["path_name"] for entry in table["config"].values()}):
                writer.write_bytes(folder + file, archive.read(members[folder + file]))
            writer.write_string(folder + config, json.dumps(table))
        writer.write_string(_GRAPH, json.dumps(graph))
        # torch reads this member always, and takes an empty one for "no example inputs".
        writer.write_bytes("data/sample_inputs/model.pt", b"")
