"""Load uploaded models."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from analysis.models.archive import sanitize_archive
from analysis.models.errors import ModelError


def pick_device() -> torch.device:
    """CUDA where there is a device, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_model(path: Path, device: torch.device | None = None) -> nn.Module:
    """Load a `.pt2` file (`torch.export.save`) for inference, on `device` or the best one there is.

    The archive is sanitised first (`analysis.models.archive`), so nothing in it is unpickled. The
    model keeps its submodule names, takes [N, C, H, W] float32 and needs no gradients.

    Raises UnsafeModelError for refused files, ModelError for files that torch cannot load or that
    were exported in training mode.
    """
    program = load_program(path)
    target = device or pick_device()
    with _errors_in_words():
        if target.type != "cpu":
            program = move_to_device_pass(program, target)
        model = torch.export.unflatten(program)
    return model.eval().requires_grad_(False)


def load_program(path: Path) -> ExportedProgram:
    """The program of a `.pt2` file on the CPU, sanitised first. Raises as `load_model` does."""
    with tempfile.TemporaryDirectory(prefix="unitscope-model-") as folder:
        clean = Path(folder) / "model.pt2"
        sanitize_archive(path, clean)
        with _errors_in_words():
            program = torch.export.load(clean)
            _refuse_training_mode(program)
    return program


@contextmanager
def _errors_in_words() -> Iterator[None]:
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"torch cannot load the model ({type(error).__name__}: {_first_line(error)}). "
            f"Export it again with torch {torch.__version__.split('+')[0]}."
        ) from error


def _refuse_training_mode(program: ExportedProgram) -> None:
    for node in program.graph.nodes:
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        for position, argument in enumerate(node.target._schema.arguments):
            if argument.name not in ("training", "train"):
                continue
            value = (
                node.args[position]
                if position < len(node.args)
                else node.kwargs.get(argument.name, False)
            )
            if value is True:
                raise ModelError(
                    f"The model was exported in training mode ({node.target}). "
                    "Call model.eval() before torch.export.export and upload it again."
                )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:300]
