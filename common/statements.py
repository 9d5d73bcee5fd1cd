"""Statements of hot paths: compiled once in a process, and run without SQLAlchemy's work for each row.

Measured with chunks of 16 and 256 images (`python -m benchmarks.ledger`): building a statement, its cache key and the
types of every value cost more CPU than driver and database together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

import pydantic_core
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Executable,
    Float,
    Integer,
    LargeBinary,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

Source: TypeAlias = Mapping[str, ColumnElement[Any]]
"""Name → what stands for a value in a statement."""


def to_json(value: Any) -> str:
    """A value of a JSON column as text: that of `json.dumps` without blanks, in a fifth of the time."""
    return pydantic_core.to_json(value).decode()


def from_json(value: Any) -> Any:
    """A value of a JSON column as the driver gives it, or as it has decoded it already."""
    return pydantic_core.from_json(value) if isinstance(value, (str, bytes)) else value


def insert_for(dialect: Dialect, table: Any) -> Any:
    """An INSERT of a dialect, which has `on_conflict_do_nothing` and `…_do_update`."""
    return (sqlite if dialect.name == "sqlite" else postgresql).insert(table)


def among(dialect: Dialect, where: ColumnElement[Any]) -> ColumnElement[bool]:
    """The column is one of the numbers `ids`, a single value of the statement, however many there are."""
    if dialect.name == "sqlite":
        # CAST: without it SQLAlchemy takes the driver's text for a JSON document to be encoded.
        each = func.json_each(bindparam("ids", type_=Text)).table_valued("value")
        return where.in_(select(each.c.value))
    return where == any_(bindparam("ids", type_=ARRAY(BigInteger)))


class Prepared:
    """A statement whose text never changes. Values go to the driver as they are: numbers, text, bytes, None, `ids`.

    Args:
        build: makes it for a dialect, with `bindparam`s.
    """

    def __init__(self, build: Callable[[Dialect], Executable]) -> None:
        self._build = build
        self._texts: dict[str, tuple[str, tuple[str, ...] | None, dict[str, Any]]] = {}

    def run(self, connection: Connection, **values: Any) -> Any:
        """Execute it; returns SQLAlchemy's result: rows have the names of the columns, JSON is to be read by `from_json`."""
        dialect = connection.dialect
        if dialect.name not in self._texts:
            self._texts[dialect.name] = _compiled(self._build(dialect), dialect, values)
        text, order, fixed = self._texts[dialect.name]
        if order is None:
            if "ids" in values:
                values["ids"] = list(values["ids"])
            return connection.exec_driver_sql(text, {**fixed, **values})
        if "ids" in values:
            values["ids"] = to_json(values["ids"])
        given = {**fixed, **values}
        return connection.exec_driver_sql(text, tuple([given[name] for name in order]))


