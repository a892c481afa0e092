//! Bugs on purpose, one at a time, so that the simulator can prove that it would find them. Only with the feature
//! `planted`, which no build for use has.

use std::cell::Cell;

/// The bugs and their texts, written once: a bug's doc is also what the simulator's table says of it.
macro_rules! bugs {
    ($(#[doc = $text:literal] $bug:ident,)*) => {
        /// A rule that is broken on purpose.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Bug {
            $(#[doc = $text] $bug,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];

            /// What it breaks, as a sentence.
            #[must_use]
            pub fn describe(self) -> &'static str {
                match self {
                    $(Self::$bug => $text.trim_ascii(),)*
                }
            }
        }
    };
}

bugs! {
    /// Messages and replies go out before the fsync that covers them.
    SpeakBeforeFsync,
    /// Rows of ops wait as those of confirmations do, and acknowledgements do not wait for them.
    AllRowsWait,
    /// Whoever reads does not wait for the rows that it is given.
    ReadBeforeCommit,
    /// A promise is believed although the prefix it speaks of is not here.
    PromiseWithoutPrefix,
    /// Whoever arrives first leads a tenure.
    TieByArrival,
    /// All claims to a name compete in one tenure.
    AfterIgnored,
    /// Reservations end by the wall clock.
    ExpiryByLocalClock,
    /// A later twin is told that it lost.
    TwinCountedAsLoser,
    /// A rejected registration keeps what it leads.
    LosersKeepNames,
    /// Only the first name of a rejected registration is freed.
    LosersFreeOneName,
    /// The clock after a restart knows nothing of earlier promises.
    CeilingForgotten,
    /// The watermark leaves one member out.
    WatermarkLeavesOneOut,
    /// The hybrid clock follows the wall clock back.
    ClockGoesBack,
    /// An outcome is told twice.
    ToldTwice,
    /// A registration that lost is confirmed all the same.
    ConfirmedThoughLost,
    /// Who waits for a later twin is never answered.
    WaitersForgotten,
    /// A node that starts compares its log with nobody's.
    NothingCompared,
    /// Ops are taken although earlier ones are missing.
    GapsTaken,
    /// What was decided is not stored.
    DecidedNotStored,
    /// With an id of the client's own, losing is final before the op itself is.
    RejectedTooEarly,
    /// An evicted node's log is cut at the least of the freezes.
    CutTooLow,
    /// Whoever is frozen is out, whether or not those who stay are a majority.
    NoMajorityNeeded,
    /// Ops beyond the cut of an evicted node are taken.
    VoidOpsTaken,
    /// The evicted come back under the number that they had.
    SameIncarnation,
    /// A new member is taken to promise more than it did.
    NewcomerPromisesTooMuch,
    /// What an eviction made void is not registered again.
    VoidForgotten,
    /// A feed that begins after a return does not tell anew what the node accepted before.
    NothingRetold,
    /// An eviction that is done is not declared, and undone by the next.
    EvictionNotDeclared,
    /// An evicted node drops its ops before its eviction is declared.
    OpsDroppedEarly,
    /// A frozen node's promise is believed, although the ops that it speaks of are not taken any more.
    FrozenPromiseBelieved,
    /// The rules of a namespace that arrive last stand.
    RulesByArrival,
    /// Reservations end as if nobody had extended them.
    ExtensionIgnored,
    /// Retries of an erased registration are not erased with it.
    TwinsNotErased,
    /// The name of an erased registration is not left under its hash.
    ErasedNameLost,
    /// A wall clock that has jumped ahead is followed at once.
    JumpFollowed,
    /// Of two or four clocks the later middle one is taken to be right.
    UpperMedian,
    /// Ops and promises far ahead of the cluster's time are taken.
    SkewUnchecked,
    /// A newcomer is let in whatever its clock shows.
    NewcomersClockUnchecked,
    /// An eviction is begun although no majority is in contact.
    EvictionsOfMinorities,
    /// A member that takes more than it has frozen does not say so.
    FreezeNotRaised,
    /// Freezes by those who are frozen themselves make the cut.
    FreezesOfTheFrozenCount,
    /// Of two declared cuts of a log the one that was taken first stays.
    GreaterCutCounts,
    /// Any number of members may begin anew without a majority that stays.
    MajorityBeginsAnew,
    /// Newcomers are let in while an eviction is under way.
    AdmitDuringFreeze,
    /// Newcomers are let in although no majority holds the admissions before.
    AdmitUnsettled,
    /// Newcomers are let in although not all members were heard of just now.
    AdmitUnheard,
    /// A member leaves before the others hold what it holds.
    NoHandOver,
    /// Members leave at once, and nobody stays.
    NobodyStays,
    /// A member that leaves acknowledges what it will not hand over.
    LeaverAcknowledges,
    /// A hold counts although the holder has another continuation of the log.
    HoldsOfForksCount,
    /// A log with two continuations is decided as any other.
    ForkIgnored,
    /// An old copy goes on although a peer was promised more than it had stored.
    OldPromiseIgnored,
    /// An old copy goes on although a peer remembers that it held more.
    OldWordIgnored,
    /// Whoever is connected is heard as a member is.
    AnybodyIsHeard,
    /// A node whose clock is off takes registrations all the same.
    SuspectTakesNames,
    /// Whoever asks to join is told what only members know.
    NewcomersToldSecrets,
    /// An eviction is done although not all who stay have frozen the evicted.
    FewFreezesSuffice,
    /// Whoever is frozen holds ops like any other until it is out.
    FrozenHoldAll,
    /// A sponsor keeps what a newcomer lacks for as long as that is not let in.
    SnapshotKeptForEver,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Breaks a rule on this thread from now on, or none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this rule is broken.
pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
