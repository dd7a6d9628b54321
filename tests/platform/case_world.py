"""Cases and finished explanations on top of the project of `factories`."""

from collections.abc import Sequence

import numpy as np

from annotation.services import save_label
from explanations.models import Case, Explanation, PredictionRun
from explanations.services import complete, labels_of, request_explanation, save_cases
from tests.platform.explaining import make
from tests.platform.factories import World, build_world

SPICULATED = "mass.margin.spiculated"
EFFECTS = [3.0, 1.0, 2.0, -1.0, 0.0, 0.5, 0.0, 0.0]


def world_with_cases(images: int = 6, slug: str = "study") -> World:
    """`build_world` with a case for every image; image 0 is predicted malignant with 83 %."""
    world = build_world(images=images, units=8, slug=slug)
    stored = list(world.dataset.images.order_by("name"))
    probabilities = np.full((images, 3), 0.2, np.float32)
    for number in range(images):
        probabilities[number, number % 3] = 0.6 + 0.02 * number
    probabilities[0] = (0.05, 0.12, 0.83)
    run = PredictionRun.objects.create(
        project=world.project, model=world.model, dataset=world.dataset, split="validation"
    )
    save_cases(run, stored, np.log(probabilities))
    return world


def first_case(world: World) -> Case:
    return Case.objects.select_related("model", "image", "project").get(
        model=world.model, image__name="image000"
    )


def name_unit(
    world: World, unit: int, terms: Sequence[str] = (SPICULATED,), who: str = "expert1"
) -> None:
    save_label(
        user=world.people[who],
        model=world.model,
        layer_name="layer4",
        unit_index=unit,
        recognisable="yes",
        term_codes=list(terms),
    )


def requested(world: World, case: Case | None = None, target: int = 2) -> Explanation:
    return request_explanation(
        case=case or first_case(world),
        layer=world.layer,
        target=target,
        user=world.people["clinician"],
    )


def finished(
    world: World, case: Case | None = None, *, check: object = None, target: int = 2
) -> Explanation:
    """The explanation by the names that stand, completed with made-up evidence."""
    explanation = requested(world, case, target)
    labels = labels_of(explanation)
    content, maps = make(EFFECTS, labels.units, check=check, target=target)  # type: ignore[arg-type]
    assert complete(explanation, content, maps)
    explanation.refresh_from_db()
    return explanation
