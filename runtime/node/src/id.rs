//! Names of what runs here.

use rimward_manifest::Name;
use serde::Serialize;
use std::fmt;

/// The full name of a function: `tenant/app/function`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FunctionId {
    /// Its owner.
    pub tenant: Name,
    /// The app it belongs to.
    pub app: Name,
    /// Its own name.
    pub function: Name,
}

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant, self.app, self.function)
    }
}
