//! Files that a declaration names: inside the app's folder, where they travel with it, or on the node.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use crate::text::text_type;

/// A file inside the app's folder: a relative path of plain parts, with `/` between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppPath(Box<str>);

/// Why a text is not a path inside the app's folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppPathError {
    /// Nothing between the quotes.
    #[error("the path is empty")]
    Empty,
    /// `/etc/...`, or a part `..`, `.` or nothing.
    #[error("the path `{0}` leaves the app's folder or is not in its plain form")]
    NotInside(String),
}

/// A file and the side that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAt {
    /// In the app's folder, and in its bundle.
    App(AppPath),
    /// On the node; absolute once the file that names it was read from disk.
    Node(PathBuf),
}

impl AppPath {
    /// The path with `/` between its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file under the app's folder.
    pub fn under(&self, folder: &Path) -> PathBuf {
        folder.join(&*self.0)
    }
}

impl FromStr for AppPath {
    type Err = AppPathError;

    fn from_str(text: &str) -> Result<Self, AppPathError> {
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
        match text {
            "" => Err(AppPathError::Empty),
            _ if text.split('/').all(plain) => Ok(Self(text.into())),
            _ => Err(AppPathError::NotInside(text.into())),
        }
    }
}

impl fmt::Display for AppPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_type!(
    AppPath,
    pattern: r"^[^/\\]+(/[^/\\]+)*$",
    hint: "a file that travels with the app is named by a path below the app's folder, as in `certs/ca.pem`"
);

impl Serialize for FileAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::App(path) => path.serialize(serializer),
            Self::Node(path) => path.serialize(serializer),
        }
    }
}

impl JsonSchema for FileAt {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FileAt".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PathBuf::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_app_stays_in_its_folder() {
        for path in ["ca.pem", "certs/ca.pem", "a/b/c"] {
            assert_eq!(path.parse::<AppPath>().unwrap().as_str(), path);
        }
        for path in ["", "/etc/ca.pem", "../ca.pem", "a/../b", "./a", "a//b", "a/", "a\\b"] {
            assert!(path.parse::<AppPath>().is_err(), "{path}");
        }
    }
}
