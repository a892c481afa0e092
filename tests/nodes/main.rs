//! Tests with real nodes: processes and nodes in this process, over QUIC on loopback, on real disks.
//!
//! All tests are in one binary, because each binary would link the whole program. No test waits for a fixed time: it
//! waits for what it wants to see, and a deadline only ends a test that will not see it.
//!
//! | module | what |
//! | --- | --- |
//! | `private` | private names: nobody can probe them, and they stay where they were typed |
//! | `races` | claims to the same names at the same time |
//! | `links` | cut links between nodes of this process |
//! | `logs` | what operators read in the lines of log |
//! | `leaving` | members that are evicted, come back, or leave |
//! | `crashes` | kill -9 and restarts under load |
//! | `readers` | readers: nodes that take everything, change nothing, and come and go |
//! | `rescue` | data directories that are lost, old, or all that is left |
//! | `crossings` | joins, leaves and evictions that cross |
//! | `clocks` | wall clocks that are off, at boot or while nodes run |
//! | `restarts` | one node run again: its feed, its directory, a clock set back |
//! | `rules` | rules of namespaces, set on one node |
//! | `snapshots` | a newcomer's connection that breaks in the middle of its snapshot |
//! | `erasure` | what is erased is in no table of any node |
//! | `service` | what a service manager, a health check and man(1) are told |
//! | `strangers` | whoever does not belong to the cluster, and garbage at both ports |
//! | `tokens` | API tokens: who is let in, and what for |
//! | `browsers` | a page in a browser that tries what it can at a node |
//! | `dashboard` | the dashboard in a browser |
//! | `founding` | how a cluster begins, and a node whose directory goes |
//! | `disks` | a disk that fills up |
//! | `doors` | clients that take all they can get, and nodes that are asked before they are in |
//! | `many` | batches, imports and exports; reports of conflicts |
//! | `library` | the same calls over HTTP and in this process |
//! | `readme` | the example of the README |
//! | `https` | a node that speaks TLS, and one behind a proxy that takes it off |
//! | `operating` | request ids, the audit log, settings that are read anew |
//! | `command_line` | the commands as a user types them |
//! | `metrics` | what a node counts and measures, the alerts and the dashboard made of it |
//! | `openapi` | what a node answers is as its OpenAPI document says |
//! | `clients` | the clients in Python and TypeScript, with a node that is killed |
//! | `traces` | the spans that nodes export, and a collector that gets them |
//! | `webhooks` | receivers that fail in every way, and nodes that are killed meanwhile |
//! | `namespaces` | processes in network namespaces, a link set down |

#![expect(clippy::unwrap_used, reason = "tests end where something is not as it must be")]

#[path = "../support/mod.rs"]
mod support;

mod browsers;
mod clients;
mod clocks;
mod command_line;
mod crashes;
mod crossings;
mod dashboard;
mod disks;
mod doors;
mod erasure;
mod founding;
mod https;
mod leaving;
mod library;
mod links;
mod logs;
mod many;
mod metrics;
mod namespaces;
mod openapi;
mod operating;
mod private;
mod races;
mod readers;
mod readme;
mod rescue;
mod restarts;
mod rules;
mod service;
mod snapshots;
mod strangers;
mod tokens;
mod traces;
mod webhooks;
