//! All requests and answers as one type each, for tests and the simulator, which keep many of all kinds in their books.

use uuid::Uuid;

use super::cluster::ClusterView;
use super::request::{self, ClusterCommand};
use crate::clock::{Millis, NodeId};
use crate::model::{ClaimPlace, ClusterSettingsBody, Cursor, Place, RulesVersion};
use crate::name::Rules;
use crate::registry::{
    Asked, AwaitFinal, Bearer, Caller, ClusterSecret, Command, ConflictPage, Conflicts, EventFilter, EventPage,
    EventsAfter, ExplainName, ExplainRegistration, HistoryOf, HistoryPage, NameExplanation, NameOf, NamePage,
    NameRequest, NameView, NamesOf, NamesTaken, NamespaceView, Query, Refusal, RegisterRequest,
    RegistrationExplanation, RegistrationView, RegistrationsOf, Reply, RulesOf, SetRules, Suggestions,
};

/// Names a request until it is answered; chosen by whoever makes it.
pub type Token = u64;

/// Something asked of a node, whatever it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Claims names, all or none.
    Register(RegisterRequest),
    /// Makes a reservation permanent.
    Activate {
        /// The reservation.
        id: Uuid,
    },
    /// Lets a reservation last longer. Never shortens it.
    Extend {
        /// The reservation.
        id: Uuid,
        /// Milliseconds from now until it ends, 1 to [`MAX_TTL`](crate::model::limits::MAX_TTL).
        ttl: u64,
    },
    /// Releases all names of a registration.
    Release {
        /// The registration.
        id: Uuid,
    },
    /// Releases all names of a registration, and has its owner, its names and its metadata erased at all nodes once that
    /// is final; also where it is over already.
    Erase {
        /// The registration.
        id: Uuid,
    },
    /// Releases one name.
    ReleaseName {
        /// Whose claim it must be.
        owner: String,
        /// The name.
        name: NameRequest,
    },
    /// What became of a registration.
    Registration {
        /// Its id.
        id: Uuid,
        /// Answer only when it is final, or after so many milliseconds with what is known then.
        wait: Option<AwaitFinal>,
    },
    /// Who holds a name.
    Name(NameRequest),
    /// The tenures of a name.
    History {
        /// The name.
        name: NameRequest,
        /// From this claim on, which a page before said under `next`.
        after: Option<ClaimPlace>,
        /// At most so many.
        limit: usize,
    },
    /// Names that were claimed more than once.
    Conflicts {
        /// Only of this namespace.
        namespace: Option<String>,
        /// Only what happened at or after this time, or is still open.
        since: Option<Millis>,
        /// Where the page before this one ended.
        after: Option<Place>,
        /// At most so many.
        limit: usize,
    },
    /// What decides a registration, and what it waits for.
    ExplainRegistration(Uuid),
    /// What decides a name, and what it waits for.
    ExplainName(NameRequest),
    /// Whether each of these names can be had, 1 to [`MAX_CHECKED`](crate::model::limits::MAX_CHECKED).
    Names(Vec<NameRequest>),
    /// Names like this one that are free.
    Suggest {
        /// The name that is taken.
        name: NameRequest,
        /// At most so many, up to [`MAX_SUGGESTIONS`](crate::model::limits::MAX_SUGGESTIONS).
        count: usize,
    },
    /// The names that are taken.
    List {
        /// Only of this namespace.
        namespace: Option<String>,
        /// Only names whose keys begin as that of this one does, with a namespace.
        prefix: String,
        /// Where the page before this one ended.
        after: Option<Place>,
        /// At most so many.
        limit: usize,
    },
    /// What became of an owner's registrations, earliest first.
    Owner {
        /// The owner.
        owner: String,
        /// Only those after this one.
        after: Option<Uuid>,
        /// At most so many.
        limit: usize,
    },
    /// A page of the event feed.
    Events {
        /// Only events after this cursor; none for all that are kept.
        after: Option<Cursor>,
        /// At most so many.
        limit: usize,
        /// Which ones.
        filter: EventFilter,
    },
    /// The rules of a namespace.
    Namespace(String),
    /// Give a namespace its rules. They apply at this node from its answer on, elsewhere once they arrive.
    SetNamespace {
        /// The namespace.
        namespace: String,
        /// The rules.
        rules: Box<Rules>,
        /// Only where this is the version in force here.
        if_version: Option<RulesVersion>,
    },
    /// Members, promises, settings, what the watermark waits for.
    Cluster,
    /// Change settings of the cluster, which are in force here at once. Answered as `Cluster` is.
    Configure(ClusterSettingsBody),
    /// Put a member out of the cluster for good. Answered as `Cluster` is once it has begun, or where it is done already; it
    /// is done when all who stay have joined in.
    Evict {
        /// The member.
        node: NodeId,
        /// Also where no majority is in contact that would stay: the eviction is carried out once one is.
        force: bool,
    },
    /// Keep the key of a member, or of one who was a member, out of the cluster from when it is out on; or let it in again.
    /// Answered as `Cluster` is.
    Ban {
        /// Any incarnation of the key.
        node: NodeId,
        /// Whether it is kept out.
        banned: bool,
    },
    /// Give the cluster another secret. Answered as `Cluster` is.
    RotateSecret(ClusterSecret),
    /// Leave the cluster. Answered as `Cluster` is once it has begun; the node is out when it has handed over what it holds.
    Leave {
        /// Stay after all, where the last op has not been issued.
        cancel: bool,
    },
    /// The same of somebody who may not be told what is known of private names: registers, activates, releases.
    Discreet(Box<Request>),
    /// The same of somebody who may change only some registrations: [`Activate`](Self::Activate),
    /// [`Extend`](Self::Extend), [`Release`](Self::Release) and [`Erase`](Self::Erase) are refused for others.
    OnBehalf {
        /// Who it is.
        bearer: Bearer,
        /// What is asked.
        request: Box<Request>,
    },
}

