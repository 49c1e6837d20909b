"""The one-slot mailboxes between the executor and the model's thread."""

from __future__ import annotations

import threading

import pytest

from sartm_ros.inference.mailbox import MailRoom

pytestmark = pytest.mark.alone


@pytest.fixture
def room() -> MailRoom[int]:
    return MailRoom()


def test_the_newest_item_wins_and_drops_are_counted(room):
    box = room.open()
    assert box.put(1) is True
    assert box.put(2) is False
    assert box.put(3) is False
    assert room.take(0) == [(box, 3)] and box.dropped == 2
    assert room.take(0) == []


def test_all_that_waits_is_taken_together_in_order_of_opening(room):
    first, second, third = room.open(), room.open(), room.open()
    third.put(3)
    first.put(1)
    assert room.take(0) == [(first, 1), (third, 3)]
    second.put(2)
    assert room.take(0) == [(second, 2)]


def test_take_times_out_on_an_empty_room(room):
    room.open()
    assert room.take(timeout=0.01) == []


def test_take_wakes_on_put_from_another_thread(room):
    box = room.open()
    taken: list = []
    reader = threading.Thread(target=lambda: taken.extend(room.take(10)))
    reader.start()
    box.put(7)
    reader.join(10)
    assert taken == [(box, 7)]


def test_closing_the_room_wakes_the_reader(room):
    box = room.open()
    taken: list = [None]
    reader = threading.Thread(target=lambda: taken.extend(room.take()))
    reader.start()
    room.close()
    reader.join(10)
    assert not reader.is_alive() and taken == [None]
    assert room.closed and box.closed and box.put(1) is False and box.dropped == 1


def test_a_closed_mailbox_drops_what_waits_and_what_comes_and_leaves_the_others_alone(room):
    box, other = room.open(), room.open()
    box.put(1)
    other.put(5)
    box.close()
    assert box.put(2) is False and box.dropped == 2
    assert room.take(0) == [(other, 5)]


def test_nothing_is_lost_uncounted_between_threads(room):
    box = room.open()
    taken: list[int] = []

    def read() -> None:
        while not taken or taken[-1] < 20000:  # the last item is never overwritten
            taken.extend(item for _, item in room.take(10))

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(1, 20001):
        box.put(n)
    reader.join(20)
    assert len(taken) + box.dropped == 20000 and taken[-1] == 20000
    assert all(a < b for a, b in zip(taken, taken[1:], strict=False))


def test_an_onlooker_sees_what_waits_and_leaves_it(room):
    box, other = room.open(), room.open()
    box.put(1)
    other.put(2)
    assert room.look(lambda item: item == 2) == 2
    assert room.take(0) == [(box, 1), (other, 2)]


def test_an_onlooker_sees_nothing_while_the_reader_waits(room):
    box = room.open()
    seen: list = []
    onlooker = threading.Thread(target=lambda: seen.append(room.look(lambda item: True)))
    onlooker.start()
    for n in range(100):
        reader = threading.Thread(target=room.take, args=(10,))
        reader.start()
        while not room._reader_waits and reader.is_alive():
            pass
        box.put(n)
        reader.join(10)
    assert onlooker.is_alive() and seen == []
    box.put(7)  # nobody reads
    onlooker.join(10)
    assert seen == [7]


def test_closing_the_room_ends_the_onlooker(room):
    seen: list = []
    onlooker = threading.Thread(target=lambda: seen.append(room.look(lambda item: True)))
    onlooker.start()
    room.close()
    onlooker.join(10)
    assert seen == [None]


def test_an_item_is_sealed_on_its_way_in():
    room: MailRoom[str] = MailRoom()
    box = room.open(lambda item: f"sealed {item}")
    box.put(1)
    assert room.take(0) == [(box, "sealed 1")]
