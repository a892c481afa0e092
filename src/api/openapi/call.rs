//! Builds the description of one call for the OpenAPI document.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{Object, SchemaType, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, HeaderBuilder, Ref, RefOr, Required, Schema};
use utoipa::{IntoParams, ToSchema};

use crate::api::problem::PROBLEM_JSON;
use crate::model::{Problem, ProblemType, Scope};

/// Schemas with their names.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

/// The groups of calls, with a description of each.
pub(super) const GROUPS: [(&str, &str); 8] = [
    (REGISTRATIONS, "Names are registered, all or none, looked after and given up."),
    (NAMES, "Who holds a name, and why."),
    (NAMESPACES, "Sets of names, each with its rules."),
    (EVENTS, "What becomes of registrations, durably and in order."),
    (WEBHOOKS, "Receivers that the events are posted to."),
    (CLUSTER, "The members, and what the cluster waits for."),
    (PROBES, "For supervisors and load balancers."),
    (DOCUMENTS, "This description."),
];
pub(super) const REGISTRATIONS: &str = "registrations";
pub(super) const NAMES: &str = "names";
pub(super) const NAMESPACES: &str = "namespaces";
pub(super) const EVENTS: &str = "events";
pub(super) const WEBHOOKS: &str = "webhooks";
pub(super) const CLUSTER: &str = "cluster";
pub(super) const PROBES: &str = "probes";
pub(super) const DOCUMENTS: &str = "documents";

/// The description of one call: what it does, which parameters and body it takes, and what it answers.
pub(in crate::api) struct Call {
    operation: OperationBuilder,
    answers: BTreeMap<u16, Response>,
    refusals: BTreeMap<u16, Vec<ProblemType>>,
    /// The schemas of its body and its answers, with all schemas that they refer to.
    schemas: Schemas,
    /// The name of its body's schema.
    takes: Option<String>,
}

impl Call {
    /// Begins the description of a call in this group. Generated clients use `name` as the name of the call.
    pub(super) fn new(group: &str, name: &str, summary: &str) -> Self {
        let operation = OperationBuilder::new().tag(group).operation_id(Some(name)).summary(Some(summary));
        let (answers, refusals) = (BTreeMap::new(), BTreeMap::new());
        Self { operation, answers, refusals, schemas: Vec::new(), takes: None }
    }

    /// Adds a longer description.
    pub(super) fn says(self, description: &str) -> Self {
        Self { operation: self.operation.description(Some(description)), ..self }
    }

    /// Adds the query parameters of this type.
    pub(super) fn query<P: IntoParams>(self) -> Self {
        let parameters = P::into_params(|| Some(ParameterIn::Query));
        Self { operation: parameters.into_iter().fold(self.operation, OperationBuilder::parameter), ..self }
    }

