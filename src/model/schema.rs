//! JSON schemas, for the OpenAPI document, of the types that are written as text. All others are derived.

use std::borrow::Cow;

use serde_json::json;
use strum::VariantArray;
use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{
    ClaimPlace, ClusterId, Cursor, EventType, EvictAfter, Keep, Metadata, NamespaceBody, NamespacePatch, NodeId,
    OwnerPlace, Place, ProblemType, RulesVersion, Span, Time, event_type_text,
};

const SPAN: &str = "([0-9]+(d|h|m|s|ms))+|[0-9]+";

fn text(description: &str, pattern: String, examples: &[&str]) -> ObjectBuilder {
    let examples = examples.iter().map(|example| json!(example));
    let builder = ObjectBuilder::new().schema_type(Type::String).description(Some(description)).examples(examples);
    if pattern.is_empty() { builder } else { builder.pattern(Some(format!("^({pattern})$"))) }
}

/// Returns the schema of a length of time or a word. It is read from a number of seconds too, and written as text.
fn span(description: &str, word: &str, examples: &[&str]) -> ObjectBuilder {
    let either = SchemaType::Array(vec![Type::String, Type::Integer]);
    text(description, format!("{word}{SPAN}"), examples).schema_type(either).minimum(Some(0))
}

/// Gives each type the schema of this object.
macro_rules! schemas {
    ($($type:ident => $object:expr;)*) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    Object::from($object.build()).into()
                }
            }

            impl ToSchema for $type {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed(stringify!($type))
                }
            }
        )*
    };
}

schemas! {
    Time => text("A time, as RFC 3339 in UTC with milliseconds.", String::new(), &["2026-03-01T12:00:00.000Z"])
        .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)));
    Span => span("A length of time: `500ms`, `5s`, `15m`, `24h`, `7d`, `1h30m`, or whole seconds.", "", &["15m", "1h30m"]);
    EvictAfter => span("A length of time, or `never`.", "never|", &["never", "30s"]);
    Keep => span("A length of time, or `forever`.", "forever|", &["30d", "forever"]);
    Cursor => text("A place in one node's event feed. Opaque: give it as it is.",
        "(0|[1-9a-f][0-9a-f]{0,15})-(0|[1-9][0-9]{0,18})".to_owned(), &["2f9c41d7-4"]);
    ClaimPlace => text("Where a page of a name's history goes on. Opaque: give it as it is.",
        "([0-9a-f]{32})?[.][0-9a-f]{32}".to_owned(), &[]);
    OwnerPlace => text("Where a page of an owner's registrations goes on. Opaque: give it as it is.",
        "[0-9a-f]{32}".to_owned(), &[]);
    Place => text("Where a page of names goes on. Opaque: give it as it is.",
        "(-|([0-9a-f]{32})?[.][0-9a-f]{32}) [^ ]+ .+".to_owned(), &[]);
    NodeId => text("A node, in one of its incarnations: 16 hexadecimal digits.", "[0-9a-f]{16}".to_owned(),
        &["0b8326a221c00000"]);
    ClusterId => text("A cluster: a UUID.", String::new(), &["0198c0de-0000-4000-8000-000000000001"])
        .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Uuid)));
    RulesVersion => text("A version of a namespace's rules: `default`, or the stamp of the change that set them.",
        "default|[0-9]+[.][0-9]+@[0-9a-f]{16}".to_owned(), &["default"]);
    ProblemType => text("The kind of a problem. Later versions may have more of them.", String::new(), &[])
        .enum_values(Some(ProblemType::VARIANTS.iter().filter(|kind| **kind != ProblemType::Unknown).map(|kind| json!(kind))));
    EventType => text("The type of an event. Later versions may have more of them.", String::new(), &[])
        .enum_values(Some(EventType::VARIANTS.iter().map(|kind| event_type_text(*kind))));
    Metadata => ObjectBuilder::new()
        .description(Some("The application's own JSON object: up to 4096 bytes and 64 levels, no key twice in an object."))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .examples([json!({"plan": "free"})]);
}

impl PartialSchema for NamespacePatch {
    /// Returns the fields of a [`NamespaceBody`]. In a patch, `null` means the default of each.
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut body)) = NamespaceBody::schema() else { return NamespaceBody::schema() };
        let what = "A change of rules, as a JSON merge patch (RFC 7396): what it names is set, `null` gives the default, and \
                    what it does not name stays.";
        body.description = Some(what.to_owned());
        for field in body.properties.values_mut() {
            let kind = match field {
                RefOr::T(Schema::Object(field)) => &mut field.schema_type,
                RefOr::T(Schema::Array(field)) => &mut field.schema_type,
                _ => continue,
            };
            if let SchemaType::Type(only) = kind.clone() {
                *kind = SchemaType::Array(vec![only, Type::Null]);
            }
        }
        body.into()
    }
}

impl ToSchema for NamespacePatch {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("NamespacePatch")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        NamespaceBody::schemas(schemas);
    }
}
