//! What is only read: each query is a type of its own, and says what its answer is.

use std::any::Any;
use std::fmt;

use super::Reader;
use super::caller::Caller;
use super::refusal::Refusal;
use super::reply::{Ready, Reply};

/// Something that reads and changes nothing. It looks at a bounded number of rows, and at no more of them at a time than it
/// is told.
pub trait Query: fmt::Debug + Send + 'static {
    /// What its answer is.
    type Answer: Send + 'static;

    /// Reads on, for as long as the budget lasts. None where it is not done: then it is to be called again, at a later step.
    /// What changes meanwhile it may have read before or after the change, as a reader of several pages does. A caller is
    /// shown nothing of namespaces that it does not reach: where it asks for one the query refuses, where it asks for
    /// whatever there is they are left out.
    fn read(
        &mut self,
        reader: Reader<'_>,
        caller: &Caller,
        budget: &mut Budget,
    ) -> Option<Result<Self::Answer, Refusal>>;
}

/// Rows that may be read in a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    left: usize,
    /// Rows that were read beyond it: what is read in one piece is read whole.
    debt: usize,
}

impl Budget {
    /// So many rows.
    #[must_use]
    pub fn of(rows: usize) -> Self {
        Self { left: rows, debt: 0 }
    }

    /// Rows that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Rows were read.
    pub fn spend(&mut self, rows: usize) {
        self.debt += rows.saturating_sub(self.left);
        self.left = self.left.saturating_sub(rows);
    }

    /// Rows that were read beyond it.
    #[must_use]
    pub fn debt(&self) -> usize {
        self.debt
    }
}

/// A query, with where its answer goes.
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
    /// None once it was answered.
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
    /// A query of this caller's, whose answer goes there.
    pub fn new<Q: Query>(query: Q, caller: Caller, reply: Reply<Q::Answer>) -> Self {
        Self(Box::new(Asks { query, caller, reply: Some(reply) }))
    }

    /// Reads on; the answer, where it is done.
    pub(crate) fn read(&mut self, reader: Reader<'_>, budget: &mut Budget) -> Option<Ready> {
        self.0.read(reader, budget)
    }

    /// Answers it without reading.
    pub(crate) fn refuse(mut self, refusal: Refusal) -> Option<Ready> {
        self.0.refuse(refusal)
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        self.0.caller()
    }

    /// The query and where its answer goes, where it is one of this type: for whoever answers in place of a registry.
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
