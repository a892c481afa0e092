"""A bridge from the event feed into NATS JetStream, with `nats-py`. `docs/recipes.md` says how it works.

    python jetstream.py nats://nats:4222 http://one:7400 http://two:7400
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine
from typing import Any

import nats
from nats.errors import NoServersError
from nats.js.errors import NotFoundError

from bridge import JetStreamStore
from forename import Client, Follower

STREAM = "FORENAME"
# Seconds for which the stream drops a message whose id it has.
WINDOW = 86_400.0


class JetStream:
    """What `JetStreamStore` needs of a stream, for the thread that follows. `nats-py` runs in an event loop on a thread of its own."""

    def __init__(self, server: str) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._wait(self._connect(server))

    async def _connect(self, server: str) -> None:
        self._connection = await nats.connect(server)
        self._js = self._connection.jetstream()
        await self._js.add_stream(name=STREAM, subjects=["forename.*"], duplicate_window=WINDOW)

    def last_headers(self, subject: str) -> dict[str, str] | None:
        try:
            return self._wait(self._js.get_last_msg(STREAM, subject)).headers
        except NotFoundError:
            return None

    def publish(self, subject: str, body: bytes, headers: dict[str, str]) -> None:
        self._wait(self._js.publish(subject, body, headers=headers, stream=STREAM))

    def bodies(self) -> list[bytes]:
        """All that the stream has, oldest first."""
        state = self._wait(self._js.stream_info(STREAM)).state
        numbers = range(state.first_seq, state.last_seq + 1)
        return [self._wait(self._js.get_msg(STREAM, number)).data for number in numbers]

    def close(self) -> None:
        self._wait(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)


def main(server: str, *nodes: str) -> None:
    Follower(Client(list(nodes)), JetStreamStore(JetStream(server))).run()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except NoServersError as error:
        sys.exit(f"no NATS server: {error}")
