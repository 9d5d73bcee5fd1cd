"""Statements that are compiled once, against both databases."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    literal_column,
    select,
    update,
)

from common.database import engine_for
from common.statements import ManyRows, Prepared, among, from_json, insert_rows, to_json

_PETS = Table(
    "pets_of_a_test",
    MetaData(),
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("name", LargeBinary, unique=True),
    Column("kind", String(4)),
    Column("weight", Float),
    Column("seen", JSON),
    Column("house", Integer),
)

_INSERT = ManyRows(
    lambda dialect, source: insert_rows(
        dialect, _PETS, source, {"kind": literal_column("'cat'")}
    ).on_conflict_do_nothing(),
    [_PETS.c[name] for name in ("id", "name", "weight", "seen")],
    {"house": _PETS.c.house.type},
)
_FEED = ManyRows(
    lambda _dialect, source: (
        update(_PETS)
        .where(_PETS.c.id == source["id"])
        .values(weight=source["weight"], seen=None, house=source["house"])
    ),
    # Not in the order of the statement: where comes last there.
    [_PETS.c.id, _PETS.c.weight],
    {"house": _PETS.c.house.type},
)
_OF = Prepared(
    lambda dialect: (
        select(_PETS.c.id, _PETS.c.name, _PETS.c.weight, _PETS.c.seen, _PETS.c.kind, _PETS.c.house)
        .where(among(dialect, _PETS.c.id), _PETS.c.house == bindparam("house"), _PETS.c.kind == "cat")
        .order_by(_PETS.c.id)
    )
)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/s.db" if is_sqlite else request.getfixturevalue("postgres_url")
    engine = engine_for(url.replace("postgresql://", "postgresql+psycopg://"))
    _PETS.metadata.create_all(engine)
    yield engine
    _PETS.metadata.drop_all(engine)


def _pets(engine: Engine, ids: list[int], house: int = 1) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [
            (one.id, bytes(one.name), one.weight, from_json(one.seen))
            for one in _OF.run(connection, ids=ids, house=house)
        ]


def test_rows_come_back_as_they_were_given(engine: Engine) -> None:
    rows = [
        (1, b"\xff\x00 'a'", 2, to_json([[1.25, 2]])),
        (2, b'{"b",\\}', 3.5, None),
        (3, b"", None, to_json({"ä": None})),
    ]
    with engine.begin() as connection:
        _INSERT.run(connection, rows, house=1)
        _INSERT.run(connection, [(4, b"elsewhere", None, None)], house=2)
        _INSERT.run(connection, [], house=3)
    assert _pets(engine, [3, 1, 2, 4, 99]) == [
        (1, b"\xff\x00 'a'", 2.0, [[1.25, 2]]),
        (2, b'{"b",\\}', 3.5, None),
        (3, b"", None, {"ä": None}),
    ]
    assert _pets(engine, [4], house=2) == [(4, b"elsewhere", None, None)]
    assert _pets(engine, []) == []


def test_a_conflict_is_settled_as_the_statement_says(engine: Engine) -> None:
    with engine.begin() as connection:
        _INSERT.run(connection, [(1, b"a", 1.0, None)], house=1)
        _INSERT.run(connection, [(1, b"a", 9.0, None), (2, b"b", 2.0, None)], house=1)
    assert _pets(engine, [1, 2]) == [(1, b"a", 1.0, None), (2, b"b", 2.0, None)]


def test_an_update_finds_its_rows(engine: Engine) -> None:
    with engine.begin() as connection:
        _INSERT.run(connection, [(k, b"%d" % k, float(k), to_json(k)) for k in range(1, 5)], house=1)
        _FEED.run(connection, [(3, 30.5), (1, None), (77, 1.0)], house=5)
    assert _pets(engine, [1, 2, 3, 4]) == [(2, b"2", 2.0, 2), (4, b"4", 4.0, 4)]
    assert _pets(engine, [1, 2, 3, 4], house=5) == [(1, b"1", None, None), (3, b"3", 30.5, None)]


@pytest.mark.parametrize(
    "value",
    [0.1, 100.12, 1e22, 5e-324, -0.0, math.pi, [[1, 2.5], []], {"a": [True, None, 'ä"\n']}, "", 2**62],
)
def test_json_is_that_of_the_standard_library(value: Any) -> None:
    assert json.loads(to_json(value)) == value
    assert from_json(json.dumps(value)) == value
    assert from_json(cast(Any, None)) is None