class ManyRows:
    """A statement for many rows: one after the other in SQLite's driver, all at once as arrays in PostgreSQL.

    5,000 rows of images into PostgreSQL: 3 µs of the client's CPU a row as arrays in binary form, 12 as text, 13 by
    `executemany`, 31 as VALUES; the server takes the same for all of them.

    Args:
        build: makes it for a dialect, from what stands for the values of a row and for those shared by all rows.
        columns: whose values a row has, in this order; a JSON column's are text (`to_json`).
        shared: names of values that are the same for all rows.
    """

    def __init__(
        self,
        build: Callable[[Dialect, Source], Executable],
        columns: Sequence[Column[Any]],
        shared: Mapping[str, Any] | None = None,
    ) -> None:
        self._build = build
        self._columns = columns
        self._shared = shared or {}
        self._names = [one.name for one in columns]
        self._sqlite: tuple[str, Callable[[Any], Any] | None, tuple[Any, ...]] | None = None
        self._postgresql: tuple[str, dict[str, Any]] | None = None

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]], **shared: Any) -> None:
        """Execute it for rows; nothing for none."""
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            self._run_in_sqlite(connection, rows, shared)
        else:
            self._run_in_postgresql(connection, rows, shared)

    def _run_in_sqlite(
        self, connection: Connection, rows: Sequence[tuple[Any, ...]], shared: dict[str, Any]
    ) -> None:
        if self._sqlite is None:
            kinds = {**{one.name: one.type for one in self._columns}, **self._shared}
            source = {name: bindparam(name, type_=_plain(kind)) for name, kind in kinds.items()}
            statement = self._build(connection.dialect, source)
            text, order, fixed = _compiled(statement, connection.dialect, kinds)
            places = [*self._names, *self._shared, *fixed]
            moved = [places.index(name) for name in order or ()]
            is_in_order = moved == list(range(len(moved)))
            self._sqlite = text, None if is_in_order else itemgetter(*moved), tuple(fixed.values())
        text, move, constants = self._sqlite
        tail = (*(shared[name] for name in self._shared), *constants)
        if tail:
            rows = [row + tail for row in rows]
        connection.exec_driver_sql(text, list(rows if move is None else map(move, rows)))

    def _run_in_postgresql(
        self, connection: Connection, rows: Sequence[tuple[Any, ...]], shared: dict[str, Any]
    ) -> None:
        if self._postgresql is None:
            kinds = {one.name: _plain(one.type) for one in self._columns}
            arrays = [bindparam(name, type_=ARRAY(kind)) for name, kind in kinds.items()]
            columns = [column(name, kind) for name, kind in kinds.items()]
            unnested = func.unnest(*arrays).table_valued(*columns, name="rows").render_derived()
            source: dict[str, Any] = {
                one.name: cast(unnested.c[one.name], JSON)
                if isinstance(one.type, JSON)
                else unnested.c[one.name]
                for one in self._columns
            }
            source |= {name: bindparam(name, type_=_plain(kind)) for name, kind in self._shared.items()}
            statement = self._build(connection.dialect, source)
            text, _, fixed = _compiled(statement, connection.dialect, {**kinds, **self._shared})
            for name in self._names:
                # Binary: as text an array is escaped value by value.
                text = text.replace(f"%({name})s", f"%({name})b")
            self._postgresql = text, fixed
        text, fixed = self._postgresql
        values: dict[str, Any] = {}
        for one, found in zip(self._columns, zip(*rows, strict=True), strict=True):
            # An array has one type: a whole number among fractions would make it another.
            is_float = isinstance(one.type, Float)
            values[one.name] = (
                [None if value is None else float(value) for value in found] if is_float else list(found)
            )
        connection.exec_driver_sql(text, {**fixed, **values, **shared})


def insert_rows(
    dialect: Dialect, table: Any, source: Source, constants: Mapping[str, Any] | None = None
) -> Any:
    """An INSERT of the rows of a `ManyRows`; conflicts are up to the caller.

    Args:
        constants: column → SQL that is the same for all rows.
    """
    values = {**source, **(constants or {})}
    statement = insert_for(dialect, table)
    if dialect.name == "sqlite":
        return statement.values(values)
    rows: Select[Any] = select(*values.values())
    return statement.from_select(list(values), rows)


def _plain(kind: Any) -> Any:
    """The type that a value is handed over as; lengths are checked by the column."""
    for known in (BigInteger, Integer, Float, LargeBinary):
        if isinstance(kind, known):
            return (BigInteger if known is Integer else known)()
    return Text()


def _compiled(
    statement: Any, dialect: Dialect, names: Mapping[str, Any]
) -> tuple[str, tuple[str, ...] | None, dict[str, Any]]:
    """Text, names of the positions (None where values go by name), and the values that are part of the statement."""
    compiled = statement.compile(dialect=dialect)
    fixed = {name: value for name, value in compiled.params.items() if name not in names}
    order = None if compiled.positiontup is None else tuple(compiled.positiontup)
    return str(compiled), order, fixed