/// What a replica answers; exactly one answer to each request.
pub type Answered = Result<Answer, Refusal>;

/// An answer that is not a refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To `Register`, `Activate`, `Extend`, `Release`, `Erase`, `ReleaseName` and `Registration`.
    Registration(Box<RegistrationView>),
    /// To `Name`.
    Name(NameView),
    /// To `History`.
    History(HistoryPage),
    /// To `Conflicts`.
    Conflicts(ConflictPage),
    /// To `ExplainRegistration`.
    RegistrationExplanation(Box<RegistrationExplanation>),
    /// To `ExplainName`.
    NameExplanation(Box<NameExplanation>),
    /// To `Names`, in the order asked for; a name that cannot be one has its own refusal.
    Names(Vec<Result<NameView, Refusal>>),
    /// To `Suggest`.
    Suggestions(Vec<String>),
    /// To `List`.
    List(NamePage),
    /// To `Owner`.
    Registrations(Vec<RegistrationView>),
    /// To `Events`.
    Events(EventPage),
    /// To `Namespace` and `SetNamespace`.
    Namespace(Box<NamespaceView>),
    /// To `Cluster`.
    Cluster(Box<ClusterView>),
}

/// Where an answer of any kind goes.
type Tell = Box<dyn FnOnce(Answered) + Send>;

impl Request {
    /// The request as a replica takes it; its answer goes to `tell`.
    pub fn with(self, tell: impl FnOnce(Answered) + Send + 'static) -> request::Request {
        self.by(Caller::ANYBODY, Box::new(tell))
    }

