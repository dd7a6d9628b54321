"""Cases: a model's predictions for the images of a split."""

from analysis.errors import AnalysisError
from analysis.explanation import predict
from explanations.models import PredictionRun
from explanations.services import save_cases
from jobs.models import Job
from workers.loading import loaded_model, preprocessing_of
from workers.reporter import Reporter
from workers.samples import samples_of

CHUNK = 256


def run(job: Job, reporter: Reporter) -> None:
    """Predict the images that have no case yet, storing them chunk by chunk.

    A model and an image never change under their keys, so a second run goes on where an
    interrupted one stopped.
    """
    task = PredictionRun.objects.select_related("model", "dataset").get(pk=job.target_id)
    asked = task.dataset.images.filter(split=task.split)
    if task.image_id is not None:
        asked = asked.filter(pk=task.image_id)
    images = list(asked.exclude(cases__model=task.model).order_by("name"))
    if not images:
        reporter.log("All images have their predictions already.")
        return
    reporter.progress(0, len(images), "Loading the model")
    model = loaded_model(task.model)
    stored, reasons = 0, []
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        found = predict(
            model,
            samples_of(chunk),
            preprocessing_of(task.model),
            progress=_Part(reporter, start, len(images)),
            should_stop=reporter.should_stop,
        )
        reasons += found.skipped
        stored += save_cases(task, chunk, found.logits)
    for key, reason in reasons:
        reporter.log(f"{key} was left out: {reason}")
    if not stored:
        raise AnalysisError(
            f"None of the {len(images)} images could be predicted. The first reason: "
            f"{reasons[0][1] if reasons else 'the model gives values that are not finite'}"
        )
    reporter.log(f"{stored} images predicted.")


class _Part:
    """Progress of one chunk as progress of the whole."""

    def __init__(self, reporter: Reporter, done_before: int, total: int) -> None:
        self._reporter, self._done_before, self._total = reporter, done_before, total

    def __call__(self, done: int, _total: int, stage: str) -> None:
        self._reporter.progress(self._done_before + done, self._total, stage)
