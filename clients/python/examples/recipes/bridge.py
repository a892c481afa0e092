"""The event feed into Kafka and into NATS JetStream. The cursor is stored with the message, in the broker itself.

The two classes know of the brokers only what the protocols below say: `confluent_kafka.Producer` fits the first, and a small
wrapper around `nats.js.JetStreamContext` the second. `docs/recipes.md` has both.
"""

from __future__ import annotations

import json
from typing import Protocol

from forename import Client, Gap
from forename.follow import Why
from forename.models import Event

CURSOR, SOURCE = "forename-cursor", "forename-source"


class KafkaProducer(Protocol):
    """The part of a transactional producer that the bridge needs (`transactional.id` is set, `init_transactions` was called)."""

    def begin_transaction(self) -> None: ...
    def produce(self, topic: str, *, key: str, value: str) -> None: ...
    def commit_transaction(self) -> None: ...
    def abort_transaction(self) -> None: ...


class KafkaStore:
    """Each event and the cursor after it in one transaction: a consumer with `isolation.level=read_committed` sees both or
    neither. `cursors` is what the compacted topic of cursors holds at the start."""

    def __init__(self, producer: KafkaProducer, cursors: dict[str, str], *, topic: str = "forename") -> None:
        self._producer, self._cursors, self._topic = producer, cursors, topic

    def cursor(self, source: str) -> str | None:
        return self._cursors.get(source)

    def apply(self, source: str, cursor: str, event: Event) -> None:
        self._write(source, cursor, event)

    def restart(self, source: str, cursor: str, why: Why, node: Client) -> None:
        if why == "events-compacted":
            raise Gap(f"events of {source} are no longer kept; read anew what your consumers follow")
        self._write(source, cursor, None)

    def _write(self, source: str, cursor: str, event: Event | None) -> None:
        self._producer.begin_transaction()
        try:
            if event is not None:
                # All events of a registration have one key, so they stay in order. The id tells what came twice.
                key = event["data"]["registration"]["id"]
                self._producer.produce(self._topic, key=key, value=json.dumps(event))
            self._producer.produce(f"{self._topic}.cursors", key=source, value=cursor)
            self._producer.commit_transaction()
        except Exception:
            self._producer.abort_transaction()
            raise
        self._cursors[source] = cursor


class Stream(Protocol):
    """The part of a JetStream stream that the bridge needs."""

    def last_headers(self, subject: str) -> dict[str, str] | None:
        """The headers of the last message of a subject; none where there is no message."""

    def publish(self, subject: str, body: bytes, headers: dict[str, str]) -> None:
        """Returns once the stream has the message; raises where that is not known."""


class JetStreamStore:
    """Each event is one message with the cursor in its headers, so there is nothing to store beside it. The header
    `Nats-Msg-Id` has the id of the event, by which the stream drops a message that is published twice."""

    def __init__(self, stream: Stream, *, subject: str = "forename") -> None:
        self._stream, self._subject = stream, subject

    def _subject_of(self, source: str) -> str:
        return f"{self._subject}.{source.rsplit('/', 1)[1]}"

    def cursor(self, source: str) -> str | None:
        headers = self._stream.last_headers(self._subject_of(source))
        return headers[CURSOR] if headers else None

    def apply(self, source: str, cursor: str, event: Event) -> None:
        headers = {"Nats-Msg-Id": event["id"], CURSOR: cursor, SOURCE: source}
        self._stream.publish(self._subject_of(source), json.dumps(event).encode(), headers)

    def restart(self, source: str, cursor: str, why: Why, node: Client) -> None:
        if why == "events-compacted":
            raise Gap(f"events of {source} are no longer kept; read anew what your consumers follow")
        # Nothing is stored: until the first event of this feed came, it is read from its beginning.
