//! The rows and single values that hold the log's types. Their keys are those of [`schema`].

use super::frontiers::Frontier;
use super::op::Op;
use super::{Contact, Founding, StoredPhase};
use crate::store::schema::{self, Cell, Rows};

impl Rows for schema::Log {
    type Row = [Op];
}

impl Rows for schema::Membership {
    type Row = Op;
}

impl Rows for schema::Frontiers {
    type Row = Frontier;
}

impl Rows for schema::Contacts {
    type Row = Contact;
}

impl Cell for schema::Founding {
    type Value = Founding;
}

impl Cell for schema::Phase {
    type Value = StoredPhase;
}
