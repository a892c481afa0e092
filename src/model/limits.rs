//! Limits on what a client may send, each with its own error. All are guesses at what sign-ups need, with room.

use std::time::Duration;

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
/// Extensions of one reservation at one node that no node may have missed yet: in a connected cluster none is open for
/// longer than a round trip.
pub const MAX_EXTENSIONS: usize = 100;
/// Rows of one page.
pub const MAX_PAGE: usize = 1000;
/// Names that are looked up at once.
pub const MAX_CHECKED: usize = 100;
/// Free alternatives that are suggested for one name.
pub const MAX_SUGGESTIONS: usize = 10;
/// Registrations of one batch.
pub const MAX_BATCH: u64 = 100_000;
/// Registrations of one owner that are open at once, where nobody says otherwise.
pub const MAX_OPEN_OF_OWNER: u32 = 10_000;
/// The same of an API token that says nothing of it. A guess: more than all forms of a site have open in an hour, and less
/// than a dictionary.
pub const MAX_OPEN_OF_TOKEN: u32 = 100_000;
/// How long an answer waits for the outcome where the client does not say. A guess: a few slow round trips.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(5);
/// How long it waits at most, whatever the client says; below the usual idle time-out of proxies.
pub const MAX_WAIT: Duration = Duration::from_secs(60);
/// The least time of silence after which a member may be evicted by itself: a busy disk, a lost packet or a restart
/// takes that long, and evicting for it would cost more than waiting.
pub const MIN_EVICT_AFTER: Duration = Duration::from_secs(1);
/// How far the timestamps of ops may lie ahead of the cluster's time where nobody says otherwise.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(10);
/// The least that may be set for it: time services keep clocks within some 100 ms of each other. A guess.
pub const MIN_SKEW_ALLOWED: Duration = Duration::from_millis(500);
/// The most that may be set for it. A guess: clocks that are off by more are wrong, and somebody should know.
pub const MAX_SKEW_ALLOWED: Duration = Duration::from_secs(3600);
/// How often members tell each other their promises unasked, where nobody says otherwise: a small part of a round trip between
/// cities.
pub const PROMISE_EVERY: Duration = Duration::from_millis(10);
/// The most that may be set for it: as often an idle node speaks anyway.
pub const MAX_PROMISE_EVERY: Duration = Duration::from_secs(1);
/// How long events are kept where nobody says otherwise: a reader that was away for a holiday goes on where it was.
pub const KEEP_EVENTS: Duration = Duration::from_secs(30 * 24 * 3600);
/// The least time for which events may be told to be kept: a reader that restarts is away for less.
pub const MIN_KEEP_EVENTS: Duration = Duration::from_secs(60);
/// How long a join token holds at most.
pub const MAX_TOKEN_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many newcomers one join token lets in at most. A guess: more than anybody starts at once.
pub const MAX_TOKEN_USES: u32 = 1000;
/// How long a join token holds where nobody says otherwise.
pub const DEFAULT_TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);
/// Rows of a page where the client does not say.
pub const DEFAULT_PAGE: usize = 100;
