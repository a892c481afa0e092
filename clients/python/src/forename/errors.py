"""Why a call has no answer."""

from __future__ import annotations

from .models import Problem

_URN = "urn:forename:problem:"


class ForenameError(Exception):
    """Any error of this package."""


class Unreachable(ForenameError):
    """No node answered. Whether one did what it was asked is not known where `sent` is true."""

    def __init__(self, address: str, why: str, sent: bool) -> None:
        super().__init__(f"no answer from {address}: {why}; a request with an id of its own can be repeated safely")
        self.address = address
        self.sent = sent


class OtherCluster(ForenameError):
    """The address leads to another cluster than the one that is meant."""

    def __init__(self, address: str, meant: str, found: str) -> None:
        super().__init__(f"the node at {address} belongs to cluster {found}, and this client means {meant}; check the address")
        self.meant = meant
        self.found = found


class Refused(ForenameError):
    """A node refused, or the registration lost. `problem` has the particulars (RFC 9457)."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.get("detail", "the node gave no reason"))
        self.problem = problem
        self.status: int = problem.get("status", 0)

    @property
    def kind(self) -> str:
        """What kind of problem it is, like `name-taken`."""
        return self.problem.get("type", "").removeprefix(_URN)

    @property
    def passing(self) -> bool:
        """Whether the node refuses for now and has done nothing, so that another one may be asked."""
        return self.status in (503, 507)


class Taken(Refused):
    """The names went to somebody else: `name-taken`, or for good `registration-rejected`."""


class Uncertain(ForenameError):
    """A node may have taken the registration and its answer was lost, while others refuse it.

    Ask again later with the same id and `asked_before=True`, or take the outcome from the feed.
    """

    def __init__(self, registration: str, refusal: Problem | None) -> None:
        super().__init__(f"a node may have taken registration {registration} and did not answer; ask again with the same id")
        self.registration = registration
        self.refusal = refusal


class Gap(ForenameError):
    """The next events of a feed are no longer kept, and nobody has said what to do then."""


class BadSignature(ForenameError):
    """A webhook is not signed with any of the secrets, or too old."""


def refused(problem: Problem) -> Refused:
    """The error that a problem stands for."""
    error = Refused(problem)
    return Taken(problem) if error.kind in ("name-taken", "registration-rejected") else error
