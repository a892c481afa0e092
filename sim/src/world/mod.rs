//! The world: virtual time, and everything that happens in it, one event after another.
//!
//! A file uses those above it only. Nothing here knows the checks: they are observers ([`state::Observer`]), and see what
//! happens ([`seen::Seen`]) together with the world as it is then, which they cannot change.
//!
//! | module | what |
//! | --- | --- |
//! | `ids` | which node runs on which host |
//! | `net`, `packet` | connections, links and what is wrong with them; what travels |
//! | `clock`, `disk`, `machine` | a machine: its clock, its disk, its process |
//! | `books` | what is known of the nodes from outside |
//! | `queue` | what is going to happen |
//! | `clients`, `liars`, `copies` | what clients and liars remember; copies of data directories |
//! | `seen`, `state` | what observers see; the state of all that |
//! | `contact` | what nodes can know of each other |
//! | `connections`, `feeds` | dialling and messages; readers of feeds |
//! | `prospects`, `process`, `swaps` | what becomes of a copy; a process starts or is gone; a copy takes a directory's place |
//! | `asking`, `replies` | clients ask, and are answered |
//! | `outputs`, `step` | what a replica puts out is carried out; a step of a process |
//! | `faults`, `healing`, `lies` | what goes wrong, and is put right; what liars say |
//! | `happen` | the events, one after another |

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
