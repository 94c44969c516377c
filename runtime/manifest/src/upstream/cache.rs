//! Which answers of an upstream are kept, as declared.

use schemars::JsonSchema;
use serde::Serialize;

use crate::bytes::Bytes;
use crate::document::Table;
use crate::limits::{CACHE_BODY_BYTES, CACHE_BYTES};

/// How many answers are kept, and given again as RFC 9111 allows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cache {
    /// What all of them may take in memory [default: 16MiB].
    pub bytes: Option<Bytes>,
    /// The largest body of one [default: 1MiB].
    pub body: Option<Bytes>,
}

impl Cache {
    /// What all answers may take.
    pub fn total(&self) -> u64 {
        self.bytes.map_or(CACHE_BYTES, Bytes::get)
    }

    /// What the body of one may have.
    pub fn one(&self) -> u64 {
        self.body.map_or(CACHE_BODY_BYTES.min(self.total()), Bytes::get)
    }

    pub(crate) fn read(table: &mut Table<'_>) -> Option<Self> {
        let cache = Self { bytes: table.optional("bytes"), body: table.optional("body") };
        if cache.one() > cache.total() {
            let message = "one answer may be larger than all of them together".to_owned();
            table.problem_at("body", message, "`body` is at most `bytes`");
        }
        Some(cache)
    }
}
