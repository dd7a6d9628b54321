import io
import json
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from PIL import Image as Picture

from dissections.models import TopPatch
from dissections.pictures import PIXELS_HEADER, RENDERING_VERSION
from dissections.rendering import contour, dimming, patch_box
from tests.analysis import pictures
from tests.platform.factories import World, build_world


@pytest.fixture
def world(db: None) -> World:
    return build_world(images=6, units=4)


@pytest.fixture
def expert(world: World, client: Client) -> Client:
    client.force_login(world.people["expert1"])
    return client


def picture(response: Any) -> Picture.Image:
    assert response.status_code == 200
    assert response["Content-Type"] == "image/png"
    return Picture.open(io.BytesIO(response.content))


def patch_url(world: World, patch: TopPatch, query: str = "") -> str:
    return reverse("patch", args=[world.project.slug, patch.unit_id, patch.rank]) + query


def first_patch(world: World, rank: int = 0) -> TopPatch:
    return TopPatch.objects.select_related("image", "unit").get(
        unit__layer=world.layer, unit__index=0, rank=rank
    )


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((3, 3), (56, 56, 152, 152)),  # three cells of 32 pixels are larger than a quarter
        ((0, 0), (0, 0, 96, 96)),
        ((7, 7), (160, 160, 256, 256)),
    ],
)
def test_the_patch_lies_around_the_peak_and_inside_the_image(
    place: tuple[int, int], expected: tuple[int, ...]
) -> None:
    row, column = place
    offset = np.array(patch_box((256, 256), (8, 8), row, column)) - expected
    assert np.abs(offset).max() <= 8


def test_the_patch_is_a_quarter_of_an_image_with_small_cells() -> None:
    box = patch_box((400, 300), (100, 75), 50, 37)
    assert (box.right - box.left, box.bottom - box.top) == (100, 100)
    assert box.left < (37.5 / 75) * 300 < box.right


def test_a_patch_never_exceeds_a_narrow_image() -> None:
    box = patch_box((400, 60), (2, 2), 1, 1)
    assert box.right - box.left == box.bottom - box.top == 60
    assert box.bottom <= 400


def test_the_patch_shows_the_pixels_around_the_peak(world: World, expert: Client) -> None:
    patch = first_patch(world)
    box = patch_box((96, 72), (6, 5), patch.row, patch.column)
    shown = np.asarray(picture(expert.get(patch_url(world, patch, "?size=320"))))
    assert shown.shape == (320, 320)
    source = world.pixels[patch.image.name].astype(float)
    place = [round(edge) for edge in box]
    cut = source[place[1] : place[3], place[0] : place[2]]
    assert abs(shown.mean() - cut.mean()) < 4
    middle = shown[140:180, 140:180].mean()
    side = box.right - box.left
    rows, columns = ([round(box[i] + side * f) for f in (140 / 320, 180 / 320)] for i in (1, 0))
    assert abs(middle - source[rows[0] : rows[1], columns[0] : columns[1]].mean()) < 12


def test_the_highlight_is_where_the_unit_is_above_its_own_threshold(
    world: World, expert: Client
) -> None:
    patch = first_patch(world)
    url = patch_url(world, patch, "?part=whole-dim&size=320")
    shown = np.asarray(picture(expert.get(url)))
    assert shown.shape == (320, 240, 4)
    activation = world.maps["layer4"][int(patch.image.name.removeprefix("image")), 0]
    clear = shown[..., 3] == 0
    for row in range(6):
        for column in range(5):
            y, x = round((row + 0.5) * 320 / 6), round((column + 0.5) * 240 / 5)
            margin = activation[row, column] - patch.unit.threshold
            if abs(margin) > 0.05:
                assert clear[y, x] == (margin > 0), (row, column)
    assert clear.any(), "the strongest image reaches the threshold"


