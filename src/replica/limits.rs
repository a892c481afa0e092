//! Limits on what a client may send, each with its own error. All are guesses at what sign-ups need, with room.

/// Names in one registration.
pub const MAX_NAMES: usize = 16;
/// Bytes of an owner.
pub const MAX_OWNER: usize = 256;
/// Bytes of a namespace.
pub const MAX_NAMESPACE: usize = 128;
/// Bytes of a name as typed, and of its key.
pub const MAX_NAME: usize = 256;
/// Bytes of metadata.
pub const MAX_METADATA: usize = 4096;
/// Milliseconds of a reservation's ttl: 400 days.
pub const MAX_TTL: u64 = 400 * 24 * 3600 * 1000;
/// Rows of one page.
pub const MAX_PAGE: usize = 1000;
