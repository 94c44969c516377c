//! The JSON schemas of the two files, for editors; `docs/schema/` holds them, pinned by a test.
//!
//! Generated from the same types that the parser fills, so descriptions are their documentation.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::{App, NodeFile};

/// The schema of `rimward.toml` (JSON Schema, draft 2020-12).
pub fn rimward_toml() -> Value {
    schema::<App>("rimward.toml")
}

/// The schema of `node.toml` (JSON Schema, draft 2020-12).
pub fn node_toml() -> Value {
    schema::<NodeFile>("node.toml")
}

/// Sorted by key, whatever other crates make of JSON objects' order.
fn schema<T: JsonSchema>(title: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(WithoutNull);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".into(), title.into());
    let mut schema = Value::from(schema);
    schema.sort_all_objects();
    schema
}

/// TOML has no null: what may be absent is only not required. The default of a table is that of its keys.
#[derive(Clone)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(object) = schema.as_object_mut() {
            object.retain(|key, value| key != "default" || says_something(value));
            drop_null(object, "type", &Value::from("null"));
            drop_null(object, "enum", &Value::Null);
            drop_null(object, "anyOf", &json!({ "type": "null" }));
        }
        transform_subschemas(self, schema);
    }
}

fn says_something(default: &Value) -> bool {
    !default.is_null() && !default.is_object() && default.as_array().is_none_or(|list| !list.is_empty())
}

/// Removes `null` from the alternatives at `key`; a single alternative that is left takes their place.
fn drop_null(object: &mut Map<String, Value>, key: &str, null: &Value) {
    let Some(alternatives) = object.get_mut(key).and_then(Value::as_array_mut) else { return };
    let before = alternatives.len();
    alternatives.retain(|alternative| alternative != null);
    if alternatives.len() < before && alternatives.len() == 1 {
        match alternatives.remove(0) {
            Value::Object(only) => {
                object.remove(key);
                object.extend(only);
            }
            only => {
                object.insert(key.into(), only);
            }
        }
    }
}
