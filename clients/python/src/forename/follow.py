"""Following the event feed for good: a cursor that is stored, several nodes, events that come once."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

from .client import Client
from .errors import Gap, Refused, Unreachable
from .events import FIRST_PAUSE, LAST_PAUSE, EventStream, Filter
from .models import Event
from .nodes import Node

log = logging.getLogger("forename")

# Why a feed is not read on from where it was: it was never read, its node has begun a new one (410 `cursor-unknown`), or
# the events that come next are no longer kept (410 `events-compacted`).
Why = Literal["new", "cursor-unknown", "events-compacted"]


class Store(Protocol):
    """Where a follower keeps how far it has come. Every node has a feed of its own, named by its `source`."""

    def cursor(self, source: str) -> str | None:
        """The cursor of this feed that was stored last."""

    def apply(self, source: str, cursor: str, event: Event) -> None:
        """Makes something of an event and stores the cursor, both or neither. An event whose id is known changes nothing:
        another feed has told it before."""

    def restart(self, source: str, cursor: str, why: Why, node: Client) -> None:
        """The feed goes on after this cursor, which is to be stored. With `events-compacted`, events in between are lost:
        what is followed has to be read anew first, from `node`."""


class Follower:
    """Reads the event feed of one node after the other, whichever answers, and hands each event to the store.

        Follower(client, SqliteStore("signup.db", on_event)).run()

    One node's feed is enough: every node tells of everything that it hears of.
    """

    def __init__(self, client: Client, store: Store, **filters: Any) -> None:
        self._client, self._store, self._filters = client, store, Filter(**filters)
        self._stream: EventStream | None = None
        # How far each feed has been read, where that is further than the last event: filters leave events out.
        self._passed: dict[str, str] = {}
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Has `run` return once the event at hand is dealt with; from another thread."""
        self._stopped.set()
        stream = self._stream
        if stream is not None:
            stream.close()

    def run(self) -> None:
        """Follows the feed until `stop`, or until the store raises."""
        pause = FIRST_PAUSE
        while True:
            for node in self._client.nodes:
                if self._stopped.is_set():
                    return
                started = time.monotonic()
                try:
                    self._read(node)
                except (Unreachable, Refused) as error:
                    if isinstance(error, Refused) and not error.passing:
                        raise
                    log.warning("the feed of %s is interrupted, the next node is tried: %s", node.address, error)
                if time.monotonic() - started > LAST_PAUSE:
                    pause = FIRST_PAUSE
                self._stopped.wait(pause)
                pause = min(pause * 2, LAST_PAUSE)

    def _read(self, node: Node) -> None:
        client = self._client.at(node)
        cluster = client.cluster()
        source = source_of(cluster["node"])
        cursor = self._passed.pop(source, None) or self._store.cursor(source)
        if cursor is None:
            cursor = cluster["events"]["start"]
            self._store.restart(source, cursor, "new", client)
        while not self._stopped.is_set():
            try:
                return self._stream_from(node, source, cursor)
            except Refused as error:
                restart = error.problem.get("restart")
                if restart is None:
                    raise
                cursor = restart
                why: Why = "cursor-unknown" if error.kind == "cursor-unknown" else "events-compacted"
                self._store.restart(source, cursor, why, client)

    def _stream_from(self, node: Node, source: str, cursor: str) -> None:
        self._stream = stream = EventStream(node, cursor, self._filters, reconnects=False)
        try:
            events = iter(stream)
            while not self._stopped.is_set():
                try:
                    event = next(events)
                except StopIteration:
                    return
                except Unreachable:
                    self._passed[source] = stream.cursor or cursor
                    raise
                if event["source"] != source:
                    raise Unreachable(node.address, f"the feed of {event['source']} answers, not that of {source}", sent=True)
                self._store.apply(source, event["cursor"], event)
        finally:
            self._stream = None


def source_of(node: str) -> str:
    """Whose feed it is, as its events say: it stays that of the node's first incarnation."""
    return f"/nodes/{node[:-4]}0000"


class SqliteStore:
    """Keeps cursors and known event ids in an SQLite database, in one transaction with what `on_event` writes there.

    `on_event(connection, event)` is called once for each event, also across crashes, whatever node tells it.
    `on_gap(connection, node)` reads anew what is followed where events are lost; without it `Gap` is raised then.
    """

    def __init__(
        self,
        path: str,
        on_event: Callable[[sqlite3.Connection, Event], None],
        on_gap: Callable[[sqlite3.Connection, Client], None] | None = None,
        *,
        keep_ids_days: float = 400.0,
    ) -> None:
        """`keep_ids_days`: how long event ids are known; longer than the cluster's setting `keep_events`."""
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._on_event, self._on_gap = on_event, on_gap
        with self._transaction():
            self._connection.execute("create table if not exists forename_feed (source text primary key, cursor text not null)")
            self._connection.execute("create table if not exists forename_event (id text primary key, known_at real not null)")
            oldest = time.time() - keep_ids_days * 86400
            self._connection.execute("delete from forename_event where known_at < ?", (oldest,))

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)

    def cursor(self, source: str) -> str | None:
        row = self._connection.execute("select cursor from forename_feed where source = ?", (source,)).fetchone()
        return None if row is None else str(row[0])

    def apply(self, source: str, cursor: str, event: Event) -> None:
        with self._transaction():
            statement = "insert or ignore into forename_event (id, known_at) values (?, ?)"
            if self._connection.execute(statement, (event["id"], time.time())).rowcount == 1:
                self._on_event(self._connection, event)
            self._set(source, cursor)

    def restart(self, source: str, cursor: str, why: Why, node: Client) -> None:
        if why == "events-compacted" and self._on_gap is None:
            raise Gap(f"events of {source} are no longer kept; give on_gap, which reads anew what you follow")
        with self._transaction():
            if why == "events-compacted" and self._on_gap is not None:
                self._on_gap(self._connection, node)
            self._set(source, cursor)

    def _set(self, source: str, cursor: str) -> None:
        statement = "insert into forename_feed values (?, ?) on conflict (source) do update set cursor = excluded.cursor"
        self._connection.execute(statement, (source, cursor))

    def close(self) -> None:
        """Closes the database."""
        self._connection.close()


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("begin immediate")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("commit" if kind is None else "rollback")


__all__ = ["Follower", "SqliteStore", "Store", "Why", "source_of"]
