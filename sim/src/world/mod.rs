//! The world: virtual time, and everything that happens in it, one event after another.
//!
//! A file uses only those above it in this table. Nothing here knows the checks: they are observers
//! ([`state::Observer`]), which see every event ([`seen::Seen`]) together with the world at that time, and cannot
//! change it.
//!
//! | module | what |
//! | --- | --- |
//! | `ids` | which node runs on which host |
//! | `net`, `packet` | connections, links and their faults; what is sent |
//! | `clock`, `disk`, `machine` | a machine: its clock, its disk, its process |
//! | `books` | the simulator's knowledge of the nodes |
//! | `queue` | planned events |
//! | `clients`, `liars`, `copies` | what clients and liars remember; copies of data directories |
//! | `seen`, `state` | what observers see; the state of the world |
//! | `contact` | what nodes can know of each other |
//! | `connections`, `feeds` | dialing and messages; readers of feeds |
//! | `prospects`, `process`, `swaps` | what must become of a copy; starts and ends of processes; a copy replaces a
//! directory |
//! | `asking`, `replies` | requests of clients, and the answers |
//! | `outputs`, `step` | carrying out a replica's outputs; a step of a process |
//! | `faults`, `healing`, `lies` | faults and their repair; false messages of liars |
//! | `happen` | running the planned events |

pub(crate) mod asking;
pub(crate) mod books;
pub(crate) mod clients;
mod clock;
pub(crate) mod connections;
pub(crate) mod contact;
pub(crate) mod copies;
pub(crate) mod disk;
pub(crate) mod faults;
mod feeds;
mod happen;
pub(crate) mod healing;
pub(crate) mod ids;
mod liars;
pub(crate) mod lies;
pub(crate) mod machine;
pub(crate) mod net;
mod outputs;
pub(crate) mod packet;
pub(crate) mod process;
pub(crate) mod prospects;
mod queue;
mod replies;
pub(crate) mod seen;
pub(crate) mod state;
mod step;
mod swaps;

pub(crate) use self::seen::Seen;
pub(crate) use self::state::{Observer, World};
