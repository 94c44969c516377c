//! What the newtypes of this crate have in common: they are written as one string in a file.
//!
//! [`text_type!`] makes such a type readable from TOML, writable as JSON and known to the schema, from its
//! `FromStr` and `Display`; its hint is what an editor and a problem show.

use std::str::FromStr;

/// A type that is one string in a file.
pub(crate) trait Text: FromStr<Err: std::fmt::Display> {
    /// A regular expression (ECMA 262) that every valid value matches.
    const PATTERN: &'static str;
}

macro_rules! text_type {
    ($type:ident, pattern: $pattern:expr, hint: $hint:expr) => {
        impl crate::text::Text for $type {
            const PATTERN: &'static str = $pattern;
        }

        impl crate::scalar::Scalar for $type {
            const HINT: &'static str = $hint;

            fn scalar(value: &toml::de::DeValue<'_>) -> Result<Self, crate::scalar::Trouble> {
                crate::scalar::parse_text(value)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": <$type as crate::text::Text>::PATTERN,
                    "description": <$type as crate::scalar::Scalar>::HINT,
                })
            }
        }
    };
}
pub(crate) use text_type;
