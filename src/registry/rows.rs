//! The row and cell types of the tables that hold the registry's types; the key types are those of [`schema`].

use super::endings::Ending;
use super::feed::{EventRecord, Part};
use super::reissue::VoidedOp;
use crate::store::schema::{self, Cell, Rows};

impl Rows for schema::Events {
    type Row = [EventRecord];
}

impl Rows for schema::Void {
    type Row = VoidedOp;
}

impl Rows for schema::Endings {
    type Row = Ending;
}

impl Cell for schema::Feed {
    type Value = Vec<Part>;
}
