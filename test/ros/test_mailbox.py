"""The one-slot mailbox between the executor and the worker thread."""

from __future__ import annotations

import threading

from sartm_ros.mailbox import Mailbox


def test_the_newest_item_wins_and_drops_are_counted():
    box: Mailbox[int] = Mailbox()
    assert box.put(1) is True
    assert box.put(2) is False
    assert box.put(3) is False
    assert (box.take(0), box.dropped) == (3, 2)


def test_take_times_out_on_an_empty_box():
    assert Mailbox().take(timeout=0.01) is None


def test_take_wakes_on_put_from_another_thread():
    box: Mailbox[str] = Mailbox()
    taken: list[str | None] = []
    reader = threading.Thread(target=lambda: taken.append(box.take(10)))
    reader.start()
    box.put("frame")
    reader.join(10)
    assert taken == ["frame"]


def test_close_wakes_the_reader_and_refuses_items():
    box: Mailbox[int] = Mailbox()
    taken: list[int | None] = [0]
    reader = threading.Thread(target=lambda: taken.append(box.take()))
    reader.start()
    box.close()
    reader.join(10)
    assert not reader.is_alive() and taken == [0, None]
    assert box.closed and box.put(1) is False and box.take(0) is None and box.dropped == 1


def test_close_drops_what_waits():
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.close()
    assert box.take(0) is None and box.dropped == 1


def test_nothing_is_lost_uncounted_between_threads():
    box: Mailbox[int] = Mailbox()
    taken: list[int] = []

    def read() -> None:
        while not taken or taken[-1] < 20000:  # the last item is never overwritten
            taken.append(box.take(10) or 20001)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(1, 20001):
        box.put(n)
    reader.join(20)
    assert len(taken) + box.dropped == 20000 and taken[-1] == 20000
    assert all(a < b for a, b in zip(taken, taken[1:], strict=False))
