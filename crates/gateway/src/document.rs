//! One description of all APIs: the services' documents joined with the gateway's own, and every
//! operation with what it may be answered on its way.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::config::ConfigError;

/// What ingress and gateway answer before a service is reached, or in place of one.
const ON_THE_WAY: [(&str, &str); 11] = [
    ("400", "The request is malformed, or its path can be read in two ways"),
    ("401", "No good API key, or the policy asks the caller to sign in again"),
    ("403", "The policy refuses the request"),
    ("404", "Nothing is here"),
    ("405", "The route has other methods"),
    ("408", "The body did not come in time"),
    ("413", "The body is too large"),
    ("429", "Too many requests"),
    ("502", "The service did not answer"),
    ("503", "A part of ShieldX is not available; try again"),
    ("504", "The service did not answer in time"),
];
const SCHEMAS: &str = "#/components/schemas/";

/// Joins the documents. A schema that two services name alike and describe differently gets the
/// service's name in front.
pub(crate) fn join(own: &OpenApi, services: &[OpenApi]) -> Result<Bytes, ConfigError> {
    let json = |document: &OpenApi| {
        serde_json::to_value(document).map_err(|source| ConfigError::Document { source })
    };
    let mut joined = json(own)?;
    for service in services {
        let mut document = json(service)?;
        let prefix = service.info.title.rsplit(' ').next().unwrap_or_default().to_owned();
        rename_schemas(&joined, &mut document, &prefix);
        add(&mut joined, document)?;
    }
    for operations in members(&mut joined, "/paths").values_mut() {
        for operation in operations.as_object_mut().into_iter().flat_map(Map::values_mut) {
            describe_the_way(operation);
        }
    }
    let text = serde_json::to_vec(&joined).map_err(|source| ConfigError::Document { source })?;
    Ok(text.into())
}

fn rename_schemas(joined: &Value, document: &mut Value, prefix: &str) {
    let taken = joined.pointer("/components/schemas").and_then(Value::as_object);
    let schemas = members(document, "/components/schemas");
    let differs = |(name, schema): &(&String, &Value)| {
        taken.and_then(|taken| taken.get(*name)).is_some_and(|other| other != *schema)
    };
    let names: Vec<String> = schemas.iter().filter(differs).map(|(name, _)| name.clone()).collect();
    for name in names {
        let new = format!("{prefix}.{name}");
        let schemas = members(document, "/components/schemas");
        if let Some(schema) = schemas.remove(&name) {
            schemas.insert(new.clone(), schema);
        }
        refer(document, &format!("{SCHEMAS}{name}"), &format!("{SCHEMAS}{new}"));
    }
}

/// Lets every reference to `from` refer to `to`.
fn refer(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(object) => {
            for (name, member) in object {
                if name == "$ref" && member.as_str() == Some(from) {
                    *member = Value::from(to);
                } else {
                    refer(member, from, to);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, from, to)),
        _ => {}
    }
}

fn add(joined: &mut Value, mut document: Value) -> Result<(), ConfigError> {
    let paths = std::mem::take(members(&mut document, "/paths"));
    for (path, operations) in paths {
        if members(joined, "/paths").insert(path.clone(), operations).is_some() {
            return Err(ConfigError::SamePath { path });
        }
    }
    let components = std::mem::take(members(&mut document, "/components"));
    for (kind, entries) in components {
        let Value::Object(entries) = entries else { continue };
        let known = members(joined, &format!("/components/{kind}"));
        for (name, entry) in entries {
            known.entry(name).or_insert(entry);
        }
    }
    Ok(())
}

fn describe_the_way(operation: &mut Value) {
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else {
        return;
    };
    let problem = format!("{SCHEMAS}ProblemDocument");
    for (status, description) in ON_THE_WAY {
        responses.entry(status).or_insert_with(|| {
            let content = json!({"application/problem+json": {"schema": {"$ref": problem}}});
            json!({"description": description, "content": content})
        });
    }
}

/// The members of the object at a pointer, which is made where it is missing.
fn members<'a>(value: &'a mut Value, pointer: &str) -> &'a mut Map<String, Value> {
    let place = pointer.split('/').skip(1).fold(value, |place, name| {
        if !place.is_object() {
            *place = json!({});
        }
        &mut place[name]
    });
    if !place.is_object() {
        *place = json!({});
    }
    match place {
        Value::Object(members) => members,
        _ => unreachable!("it was made an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::join;
    use serde_json::{Value, json};
    use utoipa::openapi::OpenApi;

    fn document(title: &str, path: &str, schema: &str) -> OpenApi {
        let body = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}});
        serde_json::from_value(json!({
            "openapi": "3.1.0",
            "info": {"title": title, "version": "1"},
            "paths": {path: {"get": {"responses": {"200": {"description": "", "content": body}}}}},
            "components": {"schemas": {"Thing": {"type": schema}, "Same": {"type": "null"}}},
        }))
        .unwrap()
    }

    #[test]
    fn schemas_that_differ_are_told_apart() {
        let own = document("ShieldX", "/a", "string");
        let services = [
            document("ShieldX contauth", "/b", "integer"),
            document("ShieldX other", "/c", "string"),
        ];
        let joined: Value = serde_json::from_slice(&join(&own, &services).unwrap()).unwrap();
        let schemas = &joined["components"]["schemas"];
        assert_eq!(schemas["Thing"]["type"], "string");
        assert_eq!(schemas["contauth.Thing"]["type"], "integer");
        assert_eq!(schemas.as_object().unwrap().len(), 3);
        let refers = |path: &str| {
            let response = &joined["paths"][path]["get"]["responses"]["200"];
            response["content"]["application/json"]["schema"]["$ref"].clone()
        };
        assert_eq!(refers("/a"), "#/components/schemas/Thing");
        assert_eq!(refers("/b"), "#/components/schemas/contauth.Thing");
        assert_eq!(refers("/c"), "#/components/schemas/Thing");
        let responses = joined["paths"]["/b"]["get"]["responses"].as_object().unwrap();
        assert!(responses.contains_key("403") && responses.contains_key("502"));
    }

    #[test]
    fn two_services_with_the_same_path_are_an_error() {
        let own = document("ShieldX", "/a", "string");
        assert!(join(&own, &[document("x", "/a", "string")]).is_err());
    }
}
