"""The explanation of one prediction, in the names that its record was asked for with."""

from collections.abc import Callable

from analysis.data import read_sample
from analysis.errors import Cancelled
from analysis.explanation import explain
from explanations.building import Picture, build, term_groups
from explanations.content import Content
from explanations.models import Explanation
from explanations.services import complete, labels_of
from jobs.models import Job
from unitscope.version import code_version
from workers.loading import loaded_model, preprocessing_of
from workers.reporter import Reporter
from workers.samples import samples_of

STEPS = 4


def run(job: Job, reporter: Reporter) -> None:
    explanation = Explanation.objects.select_related(
        "case__model", "case__image", "case__project", "layer"
    ).get(pk=job.target_id)
    if explanation.completed:
        reporter.log("The explanation is there already.")
        return
    content = explain_record(
        explanation,
        step=lambda done, stage: reporter.progress(done, STEPS, stage),
        should_stop=reporter.should_stop,
    )
    named = len(content.labels.named)
    reporter.log(f"{len(content.findings())} findings from {named} named units.")


def explain_record(
    explanation: Explanation,
    *,
    step: Callable[[int, str], None],
    should_stop: Callable[[], bool],
) -> Content:
    """Work an explanation out and store it in its record. Raises Cancelled."""
    case, labels = explanation.case, labels_of(explanation)
    step(0, "Loading the model")
    model = loaded_model(case.model)
    step(1, "Reading the image")
    image = case.image
    (sample,) = samples_of([image])
    pixels = read_sample(sample)
    step(2, "Measuring the units and removing the named ones")
    if should_stop():
        raise Cancelled
    evidence = explain(
        model,
        explanation.layer.name,
        pixels,
        preprocessing_of(case.model),
        target=explanation.target,
        named_units=[unit.index for unit in labels.named],
        groups=[group.units for group in term_groups(labels)],
        seed=case.pk,
    )
    step(3, "Locating the findings")
    content, maps = build(
        evidence,
        labels,
        Picture(pixels, image.laterality, image.view),
        class_names=case.model.class_names,
        layer=explanation.layer.name,
        model_sha256=case.model.sha256,
        code_version=str(code_version()),
    )
    complete(explanation, content, maps)
    step(STEPS, "Done")
    return content
