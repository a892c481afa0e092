"""A client of the HTTP interface."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Iterable, Iterator
from http.client import HTTPException
from typing import Any

from .errors import OtherCluster, Refused, Uncertain, Unreachable
from .events import EventStream, Filter
from .models import (
    BatchLine,
    CheckedName,
    Conflict,
    Events,
    Explanation,
    ListedNamespace,
    Name,
    NameRef,
    Namespace,
    NamespacePatch,
    Registration,
    RegistrationBody,
    ReplacesBody,
    TakenName,
    Tenure,
    Wait,
)
from .models import Cluster as ClusterView
from .nodes import Cluster, Node, Nodes, all_failed

# Seconds that a node waits for an outcome where nobody says otherwise, and at most.
DEFAULT_WAIT = 5.0
MAX_WAIT = 60.0

Span = str | float
Names = Iterable[NameRef | tuple[str, str]]


class Client:
    """Talks to whichever of several nodes of one cluster answers.

    With several nodes, a call that reads goes on to the next node where one cannot be reached or refuses for now
    (503, 507). So does a registration, under one id, so that it stays one. Other changes go on only where the first node
    certainly has done nothing. A client may be shared by threads.

        client = Client(["http://127.0.0.1:7400", "http://127.0.0.1:7401"])
        client.register("user-17", [("username", "carol")], wait="final")
    """

    def __init__(
        self,
        addresses: str | Iterable[str],
        *,
        token: str | None = None,
        cluster: str | None = None,
        owner: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`token`: an API token. `cluster`: the id of the cluster that is meant, otherwise the first that is seen.
        `owner`: named where a registration is changed by its id, as a token with the scope `claim` has to."""
        addresses = [addresses] if isinstance(addresses, str) else list(addresses)
        meant = Cluster(cluster)
        self._nodes = Nodes([Node(address, token, meant, tls) for address in addresses])
        self._owner = owner
        self._cluster = meant

    @property
    def nodes(self) -> list[Node]:
        """The nodes, as they were given."""
        return self._nodes.all

    @property
    def cluster_id(self) -> str | None:
        """The cluster that it talks to, where it was told or has seen one."""
        return self._cluster.id

    def for_owner(self, owner: str) -> Client:
        """The same, naming this owner where a registration is changed by its id."""
        client = self._like(self._nodes)
        client._owner = owner
        return client

    def at(self, node: Node) -> Client:
        """The same for this node alone."""
        return self._like(Nodes([node]))

    def _like(self, nodes: Nodes) -> Client:
        client = Client.__new__(Client)
        client._nodes, client._owner, client._cluster = nodes, self._owner, self._cluster
        return client

    # Registrations

    def register(
        self,
        owner: str,
        names: Names,
        *,
        id: str | None = None,
        ttl: Span | None = None,
        replaces: ReplacesBody | None = None,
        metadata: dict[str, Any] | None = None,
        wait: Wait | None = None,
        timeout: Span | None = None,
        suggest: int | None = None,
        asked_before: bool = False,
    ) -> Registration:
        """Registers names, all or none. Write `id` down before you call: with it the call may be repeated.

        `asked_before`: a node may have taken the same request already, so a refusal counts only where all nodes refuse.
        Raises `Taken` where a name is somebody else's, `Uncertain` where a node may have taken it and did not answer while
        others refuse.
        """
        body: RegistrationBody = {"id": id or str(uuid.uuid4()), "owner": owner, "names": references(names)}
        if ttl is not None:
            body["ttl"] = span(ttl)
        if replaces is not None:
            body["replaces"] = replaces
        if metadata is not None:
            body["metadata"] = metadata
        if wait is not None:
            body["wait"] = wait
        if timeout is not None:
            body["timeout"] = span(timeout)
        if suggest is not None:
            body["suggest"] = suggest
        waits = wait not in (None, "none")
        return self._register(body, asked_before, MAX_WAIT if waits else 0.0)

    def _register(self, body: RegistrationBody, asked_before: bool, wait: float) -> Registration:
        refusal: Refused | None = None
        unanswered = False
        failures: list[Unreachable | Refused] = []
        for node in self._nodes.in_turn():
            try:
                registration: Registration = node.call("POST", ["v1", "registrations"], None, body, wait=wait)
            except Refused as error:
                if error.kind == "registration-rejected" or not (error.passing or settles(error)):
                    raise
                if error.passing:
                    failures.append(error)
                    unanswered |= asked_before
                    continue
                if not asked_before and not unanswered:
                    raise
                refusal = refusal or error
            except Unreachable as error:
                failures.append(error)
                unanswered |= asked_before or error.sent
            else:
                self._nodes.answered(node)
                return registration
        if refusal is not None and not unanswered:
            raise refusal
        if refusal is not None:
            raise Uncertain(body.get("id") or "", refusal.problem)
        raise all_failed(failures)

    def register_many(self, bodies: Iterable[RegistrationBody]) -> Iterator[BatchLine]:
        """Registers many, each as for one; the answers come in the order of the bodies. Bodies need an `id` to be repeated.

        Sent in batches of some hundred to the node that answered last, or to the next one where that has certainly taken
        nothing. Lines that a node refuses for now (503, 507) are not sent again; the next batch goes to another node. Where a
        node breaks off in a batch, `Unreachable` is raised, and the next call goes to another node: whether
        the lines without an answer were registered is not known, and those with an `id` can be sent again.
        """
        batch: list[bytes] = []
        for body in bodies:
            batch.append(json.dumps(body).encode())
            if len(batch) == 500:
                yield from self._batch(batch)
                batch = []
        if batch:
            yield from self._batch(batch)

    def _batch(self, lines: list[bytes]) -> Iterator[BatchLine]:
        path, body, media = ["v1", "registrations:batch"], b"\n".join(lines), "application/x-ndjson"
        failures: list[Unreachable | Refused] = []
        for node in self._nodes.in_turn():
            try:
                connection, response = node.open("POST", path, None, body, timeout=MAX_WAIT, accept=media, media=media)
            except Unreachable as error:
                self._nodes.passed_over(node)
                if error.sent:
                    raise
                failures.append(error)
            except Refused as error:
                if not error.passing:
                    raise
                self._nodes.passed_over(node)
                failures.append(error)
            else:
                break
        else:
            raise all_failed(failures)
        self._nodes.answered(node)
        count = 0
        try:
            for text in response:
                line: BatchLine = json.loads(text)
                # The node refuses for now: the next batch goes to another one.
                if line["status"] in (503, 507):
                    self._nodes.passed_over(node)
                count += 1
                yield line
            # The end of an answer that breaks off between two lines looks like the end of a whole one.
            if count < len(lines):
                raise OSError(f"it answered {count} of {len(lines)} lines")
        except (OSError, HTTPException, ValueError) as error:
            # A line that was cut off is no JSON.
            self._nodes.passed_over(node)
            raise Unreachable(node.address, str(error) or type(error).__name__, sent=True) from error
        finally:
            connection.close()

    def registration(self, id: str) -> Registration:
        """What became of a registration, as far as the node knows."""
        return self._get("v1", "registrations", id)

    def wait_for(self, id: str, timeout: float = MAX_WAIT, *, wait: Wait = "always") -> Registration:
        """The same when it is final, or after so many seconds with what is known then."""
        deadline = time.monotonic() + timeout
        while True:
            rest = max(0.0, min(deadline - time.monotonic(), MAX_WAIT))
            query = {"wait": wait, "timeout": span(rest)}
            found: Registration = self._nodes.call("GET", ["v1", "registrations", id], query, wait=rest)
            if found["status"] in ("confirmed", "rejected") or time.monotonic() >= deadline or wait != "always":
                return found

    def activate(self, id: str) -> Registration:
        """Makes a reservation permanent. It does no harm to do so twice, so it goes to the next node also without an answer."""
        return self._change("POST", ["v1", "registrations", id, "activate"], repeats=True)

    def extend(self, id: str, ttl: Span) -> Registration:
        """Has a reservation last so long from now on; never shorter than before."""
        return self._change("POST", ["v1", "registrations", id, "extend"], {"ttl": span(ttl)})

    def release(self, id: str, *, erase: bool = False) -> Registration:
        """Releases all names of a registration; `erase`: removes owner, names and metadata at all nodes, too."""
        return self._change("DELETE", ["v1", "registrations", id], None, {"erase": True} if erase else {})

    def release_name(self, namespace: str, name: str, owner: str) -> Registration:
        """Releases one name."""
        return self._nodes.call("DELETE", ["v1", "names", namespace, name], {"owner": owner})

    def explain_registration(self, id: str) -> Explanation:
        """Why a registration is where it is, in words."""
        return self._get("v1", "registrations", id, "explanation")

    def of_owner(self, owner: str) -> Iterator[Registration]:
        """An owner's registrations, earliest first."""
        return self._pages(["v1", "owners", owner, "registrations"], "registrations")

    # Names

    def name(self, namespace: str, name: str, *, suggest: int | None = None) -> Name:
        """Who holds a name."""
        return self._get("v1", "names", namespace, name, suggest=suggest)

    def check(self, names: Names) -> list[CheckedName]:
        """Which of up to 100 names can be had. Do not check first: register, and look at the answer."""
        body = references(names)
        return self._nodes.call("POST", ["v1", "names:check"], None, body, repeats=True)["names"]

    def explain_name(self, namespace: str, name: str) -> Explanation:
        """Why a name is taken, or free, in words."""
        return self._get("v1", "names", namespace, name, "explanation")

    def history(self, namespace: str, name: str) -> Iterator[Tenure]:
        """Who has held a name, earliest first."""
        return self._pages(["v1", "names", namespace, name, "history"], "tenures")

    def names(self, namespace: str | None = None, prefix: str = "") -> Iterator[TakenName]:
        """The names that are taken, by namespace and key."""
        if namespace is None:
            return self._pages(["v1", "names"], "names")
        return self._pages(["v1", "namespaces", namespace, "names"], "names", prefix=prefix)

    def conflicts(self, namespace: str | None = None, since: str | None = None) -> Iterator[Conflict]:
        """The names that were claimed more than once."""
        return self._pages(["v1", "conflicts"], "conflicts", namespace=namespace, since=since)

    # Namespaces, the cluster

    def namespaces(self) -> Iterator[ListedNamespace]:
        """The namespaces, in the order of their names."""
        return self._pages(["v1", "namespaces"], "namespaces")

    def namespace(self, namespace: str) -> Namespace:
        """The rules of a namespace."""
        return self._get("v1", "namespaces", namespace)

    def change_namespace(self, namespace: str, patch: NamespacePatch) -> Namespace:
        """Changes what the patch names; `None` gives the default."""
        return self._nodes.call("PATCH", ["v1", "namespaces", namespace], None, patch)

    def cluster(self) -> ClusterView:
        """The cluster as the answering node sees it."""
        return self._get("v1", "cluster")

    def ready(self) -> bool:
        """Whether a node takes registrations."""
        try:
            self._get("readyz")
        except (Refused, Unreachable, OtherCluster):
            return False
        return True

    # Events

    def events(self, after: str | None = None, **filters: Any) -> Events:
        """A page of the event feed of the answering node. `follow` and `stream` are for programs that go on reading."""
        return self._get("v1", "events", after=after, **Filter(**filters).query())

    def stream(self, after: str | None = None, **filters: Any) -> EventStream:
        """The event feed of the first node as it grows, after this cursor; without one, all of it that the node keeps."""
        return EventStream(self._nodes.all[0], after, Filter(**filters))

    def _get(self, *path: str, **query: object | None) -> Any:
        return self._nodes.call("GET", path, query)

    def _change(
        self,
        method: str,
        path: list[str],
        body: object | None = None,
        query: dict[str, Any] | None = None,
        *,
        repeats: bool = False,
    ) -> Any:
        return self._nodes.call(method, path, {"owner": self._owner, **(query or {})}, body, repeats=repeats)

    def _pages(self, path: list[str], member: str, **query: object | None) -> Iterator[Any]:
        after: str | None = None
        while True:
            page = self._nodes.call("GET", path, {**query, "after": after})
            yield from page[member]
            after = page.get("next")
            if after is None:
                return


def references(names: Names) -> list[NameRef]:
    pairs = (name if isinstance(name, dict) else {"namespace": name[0], "name": name[1]} for name in names)
    return list(pairs)  # type: ignore[arg-type]


def span(value: Span) -> str:
    """A length of time as nodes read it: text like `15m` as it is, a number is one of seconds."""
    return value if isinstance(value, str) else f"{round(value * 1000)}ms"


def settles(error: Refused) -> bool:
    """Whether this refusal is the outcome, if no other node has taken the same request."""
    return 400 <= error.status < 500 and error.status not in (401, 403, 429) and error.kind != "id-reused"


