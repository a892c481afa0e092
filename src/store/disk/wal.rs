//! The log of batches. Its files are the only ones that are synced while a claim waits.
//!
//! Batches are numbered without a gap from the first one that the store ever held. They are written in frames (see
//! `frame`), one after the other, into segments (see `segments`), and each frame is durable before the next one begins.
//! A frame is padded to whole blocks, so no block that holds an acknowledged byte is written again. Once the tables
//! hold a batch durably the log may forget it: a segment whose batches are all in the tables is used again.
//!
//! From this a start (see `recovery`) knows two things. Only the last frame can be torn, because nothing was written
//! behind it before it was durable. A broken frame with a whole one behind it means that durable bytes are damaged, and
//! the store is not opened.

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