def test_the_threshold_is_the_units_and_not_a_share_of_the_patchs_peak() -> None:
    cells = np.full((64, 64), 0.2)
    cells[20:40, 20:40] = 1.0
    assert (dimming(cells, threshold=0.5)[..., 3] == 0).sum() > 300
    assert contour(cells, threshold=0.5)[..., 3].any()
    weak = cells * 0.4
    assert (dimming(weak, threshold=0.5)[..., 3] > 180).all(), (
        "hardly more than a fifth of the light is left"
    )
    assert not contour(weak, threshold=0.5)[..., 3].any(), "and there is no contour"


@pytest.mark.parametrize("part", ["highlight", "dim"])
def test_patch_and_whole_image_have_the_same_highlight(
    world: World, expert: Client, part: str
) -> None:
    patch = first_patch(world)
    box = np.array(patch_box((96, 72), (6, 5), patch.row, patch.column)) * 900 / 96
    close = picture(expert.get(patch_url(world, patch, f"?part={part}&size=320")))
    whole = picture(expert.get(patch_url(world, patch, f"?part=whole-{part}&size=900")))
    cut = whole.crop([round(edge) for edge in box]).resize((320, 320))  # type: ignore[arg-type]
    difference = np.asarray(close, float)[..., 3] - np.asarray(cut, float)[..., 3]
    assert np.abs(difference).mean() < 12


def test_the_contour_encloses_the_active_region() -> None:
    rows, columns = np.mgrid[0:100, 0:100]
    cone = 50 - np.hypot(rows - 50, columns - 50)
    drawn = contour(cone, threshold=20.0)
    radius = np.hypot(rows - 50, columns - 50)
    bright = drawn[..., 0] > 200
    assert bright.any()
    assert np.abs(radius[bright] - 30).max() < 1.5
    assert (drawn[np.abs(radius - 30) > 4][:, 3] == 0).all(), "the picture itself is untouched"


def test_a_unit_without_a_threshold_has_an_empty_highlight(world: World, expert: Client) -> None:
    patch = first_patch(world)
    patch.unit.threshold = None
    patch.unit.save()
    shown = np.asarray(picture(expert.get(patch_url(world, patch, "?part=highlight"))))
    assert shown.shape == (320, 320, 4)
    assert not shown.any()


def test_the_whole_image_shows_where_the_patch_is(world: World, expert: Client) -> None:
    patch = first_patch(world)
    shown = np.asarray(picture(expert.get(patch_url(world, patch, "?part=whole&size=900"))))
    assert shown.shape == (900, 675, 3)
    coloured = np.ptp(shown.astype(int), axis=-1) > 60
    rows, columns = np.nonzero(coloured)
    box = np.array(patch_box((96, 72), (6, 5), patch.row, patch.column)) * 900 / 96
    assert np.abs(np.array([columns.min(), rows.min(), columns.max(), rows.max()]) - box).max() < 9


def test_an_image_comes_in_three_sizes(world: World, expert: Client) -> None:
    image = world.dataset.images.first()
    assert image
    url = reverse("image", args=[world.project.slug, image.pk])
    assert [picture(expert.get(url, {"size": s})).size for s in ("96", "256", "full")] == [
        (72, 96),
        (192, 256),
        (72, 96),
    ]
    full = np.asarray(picture(expert.get(url, {"size": "full"})))
    assert np.array_equal(full, world.pixels[image.name])


