//! Which store is meant: the owner, the app and the name.
//!
//! Parsed at the rim, because the three parts become folder and file names: a part that is not a DNS label is refused,
//! so that no name can leave the state directory or meet another tenant's.

use std::fmt;
use std::path::{Path, PathBuf};

/// Longest part of a store's name, in bytes: a DNS label (RFC 1035 section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// The full name of a store: `tenant/app/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreId {
    tenant: String,
    app: String,
    name: String,
}

/// A part of a store's name is not a DNS label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit")]
pub struct InvalidName(pub String);

impl StoreId {
    /// Checks the three parts; each is a DNS label.
    pub fn new(tenant: &str, app: &str, name: &str) -> Result<StoreId, InvalidName> {
        Ok(StoreId { tenant: label(tenant)?, app: label(app)?, name: label(name)? })
    }

    /// The store's file below the state directory.
    pub(crate) fn file(&self, state: &Path) -> PathBuf {
        let folder = state.join("tenants").join(&self.tenant).join(&self.app).join("stores");
        folder.join(format!("{}.redb", self.name))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant, self.app, self.name)
    }
}

fn label(text: &str) -> Result<String, InvalidName> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ok = (1..=LABEL_BYTES_MAX).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if ok { Ok(text.to_owned()) } else { Err(InvalidName(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_name_is_a_dns_label() {
        for good in ["a", "a-b", "0", "shop-camera-2", &"a".repeat(63)] {
            assert!(StoreId::new(good, good, good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a\\b", "-a", "a-", "A", "a.b", "a_b", "ä", "a\0", &"a".repeat(64)]
        {
            assert_eq!(StoreId::new("t", "a", bad), Err(InvalidName(bad.to_owned())));
            assert_eq!(StoreId::new("t", bad, "n"), Err(InvalidName(bad.to_owned())));
            assert_eq!(StoreId::new(bad, "a", "n"), Err(InvalidName(bad.to_owned())));
        }
    }

    #[test]
    fn the_file_is_in_the_folder_of_tenant_and_app() {
        let id = StoreId::new("acme", "shop", "counts").unwrap();
        assert_eq!(id.file(Path::new("/s")), Path::new("/s/tenants/acme/shop/stores/counts.redb"));
    }
}
