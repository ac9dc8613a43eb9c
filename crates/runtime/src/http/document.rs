//! What the descriptions of all APIs have in common: where a key goes, and answers that are problems.

use std::collections::BTreeMap;

use utoipa::Modify;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};

/// Describes both places of an API key ([`super::auth::key`]), under the names `bearer` and `api_key`.
#[derive(Debug, Clone, Copy)]
pub struct Keys;

impl Modify for Keys {
    fn modify(&self, openapi: &mut OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let header = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(header));
    }
}

/// Answers that are problems, by status, each with what it says of this operation. The document has
/// [`super::ProblemDocument`] among its schemas.
#[must_use]
pub fn problems(answers: &[(u16, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let problem = |description: &str| {
        let content = Content::builder().schema(Some(Ref::from_schema_name("ProblemDocument")));
        ResponseBuilder::new()
            .description(description)
            .content("application/problem+json", content.build())
            .build()
    };
    answers.iter().map(|(status, text)| (status.to_string(), problem(text).into())).collect()
}
