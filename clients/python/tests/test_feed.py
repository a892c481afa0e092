"""The event stream and the follower, with a scripted feed in place of a node's."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from fake import Answer, Fake, problem
from forename import Client, Follower, Gap, Refused, SqliteStore
from forename.events import messages
from forename.follow import source_of

NODE = "0b8326a221c00003"
SOURCE = "/nodes/0b8326a221c00000"


def event(id: str, cursor: str, source: str = SOURCE) -> bytes:
    text = json.dumps({"id": id, "source": source, "type": "forename.registration.confirmed", "data": {}})
    return f"id: {cursor}\nevent: x\ndata: {text}\n\n".encode()


def test_messages_are_taken_apart() -> None:
    lines = b': hello\n\nid: a-7\nevent: x\ndata: {"a":\ndata: 1}\n\nid:a-8\n\ndata:2\r\n\r\ndata: cut off'.splitlines(True)
    found = [(message.id, "\n".join(message.data)) for message in messages(iter(lines))]
    assert found == [("a-7", '{"a":\n1}'), ("a-8", ""), ("", "2")]


def serve(feed: dict[str, Answer], start: str = "a-0") -> Fake:
    """A server whose stream is chosen by `Last-Event-ID`; where nothing is scripted, it is busy."""
    fake: list[Fake] = []

    def answer(_method: str, path: str, _body: Any) -> Answer:
        if path == "/v1/cluster":
            return 200, {"node": NODE, "events": {"start": start, "last": "a-9"}}
        after = fake[0].headers[-1].get("last-event-id", "")
        return feed.get(after, problem(503, "unavailable"))

    fake.append(Fake(answer))
    return fake[0]


class Told:
    """What a follower makes of events; stops it at the one named."""

    def __init__(self, path: Path, last: str) -> None:
        self.ids: list[str] = []
        self.gaps = 0
        self.last, self.path = last, str(path)
        self.follower: Follower | None = None
        self.fails_at: str | None = None

    def on_event(self, connection: sqlite3.Connection, found: Any) -> None:
        connection.execute("create table if not exists told (id text primary key)")
        connection.execute("insert into told values (?)", (found["id"],))
        if found["id"] == self.fails_at:
            raise RuntimeError("the application dies here")
        self.ids.append(found["id"])
        if found["id"] == self.last and self.follower is not None:
            self.follower.stop()

    def on_gap(self, _connection: sqlite3.Connection, node: Client) -> None:
        assert node.cluster()["node"] == NODE
        self.gaps += 1

    def run(self, *nodes: Fake, gaps: bool = True) -> None:
        store = SqliteStore(self.path, self.on_event, self.on_gap if gaps else None)
        self.follower = Follower(Client([node.address for node in nodes]), store)
        deadline = threading.Timer(60, self.follower.stop)
        deadline.start()
        try:
            self.follower.run()
        finally:
            deadline.cancel()
            store.close()


def test_the_follower_goes_on_where_it_was_and_drops_what_it_knows(tmp_path: Path) -> None:
    feed: dict[str, Answer] = {
        "a-0": (200, event("r1/accepted", "a-1") + event("r1/confirmed", "a-2")),
        "a-2": (200, b"id: a-5\n\n"),
        # The node has begun a new feed, which tells anew what it told before.
        "a-5": problem(410, "cursor-unknown", restart="b-0"),
        "b-0": (200, event("r1/confirmed", "b-1") + event("r2/confirmed", "b-2")),
    }
    told = Told(tmp_path / "db", "r2/confirmed")
    with serve(feed) as node:
        told.run(node)
    assert told.ids == ["r1/accepted", "r1/confirmed", "r2/confirmed"]
    # The place that a message without data tells counts while the follower runs: it asked after a-5.
    assert [headers.get("last-event-id") for headers in node.headers if "last-event-id" in headers][:2] == ["a-0", "a-2"]
    again = Told(tmp_path / "db", "r3/confirmed")
    with serve({"b-2": (200, event("r2/confirmed", "b-3") + event("r3/confirmed", "b-4"))}) as node:
        again.run(node)
    assert again.ids == ["r3/confirmed"]


def test_a_handler_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    feed: dict[str, Answer] = {"a-0": (200, event("r1/confirmed", "a-1") + event("r2/confirmed", "a-2")),
                               "a-1": (200, event("r2/confirmed", "a-2"))}
    told = Told(tmp_path / "db", "r2/confirmed")
    told.fails_at = "r2/confirmed"
    with serve(feed) as node:
        with pytest.raises(RuntimeError):
            told.run(node)
        assert sqlite3.connect(tmp_path / "db").execute("select id from told").fetchall() == [("r1/confirmed",)]
        told.fails_at = None
        told.run(node)
    assert told.ids == ["r1/confirmed", "r2/confirmed"]


def test_lost_events_are_made_good_or_told(tmp_path: Path) -> None:
    feed: dict[str, Answer] = {"a-0": problem(410, "events-compacted", restart="a-7"),
                               "a-7": (200, event("r9/confirmed", "a-8"))}
    told = Told(tmp_path / "db", "r9/confirmed")
    with serve(feed) as node:
        told.run(node)
        assert (told.gaps, told.ids) == (1, ["r9/confirmed"])
        careless = Told(tmp_path / "other", "r9/confirmed")
        with pytest.raises(Gap):
            careless.run(node, gaps=False)
    assert careless.ids == []


def test_another_nodes_feed_at_the_same_address_is_not_taken(tmp_path: Path) -> None:
    wrong: dict[str, Answer] = {"a-0": (200, event("x/confirmed", "a-1", "/nodes/ffff000000000000"))}
    right: dict[str, Answer] = {"a-0": (200, event("r1/confirmed", "a-1"))}
    told = Told(tmp_path / "db", "r1/confirmed")
    with serve(wrong) as first, serve(right) as second:
        told.run(first, second)
    assert told.ids == ["r1/confirmed"]
    assert source_of(NODE) == SOURCE


def test_the_bare_stream_goes_on_where_it_was_cut_off() -> None:
    feed: dict[str, Answer] = {
        "a-0": (200, event("e1", "a-1") + event("e2", "a-2")),
        "a-2": (200, event("e3", "a-3")),
        "a-3": problem(410, "events-compacted", restart="a-7"),
    }
    with serve(feed) as node:
        stream = Client(node.address).stream("a-0")
        events = iter(stream)
        assert [next(events)["id"] for _ in range(3)] == ["e1", "e2", "e3"]
        assert stream.cursor == "a-3"
        with pytest.raises(Refused) as refused:
            next(events)
        assert refused.value.problem["restart"] == "a-7"
        assert [headers["last-event-id"] for headers in node.headers] == ["a-0", "a-2", "a-3"]
