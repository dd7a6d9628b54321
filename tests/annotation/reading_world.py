"""What tests of reading lists share: a control of the small world's model, lists, and reading."""

from typing import Any

from django.core.files.base import ContentFile
from django.utils import timezone

from accounts.models import User
from annotation.models import Reading, ReadingList
from annotation.reading import services
from annotation.reading.selectors import most_influential
from annotation.services import save_label
from catalog.models import ImportState, TrainedModel
from dissections.models import Dissection
from tests.platform.factories import World, activations, store_layer


def add_control(world: World) -> Dissection:
    """The dissection of an untrained control, as the worker leaves it."""
    model = TrainedModel.objects.create(
        project=world.project,
        name="Small classifier (untrained control)",
        file=ContentFile(b"not a model", name="control.pt2"),
        sha256="cd" * 32,
        class_names=world.model.class_names,
        preprocessing={},
        state=ImportState.READY,
        control_of=world.model,
    )
    twin = Dissection.objects.create(
        project=world.project,
        model=model,
        dataset=world.dataset,
        layer_names=world.dissection.layer_names,
        splits=world.dissection.splits,
        image_count=world.dissection.image_count,
        completed=timezone.now(),
    )
    images, concepts = list(world.dataset.images.all()), list(world.dataset.concepts.all())
    for layer in world.layers:
        cells = (layer.height, layer.width)
        pictures = list(world.pixels.values())
        maps = activations(pictures, layer.unit_count, cells, seed=50 + layer.position)
        store_layer(twin, layer.name, layer.position, maps, images, concepts)
    return twin


def make_list(world: World, *names: str, units: int = 5, **options: Any) -> ReadingList:
    """A list of the most influential units of layer4, read by the people with these names."""
    readers = [world.people[name] for name in names or ("expert1", "expert2")]
    settings = {"name": "First round", "readers_per_unit": len(readers), "seed": 7, **options}
    return services.create_list(
        dissection=world.dissection,
        units=most_influential(world.dissection, ["layer4"], units),
        readers=readers,
        user=world.people["admin"],
        **settings,
    )


def take(reading_list: ReadingList, reader: User, after: Reading | None = None) -> Reading:
    found = services.next_reading(reading_list=reading_list, reader=reader, after=after)
    assert found is not None, "nothing is left"
    return found


def answer(reading: Reading, recognisable: str = "no", *terms: str) -> Reading:
    """Save an answer as the reading's route does."""
    item = reading.item
    save_label(
        user=reading.reader,
        model=item.model,
        layer_name=item.layer_name,
        unit_index=item.unit_index,
        occasion=reading.occasion,
        recognisable=recognisable,
        term_codes=terms,
    )
    services.record_answer(reading=reading)
    reading.refresh_from_db()
    return reading


def read_on(reading_list: ReadingList, reader: User, *, most: int = 1000) -> list[Reading]:
    """Read and answer until nothing is left."""
    done: list[Reading] = []
    while len(done) < most:
        following = services.next_reading(reading_list=reading_list, reader=reader)
        if following is None:
            break
        done.append(answer(following))
    return done
