"""Reading lists: their orders, handing out, holds, skipping, hidden repeats and controls."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation.models import Label, Reading, ReadingItem
from annotation.reading import services
from annotation.reading.order import mixed, reader_order, repeat_gaps
from annotation.reading.progress import by_reader
from annotation.reading.selectors import most_influential, numbered
from annotation.reading.services import Leaving, ReadingError
from annotation.reading.standing import standing
from annotation.services import save_label
from tests.annotation.reading_world import add_control, answer, make_list, read_on, take
from tests.platform.factories import World, build_world

Done, Open, Skipped = Reading.State.DONE, Reading.State.OPEN, Reading.State.SKIPPED


def test_orders_are_a_reader_s_own_repeatable_and_keep_what_matters_first() -> None:
    items = list(range(100, 135))
    ada, ben = (reader_order(items, seed=5, reader=reader) for reader in (1, 2))
    assert ada == reader_order(items, seed=5, reader=1)
    assert ada != ben
    assert ada != reader_order(items, seed=6, reader=1)
    for start in range(0, 35, 10):
        assert sorted(ada[start : start + 10]) == items[start : start + 10]
    gaps = repeat_gaps(items, 0.2, seed=5, reader=1)
    assert len(gaps) == 7
    assert all(10 <= gap < 20 for gap in gaps.values())
    assert gaps != repeat_gaps(items, 0.2, seed=5, reader=2)


def test_controls_are_mixed_in_and_the_ranking_stays() -> None:
    order = mixed(list(range(30)), [-1, -2, -3], seed=4)
    assert sorted(order) == [-3, -2, -1, *range(30)]
    assert [unit for unit in order if unit >= 0] == list(range(30))
    assert order == mixed(list(range(30)), [-1, -2, -3], seed=4)
    assert any(mixed(list(range(30)), [-1], seed=seed)[-1] != -1 for seed in range(3))


@pytest.mark.django_db
class TestMaking:
    def test_it_takes_the_most_influential_and_controls_that_vary(self, world: World) -> None:
        twin = add_control(world)
        made = make_list(world, units=4, controls=3)
        real = made.items.filter(control=False).order_by("position")
        assert [item.unit_index for item in real] == [4, 3, 2, 0]
        controls = made.items.filter(control=True)
        assert {item.model_id for item in controls} == {twin.model_id}
        assert {item.layer_name for item in controls} == {"layer4"}
        assert 5 not in {item.unit_index for item in controls}, "the dead unit is no control"
        again = make_list(world, units=4, controls=3)
        assert list(again.items.values_list("model", "unit_index")) == list(
            made.items.values_list("model", "unit_index")
        )

    def test_a_unit_that_never_varies_is_not_among_the_most_influential(self, world: World) -> None:
        dead = world.unit(5)
        assert dead.threshold is None
        dead.influence_max = 1e6
        dead.save()
        found = most_influential(world.dissection, ["layer4"], 6)
        assert [unit.index for unit in found] == [4, 3, 2, 0, 1]

    def test_a_pasted_list_keeps_its_order(self, world: World) -> None:
        assert [unit.index for unit in numbered(world.dissection, "layer4", [3, 0, 3, 99])] == [
            3,
            0,
        ]

    @pytest.mark.parametrize(
        ("options", "field"),
        [
            ({"name": " "}, "name"),
            ({"readers_per_unit": 3}, "readers_per_unit"),
            ({"readers_per_unit": 0}, "readers_per_unit"),
            ({"repeat_share": 0.31}, "repeat_percent"),
            ({"controls": 1}, "controls"),
            ({"units": 0}, "count"),
        ],
    )
    def test_what_cannot_be_is_refused_in_words(
        self, world: World, options: dict[str, object], field: str
    ) -> None:
        with pytest.raises(ReadingError) as refused:
            make_list(world, **options)  # type: ignore[arg-type]
        assert refused.value.field == field
        assert not world.project.reading_lists.exists()

    def test_only_experts_and_adjudicators_read(self, world: World) -> None:
        for name in ("clinician", "outsider", "admin"):
            with pytest.raises(ReadingError, match="experts or adjudicators"):
                make_list(world, "expert1", name)


@pytest.mark.django_db
class TestHandingOut:
    def test_everybody_reads_everything_in_an_order_of_their_own(self, world: World) -> None:
        made = make_list(world)
        ada, ben = (
            [reading.item_id for reading in read_on(made, world.people[name])]
            for name in ("expert1", "expert2")
        )
        assert sorted(ada) == sorted(ben) == sorted(made.items.values_list("pk", flat=True))
        assert ada == reader_order(
            list(made.items.values_list("pk", flat=True)),
            seed=made.seed,
            reader=world.people["expert1"].pk,
        )

    def test_a_unit_has_no_more_readers_than_asked_for(self, world: World) -> None:
        made = make_list(world, readers_per_unit=1)
        ada, ben = world.people["expert1"], world.people["expert2"]
        held = take(made, ada)
        others = read_on(made, ben)
        assert len(others) == 4
        assert held.item_id not in {reading.item_id for reading in others}
        assert standing(made, ada).total == 1
        answer(held)
        assert services.next_reading(reading_list=made, reader=ada) is None

    def test_a_hold_that_has_expired_goes_to_the_next_reader(self, world: World) -> None:
        made = make_list(world, readers_per_unit=1, units=1)
        ada, ben = world.people["expert1"], world.people["expert2"]
        held = take(made, ada)
        assert services.next_reading(reading_list=made, reader=ben) is None
        _let_expire(held)
        taken = take(made, ben)
        assert taken.item_id == held.item_id
        with pytest.raises(ReadingError, match="colleagues"):
            services.open_reading(reading=held)

        late = answer(held)
        assert late.state == Open, "the answer is kept, but the place is another's"
        assert Label.objects.filter(author=ada, unit_index=held.item.unit_index).exists()
        answer(taken)
        assert _readers(taken.item) == [ben.pk]

    def test_an_expired_hold_that_nobody_took_goes_on(self, world: World) -> None:
        made = make_list(world, readers_per_unit=1, units=1)
        held = take(made, world.people["expert1"])
        _let_expire(held)
        assert answer(held).state == Done

    def test_the_unit_fetched_ahead_is_another_one_and_held(self, world: World) -> None:
        made = make_list(world)
        ada = world.people["expert1"]
        first = take(made, ada)
        ahead = take(made, ada, after=first)
        assert ahead.pk != first.pk
        assert take(made, ada) == first, "what is open comes first"
        assert take(made, ada, after=first) == ahead

    def test_a_closed_list_hands_out_nothing_and_goes_on_when_reopened(self, world: World) -> None:
        made = make_list(world)
        ada = world.people["expert1"]
        first = take(made, ada)
        services.set_closed(reading_list=made, closed=True)
        with pytest.raises(ReadingError, match="closed"):
            services.next_reading(reading_list=made, reader=ada)
        assert answer(first).state == Done, "an answer on its way is not lost"
        services.set_closed(reading_list=made, closed=False)
        assert take(made, ada) != first

    def test_removing_and_adding_a_reader_loses_nothing(self, world: World) -> None:
        made = make_list(world, readers_per_unit=1)
        ada, ben = world.people["expert1"], world.people["expert2"]
        done = answer(take(made, ada))
        take(made, ada)
        services.remove_reader(reading_list=made, user=ada)
        assert len(read_on(made, ben)) == 4, "the held one is free again, the read one counts"
        services.add_reader(reading_list=made, user=ada)
        assert standing(made, ada).readings(Done) == [done]
        with pytest.raises(ReadingError, match="no expert"):
            services.add_reader(reading_list=made, user=world.people["clinician"])

    def test_a_removed_reader_holds_nothing_again(self, world: World) -> None:
        made = make_list(world, readers_per_unit=1)
        ada = world.people["expert1"]
        done, held = answer(take(made, ada)), take(made, ada)
        services.remove_reader(reading_list=made, user=ada)
        with pytest.raises(ReadingError, match="no longer a reader"):
            services.next_reading(reading_list=made, reader=ada, after=held)
        for reading in (done, held):
            with pytest.raises(ReadingError, match="no longer a reader"):
                services.open_reading(reading=reading)
        assert answer(done, "").state == Open
        assert not Reading.objects.exclude(held_until=None).filter(state=Open).exists()


@pytest.mark.django_db
class TestLeaving:
    def test_what_is_skipped_comes_back_at_the_end_in_turn(self, world: World) -> None:
        made = make_list(world, units=4)
        ada = world.people["expert1"]
        first = take(made, ada)
        services.leave(reading=first, how=Leaving.SKIP, seconds=3)
        second = take(made, ada, after=first)
        services.leave(reading=second, how=Leaving.NEXT, seconds=2)
        second.refresh_from_db()
        assert second.state == Skipped, "going on without an answer puts a unit off"
        rest = [answer(take(made, ada)) for _ in range(2)]
        assert {first.pk, second.pk}.isdisjoint(reading.pk for reading in rest)

        back = take(made, ada)
        assert back == first
        assert standing(made, ada).number(back) == 1
        services.leave(reading=back, how=Leaving.SKIP, seconds=1)
        assert take(made, ada, after=back) == second
        answer(second)
        answer(take(made, ada))
        assert services.next_reading(reading_list=made, reader=ada) is None
        first.refresh_from_db()
        assert first.seconds == 4

    def test_a_skipped_unit_is_free_for_colleagues(self, world: World) -> None:
        made = make_list(world, units=1, readers_per_unit=1)
        ada, ben = world.people["expert1"], world.people["expert2"]
        skipped = take(made, ada)
        services.leave(reading=skipped, how=Leaving.SKIP, seconds=0)
        answer(take(made, ben))
        assert standing(made, ada).left == 0
        with pytest.raises(ReadingError, match="colleagues"):
            services.open_reading(reading=skipped)

    def test_a_revised_reading_stays_done_and_an_undone_one_is_open(self, world: World) -> None:
        made = make_list(world)
        first = answer(take(made, world.people["expert1"]))
        services.leave(reading=first, how=Leaving.NEXT, seconds=5)
        services.leave(reading=services.open_reading(reading=first), how=Leaving.PAUSE, seconds=7)
        first.refresh_from_db()
        assert (first.state, first.seconds) == (Done, 12)
        assert answer(first, "").state == Open

    def test_what_is_answered_cannot_be_put_off(self, world: World) -> None:
        made = make_list(world)
        ada = world.people["expert1"]
        done = answer(take(made, ada))
        assert services.leave(reading=done, how=Leaving.SKIP, seconds=1).state == Done

    def test_time_is_added_up_within_reason(self, world: World) -> None:
        first = take(make_list(world), world.people["expert1"])
        services.leave(reading=first, how=Leaving.PAUSE, seconds=1e9)
        first.refresh_from_db()
        assert first.state == Open
        assert first.seconds == services.MOST_SECONDS_A_VISIT


@pytest.mark.django_db
class TestRepeats:
    def test_repeats_come_ten_readings_later_and_to_an_empty_form(self) -> None:
        world = build_world(images=4, units=60, size=(24, 18))
        made = make_list(world, "expert1", units=50, repeat_share=0.2)
        ada = world.people["expert1"]
        assert standing(made, ada).total == 60
        order = read_on(made, ada)
        assert len(order) == 60
        assert {reading.state for reading in order} == {Done}
        repeats = [reading for reading in order if reading.occasion]
        assert len(repeats) == 10
        places = {(r.item_id, r.occasion): place for place, r in enumerate(order)}
        gaps = [places[r.item_id, 1] - places[r.item_id, 0] for r in repeats]
        early = [gap for gap in gaps if gap <= 10]
        assert not early, "at least ten other readings lie between"
        assert len(set(gaps)) > 3, "nobody learns when to expect one"
        assert Label.objects.filter(author=ada).count() == 50
        assert Label.with_repeats.filter(author=ada, occasion=1).count() == 10

    def test_in_a_short_list_they_come_as_late_as_possible(self, world: World) -> None:
        made = make_list(world, "expert1", units=5, repeat_share=0.3)
        order = read_on(made, world.people["expert1"])
        assert [reading.occasion for reading in order] == [0] * 5 + [1] * 2
        firsts = [reading.item_id for reading in order[:5]]
        repeated = [firsts.index(reading.item_id) for reading in order[5:]]
        assert repeated == sorted(repeated), "the one read longest ago comes first"

    def test_another_list_repeats_a_unit_on_an_occasion_of_its_own(self, world: World) -> None:
        """Three lists each repeat one of two units, so one unit comes again at least twice."""
        ada = world.people["expert1"]
        lists = [make_list(world, "expert1", units=2, repeat_share=0.3) for _ in range(3)]
        repeats = [read_on(made, ada)[-1] for made in lists]
        said = Label.with_repeats.filter(author=ada).exclude(occasion=0)
        assert {(label.unit_index, label.occasion) for label in said} == {
            (reading.item.unit_index, reading.occasion) for reading in repeats
        }
        assert said.count() == 3, "each repeat came to an empty form"

        figures = [by_reader(made)[0].repeats for made in lists]
        assert figures[0]
        assert figures[0].pairs == 1
        assert figures[1:] == [None, None], "their first answers were given in another list"

    def test_answers_given_before_a_list_are_left_out_of_its_figures(self, world: World) -> None:
        add_control(world)
        ada = world.people["expert1"]
        made = make_list(world, "expert1", units=4, controls=2)
        early = made.items.filter(control=False)[0]
        save_label(
            user=ada, model=early.model, layer_name=early.layer_name,
            unit_index=early.unit_index, recognisable="yes",
        )  # fmt: skip
        read_on(made, ada)
        contrast = by_reader(made)[0].contrast
        assert contrast
        assert (contrast.real.total, contrast.controls.total) == (3, 2)

    def test_repeats_take_no_place_from_colleagues(self, world: World) -> None:
        made = make_list(world, units=5, repeat_share=0.2, readers_per_unit=1)
        read_on(made, world.people["expert1"])
        assert services.next_reading(reading_list=made, reader=world.people["expert2"]) is None


@pytest.mark.django_db(transaction=True)
def test_two_readers_at_once_never_exceed_the_readers_of_a_unit() -> None:
    """Both ask as fast as they can, from connections of their own."""
    world = build_world(images=4, units=24, size=(24, 18))
    made = make_list(world, units=24, readers_per_unit=1)
    start = threading.Barrier(2)

    def work(name: str) -> None:
        try:
            start.wait(timeout=10)
            read_on(made, world.people[name])
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, name) for name in ("expert1", "expert2")]:
            done.result(timeout=60)
    readers = [_readers(item) for item in made.items.all()]
    assert {len(found) for found in readers} == {1}, "each unit was read once, by one of them"
    assert len({found[0] for found in readers}) == 2, "both had a share"


@pytest.mark.django_db(transaction=True)
def test_a_unit_that_is_being_handed_out_is_passed_over_and_waited_for_at_last() -> None:
    world = build_world(images=4, units=3, size=(24, 18))
    made = make_list(world, "expert1", "expert2", units=2)
    ada = world.people["expert1"]
    preferred = next(standing(made, ada).turns()).item
    with _locked_elsewhere(preferred):
        other = take(made, ada)
        assert other.item_id != preferred
        answer(other)
    assert take(made, ada).item_id == preferred


@contextmanager
def _locked_elsewhere(item: int) -> Iterator[None]:
    """Another connection holds the row of the item."""
    locked, over = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            ReadingItem.objects.select_for_update().get(pk=item)
            locked.set()
            over.wait(timeout=10)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(timeout=10)
    try:
        yield
    finally:
        over.set()
        thread.join()


def _let_expire(reading: Reading) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Reading.objects.filter(pk=reading.pk).update(held_until=past)
    reading.refresh_from_db()


def _readers(item: ReadingItem) -> list[int]:
    return list(item.readings.filter(state=Done, occasion=0).values_list("reader", flat=True))
