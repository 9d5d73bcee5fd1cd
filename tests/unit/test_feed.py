"""What is taken for lost, on a real Redis: never what still waits, however long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from common.broker import make_app, send
from common.settings import Settings
from producer import feed
from producer.feed import Feeder
from tests.conftest import PrivateRedis
from tests.unit.ledgers import OTHER_HOST, Ledger, dead_owner, open_ledger

LONG_AGO = 1000.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = open_ledger(f"sqlite:///{tmp_path}/l.db")
    yield made
    made.engine.dispose()


@pytest.fixture
def settings(private_redis: PrivateRedis) -> Settings:
    return Settings(broker_url=private_redis.url, chunk_size=2)


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    made = make_app(settings)
    yield made
    made.close()


@pytest.fixture
def feeder(app: Celery, ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Feeder:
    monkeypatch.setattr(feed, "_LOOK_EVERY_S", 0.0)
    return Feeder(app, ledger.engine, ledger.job, settings, workers=1)


def sent_long_ago(ledger: Ledger, *names: bytes) -> list[int]:
    ids = ledger.add(*names)
    for one in ids:
        ledger.set(one, sent_at=LONG_AGO)
    return ids


def forgotten(ledger: Ledger) -> list[int]:
    return [row["id"] for row in ledger.rows("images") if row["sent_at"] is None]


def test_what_the_queue_has_no_room_for_is_sent_when_it_has(
    app: Celery, ledger: Ledger, settings: Settings, private_redis: PrivateRedis
) -> None:
    """Five images in twos, two messages at a time: the last but one task is half of what is left then."""
    ids = ledger.add(*(f"{k}.jpg".encode() for k in range(5)))
    feeder = Feeder(app, ledger.engine, ledger.job, settings.model_copy(update={"high_water": 2}), workers=1)
    assert (feeder.feed(), feeder.has_room, feeder.is_drained) == (4, True, False)
    assert [row["id"] for row in ledger.rows("images") if row["sent_at"] is None] == ids[4:]
    assert (feeder.feed(), feeder.has_room) == (0, False)
    private_redis.client.delete("detect")
    assert (feeder.feed(), feeder.is_drained) == (1, True)


def test_the_first_messages_are_few_and_small_and_are_sent_again_where_the_queue_was_lost(
    app: Celery, ledger: Ledger, settings: Settings, private_redis: PrivateRedis
) -> None:
    ledger.add(*(f"{k}.jpg".encode() for k in range(20)))
    unknown = settings.model_copy(update={"chunk_size": None})
    feeder = Feeder(app, ledger.engine, ledger.job, unknown, workers=2, first_sizes=[1, 1, 4])
    assert [feeder.feed(), feeder.feed()] == [6, 0]
    feeder.start_over()
    assert [feeder.feed(), feeder.feed()] == [12, 0]


def test_images_that_wait_in_a_queue_are_not_lost_however_long_it_takes(
    app: Celery, ledger: Ledger, feeder: Feeder, private_redis: PrivateRedis
) -> None:
    a, b, c, d = sent_long_ago(ledger, b"a.jpg", b"b.jpg", b"c.jpg", b"d.jpg")
    send(app, "detect", ledger.message(a, b))
    send(app, "augment", ledger.message(d))
    private_redis.client.lpush("detect", b"no message at all")
    assert feeder.recover() == 1
    assert forgotten(ledger) == [c]


def test_images_of_delivered_messages_are_not_lost(
    app: Celery, ledger: Ledger, feeder: Feeder, private_redis: PrivateRedis
) -> None:
    a, b = sent_long_ago(ledger, b"a.jpg", b"b.jpg")
    send(app, "detect", ledger.message(a))
    with app.connection_for_read() as connection:
        # As a worker takes it: out of the queue and into `unacked`.
        delivered = connection.default_channel.basic_get("detect")
        assert delivered is not None
        assert private_redis.client.llen("detect") == 0
        assert private_redis.client.hlen("unacked") == 1
        assert feeder.recover() == 1
        assert forgotten(ledger) == [b]
        delivered.ack()
    assert feeder.recover() == 1
    assert forgotten(ledger) == [a, b]


def test_images_sent_a_moment_ago_or_held_are_not_lost(ledger: Ledger, feeder: Feeder) -> None:
    """Between its queue and `unacked` a message is in neither for a moment."""
    (fresh, held, done) = ledger.add(b"a.jpg", b"b.jpg", b"c.jpg")
    ledger.set(fresh, sent_at=4e9)
    ledger.set(held, sent_at=LONG_AGO, claimed_by=OTHER_HOST, claimed_until=4e9)
    ledger.set(done, sent_at=LONG_AGO, status="done")
    assert feeder.recover() == 0
    assert forgotten(ledger) == []


def test_images_of_a_dead_process_are_sent_again_once_and_are_not_called_lost(
    app: Celery, ledger: Ledger, feeder: Feeder
) -> None:
    a, b = sent_long_ago(ledger, b"a.jpg", b"b.jpg")
    for one in (a, b):
        ledger.set(one, claimed_by=dead_owner(), claimed_until=LONG_AGO + 60)
        send(app, "detect", ledger.message(one))
    assert feeder.recover() == 0
    assert forgotten(ledger) == [a, b]
    assert feeder.feed() == 2
    assert feeder.recover() == 0
    assert forgotten(ledger) == [], "what was sent after the claim ran out is on its way"


def test_a_page_after_the_other_is_looked_at(
    app: Celery, ledger: Ledger, feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_LOOK_AT", 3)
    monkeypatch.setattr(feed, "_UPDATE_AT_ONCE", 2)
    ids = sent_long_ago(ledger, *(b"%02d.jpg" % n for n in range(10)))
    send(app, "detect", ledger.message(*ids[2:5]))
    assert feeder.recover() == 7
    assert forgotten(ledger) == [*ids[:2], *ids[5:]]
