"""The recipes of `docs/recipes.md`: the outbox and the read model with SQLite and PostgreSQL at real nodes, the bridges to brokers
with fakes in their place, and the one to JetStream with a server."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from forename import Client, Follower, Gap, Taken
from forename.models import Event
from forename.webhooks import sign

sys.path.insert(0, str(Path(__file__).parent.parent / "examples/recipes"))

import outbox
import read_model
from bridge import JetStreamStore, KafkaStore
from sql import Connection, create, execute

NODES = os.environ.get("FORENAME_NODES", "")
DEADLINE = 60.0
SOURCE = "/nodes/0b8326a221c00000"


def event(id: str) -> Event:
    return cast(Event, {"id": id, "source": SOURCE, "data": {"registration": {"id": "r"}}})


def eventually(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not done():
        assert time.monotonic() < deadline


def standing(connection: Connection, person: str) -> str:
    return str(execute(connection, "select standing from person where id = ?", (person,)).fetchone()[0])


@pytest.mark.skipif(not NODES, reason="FORENAME_NODES does not say where the nodes are")
def test_a_row_and_a_claim_end_up_alike_in_both_orders(database: Connection) -> None:
    client, connection = Client(NODES.split(",")), database
    create(connection, outbox.SCHEMA)
    ann, bob = (f"outbox-{who}-{uuid.uuid4().hex[:8]}" for who in ("ann", "bob"))

    def settled(person: str, wanted: str) -> None:
        def done() -> bool:
            outbox.drain(connection, client)
            outbox.catch_up(connection, client)
            return standing(connection, person) == wanted

        eventually(done)

    row = outbox.row_first(connection, ann)
    assert standing(connection, row) == "requested"
    # Without any node nothing is lost: the claim is still in the outbox.
    outbox.drain(connection, Client("http://127.0.0.1:9"))
    assert connection.execute("select count(*) from outbox").fetchone() == (1,)
    settled(row, "active")
    assert connection.execute("select count(*) from outbox").fetchone() == (0,)
    late = outbox.row_first(connection, ann)
    settled(late, "rejected")

    claim = outbox.claim_first(connection, client, bob)
    settled(claim, "active")
    before = connection.execute("select count(*) from person").fetchone()
    with pytest.raises(Taken):
        outbox.claim_first(connection, client, bob)
    assert connection.execute("select count(*) from person").fetchone() == before, "nobody without a name"


SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def deliver(connection: Connection, id: str, registration: dict[str, Any], **data: Any) -> int:
    body = json.dumps({"data": {"registration": registration, **data}}).encode()
    now = int(time.time())
    headers = {"Webhook-Id": id, "Webhook-Timestamp": str(now), "Webhook-Signature": sign(SECRET, id, now, body)}
    return read_model.take(connection, [SECRET], headers, body)


def test_a_read_model_takes_each_event_once_and_goes_only_forward(database: Connection) -> None:
    connection = database
    create(connection, read_model.SCHEMA)
    claim = {"namespace": "username", "key": "ann", "name": "Ann"}
    first = {"id": "r1", "owner": "ann", "status": "confirmed", "names": [claim]}
    second = {"id": "r2", "owner": "bob", "status": "confirmed", "names": [claim]}
    assert deliver(connection, "r1/confirmed", first) == 204
    assert read_model.holder(connection, "username", "ann") == "ann"
    # The next holder's node is heard before the end of the first tenure, whose events come late and twice.
    assert deliver(connection, "r1/ended", first, name=claim, reason="released") == 204
    assert deliver(connection, "r2/confirmed", second) == 204
    assert deliver(connection, "r1/confirmed", first) == 204
    assert deliver(connection, "r1/accepted", {**first, "status": "pending"}) == 204
    assert read_model.holder(connection, "username", "ann") == "bob"
    assert deliver(connection, "r2/erased", {"id": "r2", "status": "confirmed", "erased": True}) == 204
    assert read_model.holder(connection, "username", "ann") is None
    assert connection.execute("select count(*) from delivery").fetchone() == (5,)
    forged = {"webhook-id": "x", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}
    assert read_model.take(connection, [SECRET], forged, b"{}") == 401


@pytest.mark.skipif(not NODES, reason="FORENAME_NODES does not say where the nodes are")
def test_a_read_model_follows_real_nodes(database: Connection) -> None:
    connection = database
    create(connection, read_model.SCHEMA)
    secrets: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            # A delivery that comes before the secret is known is made again.
            status = read_model.take(connection, secrets, dict(self.headers), body) if secrets else 503
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    addresses = NODES.split(",")
    hook = json.dumps({"url": f"http://127.0.0.1:{server.server_port}/forename"}).encode()
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{addresses[-1]}/v1/webhooks", hook, headers)) as answer:
        made = json.load(answer)
    secrets.append(made["secret"])

    name, client = f"model-{uuid.uuid4().hex[:8]}", Client(addresses)
    registration = client.register("ann", [("username", name)])
    eventually(lambda: read_model.holder(connection, "username", name) == "ann")
    client.release(registration["id"])
    eventually(lambda: read_model.holder(connection, "username", name) is None)
    removal = urllib.request.Request(f"{addresses[-1]}/v1/webhooks/{made['id']}", headers=headers, method="DELETE")
    urllib.request.urlopen(removal).close()
    server.shutdown()


class FakeKafka:
    """Keeps what was committed, and fails where it is told to."""

    def __init__(self) -> None:
        self.committed: list[tuple[str, str, str]] = []
        self.open: list[tuple[str, str, str]] = []
        self.fails = False

    def begin_transaction(self) -> None:
        assert not self.open

    def produce(self, topic: str, *, key: str, value: str) -> None:
        self.open.append((topic, key, value))

    def commit_transaction(self) -> None:
        if self.fails:
            raise OSError("the broker is gone")
        self.committed += self.open
        self.open = []

    def abort_transaction(self) -> None:
        self.open = []


def test_kafka_gets_an_event_and_its_cursor_together() -> None:
    kafka = FakeKafka()
    store = KafkaStore(kafka, {})
    store.restart(SOURCE, "a-0", "new", cast(Any, None))
    store.apply(SOURCE, "a-1", event("e1"))
    kafka.fails = True
    with pytest.raises(OSError):
        store.apply(SOURCE, "a-2", event("e2"))
    assert store.cursor(SOURCE) == "a-1"
    topics = [(topic, value if topic.endswith(".cursors") else key) for topic, key, value in kafka.committed]
    assert topics == [("forename.cursors", "a-0"), ("forename", "r"), ("forename.cursors", "a-1")]
    # A process that starts anew goes on from what the topic of cursors has.
    cursors = {key: value for topic, key, value in kafka.committed if topic.endswith(".cursors")}
    assert KafkaStore(FakeKafka(), cursors).cursor(SOURCE) == "a-1"
    with pytest.raises(Gap):
        store.restart(SOURCE, "a-9", "events-compacted", cast(Any, None))


class FakeStream:
    """Drops a message whose id it has, as JetStream does within its window."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes, dict[str, str]]] = []

    def last_headers(self, subject: str) -> dict[str, str] | None:
        return next((headers for of, _, headers in reversed(self.messages) if of == subject), None)

    def publish(self, subject: str, body: bytes, headers: dict[str, str]) -> None:
        if all(known["Nats-Msg-Id"] != headers["Nats-Msg-Id"] for _, _, known in self.messages):
            self.messages.append((subject, body, headers))


