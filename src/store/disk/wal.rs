//! The log of batches: the only files that are synced on the way of a claim.
//!
//! Batches are numbered without a gap from the first one that the store ever held. They are written in frames (see
//! `frame`), one after the other into segments (see `segments`), and each frame is durable before the next one begins. A
//! frame is padded to whole blocks, so no block that holds an acknowledged byte is written again. Once the tables below
//! hold a batch durably, the log may forget it: segments whose batches are all there are used again.
//!
//! What follows for a start (see `recovery`): only the last frame can be torn, since nothing was written behind it before it
//! was durable. A broken frame with a whole one behind it is damage to bytes that were durable, and is refused.

mod buffer;
mod files;
mod frame;
mod log;
#[cfg(test)]
mod power;
mod recovery;
mod rows;
mod segments;

pub(crate) use self::files::Directory;
pub(crate) use self::frame::MAX_FRAME;
pub(crate) use self::log::Log;
pub(crate) use self::recovery::LogError;
pub(crate) use self::rows::{push, read};
pub(crate) use self::segments::{Segments, Sizes};

#[cfg(test)]
mod tests;
