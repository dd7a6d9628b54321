"""Evaluation of explanations on the images of a split, and calibration of the probabilities."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.data import Sample
from analysis.errors import AnalysisError
from analysis.evaluation.calibration import calibrate
from analysis.evaluation.run import Result, evaluate
from analysis.evaluation.settings import EvaluationSettings, Question
from analysis.explanation import predict
from catalog.models import Image, Split
from explanations.building import specific_terms
from explanations.evaluation.record import to_plain
from explanations.evaluation.references import lexicon_of, references_of
from explanations.evaluation.services import complete, labels_of
from explanations.models import Calibration, Evaluation
from jobs.models import Job
from workers.loading import loaded_model, preprocessing_of
from workers.reporter import Reporter
from workers.samples import samples_of

FIT_SPLITS = (Split.VALIDATION, Split.TEST, Split.TRAIN)
"""Where the temperature is fitted, in order of preference: training images are the last resort,
because a model is surer of them than of new ones."""
Labelled = tuple[NDArray[np.float32], NDArray[np.int64], list[str]]


def run(job: Job, reporter: Reporter) -> None:
    evaluation = Evaluation.objects.select_related(
        "model", "layer", "dataset", "project__vocabulary"
    ).get(pk=job.target_id)
    if evaluation.completed:
        reporter.log("The evaluation is there already.")
        return
    images = _images(evaluation, evaluation.split)
    samples = samples_of(images, evaluation.model.class_names, with_masks=range(len(images)))
    reporter.progress(0, len(images), "Loading the model")
    found = evaluate(
        loaded_model(evaluation.model),
        evaluation.layer.name,
        samples,
        preprocessing_of(evaluation.model),
        _question(evaluation, images),
        EvaluationSettings(**evaluation.settings),
        progress=reporter.progress,
        should_stop=reporter.should_stop,
    )
    for key, reason in found.skipped:
        reporter.log(f"{key} was left out: {reason}")
    calibration, note = _calibration(evaluation, samples, found, reporter)
    if note:
        reporter.log(f"No calibration: {note}")
    complete(evaluation, {**to_plain(found), "calibration_note": note}, calibration)
    reporter.log(f"{found.images} images of {found.patients} patients.")


def _images(evaluation: Evaluation, split: str) -> list[Image]:
    return list(
        evaluation.dataset.images.filter(split=split)
        .select_related("dataset")
        .prefetch_related("masks__concept__term")
        .order_by("name")
    )


def _question(evaluation: Evaluation, images: list[Image]) -> Question:
    vocabulary = evaluation.project.vocabulary
    named = labels_of(evaluation).named
    units = evaluation.layer.units.filter(index__in=[unit.index for unit in named])
    return Question(
        unit_terms={unit.index: [term.code for term in specific_terms(unit)] for unit in named},
        thresholds=dict(units.values_list("index", "threshold")),
        references=references_of(images, evaluation.reference, vocabulary),
        parents=lexicon_of(vocabulary).parents,
        mask_terms=dict(
            evaluation.dataset.concepts.filter(term__isnull=False).values_list("key", "term__code")
        ),
    )


def _calibration(
    evaluation: Evaluation, samples: Sequence[Sample], found: Result, reporter: Reporter
) -> tuple[Calibration | None, str]:
    """Fit on another split, report on the evaluated one; or say why that cannot be done."""
    tested = _labelled(samples, found.logits)
    for split in FIT_SPLITS:
        images = _images(evaluation, split) if split != evaluation.split else []
        others = samples_of(images, evaluation.model.class_names)
        if any(sample.label is not None for sample in others):
            break
    else:
        return None, "the dataset has no other split with known classes to fit a temperature on."
    try:
        predictions = predict(
            loaded_model(evaluation.model),
            others,
            preprocessing_of(evaluation.model),
            progress=reporter.progress,
            should_stop=reporter.should_stop,
        )
        report = calibrate(_labelled(others, predictions.logits), tested)
    except AnalysisError as error:  # what was measured so far is worth keeping
        return None, str(error)
    calibration = Calibration(
        model=evaluation.model,
        dataset=evaluation.dataset,
        split=split,
        tested_split=evaluation.split,
        temperature=report.temperature,
        report=to_plain(report),
    )
    return calibration, ""


def _labelled(samples: Sequence[Sample], logits: NDArray[np.float32]) -> Labelled:
    """The samples with a known class and finite logits."""
    if not logits.size:
        raise AnalysisError("None of the images to fit a temperature on could be read.")
    rows = [
        row
        for row, sample in enumerate(samples)
        if sample.label is not None and np.isfinite(logits[row]).all()
    ]
    labels = np.array([samples[row].label for row in rows], np.int64)
    return logits[rows], labels, [samples[row].group for row in rows]