    /// Adds an optional header.
    pub(super) fn header(self, name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        let header = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schema));
        Self { operation: self.operation.parameter(header), ..self }
    }

    /// Adds a body of this type.
    pub(super) fn takes<B: ToSchema>(self) -> Self {
        self.body::<B>(Required::True)
    }

    /// Adds a body of this type, which may be left out.
    pub(super) fn may_take<B: ToSchema>(self) -> Self {
        self.body::<B>(Required::False)
    }

    fn body<B: ToSchema>(mut self, required: Required) -> Self {
        let content = Content::new(Some(self.schema::<B>()));
        self.takes = Some(B::name().into_owned());
        self.has_body(RequestBodyBuilder::new().content("application/json", content).required(Some(required)).build())
    }

    /// Adds a body that is a list of this type.
    pub(super) fn takes_list<B: ToSchema>(mut self, at_most: usize) -> Self {
        let mut list = utoipa::openapi::schema::ArrayBuilder::new().items(self.schema::<B>()).build();
        (list.min_items, list.max_items) = (Some(1), Some(at_most));
        let body = RequestBodyBuilder::new().content("application/json", Content::new(Some(Schema::Array(list))));
        self.has_body(body.required(Some(Required::True)).build())
    }

    /// Adds a body of lines of JSON, each of this type.
    pub(super) fn takes_lines<B: ToSchema>(mut self, media: &str) -> Self {
        let what = format!("Lines of JSON, each a `{}`.", B::name());
        self.schema::<B>();
        let content = Content::new(Some(text()));
        self.has_body(RequestBodyBuilder::new().description(Some(what)).content(media, content).build())
    }

    fn has_body(self, body: RequestBody) -> Self {
        Self { operation: self.operation.request_body(Some(body)), ..self }
    }

    /// Adds an answer with a JSON body of this type.
    pub(super) fn gives<A: ToSchema>(mut self, status: u16, what: &str) -> Self {
        let content = Content::new(Some(self.schema::<A>()));
        self.answers(status, ResponseBuilder::new().description(what).content("application/json", content))
    }

    /// Adds an answer that is not JSON.
    pub(super) fn gives_as(self, status: u16, media: &str, what: &str) -> Self {
        let before = self.answers.get(&status).cloned().map(ResponseBuilder::from);
        let response = before.unwrap_or_else(|| ResponseBuilder::new().description(what));
        self.answers(status, response.content(media, Content::new(Some(text()))))
    }

    /// Adds an answer of lines of JSON, each of this type.
    pub(super) fn gives_lines<A: ToSchema>(mut self, media: &str, what: &str) -> Self {
        self.schema::<A>();
        self.gives_as(200, media, what)
    }

    /// Adds an answer that is an object with these members, each a string.
    pub(super) fn gives_members(self, status: u16, what: &str, members: &[&str]) -> Self {
        let object = Object::builder();
        let object = members.iter().fold(object, |object, member| object.property(*member, text()).required(*member));
        let content = Content::new(Some(Schema::from(object)));
        self.answers(status, ResponseBuilder::new().description(what).content("application/json", content))
    }

    fn answers(mut self, status: u16, response: ResponseBuilder) -> Self {
        self.answers.insert(status, response.build());
        self
    }

    /// Adds the header `Location` to the answer of this status.
    pub(super) fn located(mut self, status: u16) -> Self {
        let location =
            HeaderBuilder::new().description(Some("Where the registration is.")).schema(Some(text())).build();
        if let Some(response) = self.answers.remove(&status) {
            self.answers.insert(status, ResponseBuilder::from(response).header("Location", location).build());
        }
        self
    }

    /// Adds reasons for a refusal, beside those that every call has.
    pub(super) fn refuses(mut self, kinds: &[ProblemType]) -> Self {
        for kind in kinds {
            self.refusals.entry(kind.status()).or_default().push(*kind);
        }
        self
    }

    fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(T::name()).into()
    }

    /// Builds the operation at this path and behind this scope, with its schemas and the name of its body's schema.
    pub(super) fn operation(mut self, path: &str, scope: Option<Scope>) -> (Operation, Schemas, Option<String>) {
        let problem = self.schema::<Problem>();
        let mut operation = segments(path).fold(self.operation, OperationBuilder::parameter);
        for (status, response) in self.answers {
            operation = operation.response(status.to_string(), response);
        }
        for (status, kinds) in self.refusals {
            let kinds: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
            operation = operation.response(status.to_string(), refusal(&kinds.join(", "), problem.clone()));
        }
        let what = "Every other refusal: its `type` and its `detail` say why.";
        operation = operation.response("default", refusal(what, problem));
        if let Some(scope) = scope {
            // The empty requirement says that no token is needed: a node without API tokens lets everybody in.
            operation = operation.security(SecurityRequirement::new("token", [scope.to_string()]));
            operation = operation.security(SecurityRequirement::default());
        }
        (operation.build(), self.schemas, self.takes)
    }
}

fn text() -> Object {
    Object::builder().schema_type(SchemaType::Type(Type::String)).build()
}

fn refusal(what: &str, problem: RefOr<Schema>) -> ResponseBuilder {
    ResponseBuilder::new().description(what).content(PROBLEM_JSON, Content::new(Some(problem)))
}

/// Returns the variable segments of a path as parameters.
fn segments(path: &str) -> impl Iterator<Item = Parameter> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| {
        let (description, schema) = segment(name);
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(serde_json::from_value::<RefOr<Schema>>(schema).unwrap_or_else(|_| text().into())))
            .build()
    })
}

/// Returns the description and the schema of a variable segment.
fn segment(name: &str) -> (&'static str, Value) {
    match name {
        "webhook" => ("The webhook.", json!({"type": "string", "format": "uuid"})),
        "id" => ("The registration.", json!({"type": "string", "format": "uuid"})),
        "namespace" => (
            "The namespace; a slash in it is written `%2F`.",
            json!({"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$", "maxLength": 128}),
        ),
        "name" => ("The name as typed.", json!({"type": "string", "minLength": 1, "maxLength": 256})),
        "owner" => ("The owner.", json!({"type": "string", "minLength": 1})),
        "node" => ("The node's id.", json!({"$ref": "#/components/schemas/NodeId"})),
        _ => ("", json!({"type": "string"})),
    }
}
