//! The models that are offered to other machines, by the names that those use.

use super::ModelGrant;
use rimward_inference::{Error, Kind};
use std::collections::BTreeMap;

/// Models of several apps. Each is known as `APP.NAME`; and as `NAME`, where no other app has one of that name.
#[derive(Debug, Default)]
pub struct Offered {
    by_name: BTreeMap<String, ModelGrant>,
    /// Whose they are, for names of several.
    apps: BTreeMap<String, Vec<String>>,
}

impl Offered {
    /// Adds a model of an app.
    pub fn insert(&mut self, app: &str, grant: ModelGrant) {
        let name = grant.model.name.clone();
        self.by_name.insert(format!("{app}.{name}"), grant.clone());
        let apps = self.apps.entry(name.clone()).or_default();
        apps.push(app.to_owned());
        match apps.len() {
            1 => self.by_name.insert(name, grant),
            _ => self.by_name.remove(&name),
        };
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.apps.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.apps.is_empty()
    }

    /// The model of that name.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn find(&self, name: &str) -> Result<&ModelGrant, Error> {
        self.by_name.get(name).ok_or_else(|| {
            let text = match self.apps.get(name) {
                Some(apps) => {
                    let names: Vec<_> = apps.iter().map(|app| format!("`{app}.{name}`")).collect();
                    format!("several apps have a model `{name}`: ask for {}", names.join(" or "))
                }
                None => format!("there is no model `{name}` here"),
            };
            Error::new(Kind::NotFound, text)
        })
    }
}
