"""The nodes that a client asks, and in which order; requests and answers of one node."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from .errors import ForenameError, OtherCluster, Refused, Unreachable, refused
from .models import Problem

CLUSTER = "Forename-Cluster"
# Seconds that a node may take beyond what it was asked to wait. A guess: a busy disk answers within seconds.
PATIENCE = 30.0


class Cluster:
    """The cluster that a client talks to: the one that it was told, or else the first that it saw."""

    def __init__(self, cluster: str | None) -> None:
        self.id = cluster

    def check(self, address: str, found: str | None) -> None:
        if found is None:
            return
        if self.id is None:
            self.id = found
        if self.id != found:
            raise OtherCluster(address, self.id, found)


class Node:
    """One node. Each call has a connection of its own, so threads may share it."""

    def __init__(self, address: str, token: str | None, cluster: Cluster, tls: ssl.SSLContext | None) -> None:
        url = urlsplit(address)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"{address!r} is not the address of a node; write it like http://127.0.0.1:7400")
        self.address = address.rstrip("/")
        self._host, self._port, self._path = url.hostname, url.port, url.path.rstrip("/")
        self._tls = (tls or ssl.create_default_context()) if url.scheme == "https" else None
        self._token = token
        self._cluster = cluster

    def call(
        self,
        method: str,
        path: Iterable[str],
        query: Mapping[str, object | None] | None = None,
        body: object | None = None,
        *,
        wait: float = 0.0,
        media: str = "application/json",
    ) -> Any:
        """The answer to a request, as JSON. `Refused`, `OtherCluster` or `Unreachable` where there is none."""
        connection, response = self.open(method, path, query, body, timeout=wait + PATIENCE, media=media)
        try:
            return json.loads(self._read(response))
        except ValueError as error:
            raise ForenameError(f"the answer of {self.address} cannot be understood: {error}") from error
        finally:
            connection.close()

    def open(
        self,
        method: str,
        path: Iterable[str],
        query: Mapping[str, object | None] | None = None,
        body: object | None = None,
        *,
        timeout: float,
        accept: str | None = None,
        headers: Mapping[str, str] | None = None,
        media: str = "application/json",
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """A connection, and an answer that is a success."""
        connection = self._connect(timeout)
        try:
            text = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
            sent = {**self._headers(method, accept, media), **(headers or {})}
            connection.request(method, self._path + target(path, query), text, sent)
            response = connection.getresponse()
            self._cluster.check(self.address, response.getheader(CLUSTER))
            if response.status >= 300:
                raise self._refusal(response)
            return connection, response
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable(self.address, str(error) or type(error).__name__, sent=True) from error
        except BaseException:
            connection.close()
            raise

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if self._tls is not None:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        try:
            connection.connect()
        except OSError as error:
            raise Unreachable(self.address, str(error), sent=False) from error
        sock = cast(socket.socket, connection.sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _headers(self, method: str, accept: str | None, media: str) -> dict[str, str]:
        headers = {"Accept": accept or "application/json"}
        # A node takes no change that does not say so, also where it has no body: a form of a web page cannot say it.
        if method != "GET":
            headers["Content-Type"] = media
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._cluster.id is not None:
            headers[CLUSTER] = self._cluster.id
        return headers

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self.address, str(error) or type(error).__name__, sent=True) from error

    def _refusal(self, response: http.client.HTTPResponse) -> ForenameError:
        body = self._read(response)
        try:
            problem = json.loads(body)
            if isinstance(problem, dict) and "type" in problem:
                return refused(cast(Problem, problem))
        except ValueError:
            pass
        why = f"status {response.status} and no problem of RFC 9457"
        # A proxy that cannot reach the node says so.
        if response.status >= 500:
            return Unreachable(self.address, why, sent=True)
        return ForenameError(f"{self.address} answered with {why}")


def target(path: Iterable[str], query: Mapping[str, object | None] | None) -> str:
    """Each part of the path becomes one segment, slashes in it encoded."""
    parts = list(path)
    for part in parts:
        if part in ("", ".", ".."):
            raise ValueError(f"{part!r} cannot be part of an address; reach the name by its registration")
    pairs = [(key, written(value)) for key, value in (query or {}).items() if value is not None]
    return "/" + "/".join(quote(part, safe=":") for part in parts) + ("?" + urlencode(pairs) if pairs else "")


def written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Nodes:
    """Several nodes of one cluster; the one that answered last is asked first."""

    def __init__(self, nodes: list[Node]) -> None:
        if not nodes:
            raise ValueError("there is no address of a node")
        self.all = nodes
        self._answered = 0

    def in_turn(self) -> Iterator[Node]:
        start = self._answered
        for offset in range(len(self.all)):
            index = (start + offset) % len(self.all)
            yield self.all[index]

    def answered(self, node: Node) -> None:
        self._answered = self.all.index(node)

    def passed_over(self, node: Node) -> None:
        """Asks the next node first from now on."""
        if self.all[self._answered] is node:
            self._answered = (self._answered + 1) % len(self.all)

    def call(self, method: str, path: Iterable[str], query: Mapping[str, object | None] | None = None,
             body: object | None = None, *, repeats: bool | None = None, wait: float = 0.0) -> Any:
        """Asks one node after the other, until one has done it or refused it for good.

        `repeats`: it may be sent to another node also where this one may have done it; so may whatever only reads.
        """
        repeats = method == "GET" if repeats is None else repeats
        path = list(path)
        failures: list[Unreachable | Refused] = []
        for node in self.in_turn():
            try:
                answer = node.call(method, path, query, body, wait=wait)
            except Unreachable as error:
                if error.sent and not repeats:
                    raise
                failures.append(error)
            except Refused as error:
                if not error.passing:
                    raise
                failures.append(error)
            else:
                self.answered(node)
                return answer
        raise all_failed(failures)


def all_failed(failures: list[Unreachable | Refused]) -> ForenameError:
    """Of several nodes, why none has answered: the last word of one that refused, or all that was tried."""
    refusals = [failure for failure in failures if isinstance(failure, Refused)]
    if refusals:
        return refusals[-1]
    silent = [failure for failure in failures if isinstance(failure, Unreachable)]
    if len(silent) == 1:
        return silent[0]
    whys = "; ".join(str(failure.__cause__ or failure) for failure in silent)
    return Unreachable(" and ".join(failure.address for failure in silent), whys, any(one.sent for one in silent))
