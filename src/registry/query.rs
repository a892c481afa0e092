//! Queries, which only read. Each query is a type of its own with the type of its answer.

use std::any::Any;
use std::fmt;

use super::Reader;
use super::caller::Caller;
use super::refusal::Refusal;
use super::reply::{Ready, Reply};

/// A query reads and changes nothing. It examines a bounded number of rows in all, and in one call no more than its
/// budget allows.
pub trait Query: fmt::Debug + Send + 'static {
    /// The type of its answer.
    type Answer: Send + 'static;

    /// Reads on as far as the budget goes. Returns none where it is not done: it must then be called again in a later
    /// step. A change between two calls may or may not be seen, as with a reader of several pages. A caller sees
    /// nothing of namespaces that it may not use: a query for one of them is refused, and a query for all namespaces
    /// leaves them out.
    fn read(
        &mut self,
        reader: Reader<'_>,
        caller: &Caller,
        budget: &mut Budget,
    ) -> Option<Result<Self::Answer, Refusal>>;
}

/// The number of rows that may be read in a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    left: usize,
    /// Rows that were read in excess, because some reads cannot be split.
    debt: usize,
}

impl Budget {
    /// Makes a budget of this many rows.
    #[must_use]
    pub fn of(rows: usize) -> Self {
        Self { left: rows, debt: 0 }
    }

    /// Returns the number of rows that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Notes that rows were read.
    pub fn spend(&mut self, rows: usize) {
        self.debt += rows.saturating_sub(self.left);
        self.left = self.left.saturating_sub(rows);
    }

    /// Returns the number of rows that were read in excess.
    #[must_use]
    pub fn debt(&self) -> usize {
        self.debt
    }
}

/// A query together with its caller and its reply.
pub struct Asked(Box<dyn Asking>);

trait Asking: Send {
    fn read(&mut self, reader: Reader<'_>, budget: &mut Budget) -> Option<Ready>;
    fn refuse(&mut self, refusal: Refusal) -> Option<Ready>;
    fn query(&self) -> &dyn Any;
    fn caller(&self) -> &Caller;
    fn reply(&mut self) -> &mut dyn Any;
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

struct Asks<Q: Query> {
    query: Q,
    caller: Caller,
    /// None once the query is answered.
    reply: Option<Reply<Q::Answer>>,
}

impl<Q: Query> Asking for Asks<Q> {
    fn read(&mut self, reader: Reader<'_>, budget: &mut Budget) -> Option<Ready> {
        let answer = self.query.read(reader, &self.caller, budget)?;
        Some(self.reply.take()?.with(answer))
    }

    fn refuse(&mut self, refusal: Refusal) -> Option<Ready> {
        Some(self.reply.take()?.with(Err(refusal)))
    }

    fn query(&self) -> &dyn Any {
        &self.query
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn reply(&mut self) -> &mut dyn Any {
        &mut self.reply
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.query.fmt(f)
    }
}

impl Asked {
    /// Makes a query of a caller, to be answered through a reply.
    pub fn new<Q: Query>(query: Q, caller: Caller, reply: Reply<Q::Answer>) -> Self {
        Self(Box::new(Asks { query, caller, reply: Some(reply) }))
    }

    /// Reads on. Returns the answer once the query is done.
    pub(crate) fn read(&mut self, reader: Reader<'_>, budget: &mut Budget) -> Option<Ready> {
        self.0.read(reader, budget)
    }

    /// Answers the query with a refusal, without reading.
    pub(crate) fn refuse(mut self, refusal: Refusal) -> Option<Ready> {
        self.0.refuse(refusal)
    }

    /// The caller.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        self.0.caller()
    }

    /// Returns the query and its reply, where the query has this type. For test doubles and others that answer in place
    /// of a registry.
    pub fn into_parts<Q: Query + Clone>(mut self) -> Result<(Q, Reply<Q::Answer>), Self> {
        let query = self.0.query().downcast_ref::<Q>().cloned();
        let reply = self.0.reply().downcast_mut::<Option<Reply<Q::Answer>>>().and_then(Option::take);
        query.zip(reply).ok_or(self)
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f)
    }
}
