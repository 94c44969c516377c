//! The OCI image manifest that a bundle has or would have, and so the digest that names its revision.
//!
//! The manifest is (OCI image specification 1.1, "Image Manifest"):
//! - `artifactType` and the config's media type: [`CONFIG_TYPE`]; the config blob is the app's declaration;
//! - one layer of type [`COMPONENT_TYPE`] per function, in the order of their names, titled `NAME.wasm`;
//! - one layer of type [`MODEL_TYPE`] or [`FILE_TYPE`] per model or other file of the app, in the order of their paths,
//!   titled with the path.
//!
//! The config blob is the declaration's JSON form with two changes, so that a revision depends on what is deployed and
//! not on where it was built: a function's `component` is the digest of its layer, and its `build` is left out. Keys
//! without a value and empty tables and lists are left out too, so that a key added by a later version changes nothing
//! for apps without it. Precompiled forms belong to no revision: they are made from it.
//!
//! Both are canonical JSON (RFC 8785): the same app gives the same bytes on every machine.

use rimward_manifest::{App, AppPath};
use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::digest::Digest;

/// The media type of an app's config blob, and its artifact type.
pub const CONFIG_TYPE: &str = "application/vnd.rimward.app.v1+json";
/// The media type of a component.
pub const COMPONENT_TYPE: &str = "application/wasm";
/// The media type of a model of an app.
pub const MODEL_TYPE: &str = "application/vnd.rimward.app.model.v1";
/// The media type of an app's other file.
pub const FILE_TYPE: &str = "application/vnd.rimward.app.file.v1";

/// The media type of an image manifest.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The annotation that names a layer.
pub(crate) const TITLE: &str = "org.opencontainers.image.title";

/// The config blob of the bundle.
pub(crate) fn config(bundle: &Bundle) -> Vec<u8> {
    let mut config = declaration(&bundle.app);
    for (name, component) in &bundle.components {
        let function = &mut config["function"][name.as_str()];
        function["component"] = component.digest.to_string().into();
        function["build"] = Value::Null;
    }
    canonical(&config)
}

/// The manifest of the bundle.
pub(crate) fn manifest(bundle: &Bundle) -> Vec<u8> {
    let config = config(bundle);
    let components = bundle.components.iter().map(|(name, component)| {
        descriptor(COMPONENT_TYPE, component.digest, component.bytes.len(), Some(&component_title(name)))
    });
    let files = bundle.files.iter().map(|(path, bytes)| {
        descriptor(file_type(&bundle.app, path), Digest::of(bytes), bytes.len(), Some(path.as_str()))
    });
    canonical(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": CONFIG_TYPE,
        "config": descriptor(CONFIG_TYPE, Digest::of(&config), config.len(), None),
        "layers": components.chain(files).collect::<Vec<_>>(),
    }))
}

/// The media type of a file of `app`.
pub(crate) fn file_type(app: &App, path: &AppPath) -> &'static str {
    if app.is_model(path) { MODEL_TYPE } else { FILE_TYPE }
}

/// The title of the layer that holds the component of the function `name`.
pub(crate) fn component_title(name: impl std::fmt::Display) -> String {
    format!("{name}.wasm")
}

fn declaration(app: &App) -> Value {
    serde_json::to_value(app).expect("a declaration has only texts as keys")
}

fn descriptor(media_type: &str, digest: Digest, size: usize, title: Option<&str>) -> Value {
    let annotations = title.map(|title| json!({ TITLE: title }));
    json!({ "mediaType": media_type, "digest": digest, "size": size, "annotations": annotations })
}

/// Canonical JSON of `value` without nulls and without empty objects and lists inside of it.
fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().filter(|(_, value)| says_something(value)).collect();
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            let member = |(name, value): (&String, &Value), out: &mut Vec<u8>| {
                write(&Value::from(name.as_str()), out);
                out.push(b':');
                write(value, out);
            };
            write_all(*b"{}", members, out, member);
        }
        Value::Array(elements) => write_all(*b"[]", elements, out, write),
        scalar => out.extend(scalar.to_string().as_bytes()),
    }
}

fn write_all<T>(
    [open, close]: [u8; 2],
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(close);
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Object(members) => members.values().any(says_something),
        Value::Array(elements) => !elements.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_has_sorted_keys_and_no_spaces() {
        let check = |value: Value, expected: &str| {
            assert_eq!(String::from_utf8(canonical(&value)).unwrap(), expected)
        };
        check(json!({ "b": 1, "a": ["x", true] }), r#"{"a":["x",true],"b":1}"#);
        check(json!({ "a": "\u{1}\n\"\\é/" }), r#"{"a":"\u0001\n\"\\é/"}"#);
        // RFC 8785, section 3.2.3: by UTF-16, where a surrogate comes before U+FB33.
        check(json!({ "\u{fb33}": 1, "\u{1f600}": 2 }), "{\"\u{1f600}\":2,\"\u{fb33}\":1}");
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        let value = json!({ "a": null, "b": {}, "c": [], "d": "", "e": { "f": null }, "g": 0 });
        assert_eq!(String::from_utf8(canonical(&value)).unwrap(), r#"{"d":"","g":0}"#);
    }
}
