//! The OpenAPI document of the interface, and a page that shows it.
//!
//! The document is made from the table of routes, so no call can be missing in it, and from the types of bodies and
//! answers, whose schemas are derived.

pub(super) mod call;
pub(super) mod calls;
pub(super) mod page;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::ComponentsBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{HttpMethod, InfoBuilder, LicenseBuilder, OpenApiBuilder, PathItem, PathsBuilder};

use self::call::{Call, GROUPS, Schemas};
use crate::model::{ClaimPlace, Cursor, EventType, NodeId, OwnerPlace, Place, Scope, Span, Time, Wait};

/// The introduction of the document, about all calls.
const ABOUT: &str = "\
A registry of unique names without a master. Every node answers every call.

Every call but `GET` has the header `Content-Type: application/json`, also `DELETE` and calls without a body; without it \
the answer is 415. Every answer has the header `Forename-Cluster`, the id of the node's cluster; a call that has it, too, \
is refused by a node of another cluster (421).

Errors are `application/problem+json` (RFC 9457). Members of answers that have no value are left out. Later versions may \
answer with more members; bodies with unknown members are refused.";

/// One call of the interface with its method and path.
pub(super) struct Described {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) scope: Option<Scope>,
    pub(super) call: Call,
}

/// Returns the document of these calls.
pub(super) fn document(calls: impl IntoIterator<Item = Described>) -> Value {
    let mut schemas = of_parameters();
    let (mut paths, mut bodies, mut items) = (PathsBuilder::new(), BTreeSet::new(), BTreeMap::<_, PathItem>::new());
    for Described { method, path, scope, call } in calls {
        let (operation, of_call, body) = call.operation(path, scope);
        schemas.extend(of_call);
        bodies.extend(body);
        items.entry(path).or_default().merge_operations(PathItem::new(http_method(&method), operation));
    }
    for (path, item) in items {
        paths = paths.path(path, item);
    }
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API token of the node, where it has any. The scope that a call takes stands with it."))
        .build();
    let components =
        ComponentsBuilder::new().schemas_from_iter(schemas).security_scheme("token", SecurityScheme::Http(token));
    let info =
        InfoBuilder::new().title("forename").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT)).license(Some(
            LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).identifier(Some(env!("CARGO_PKG_LICENSE"))).build(),
        ));
    let groups = GROUPS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    let document =
        OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).tags(Some(groups));
    let mut document = serde_json::to_value(document.build()).unwrap_or_default();
    leave_out_null(&mut document, &bodies);
    document
}

/// Returns the schemas to which only parameters refer.
fn of_parameters() -> Schemas {
    fn of<T: ToSchema>() -> (String, utoipa::openapi::RefOr<utoipa::openapi::Schema>) {
        (T::name().into_owned(), T::schema())
    }
    vec![
        of::<Cursor>(),
        of::<ClaimPlace>(),
        of::<EventType>(),
        of::<NodeId>(),
        of::<OwnerPlace>(),
        of::<Place>(),
        of::<Span>(),
        of::<Time>(),
        of::<Wait>(),
    ]
}

fn http_method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

/// Removes `null` from the schemas. A member without a value is left out of an answer, and a parameter without one is
/// not sent, so neither is ever `null`. In a body `null` is allowed for a member that could be left out.
fn leave_out_null(document: &mut Value, bodies: &BTreeSet<String>) {
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        for (_, schema) in schemas.iter_mut().filter(|(name, _)| !bodies.contains(*name)) {
            without_null(schema);
        }
    }
    if let Some(paths) = document.pointer_mut("/paths") {
        without_null(paths);
    }
}

fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(kind) = members.get_mut("type")
                && let Value::Array(types) = kind
            {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    *kind = only.clone();
                }
            }
            if let Some(Value::Array(either)) = members.get_mut("oneOf") {
                either.retain(|schema| *schema != json!({"type": "null"}));
                if let [Value::Object(only)] = either.as_slice() {
                    let only = only.clone();
                    members.remove("oneOf");
                    members.extend(only);
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_null),
        _ => {}
    }
}
