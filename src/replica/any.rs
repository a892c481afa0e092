//! All requests and answers as one type each, for tests and the simulator, which keep many of all kinds in their books.

use uuid::Uuid;

use super::request::{self, ClusterCommand};
use crate::model::{
    Cluster, Conflicts, Events, History, Name, Namespace, Namespaces, Registration, Registrations, TakenNames,
};
use crate::registry::{
    Asked, AwaitFinal, Caller, Command, ConflictsOf, EventsAfter, ExplainName, ExplainRegistration, HistoryOf,
    NameExplanation, NameOf, NamesOf, NamesTaken, NamespacesKnown, Refusal, RegistrationExplanation, RegistrationsOf,
    Reply, RulesOf, SetRules, Suggestions,
};

/// Names a request until it is answered; chosen by whoever makes it.
pub type Token = u64;

/// What a replica answers; exactly one answer to each request.
pub type Answered = Result<Answer, Refusal>;

/// Where an answer of any kind goes.
#[cfg(test)]
type Tell = Box<dyn FnOnce(Answered) + Send>;

macro_rules! answers {
    ($($(#[$doc:meta])* $kind:ident($content:ty)),* $(,)?) => {
        /// An answer that is not a refusal.
        #[derive(Clone, PartialEq, Debug)]
        #[expect(clippy::large_enum_variant, reason = "tests and the simulator have few at a time")]
        pub enum Answer {
            $($(#[$doc])* $kind($content)),*
        }

        $(
            impl From<$content> for Answer {
                fn from(content: $content) -> Self {
                    Self::$kind(content)
                }
            }

            #[cfg(test)]
            impl TryFrom<Answer> for $content {
                type Error = Answer;

                fn try_from(answer: Answer) -> Result<Self, Answer> {
                    if let Answer::$kind(content) = answer { Ok(content) } else { Err(answer) }
                }
            }
        )*
    };
}

answers! {
    /// To a command, and to the question what became of a registration.
    Registration(Registration),
    /// To `NameOf`.
    Name(Name),
    /// To `HistoryOf`.
    History(History),
    /// To `ConflictsOf`.
    Conflicts(Conflicts),
    /// To `ExplainRegistration`.
    RegistrationExplanation(RegistrationExplanation),
    /// To `ExplainName`.
    NameExplanation(NameExplanation),
    /// To `NamesOf`, in the order asked for; a name that cannot be one has its own refusal.
    Names(Vec<Result<Name, Refusal>>),
    /// To `Suggestions`.
    Suggestions(Vec<String>),
    /// To `NamesTaken`.
    Taken(TakenNames),
    /// To `NamespacesKnown`.
    Namespaces(Namespaces),
    /// To `RegistrationsOf`.
    Registrations(Registrations),
    /// To `EventsAfter`.
    Events(Events),
    /// To `RulesOf` and `SetRules`.
    Namespace(Namespace),
    /// To what is asked about the cluster.
    Cluster(Cluster),
}

macro_rules! queries {
    ($($query:ident),* $(,)?) => {
        /// Something asked of a node, whatever it is; queries and rules by somebody who may read and change everything.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Request {
            /// A change of registrations and names, and who asks for it.
            Name(Command, Caller),
            /// What became of a registration.
            Outcome {
                /// Its id.
                id: Uuid,
                /// Answer only when it is final, or when the wait ends, with what is known then.
                wait: Option<AwaitFinal>,
                /// Who asks.
                caller: Caller,
            },
            /// Rules for a namespace.
            SetRules(SetRules),
            /// Something about the cluster.
            Cluster(ClusterCommand),
            $(
                /// The query of this name.
                $query($query)
            ),*
        }

        $(
            impl From<$query> for Request {
                fn from(query: $query) -> Self {
                    Self::$query(query)
                }
            }
        )*

        impl Request {
            /// The request as a replica takes it; its answer goes to `tell`.
            pub fn with(self, tell: impl FnOnce(Answered) + Send + 'static) -> request::Request {
                match self {
                    Self::Name(command, caller) => request::Request::Command(Box::new(command), caller, reply(tell)),
                    Self::Outcome { id, wait, caller } => {
                        request::Request::Outcome { id, wait, caller, reply: reply(tell) }
                    }
                    Self::SetRules(set) => request::Request::SetRules(set, Caller::ANYBODY, reply(tell)),
                    Self::Cluster(command) => request::Request::Cluster(command, reply(tell)),
                    $(Self::$query(query) => request::Request::Query(Asked::new(query, Caller::ANYBODY, reply(tell)))),*
                }
            }
        }

        /// A query, and where its answer goes.
        #[cfg(test)]
        fn query_into_any(asked: Asked) -> (Request, Tell) {
            $(
                let asked = match asked.into_parts::<$query>() {
                    Ok((query, reply)) => return (query.into(), told(reply)),
                    Err(asked) => asked,
                };
            )*
            panic!("no test knows the query {asked:?}");
        }
    };
}

queries! {
    ConflictsOf, EventsAfter, ExplainName, ExplainRegistration, HistoryOf, NameOf, NamesOf, NamesTaken, NamespacesKnown, RegistrationsOf,
    RulesOf, Suggestions,
}

impl Request {
    /// What became of a registration, for somebody who may read everything.
    #[must_use]
    pub fn outcome(id: Uuid, wait: Option<AwaitFinal>) -> Self {
        Self::Outcome { id, wait, caller: Caller::ANYBODY }
    }
}

impl From<Command> for Request {
    /// By somebody who may read and change everything.
    fn from(command: Command) -> Self {
        Self::Name(command, Caller::ANYBODY)
    }
}

impl From<SetRules> for Request {
    fn from(set: SetRules) -> Self {
        Self::SetRules(set)
    }
}

impl From<ClusterCommand> for Request {
    fn from(command: ClusterCommand) -> Self {
        Self::Cluster(command)
    }
}

fn reply<A: Into<Answer> + Send + 'static>(tell: impl FnOnce(Answered) + Send + 'static) -> Reply<A> {
    Reply::to(move |told: Result<A, Refusal>| tell(told.map(Into::into)))
}

/// Takes an answer of one kind out of one of any kind: for whoever answers in place of a node.
#[cfg(test)]
fn told<A: TryFrom<Answer, Error = Answer> + Send + 'static>(reply: Reply<A>) -> Tell {
    Box::new(move |answered| {
        let other = |answer| Refusal::Unavailable(format!("another question was answered: {answer:?}"));
        reply.with(answered.and_then(|answer| answer.try_into().map_err(other))).tell();
    })
}

#[cfg(test)]
impl request::Request {
    /// Who asks; none where it is about the cluster.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Command(_, caller, _) | Self::SetRules(_, caller, _) | Self::Outcome { caller, .. } => Some(caller),
            Self::Query(asked) => Some(asked.caller()),
            Self::Cluster(..) => None,
        }
    }

    /// What is asked, and where its answer goes: for whoever answers in place of a node.
    pub(crate) fn into_any(self) -> (Request, Tell) {
        match self {
            Self::Command(command, caller, reply) => (Request::Name(*command, caller), told(reply)),
            Self::Outcome { id, wait, caller, reply } => (Request::Outcome { id, wait, caller }, told(reply)),
            Self::SetRules(set, _, reply) => (set.into(), told(reply)),
            Self::Cluster(command, reply) => (command.into(), told(reply)),
            Self::Query(asked) => query_into_any(asked),
        }
    }
}
