//! One call, as the OpenAPI document describes it.

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

/// Schemas by their names.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

/// The groups of calls, with what they are about.
pub(super) const GROUPS: [(&str, &str); 7] = [
    (REGISTRATIONS, "Names are registered, all or none, looked after and given up."),
    (NAMES, "Who holds a name, and why."),
    (NAMESPACES, "Sets of names, each with its rules."),
    (EVENTS, "What becomes of registrations, durably and in order."),
    (CLUSTER, "The members, and what the cluster waits for."),
    (PROBES, "For supervisors and load balancers."),
    (DOCUMENTS, "This description."),
];
pub(super) const REGISTRATIONS: &str = "registrations";
pub(super) const NAMES: &str = "names";
pub(super) const NAMESPACES: &str = "namespaces";
pub(super) const EVENTS: &str = "events";
pub(super) const CLUSTER: &str = "cluster";
pub(super) const PROBES: &str = "probes";
pub(super) const DOCUMENTS: &str = "documents";

/// What a call does, takes and answers.
pub(in crate::api) struct Call {
    operation: OperationBuilder,
    answers: BTreeMap<u16, Response>,
    refusals: BTreeMap<u16, Vec<ProblemType>>,
    /// Those of its body and its answers, with all that they refer to.
    schemas: Schemas,
    /// The name of its body's schema.
    takes: Option<String>,
}

impl Call {
    /// A call of this group; `name` is what generated clients call it.
    pub(super) fn new(group: &str, name: &str, summary: &str) -> Self {
        let operation = OperationBuilder::new().tag(group).operation_id(Some(name)).summary(Some(summary));
        let (answers, refusals) = (BTreeMap::new(), BTreeMap::new());
        Self { operation, answers, refusals, schemas: Vec::new(), takes: None }
    }

    /// Tells more about it.
    pub(super) fn says(self, description: &str) -> Self {
        Self { operation: self.operation.description(Some(description)), ..self }
    }

    /// It takes these parameters after the `?`.
    pub(super) fn query<P: IntoParams>(self) -> Self {
        let parameters = P::into_params(|| Some(ParameterIn::Query));
        Self { operation: parameters.into_iter().fold(self.operation, OperationBuilder::parameter), ..self }
    }

    /// It takes this header, which may be left out.
    pub(super) fn header(self, name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        let header = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schema));
        Self { operation: self.operation.parameter(header), ..self }
    }

    /// It takes a body of this type.
    pub(super) fn takes<B: ToSchema>(self) -> Self {
        self.body::<B>(Required::True)
    }

    /// It takes a body of this type, which may be left out.
    pub(super) fn may_take<B: ToSchema>(self) -> Self {
        self.body::<B>(Required::False)
    }

    fn body<B: ToSchema>(mut self, required: Required) -> Self {
        let content = Content::new(Some(self.schema::<B>()));
        self.takes = Some(B::name().into_owned());
        self.has_body(RequestBodyBuilder::new().content("application/json", content).required(Some(required)).build())
    }

    /// It takes a list of these.
    pub(super) fn takes_list<B: ToSchema>(mut self, at_most: usize) -> Self {
        let mut list = utoipa::openapi::schema::ArrayBuilder::new().items(self.schema::<B>()).build();
        (list.min_items, list.max_items) = (Some(1), Some(at_most));
        let body = RequestBodyBuilder::new().content("application/json", Content::new(Some(Schema::Array(list))));
        self.has_body(body.required(Some(Required::True)).build())
    }

    /// It takes lines of JSON, each of this type.
    pub(super) fn takes_lines<B: ToSchema>(mut self, media: &str) -> Self {
        let what = format!("Lines of JSON, each a `{}`.", B::name());
        self.schema::<B>();
        let content = Content::new(Some(text()));
        self.has_body(RequestBodyBuilder::new().description(Some(what)).content(media, content).build())
    }

    fn has_body(self, body: RequestBody) -> Self {
        Self { operation: self.operation.request_body(Some(body)), ..self }
    }

    /// It answers so.
    pub(super) fn gives<A: ToSchema>(mut self, status: u16, what: &str) -> Self {
        let content = Content::new(Some(self.schema::<A>()));
        self.answers(status, ResponseBuilder::new().description(what).content("application/json", content))
    }

    /// It answers with something else than JSON.
    pub(super) fn gives_as(self, status: u16, media: &str, what: &str) -> Self {
        let before = self.answers.get(&status).cloned().map(ResponseBuilder::from);
        let response = before.unwrap_or_else(|| ResponseBuilder::new().description(what));
        self.answers(status, response.content(media, Content::new(Some(text()))))
    }

    /// It answers with lines of JSON, each of this type.
    pub(super) fn gives_lines<A: ToSchema>(mut self, media: &str, what: &str) -> Self {
        self.schema::<A>();
        self.gives_as(200, media, what)
    }

    /// It answers with an object of fixed members, each a text.
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

    /// The answer of this status has the header `Location`.
    pub(super) fn located(mut self, status: u16) -> Self {
        let location =
            HeaderBuilder::new().description(Some("Where the registration is.")).schema(Some(text())).build();
        if let Some(response) = self.answers.remove(&status) {
            self.answers.insert(status, ResponseBuilder::from(response).header("Location", location).build());
        }
        self
    }

    /// It may be refused for these reasons, beside those for which every call may be.
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

    /// The whole, at this path and behind this scope.
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
            // A node without API tokens lets everybody in.
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

/// The variable segments of a path.
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

/// What stands for a variable of a path.
fn segment(name: &str) -> (&'static str, Value) {
    match name {
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
