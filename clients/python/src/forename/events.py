"""The event feed of a node as a stream of server-sent events that outlives its connections."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from .errors import ForenameError, Refused, Unreachable
from .models import Event
from .nodes import Node

# A node sends a comment every 15 s; a connection that is silent for three times as long is dead.
SILENCE = 45.0
# Between attempts to connect: doubled from the first to the last. Guesses: a restart takes a second or so.
FIRST_PAUSE, LAST_PAUSE = 0.2, 5.0
# Bytes of an event; it has a few kilobytes.
MAX_MESSAGE = 1 << 20


@dataclass(frozen=True)
class Filter:
    """Which events; every condition given must be met. `types` are like `confirmed`, `local`: accepted by this node."""

    types: tuple[str, ...] | list[str] = ()
    owner: str | None = None
    registration: str | None = None
    namespace: str | None = None
    since: str | None = None
    local: bool = False
    limit: int | None = None

    def query(self) -> dict[str, object | None]:
        return {
            "types": ",".join(self.types) or None,
            "owner": self.owner,
            "registration": self.registration,
            "namespace": self.namespace,
            "since": self.since,
            "origin": "local" if self.local else None,
            "limit": self.limit,
        }


@dataclass
class Message:
    """A message of a stream of server-sent events, as far as it matters here."""

    id: str = ""
    data: list[str] = field(default_factory=list)


def messages(lines: Iterator[bytes]) -> Iterator[Message]:
    """Takes a stream of server-sent events apart (WHATWG HTML, section 9.2.6); the lines of a node end with a line feed."""
    message, size, any_field = Message(), 0, False
    for line in lines:
        text = line.rstrip(b"\r\n").decode("utf-8", "replace")
        if not text:
            if any_field:
                yield message
            message, size, any_field = Message(), 0, False
            continue
        size += len(line)
        if size > MAX_MESSAGE:
            raise ForenameError(f"a message of the event stream is longer than {MAX_MESSAGE} bytes")
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            message.data.append(value)
            any_field = True
        elif name == "id":
            message.id = value
            any_field = True


class EventStream:
    """The event feed of one node as it grows. Each event comes once, in order, also across lost connections.

        for event in client.stream(cursor):
            …                                  # then store event["cursor"]

    It ends with `close`, which another thread may call, and raises `Refused` where the node refuses the cursor; `restart`
    of its problem is the cursor to go on with.
    """

    def __init__(self, node: Node, after: str | None, filters: Filter, *, reconnects: bool = True) -> None:
        self.cursor = after
        self._node, self._filters, self._reconnects = node, filters, reconnects
        self._connection: http.client.HTTPConnection | None = None
        self._closed = False

    def __iter__(self) -> Iterator[Event]:
        pause = FIRST_PAUSE
        while not self._closed:
            try:
                for event in self._connected():
                    pause = FIRST_PAUSE
                    yield event
                failure: ForenameError = Unreachable(self._node.address, "it has ended the stream", sent=True)
            except Unreachable as error:
                failure = error
            except Refused as error:
                if not error.passing:
                    raise
                failure = error
            if self._closed:
                return
            if not self._reconnects:
                raise failure
            time.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE)

    def _connected(self) -> Iterator[Event]:
        headers = {"Last-Event-ID": self.cursor} if self.cursor else {}
        connection, response = self._node.open(
            "GET", ["v1", "events"], self._filters.query(), timeout=SILENCE, accept="text/event-stream", headers=headers
        )
        self._connection = connection
        try:
            for message in messages(iter(response)):
                if message.id:
                    self.cursor = message.id
                # A message without data only tells how far the reader has come.
                if message.data:
                    event = json.loads("\n".join(message.data))
                    event["cursor"] = message.id
                    yield cast(Event, event)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self._node.address, str(error) or type(error).__name__, sent=True) from error
        except ValueError as error:
            # It is passed over: asking again would bring the same.
            raise ForenameError(f"an event of {self._node.address} cannot be understood: {error}") from error
        finally:
            self._connection = None
            connection.close()

    def close(self) -> None:
        """Ends the stream; whoever waits for the next event goes on at once."""
        self._closed = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
