//! Parameters of path and query, with their limits, as the description of the API has them.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{RefOr, Required};

use super::query::{AGE_MAX_MS, ENTITIES_MAX, LIMIT_DEFAULT, LIMIT_MAX};
use super::schema::{entity_schema, name_schema, time_schema};
use crate::pipeline::validate::VALUES_MAX;

/// The view in the path.
pub(super) struct ViewParam;

impl IntoParams for ViewParam {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = parameter("view", "The view", Required::True, name_schema());
        vec![parameter.parameter_in(ParameterIn::Path).build()]
    }
}

/// Of the latest values.
pub(super) struct LatestParams;

impl IntoParams for LatestParams {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let entities = ArrayBuilder::new()
            .items(entity_schema())
            .min_items(Some(1))
            .max_items(Some(ENTITIES_MAX));
        let features = ArrayBuilder::new().items(name_schema()).max_items(Some(VALUES_MAX));
        let age = whole(0, AGE_MAX_MS);
        vec![
            repeated(parameter("entity", "May be repeated", Required::True, entities)),
            repeated(parameter(
                "feature",
                "May be repeated; without it all of the view's",
                Required::False,
                features,
            )),
            parameter(
                "max_age_ms",
                "Oldest event time that counts, before now; an age of exactly this counts",
                Required::False,
                age,
            )
            .build(),
        ]
    }
}

/// Of history.
pub(super) struct HistoryParams;

impl IntoParams for HistoryParams {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let cursor = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).pattern(Some(
            r"^(0|-?[1-9][0-9]{0,17})\.(0|-?[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,8})$",
        ));
        let max = i64::try_from(LIMIT_MAX).unwrap_or(i64::MAX);
        let limit = whole(1, max).default(Some(LIMIT_DEFAULT.into()));
        let optional = |name, text, schema: ObjectBuilder| {
            parameter(name, text, Required::False, schema).build()
        };
        vec![
            parameter("entity", "The entity", Required::True, entity_schema()).build(),
            optional("from", "Earliest event time", time_schema()),
            optional("to", "Latest event time", time_schema()),
            optional("limit", "Rows in a page", limit),
            optional("cursor", "`next` of the page before", cursor),
        ]
    }
}

fn whole(min: i64, max: i64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .minimum(Some(min))
        .maximum(Some(max))
}

fn parameter(
    name: &str,
    description: &str,
    required: Required,
    schema: impl Into<RefOr<Schema>>,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(required)
        .description(Some(description))
        .schema(Some(schema))
}

/// `entity=a&entity=b`.
fn repeated(parameter: ParameterBuilder) -> Parameter {
    parameter.style(Some(ParameterStyle::Form)).explode(Some(true)).build()
}
