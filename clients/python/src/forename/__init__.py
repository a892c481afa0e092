"""A client of forename, a masterless registry of unique names. See README.md."""

from .client import Client
from .errors import BadSignature, ForenameError, Gap, OtherCluster, Refused, Taken, Uncertain, Unreachable
from .events import EventStream
from .follow import Follower, SqliteStore, Store
from .nodes import Node

__all__ = [
    "BadSignature",
    "Client",
    "EventStream",
    "Follower",
    "ForenameError",
    "Gap",
    "Node",
    "OtherCluster",
    "Refused",
    "SqliteStore",
    "Store",
    "Taken",
    "Uncertain",
    "Unreachable",
]
