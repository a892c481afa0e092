//! The row types of the tables that hold the registry's records; the key types are those of [`schema`].

use super::orphan_ops::Early;
use super::record::{Namespace, Registration};
use super::tenures::{Followed, Open};
use super::webhook::Webhook;
use crate::store::schema::{self, Rows};

impl Rows for schema::Registrations {
    type Row = Registration;
}

impl Rows for schema::Names {
    type Row = Open;
}

impl Rows for schema::Followed {
    type Row = Followed;
}

impl Rows for schema::Namespaces {
    type Row = Namespace;
}

impl Rows for schema::Webhooks {
    type Row = Webhook;
}

impl Rows for schema::Early {
    type Row = [Early];
}
