//! Which function answers a request: a frozen snapshot, swapped whole when a revision is installed.

use crate::failure::Failure;
use crate::revision::Deployed;
use http::Method;
use rimward_manifest::{Lookup, RouteTable};
use std::sync::Arc;

/// The snapshot; none before the first app.
#[derive(Default)]
pub(crate) struct Routes {
    table: Option<RouteTable<Arc<Deployed>>>,
}

impl Routes {
    pub(crate) fn new(table: RouteTable<Arc<Deployed>>) -> Self {
        Self { table: Some(table) }
    }

    pub(crate) fn find(&self, method: &Method, host: &str, path: &str) -> Result<Arc<Deployed>, Failure> {
        let table = self.table.as_ref().ok_or(Failure::NoApp)?;
        match table.find(method, host, path) {
            Lookup::Found { value, .. } => Ok(value.clone()),
            Lookup::MethodNotAllowed { allow } => Err(Failure::Method { allow }),
            Lookup::NotFound => Err(Failure::NoRoute),
        }
    }
}
