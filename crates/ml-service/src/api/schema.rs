//! Bodies, with their limits, as the description of the API has them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat,
    SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::pipeline::validate::{
    ENTITY_CHARS_MAX, NAME_CHARS_MAX, ROWS_MAX, TEXT_CHARS_MAX, VALUES_MAX,
};
use crate::time::TIME_CHARS_MAX;
use crate::value::{Kind, Value};

pub(super) const NAME_PATTERN: &str = "^[a-z_][a-z0-9_]{0,62}$";
/// Years 0001 to 9998.
const TIME_PATTERN: &str =
    "^(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-";

/// Rows of one view, whole or not at all.
#[derive(Debug)]
pub(super) struct IngestRequest;

impl ToSchema for IngestRequest {}

impl PartialSchema for IngestRequest {
    fn schema() -> RefOr<Schema> {
        let values = ObjectBuilder::new()
            .description(Some("Feature names and values"))
            .min_properties(Some(1))
            .max_properties(Some(VALUES_MAX))
            .property_names(Some(Schema::from(name_schema())))
            .additional_properties(Some(value_schema()));
        let row = ObjectBuilder::new()
            .property("entity", entity_schema())
            .required("entity")
            .property("event_time", time_schema())
            .required("event_time")
            .property("values", values)
            .required("values")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        let rows =
            ArrayBuilder::new().items(row).min_items(Some(1)).max_items(Some(ROWS_MAX as usize));
        ObjectBuilder::new()
            .property("rows", rows)
            .required("rows")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .into()
    }
}

pub(super) fn name_schema() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .pattern(Some(NAME_PATTERN))
        .min_length(Some(1))
        .max_length(Some(NAME_CHARS_MAX))
}

pub(super) fn entity_schema() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .min_length(Some(1))
        .max_length(Some(ENTITY_CHARS_MAX))
}

pub(super) fn time_schema() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("RFC 3339 with an offset, at most nine digits of a fraction"))
        .pattern(Some(TIME_PATTERN))
        .max_length(Some(TIME_CHARS_MAX))
}

fn value_schema() -> ObjectBuilder {
    let types = [Type::Number, Type::String, Type::Boolean, Type::Null];
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter(types))
        .minimum(Some(f64::MIN))
        .maximum(Some(f64::MAX))
        .max_length(Some(TEXT_CHARS_MAX))
}

impl ToSchema for Value {}

impl PartialSchema for Value {
    fn schema() -> RefOr<Schema> {
        value_schema().into()
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IngestAnswer {
    /// Rows kept: all that were sent.
    #[schema(minimum = 1)]
    pub(super) accepted: u64,
    /// Where the batch stands in the log; later batches have greater ones.
    pub(super) position: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ViewsAnswer {
    pub(super) views: Vec<ViewSummary>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ViewSummary {
    pub(super) view: String,
    /// Rows ever accepted.
    pub(super) rows: u64,
    pub(super) entities: u64,
    /// In the order of first use.
    pub(super) columns: Vec<Column>,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub(super) newest_event_time: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Column {
    pub(super) name: String,
    /// Absent while every value is null.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = kind_schema, required = false)]
    pub(super) kind: Option<Kind>,
}

fn kind_schema() -> ObjectBuilder {
    let words = [Kind::Number, Kind::String, Kind::Bool].map(Kind::as_str);
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .description(Some("Absent while every value is null"))
        .enum_values(Some(words))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LatestAnswer {
    pub(super) view: String,
    /// In the order they were asked for.
    pub(super) entities: Vec<EntityFeatures>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EntityFeatures {
    pub(super) entity: String,
    /// By name; all of the view's, or those that were asked for.
    pub(super) features: BTreeMap<String, Feature>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Feature {
    pub(super) status: Status,
    /// Null unless `PRESENT`.
    #[schema(schema_with = value_schema)]
    pub(super) value: Value,
    /// When the value was true, RFC 3339; absent when nothing was ever told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(super) event_time: Option<String>,
}

/// Feast's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Status {
    Present,
    NullValue,
    NotFound,
    OutsideMaxAge,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryAnswer {
    pub(super) view: String,
    pub(super) entity: String,
    pub(super) rows: Vec<HistoryEntry>,
    /// There is more: the `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct HistoryEntry {
    pub(super) event_time: String,
    /// When the row was told, by this service's clock.
    pub(super) created: String,
    pub(super) values: BTreeMap<Box<str>, Value>,
}

impl ToSchema for HistoryEntry {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Value::name().into(), Value::schema()));
    }
}

impl PartialSchema for HistoryEntry {
    fn schema() -> RefOr<Schema> {
        let time = || {
            ObjectBuilder::new()
                .schema_type(SchemaType::new(Type::String))
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        };
        let value = Ref::from_schema_name(Value::name());
        let values = ObjectBuilder::new()
            .description(Some("What the row said, by name"))
            .additional_properties(Some(RefOr::<Schema>::Ref(value)));
        ObjectBuilder::new()
            .property("event_time", time())
            .required("event_time")
            .property("created", time().description(Some("When the row was told")))
            .required("created")
            .property("values", values)
            .required("values")
            .into()
    }
}
