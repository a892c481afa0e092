"""Where SQLite and PostgreSQL differ for the recipes: the marks of parameters, and how a transaction is written."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from typing import Any

# A connection of `sqlite3`, or one of `psycopg` (3) with `autocommit=True`.
Connection = Any


def execute(connection: Connection, statement: str, values: tuple[object, ...] = ()) -> Any:
    """Runs one statement, whose marks are `?`. Returns the cursor."""
    if isinstance(connection, sqlite3.Connection):
        return connection.execute(statement, values)
    return connection.execute(statement.replace("?", "%s"), values)


def transaction(connection: Connection) -> AbstractContextManager[Any]:
    """All of a `with` block, or nothing of it."""
    return connection if isinstance(connection, sqlite3.Connection) else connection.transaction()


def create(connection: Connection, schema: str) -> None:
    """Makes the tables."""
    for statement in filter(str.strip, schema.split(";")):
        connection.execute(statement)
