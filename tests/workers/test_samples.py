import pytest

from tests.platform.factories import build_world
from workers.samples import samples_of

pytestmark = pytest.mark.django_db


def test_labels_follow_the_models_class_order_and_not_the_datasets() -> None:
    dataset = build_world().dataset
    images = list(dataset.images.order_by("name"))
    model_classes = [*reversed(dataset.class_names[1:]), "a class without images"]
    for image, sample in zip(images, samples_of(images, model_classes), strict=True):
        if image.class_name in model_classes:
            assert sample.label is not None
            assert model_classes[sample.label] == image.class_name
        else:
            assert sample.label is None