def test_a_stream_has_the_cursor_in_its_last_message() -> None:
    stream = FakeStream()
    store = JetStreamStore(stream)
    assert store.cursor(SOURCE) is None
    for id, cursor in [("e1", "a-1"), ("e2", "a-2"), ("e2", "a-2")]:
        store.apply(SOURCE, cursor, event(id))
    assert [subject for subject, _, _ in stream.messages] == ["forename.0b8326a221c00000"] * 2
    assert JetStreamStore(stream).cursor(SOURCE) == "a-2"
    with pytest.raises(Gap):
        store.restart(SOURCE, "a-9", "events-compacted", cast(Any, None))


@pytest.mark.skipif(not NODES, reason="FORENAME_NODES does not say where the nodes are")
def test_a_real_stream_has_each_event_once_though_the_bridge_is_begun_again(nats_server: str) -> None:
    from jetstream import JetStream

    client, run = Client(NODES.split(",")), uuid.uuid4().hex[:8]

    def registers(names: Iterable[str]) -> set[str]:
        return {client.register("ann", [("username", f"nats-{run}-{name}")])["id"] for name in names}

    def bridges(wanted: set[str]) -> None:
        """Runs a bridge until it has published the outcomes of these registrations, and ends it."""

        class Watched(JetStreamStore):
            def apply(self, source: str, cursor: str, event: Event) -> None:
                super().apply(source, cursor, event)
                if event["type"] == "forename.registration.confirmed":
                    missing.discard(event["data"]["registration"]["id"])
                if not missing:
                    follower.stop()

        missing, stream = set(wanted), JetStream(nats_server)
        follower = Follower(client, Watched(stream))
        deadline = threading.Timer(DEADLINE, follower.stop)
        deadline.start()
        follower.run()
        deadline.cancel()
        stream.close()
        assert not missing

    first = registers("abc")
    bridges(first)
    second = registers("de")
    bridges(second)

    reader = JetStream(nats_server)
    told = [json.loads(body) for body in reader.bodies()]
    reader.close()
    ids = [event["id"] for event in told]
    assert len(ids) == len(set(ids))
    assert first | second <= {event["data"]["registration"]["id"] for event in told}