    fn by(self, caller: Caller, tell: Tell) -> request::Request {
        let command = match self {
            Self::Discreet(asked) => return asked.by(Caller { reads: false, ..caller }, tell),
            Self::OnBehalf { bearer, request } => return request.by(Caller { bearer: Some(bearer), ..caller }, tell),
            Self::Register(asked) => Command::Register(asked),
            Self::Activate { id } => Command::Activate { id },
            Self::Extend { id, ttl } => Command::Extend { id, ttl },
            Self::Release { id } => Command::Release { id },
            Self::Erase { id } => Command::Erase { id },
            Self::ReleaseName { owner, name } => Command::ReleaseName { owner, name },
            Self::Registration { id, wait } => {
                return request::Request::Outcome(id, wait, reply(tell, |view| Answer::Registration(Box::new(view))));
            }
            Self::SetNamespace { namespace, rules, if_version } => {
                let set = SetRules { namespace, rules, if_version };
                return request::Request::SetRules(set, reply(tell, |view| Answer::Namespace(Box::new(view))));
            }
            Self::Cluster => return about_cluster(ClusterCommand::Show, tell),
            Self::Evict { node, force } => return about_cluster(ClusterCommand::Evict { node, force }, tell),
            Self::Ban { node, banned } => return about_cluster(ClusterCommand::Ban { node, banned }, tell),
            Self::RotateSecret(secret) => return about_cluster(ClusterCommand::RotateSecret(secret), tell),
            Self::Leave { cancel } => return about_cluster(ClusterCommand::Leave { cancel }, tell),
            Self::Configure(change) => return about_cluster(ClusterCommand::Configure(change), tell),
            query => return query.query(tell),
        };
        request::Request::Command(Box::new(command), caller, reply(tell, |view| Answer::Registration(Box::new(view))))
    }

    fn query(self, tell: Tell) -> request::Request {
        match self {
            Self::Name(name) => query(NameOf(name), tell, Answer::Name),
            Self::History { name, after, limit } => query(HistoryOf { name, after, limit }, tell, Answer::History),
            Self::Conflicts { namespace, since, after, limit } => {
                query(Conflicts::new(namespace, since, after, limit), tell, Answer::Conflicts)
            }
            Self::ExplainRegistration(id) => {
                query(ExplainRegistration::new(id), tell, |facts| Answer::RegistrationExplanation(Box::new(facts)))
            }
            Self::ExplainName(name) => {
                query(ExplainName::new(name), tell, |facts| Answer::NameExplanation(Box::new(facts)))
            }
            Self::Names(names) => query(NamesOf(names), tell, Answer::Names),
            Self::Suggest { name, count } => query(Suggestions { name, count }, tell, Answer::Suggestions),
            Self::List { namespace, prefix, after, limit } => {
                query(NamesTaken::new(namespace, prefix, after, limit), tell, Answer::List)
            }
            Self::Owner { owner, after, limit } => {
                query(RegistrationsOf::new(owner, after, limit), tell, Answer::Registrations)
            }
            Self::Events { after, limit, filter } => {
                query(EventsAfter::new(after, limit, filter), tell, Answer::Events)
            }
            Self::Namespace(namespace) => query(RulesOf(namespace), tell, |view| Answer::Namespace(Box::new(view))),
            other => unreachable!("{other:?} is no query"),
        }
    }
}

fn reply<A: Send + 'static>(tell: Tell, answer: impl FnOnce(A) -> Answer + Send + 'static) -> Reply<A> {
    Reply::to(move |told: Result<A, Refusal>| tell(told.map(answer)))
}

fn query<Q: Query>(
    query: Q,
    tell: Tell,
    answer: impl FnOnce(Q::Answer) -> Answer + Send + 'static,
) -> request::Request {
    request::Request::Query(Asked::new(query, reply(tell, answer)))
}

fn about_cluster(command: ClusterCommand, tell: Tell) -> request::Request {
    request::Request::Cluster(command, reply(tell, |view| Answer::Cluster(Box::new(view))))
}

#[cfg(test)]
mod fake {
    //! The other way round, for whoever answers in place of a node.

    use super::*;

