"""Three real nodes, one of which is killed. `tests/nodes/clients.rs` starts them and says where they are:

    FORENAME_NODES    their addresses, separated by commas
    FORENAME_FIRST    the process of the first of them, to be killed
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import uuid
from pathlib import Path
from queue import Queue

import pytest

from forename import Client, Follower, SqliteStore, Taken
from forename.models import Event

NODES = os.environ.get("FORENAME_NODES", "")
# Seconds that anything may take. Nothing hangs on it but how soon a failing test gives up.
DEADLINE = 60.0
BOTH = [("username", "Alice"), ("email", "alice@example.org")]


class Told:
    """What the follower was told: one outcome for each registration."""

    def __init__(self) -> None:
        self.outcomes: Queue[tuple[str, str]] = Queue()

    def on_event(self, connection: sqlite3.Connection, event: Event) -> None:
        connection.execute("create table if not exists told (id text primary key)")
        # A second time would break the key.
        connection.execute("insert into told values (?)", (event["id"],))
        kind = event["type"].rsplit(".", 1)[1]
        if kind in ("confirmed", "rejected"):
            self.outcomes.put((event["data"]["registration"]["id"], kind))


@pytest.mark.skipif(not NODES, reason="FORENAME_NODES does not say where the nodes are")
def test_a_client_outlives_a_node(tmp_path: Path) -> None:
    addresses = NODES.split(",")
    client = Client(addresses)
    told = Told()
    follower = Follower(client, SqliteStore(str(tmp_path / "db"), told.on_event))
    following = threading.Thread(target=follower.run, daemon=True)
    following.start()
    try:
        before = client.register("ann", BOTH, wait="always", timeout=DEADLINE, metadata={"plan": "free"})
        assert before["status"] == "confirmed" and before.get("metadata") == {"plan": "free"}
        assert told.outcomes.get(timeout=DEADLINE) == (before["id"], "confirmed")
        for address in addresses:
            with pytest.raises(Taken) as taken:
                Client(address).register("bob", BOTH[:1], suggest=2)
            lost = taken.value.problem.get("names", [])[0]
            assert lost.get("registration") == before["id"] and len(lost.get("suggestions", [])) == 2
        first = client.at(client.nodes[0]).cluster()["node"]

        os.kill(int(os.environ["FORENAME_FIRST"]), signal.SIGKILL)
        id = str(uuid.uuid4())
        carol = client.register("carol", [("username", "carol")], id=id, wait="final", timeout=1)
        # Whichever node is asked again, it is one registration.
        for address in addresses[1:]:
            again = Client([addresses[0], address]).register("carol", [("username", "carol")], id=id, asked_before=False)
            assert (again["id"], again["stamp"]) == (id, carol["stamp"])
        assert carol["status"] == "pending"
        assert [member["node"] for member in client.wait_for(id, 0.1, wait="final").get("waiting_for", [])] == [first]
        evict(Client(addresses[1:]), first)
        assert client.wait_for(id, DEADLINE)["status"] == "confirmed"

        # The follower has gone on to another node, whose feed tells of both; the first is known.
        assert told.outcomes.get(timeout=DEADLINE) == (id, "confirmed")
        released = client.release(id)
        assert released.get("names", [])[0].get("released")
        assert [found["id"] for found in client.of_owner("ann")] == [before["id"]]
        assert {name["key"] for name in client.names("username")} >= {"alice"}
        assert client.explain_name("username", "alice")["case"] == "confirmed"
        assert [tenure["holder"]["owner"] for tenure in client.history("email", "alice@example.org")] == ["ann"]
        assert [name["available"] for name in client.check([("username", "alice"), ("username", "dave")])] == [False, True]
        lines = list(client.register_many({"owner": "eve", "names": [{"namespace": "username", "name": f"eve{index}"}]}
                                          for index in range(3)))
        assert [line["line"] for line in lines] == [1, 2, 3]
    finally:
        follower.stop()
        following.join(DEADLINE)
    assert not following.is_alive()


def evict(client: Client, node: str) -> None:
    """As an operator does it, at a node that is in contact with a majority."""
    client.nodes[0].call("POST", ["v1", "cluster", "members", node, "evict"])