def test_browsers_keep_pictures_for_good(world: World, expert: Client) -> None:
    url = patch_url(world, first_patch(world), "?part=patch&size=128")
    first = expert.get(url)
    assert first["Cache-Control"] == "private, max-age=31536000, immutable"
    again = expert.get(url, headers={"if-none-match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = expert.get(url, {"part": "highlight"})
    assert other["ETag"] != first["ETag"]


@pytest.mark.parametrize("query", ["?part=everything", "?size=99999", "?size=x"])
def test_unknown_parts_and_sizes_do_not_exist(world: World, expert: Client, query: str) -> None:
    assert expert.get(patch_url(world, first_patch(world), query)).status_code == 404


def test_pictures_of_a_project_are_for_its_members(world: World, client: Client) -> None:
    patch = first_patch(world)
    urls = [
        patch_url(world, patch),
        reverse("image", args=[world.project.slug, patch.image_id]),
        pixels_url(world, patch),
    ]
    etag = f'"patch-{patch.pk}-patch-320-{RENDERING_VERSION}"'
    client.force_login(world.people["outsider"])
    for url in urls:
        assert client.get(url, headers={"if-none-match": etag}).status_code == 404
    other = build_world(images=3, units=2, slug="other")
    client.force_login(other.people["expert1"])
    foreign = [
        reverse("patch", args=["other", patch.unit_id, 0]),
        reverse("image", args=["other", patch.image_id]),
        reverse("image-pixels", args=["other", patch.image_id]),
    ]
    assert [client.get(url).status_code for url in foreign] == [404, 404, 404]


def test_a_lost_file_is_a_missing_picture_and_no_crash(world: World, expert: Client) -> None:
    patch = first_patch(world)
    patch.image.file.save("broken.png", ContentFile(b"no picture"))
    urls = [patch_url(world, patch), pixels_url(world, patch)]
    assert [expert.get(url).status_code for url in urls] == [404, 404]
    patch.image.file.delete(save=False)
    assert [expert.get(url).status_code for url in urls] == [404, 404]


# Pixels at their stored depth ------------------------------------------------------------------


def pixels_url(world: World, patch: TopPatch) -> str:
    return reverse("image-pixels", args=[world.project.slug, patch.image_id])


def read_pixels(response: Any) -> tuple[np.ndarray, dict[str, Any]]:
    about = json.loads(response[PIXELS_HEADER])
    shape = (about["height"], about["width"], about["channels"])
    return np.frombuffer(response.content, "<u2").reshape(shape).squeeze(), about


def test_an_image_of_8_bits_comes_with_its_values(world: World, expert: Client) -> None:
    patch = first_patch(world)
    values, about = read_pixels(expert.get(pixels_url(world, patch)))
    np.testing.assert_array_equal(values, world.pixels[patch.image.name])
    assert (about["bits"], about["full"], about["windows"]) == (8, [0, 255], [[0, 255]])


def test_a_dicom_image_keeps_its_depth_and_gives_no_name_away(world: World, expert: Client) -> None:
    stored = np.random.default_rng(0).integers(0, 4096, (96, 72)).astype(np.uint16)
    patch = first_patch(world)
    content = pictures.dicom(
        stored, 12, "MONOCHROME1", PatientName="Doe^Jane", PatientID="123-45",
        WindowCenter=1000, WindowWidth=401,
    )  # fmt: skip
    patch.image.file.save("deep.dcm", ContentFile(content))
    response = expert.get(pixels_url(world, patch))
    values, about = read_pixels(response)
    np.testing.assert_array_equal(values, stored)
    assert (about["bits"], about["windows"], about["inverted"]) == (12, [[799.5, 1199.5]], True)
    everything = response.serialize()  # type: ignore[attr-defined]
    assert b"Doe" not in everything
    assert b"123-45" not in everything


def test_a_large_image_is_reduced_and_keeps_its_values(world: World, expert: Client) -> None:
    patch = first_patch(world)
    ramp = np.linspace(0, 65535, 4096)[None].repeat(8, axis=0).astype(np.uint16)
    patch.image.file.save("wide.png", ContentFile(pictures.png(ramp)))
    values, about = read_pixels(expert.get(pixels_url(world, patch)))
    assert values.shape == (4, 2048)
    np.testing.assert_allclose(values[0, 1:-1], ramp[0].reshape(-1, 2).mean(1)[1:-1], atol=20)
    assert about["bits"] == 16


def test_browsers_keep_pixels_for_themselves(world: World, expert: Client) -> None:
    url = pixels_url(world, first_patch(world))
    first = expert.get(url)
    assert first["Cache-Control"] == "private, max-age=31536000, immutable"
    assert expert.get(url, headers={"if-none-match": first["ETag"]}).status_code == 304