    /// Takes an answer of one kind out of one of any kind.
    fn told<A: Send + 'static>(reply: Reply<A>, take: impl FnOnce(Answer) -> Option<A> + Send + 'static) -> Tell {
        Box::new(move |answered| {
            let answer = answered.map(|answer| {
                let text = format!("{answer:?}");
                take(answer).ok_or(Refusal::Unavailable(format!("another question was answered: {text}")))
            });
            reply.with(answer.flatten()).tell();
        })
    }

    /// The content of an answer of this kind.
    macro_rules! take {
        ($kind:ident) => {
            |answer| if let Answer::$kind(content) = answer { Some(content) } else { None }
        };
        (*$kind:ident) => {
            |answer| if let Answer::$kind(content) = answer { Some(*content) } else { None }
        };
    }

    impl request::Request {
        /// What is asked, and where its answer goes.
        pub(crate) fn into_any(self) -> (Request, Tell) {
            match self {
                Self::Command(command, Caller { reads, bearer }, reply) => {
                    let asked = match *command {
                        Command::Register(asked) => Request::Register(asked),
                        Command::Activate { id } => Request::Activate { id },
                        Command::Extend { id, ttl } => Request::Extend { id, ttl },
                        Command::Release { id } => Request::Release { id },
                        Command::Erase { id } => Request::Erase { id },
                        Command::ReleaseName { owner, name } => Request::ReleaseName { owner, name },
                    };
                    let asked = if reads { asked } else { Request::Discreet(Box::new(asked)) };
                    let asked = match bearer {
                        Some(bearer) => Request::OnBehalf { bearer, request: Box::new(asked) },
                        None => asked,
                    };
                    (asked, told(reply, take!(*Registration)))
                }
                Self::Outcome(id, wait, reply) => {
                    (Request::Registration { id, wait }, told(reply, take!(*Registration)))
                }
                Self::SetRules(SetRules { namespace, rules, if_version }, reply) => {
                    (Request::SetNamespace { namespace, rules, if_version }, told(reply, take!(*Namespace)))
                }
                Self::Cluster(ClusterCommand::Show, reply) => (Request::Cluster, told(reply, take!(*Cluster))),
                Self::Cluster(ClusterCommand::Evict { node, force }, reply) => {
                    (Request::Evict { node, force }, told(reply, take!(*Cluster)))
                }
                Self::Cluster(ClusterCommand::Leave { cancel }, reply) => {
                    (Request::Leave { cancel }, told(reply, take!(*Cluster)))
                }
                Self::Cluster(ClusterCommand::Ban { node, banned }, reply) => {
                    (Request::Ban { node, banned }, told(reply, take!(*Cluster)))
                }
                Self::Cluster(ClusterCommand::RotateSecret(secret), reply) => {
                    (Request::RotateSecret(secret), told(reply, take!(*Cluster)))
                }
                Self::Cluster(ClusterCommand::Configure(change), reply) => {
                    (Request::Configure(change), told(reply, take!(*Cluster)))
                }
                Self::Query(asked) => query_into_any(asked),
            }
        }
    }

    fn query_into_any(asked: Asked) -> (Request, Tell) {
        macro_rules! try_each {
            ($asked:ident; $($query:ty, $pattern:pat => $request:expr, $take:expr;)*) => {
                $(let $asked = match $asked.into_parts::<$query>() {
                    Ok(($pattern, reply)) => return ($request, told(reply, $take)),
                    Err(asked) => asked,
                };)*
                panic!("no test knows the query {:?}", $asked);
            };
        }
        try_each! { asked;
            NameOf, NameOf(name) => Request::Name(name), take!(Name);
            HistoryOf, HistoryOf { name, after, limit } => Request::History { name, after, limit }, take!(History);
            Conflicts, Conflicts { namespace, since, after, limit, .. } =>
                Request::Conflicts { namespace, since, after, limit }, take!(Conflicts);
            ExplainRegistration, ExplainRegistration { id, .. } =>
                Request::ExplainRegistration(id), take!(*RegistrationExplanation);
            ExplainName, ExplainName { name, .. } => Request::ExplainName(name), take!(*NameExplanation);
            NamesOf, NamesOf(names) => Request::Names(names), take!(Names);
            Suggestions, Suggestions { name, count } => Request::Suggest { name, count }, take!(Suggestions);
            NamesTaken, NamesTaken { namespace, prefix, after, limit, .. } =>
                Request::List { namespace, prefix, after, limit }, take!(List);
            RegistrationsOf, RegistrationsOf { owner, after, limit, .. } =>
                Request::Owner { owner, after, limit }, take!(Registrations);
            EventsAfter, EventsAfter { after, limit, filter, .. } =>
                Request::Events { after, limit, filter }, take!(Events);
            RulesOf, RulesOf(namespace) => Request::Namespace(namespace), take!(*Namespace);
        }
    }
}
