"""``python -m analysis.training.demo_classifier``: train, test and export the demo classifier.

A network is trained on phantom patients, its best epoch chosen on validation patients, and its
macro AUC measured on test patients. The same training on shuffled labels is measured beside it.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from analysis.models.loading import load_model
from analysis.phantoms import CLASSES, DEMO_SEED, SIZE, split_of
from analysis.training.batches import MEAN, STD
from analysis.training.exporting import check_export, export_model
from analysis.training.fitting import Schedule, fit, logits_of, softmax
from analysis.training.metrics import Auc, patient_auc
from analysis.training.network import STAGES, parameter_count
from analysis.training.population import Population, cached_population

PATIENTS = 800
CROP_EPOCHS = 24
EPOCHS = 6
CACHE = Path("var/phantoms")
CHECKPOINT = Path("demo/phantom_classifier.pt2")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line; train, or evaluate a file."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.training.demo_classifier", description=__doc__
    )
    parser.add_argument("--out", type=Path, default=CHECKPOINT, help="file to write")
    parser.add_argument("--patients", type=int, default=PATIENTS, help="population size")
    parser.add_argument("--crop-epochs", type=int, default=CROP_EPOCHS, help="epochs on crops")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="epochs on whole images")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for generated images")
    parser.add_argument(
        "--evaluate", type=Path, metavar="FILE", help="only test this .pt2 file, train nothing"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.evaluate:
        test_patients = [n for n in range(options.patients) if split_of(n) == "test"]
        test = cached_population(test_patients, DEMO_SEED, options.cache, options.threads)
        print(f"test macro AUC {evaluate(load_model(options.evaluate, torch.device('cpu')), test)}")
        return
    train_and_export(options)


def train_and_export(options: argparse.Namespace) -> None:
    """Train on true and on shuffled labels, print both test AUCs, write the .pt2 and the .json."""
    started = time.perf_counter()
    device = torch.device(options.device)
    schedule = Schedule(options.epochs, options.crop_epochs, seed=options.seed)
    population = cached_population(
        range(options.patients), DEMO_SEED, options.cache, options.threads
    )
    train, validation, test = (population.split(name) for name in ("train", "validation", "test"))
    print(_describe(population, time.perf_counter() - started))

    model = fit(train, validation, schedule, device, print)
    result = evaluate(model, test, device)
    export_model(model, options.out)
    images = torch.from_numpy((test.pixels[:8, None] / 255 - MEAN) / STD).float()
    difference = check_export(model, options.out, images)
    size = options.out.stat().st_size / 1e6
    print(f"{options.out}: {size:.1f} MB, logits differ by at most {difference:.1e}")
    print(f"test macro AUC {result}")
    write_description(options, result, None, parameter_count(model))

    rng = np.random.default_rng(options.seed)
    print("the same training on labels shuffled across patients:")
    control_model = fit(train.shuffled(rng), validation.shuffled(rng), schedule, device, print)
    control = evaluate(control_model, test, device)
    print(f"test macro AUC                    {result}")
    print(f"test macro AUC, shuffled training {control}")
    print(f"took {time.perf_counter() - started:.0f} s")
    write_description(options, result, control, parameter_count(model))


def evaluate(model: nn.Module, test: Population, device: torch.device | None = None) -> Auc:
    """Macro AUC of ``model`` on ``test`` with its patient-bootstrap interval."""
    logits = logits_of(model, test, device or torch.device("cpu"))
    return patient_auc(test.labels, softmax(logits), test.patients)


def write_description(
    options: argparse.Namespace, result: Auc, control: Auc | None, parameters: int
) -> None:
    """Write the .json beside the .pt2: how to feed the model, how it was made, what it achieved."""
    flags = " ".join(
        f"--{name.replace('_', '-')} {getattr(options, name)}"
        for name in ("patients", "crop_epochs", "epochs", "seed")
    )
    description = {
        "name": "Phantom classifier",
        "description": "Trained on the class of phantom mammograms and the outlines of findings; "
        "sees pixels only.",
        "task": "classification",
        "file": options.out.name,
        "classes": list(CLASSES),
        "preprocessing": {
            "input_size": [SIZE, SIZE],
            "channels": 1,
            "mean": [MEAN],
            "std": [STD],
            "channel_order": "RGB",
        },
        "layers": [
            {"name": name, "units": units, "height": height, "width": width}
            for name, (units, height, width) in STAGES.items()
        ],
        "parameters": parameters,
        "command": f"python -m analysis.training.demo_classifier {flags}",
        "training_seed": options.seed,
        "population_seed": DEMO_SEED,
        "population_patients": options.patients,
        "test_macro_auc": asdict(result),
        "test_macro_auc_shuffled_training": asdict(control) if control else None,
    }
    target = options.out.with_suffix(".json")
    target.write_text(json.dumps(description, indent=2) + "\n")


def _describe(population: Population, seconds: float) -> str:
    counts = np.bincount(population.labels, minlength=len(CLASSES))
    classes = ", ".join(f"{count} {name}" for count, name in zip(counts, CLASSES, strict=True))
    return f"{len(population.labels)} images ({classes}), ready after {seconds:.0f} s"


if __name__ == "__main__":
    main()
