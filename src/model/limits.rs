//! Limits of what a client may send, each with its own error. All are guesses: what sign-ups need, and some room.

use std::time::Duration;

/// The number of names in one registration.
pub const MAX_NAMES: usize = 16;
/// The length of an owner in bytes.
pub const MAX_OWNER: usize = 256;
/// The length of a namespace in bytes.
pub const MAX_NAMESPACE: usize = 128;
/// The length of a name as typed, and of its key, in bytes.
pub const MAX_NAME: usize = 256;
/// The size of metadata in bytes.
pub const MAX_METADATA: usize = 4096;
/// The longest time of a reservation in milliseconds: 400 days.
pub const MAX_TTL: u64 = 400 * 24 * 3600 * 1000;
/// The number of extensions of one reservation at one node that other members may not know yet. In a connected cluster
/// none stays unknown for longer than a round trip.
pub const MAX_EXTENSIONS: usize = 100;
/// The number of rows in one page.
pub const MAX_PAGE: usize = 1000;
/// The number of names in one look-up.
pub const MAX_CHECKED: usize = 100;
/// The number of free alternatives that are suggested for one name.
pub const MAX_SUGGESTIONS: usize = 10;
/// The number of registrations in one batch.
pub const MAX_BATCH: u64 = 100_000;
/// The number of open registrations of one owner, where it is not set.
pub const MAX_OPEN_OF_OWNER: u32 = 10_000;
/// The number of open registrations of an API token, where the token does not set it. A guess: more than all forms of a
/// site have open in an hour, and less than a dictionary has words.
pub const MAX_OPEN_OF_TOKEN: u32 = 100_000;
/// How long an answer waits for the outcome, where the client does not say. A guess: a few slow round trips.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(5);
/// How long an answer waits at most. This is below the usual idle time-out of proxies.
pub const MAX_WAIT: Duration = Duration::from_secs(60);
/// The least time of silence after which a member may be evicted automatically. A busy disk, a lost packet or a restart
/// takes as long as that, and an eviction would cost more than waiting.
pub const MIN_EVICT_AFTER: Duration = Duration::from_secs(1);
/// How far the timestamps of ops may be ahead of cluster time, where it is not set.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(10);
/// The least value of that setting. A guess: time services keep clocks within some 100 ms of each other.
pub const MIN_SKEW_ALLOWED: Duration = Duration::from_millis(500);
/// The greatest value of that setting. A guess: a clock that is off by more is wrong, and somebody should know.
pub const MAX_SKEW_ALLOWED: Duration = Duration::from_secs(3600);
/// How often members send their promises unasked, where it is not set. This is a small part of a round trip between
/// cities.
pub const PROMISE_EVERY: Duration = Duration::from_millis(10);
/// The greatest value of that setting: an idle node sends its promise as often as that anyway.
pub const MAX_PROMISE_EVERY: Duration = Duration::from_secs(1);
/// How long events are kept, where it is not set. A reader that was away for a holiday goes on where it was.
pub const KEEP_EVENTS: Duration = Duration::from_secs(30 * 24 * 3600);
/// The least time for which events are kept: a reader that restarts is away for less.
pub const MIN_KEEP_EVENTS: Duration = Duration::from_secs(60);
/// How long a join token is valid at most.
pub const MAX_TOKEN_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a reader's token is valid at most. A reader shows it at every connection, so it lasts as long as the reader.
pub const MAX_READER_TTL: Duration = Duration::from_secs(3650 * 24 * 3600);
/// How long a reader's token is valid, where it is not set.
pub const DEFAULT_READER_TTL: Duration = Duration::from_secs(365 * 24 * 3600);
/// How many newcomers one join token lets in at most. A guess: more than anybody starts at once.
pub const MAX_TOKEN_USES: u32 = 1000;
/// How long a join token is valid, where it is not set.
pub const DEFAULT_TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);
/// The number of rows in a page, where the client does not say.
pub const DEFAULT_PAGE: usize = 100;
/// The number of webhooks that a cluster may have. A guess: each is a task of every node.
pub const MAX_WEBHOOKS: usize = 100;
/// Bytes of the URL of a webhook at most. A guess: what common servers take.
pub const MAX_WEBHOOK_URL: usize = 2048;
/// How long deliveries are signed with the old secret too after a rotation, where the call does not say it.
pub const KEEP_OLD_SECRET: Duration = Duration::from_secs(24 * 3600);
