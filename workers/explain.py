"""The explanation of one prediction, in the names that its record was asked for with."""

from analysis.data import read_sample
from analysis.errors import Cancelled
from analysis.explanation import explain
from explanations.building import Picture, build, term_groups
from explanations.models import Explanation
from explanations.services import complete, labels_of
from jobs.models import Job
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
    case, labels = explanation.case, labels_of(explanation)
    reporter.progress(0, STEPS, "Loading the model")
    model = loaded_model(case.model)
    reporter.progress(1, STEPS, "Reading the image")
    image = case.image
    (sample,) = samples_of([image])
    pixels = read_sample(sample)
    reporter.progress(2, STEPS, "Measuring the units and removing the named ones")
    if reporter.should_stop():
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
    reporter.progress(3, STEPS, "Locating the findings")
    content, maps = build(
        evidence,
        labels,
        Picture(pixels, image.laterality, image.view),
        class_names=case.model.class_names,
        layer=explanation.layer.name,
        model_sha256=case.model.sha256,
    )
    complete(explanation, content, maps)
    reporter.progress(STEPS, STEPS, "Done")
    reporter.log(f"{len(content.findings())} findings from {len(labels.named)} named units.")
