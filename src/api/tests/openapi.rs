//! The OpenAPI document describes exactly the calls of the table, all its references lead somewhere, and a page shows
//! it.

use std::collections::BTreeSet;

use axum::http::header;

use super::*;
use crate::api::routes::{TABLE, document};

/// Collects all values under this key, anywhere in the document.
fn under<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            found.extend((name == key).then_some(member));
            under(member, key, found);
        }),
        Value::Array(elements) => elements.iter().for_each(|element| under(element, key, found)),
        _ => {}
    }
}

#[test]
fn the_document_has_the_calls_of_the_table_and_no_others() {
    let document = document();
    let described = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let routes = TABLE.iter().map(|route| format!("{} {}", route.method, route.path));
    assert_eq!(described.collect::<BTreeSet<_>>(), routes.collect());
    let mut names = BTreeSet::new();
    for route in TABLE {
        let call = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        let what = format!("{} {}: {call}", route.method, route.path);
        assert!(names.insert(call["operationId"].as_str().unwrap().to_owned()), "{what}");
        assert!(document["tags"].as_array().unwrap().iter().any(|tag| tag["name"] == call["tags"][0]), "{what}");
        assert!(!call["summary"].as_str().unwrap().ends_with('.'), "{what}");
        let scope = route.scope.map(|scope| json!([{"token": [scope.to_string()]}, {}]));
        assert_eq!(call.get("security"), scope.as_ref(), "{what}");
        let segments = route.path.matches('{').count();
        let parameters = call["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(parameters.iter().filter(|parameter| parameter["in"] == "path").count(), segments, "{what}");
        assert!(parameters.iter().all(|parameter| parameter["description"] != ""), "{what}");
        assert_eq!(call["responses"]["default"]["content"].as_object().unwrap().len(), 1, "{what}");
    }
}

#[test]
fn each_reference_of_the_document_leads_to_a_schema_and_each_schema_is_used() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut references = Vec::new();
    under(&document, "$ref", &mut references);
    let used = references.iter().map(|reference| {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        pointer.rsplit('/').next().unwrap().to_owned()
    });
    let mut used: BTreeSet<_> = used.collect();
    // A batch is lines of JSON, and OpenAPI cannot refer to their schema.
    used.insert("BatchLine".to_owned());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert_eq!(schemas.keys().cloned().collect::<BTreeSet<_>>(), used);
}

#[test]
fn what_is_left_out_of_answers_is_not_described_as_null() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let is_body = name.ends_with("Body") || name.ends_with("Patch");
        let may_be_null = schema.to_string().contains("\"null\"");
        assert!(!may_be_null || is_body, "{name}: {schema}");
    }
    let registration = &document["components"]["schemas"]["Registration"];
    assert_eq!(registration["properties"]["expires_at"]["$ref"], "#/components/schemas/Time");
    assert_eq!(registration["required"], json!(["id", "status", "node", "stamp", "accepted_at"]));
}

#[test]
fn limits_of_the_document_are_those_that_are_checked() {
    use crate::model::limits::{MAX_CHECKED, MAX_NAME, MAX_NAMES, MAX_NAMESPACE, MAX_OWNER, MAX_PAGE, MAX_SUGGESTIONS};
    let document = document();
    let schema = |name: &str| &document["components"]["schemas"][name]["properties"];
    assert_eq!(schema("RegistrationBody")["names"]["maxItems"], MAX_NAMES);
    assert_eq!(schema("RegistrationBody")["owner"]["maxLength"], MAX_OWNER);
    assert_eq!(schema("RegistrationBody")["suggest"]["maximum"], MAX_SUGGESTIONS);
    assert_eq!(schema("NameRef")["namespace"]["maxLength"], MAX_NAMESPACE);
    assert_eq!(schema("NameRef")["name"]["maxLength"], MAX_NAME);
    let checked = &document["paths"]["/v1/names:check"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(checked["maxItems"], MAX_CHECKED);
    let mut parameters = Vec::new();
    under(&document["paths"], "parameters", &mut parameters);
    let limits = parameters.iter().flat_map(|list| list.as_array().unwrap()).filter(|one| one["name"] == "limit");
    let limits: Vec<_> = limits.map(|limit| &limit["schema"]["maximum"]).collect();
    assert!(limits.len() > 5 && limits.iter().all(|limit| **limit == MAX_PAGE), "{limits:?}");
}

#[tokio::test]
async fn the_document_and_its_page_are_served_to_everybody() {
    let fake = Fake::start(|_| Err(Refusal::NotMember)).await;
    let served: Value = fake.get("/openapi.json").await.json().await.unwrap();
    assert_eq!(served, document());
    let response = fake.get("/docs").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let page = response.text().await.unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"), "the page refers to another host");
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (1, 1));
    assert!(!page.contains("innerHTML"));
}
