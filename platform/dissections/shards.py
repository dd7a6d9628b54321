"""The parts of a dissection: planned once, computed by any worker, gone when all is published."""

from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from django.db import transaction

from catalog.stored_folders import delete_folder, store_folder
from dissections.models import Dissection, Shard
from dissections.services import folder_of


@transaction.atomic
def planned(dissection: Dissection, spans: Iterable[range]) -> list[Shard]:
    """The dissection's shards in the order of the images; made of `spans` the first time."""
    Dissection.objects.select_for_update().get(pk=dissection.pk)
    if not dissection.shards.exists():
        Shard.objects.bulk_create(
            Shard(dissection=dissection, start=span.start, stop=span.stop) for span in spans
        )
    return list(dissection.shards.order_by("start"))


def store(shard: Shard, files: Path) -> None:
    """Store a computed shard, in a folder of its own: an interrupted attempt leaves its own."""
    folder = f"{_folder(shard.dissection)}/{shard.start}-{uuid4().hex[:12]}"
    store_folder(files, folder)
    Shard.objects.filter(pk=shard.pk).update(folder=folder)


def forget(shard: Shard) -> None:
    """Have the shard computed again."""
    Shard.objects.filter(pk=shard.pk).update(folder="")
    shard.folder = ""


def delete_all(dissection: Dissection) -> None:
    """Delete the shards with their files, and what interrupted attempts have left."""
    dissection.shards.all().delete()
    delete_folder(_folder(dissection))


def _folder(dissection: Dissection) -> str:
    return f"{folder_of(dissection)}/shards"
