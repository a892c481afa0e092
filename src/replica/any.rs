//! One type for all requests and one for all answers, for tests and the simulator, which keep many of all kinds.

use uuid::Uuid;

use super::request::{self, ClusterCommand};
use crate::model::{
    Cluster, Conflicts, Events, History, Name, Namespace, Namespaces, Registration, Registrations, TakenNames,
};
use crate::registry::{
    Asked, AwaitFinal, Caller, Command, ConflictsOf, EventsAfter, ExplainName, ExplainRegistration, HistoryOf,
    KnownWebhook, NameExplanation, NameOf, NamesOf, NamesTaken, NamespacesKnown, Refusal, RegistrationExplanation,
    RegistrationsOf, Reply, RulesOf, SetRules, SetWebhook, Suggestions, WebhooksKnown,
};

/// A number that names a request until it is answered. The caller chooses it.
pub type Token = u64;

/// The answer of a replica. Each request gets exactly one.
pub type Answered = Result<Answer, Refusal>;

/// A function that takes an answer of any kind.
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
    /// The answer to a command and to `Outcome`.
    Registration(Registration),
    /// The answer to `NameOf`.
    Name(Name),
    /// The answer to `HistoryOf`.
    History(History),
    /// The answer to `ConflictsOf`.
    Conflicts(Conflicts),
    /// The answer to `ExplainRegistration`.
    RegistrationExplanation(RegistrationExplanation),
    /// The answer to `ExplainName`.
    NameExplanation(NameExplanation),
    /// The answer to `NamesOf`, in the order asked for. An invalid name has its own refusal.
    Names(Vec<Result<Name, Refusal>>),
    /// The answer to `Suggestions`.
    Suggestions(Vec<String>),
    /// The answer to `NamesTaken`.
    Taken(TakenNames),
    /// The answer to `NamespacesKnown`.
    Namespaces(Namespaces),
    /// The answer to `RegistrationsOf`.
    Registrations(Registrations),
    /// The answer to `EventsAfter`.
    Events(Events),
    /// The answer to `RulesOf` and `SetRules`.
    Namespace(Namespace),
    /// The answer to `SetWebhook`.
    Webhook(KnownWebhook),
    /// The answer to `WebhooksKnown`.
    Webhooks(Vec<KnownWebhook>),
    /// The answer to commands about the cluster.
    Cluster(Cluster),
}

macro_rules! queries {
    ($($query:ident),* $(,)?) => {
        /// A request of any kind. Queries and rules are asked by a caller who may read and change everything.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Request {
            /// A change of registrations and names, with its caller.
            Name(Command, Caller),
            /// Asks for the outcome of a registration.
            Outcome {
                /// The registration's id.
                id: Uuid,
                /// Answer only when the outcome is final, or when the wait ends with what is known then.
                wait: Option<AwaitFinal>,
                /// The caller.
                caller: Caller,
            },
            /// Sets the rules of a namespace.
            SetRules(SetRules),
            /// Makes, changes or removes a webhook.
            SetWebhook(SetWebhook),
            /// A command about the cluster.
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
            /// Returns the request in the form that a replica takes. Its answer goes to `tell`.
            pub fn with(self, tell: impl FnOnce(Answered) + Send + 'static) -> request::Request {
                match self {
                    Self::Name(command, caller) => request::Request::Command(Box::new(command), caller, reply(tell)),
                    Self::Outcome { id, wait, caller } => {
                        request::Request::Outcome { id, wait, caller, reply: reply(tell) }
                    }
                    Self::SetRules(set) => request::Request::SetRules(set, Caller::ANYBODY, reply(tell)),
                    Self::SetWebhook(set) => request::Request::SetWebhook(set, reply(tell)),
                    Self::Cluster(command) => request::Request::Cluster(command, reply(tell)),
                    $(Self::$query(query) => request::Request::Query(Asked::new(query, Caller::ANYBODY, reply(tell)))),*
                }
            }
        }

        /// Returns a query, and the function that takes its answer.
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
    RulesOf, Suggestions, WebhooksKnown,
}

impl Request {
    /// Asks for the outcome of a registration, as a caller who may read everything.
    #[must_use]
    pub fn outcome(id: Uuid, wait: Option<AwaitFinal>) -> Self {
        Self::Outcome { id, wait, caller: Caller::ANYBODY }
    }
}

impl From<Command> for Request {
    /// Makes a request by a caller who may read and change everything.
    fn from(command: Command) -> Self {
        Self::Name(command, Caller::ANYBODY)
    }
}

impl From<SetRules> for Request {
    fn from(set: SetRules) -> Self {
        Self::SetRules(set)
    }
}

impl From<SetWebhook> for Request {
    fn from(set: SetWebhook) -> Self {
        Self::SetWebhook(set)
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

/// Returns a function that takes an answer of any kind and passes it on as one kind, for tests that answer in place of
/// a node.
#[cfg(test)]
fn told<A: TryFrom<Answer, Error = Answer> + Send + 'static>(reply: Reply<A>) -> Tell {
    Box::new(move |answered| {
        let other = |answer| Refusal::Unavailable(format!("another question was answered: {answer:?}"));
        reply.with(answered.and_then(|answer| answer.try_into().map_err(other))).tell();
    })
}

#[cfg(test)]
impl request::Request {
    /// Returns the caller; none for a request about the cluster.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Command(_, caller, _) | Self::SetRules(_, caller, _) | Self::Outcome { caller, .. } => Some(caller),
            Self::Query(asked) => Some(asked.caller()),
            Self::SetWebhook(..) | Self::Cluster(..) => None,
        }
    }

    /// Returns the request and the function that takes its answer, for tests that answer in place of a node.
    pub(crate) fn into_any(self) -> (Request, Tell) {
        match self {
            Self::Command(command, caller, reply) => (Request::Name(*command, caller), told(reply)),
            Self::Outcome { id, wait, caller, reply } => (Request::Outcome { id, wait, caller }, told(reply)),
            Self::SetRules(set, _, reply) => (set.into(), told(reply)),
            Self::SetWebhook(set, reply) => (set.into(), told(reply)),
            Self::Cluster(command, reply) => (command.into(), told(reply)),
            Self::Query(asked) => query_into_any(asked),
        }
    }
}
