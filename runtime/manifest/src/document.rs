//! Walking a TOML document table by table: what was asked for is known, whatever is left over is a problem.
//!
//! [`App`](crate::App) and [`NodeFile`](crate::NodeFile) are read with it. A reader goes on after a problem, so
//! that one pass finds all of them; a value that could not be read is `None`, and then a problem has been noted.
//! It does not know what any key means.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::name::{Name, NameError};
use crate::problem::{Finding, Problems, nearest};
use crate::scalar::{Scalar, Trouble, listed, type_name};

/// The problems found so far.
#[derive(Default)]
pub(crate) struct Findings(RefCell<Vec<Finding>>);

/// One table while it is read.
pub(crate) struct Table<'t> {
    entries: &'t DeTable<'t>,
    /// As a header would name it: `function.classify`; empty for the document.
    path: String,
    /// Where to complain about the table as a whole.
    span: Range<usize>,
    known: Vec<&'static str>,
    /// Keys that are known and refused.
    refused: &'static [&'static str],
    findings: &'t Findings,
}

/// Parses `text` and reads the document with `read`. An error names the file `file`.
pub(crate) fn parse<T>(
    file: &str,
    text: &str,
    read: impl FnOnce(&mut Table<'_>) -> Option<T>,
) -> Result<T, Problems> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(Problems::new(file, text, errors.iter().map(syntax).collect()));
    }
    let findings = Findings::default();
    let root = Table {
        entries: document.get_ref(),
        path: String::new(),
        span: 0..0,
        known: Vec::new(),
        refused: &[],
        findings: &findings,
    };
    let value = root.read(read);
    match (value, findings.0.into_inner()) {
        (Some(value), found) if found.is_empty() => Ok(value),
        (_, found) => Err(Problems::new(file, text, found)),
    }
}

fn syntax(error: &toml::de::Error) -> Finding {
    let message = error.message().trim().replace('\n', ", ");
    Finding { span: error.span().unwrap_or(0..0), message, hint: None, nearest: None }
}

impl<'t> Table<'t> {
    /// Runs `read` over the table, then reports every key that it did not ask for.
    fn read<T>(mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let value = read(&mut self);
        self.report_unknown();
        value
    }

    /// The value of `key`, if it is there.
    pub(crate) fn optional<T: Scalar>(&mut self, key: &'static str) -> Option<T> {
        let value = self.take(key)?;
        self.scalar(key, value)
    }

    /// The value of `key`, which must be there.
    pub(crate) fn required<T: Scalar>(&mut self, key: &'static str) -> Option<T> {
        let value = self.take(key).or_else(|| self.missing(key, T::HINT))?;
        self.scalar(key, value)
    }

    /// The elements of the list at `key`; none where it is absent.
    pub(crate) fn list<T: Scalar, C: FromIterator<T>>(&mut self, key: &'static str) -> C {
        self.elements(key).iter().filter_map(|value| self.scalar(key, value)).collect()
    }

    /// The list at `key`, if it is there and every element can be read.
    pub(crate) fn optional_list<T: Scalar>(&mut self, key: &'static str) -> Option<Vec<T>> {
        let read: Vec<_> = self.elements(key).iter().map(|value| self.scalar(key, value)).collect();
        read.into_iter().collect::<Option<_>>().filter(|_| self.has(key))
    }

    /// The list at `key`, which must be there and not be empty; `hint` says what goes into it.
    pub(crate) fn required_list<T: Scalar>(&mut self, key: &'static str, hint: &str) -> Option<Vec<T>> {
        let list = self.optional_list(key);
        self.check_filled(key, hint);
        list
    }

    /// Notes where the list at `key` is not there or is empty; `hint` says what goes into it.
    pub(crate) fn check_filled(&self, key: &str, hint: &str) {
        match self.entries.get(key).map(|value| value.get_ref().as_array()) {
            None => drop(self.missing::<()>(key, hint)),
            Some(Some(array)) if array.is_empty() => self.problem_at(key, format!("`{key}` is empty"), hint),
            Some(_) => {}
        }
    }

    /// The list at `key` of names that must be in `valid`; `what` says what they name.
    pub(crate) fn references<C: FromIterator<Name>>(
        &mut self,
        key: &'static str,
        what: &str,
        valid: &[&str],
    ) -> C {
        let elements = self.elements(key).iter();
        elements.filter_map(|value| self.reference(key, value, what, valid)).collect()
    }

    /// The name at `key`, if it is there; it must be in `valid`.
    pub(crate) fn optional_reference(
        &mut self,
        key: &'static str,
        what: &str,
        valid: &[&str],
    ) -> Option<Name> {
        let value = self.take(key)?;
        self.reference(key, value, what, valid)
    }

    /// The name at `key`, which must be there and in `valid`.
    pub(crate) fn required_reference(
        &mut self,
        key: &'static str,
        what: &str,
        valid: &[&str],
    ) -> Option<Name> {
        let value = self.take(key).or_else(|| self.missing(key, ""))?;
        self.reference(key, value, what, valid)
    }

    /// The table at `key`, read with `read`, if it is there.
    pub(crate) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(key)?;
        self.below(key, self.key_span(key), value)?.read(read)
    }

    /// Each table of the array of tables at `key`.
    pub(crate) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Table<'_>) -> Option<T>,
    ) -> Vec<T> {
        let elements = self.elements(key).iter();
        elements.filter_map(|value| self.below(key, value.span(), value)?.read(&mut read)).collect()
    }

    /// Each table of the table at `key`, by name.
    pub(crate) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Table<'_>) -> Option<T>,
    ) -> BTreeMap<Name, T> {
        let Some(tables) = self.inner(key) else { return BTreeMap::new() };
        let entry = |(name, value): (&'t Spanned<_>, &'t Spanned<DeValue<'t>>)| {
            let parsed = tables.name(name);
            let table = tables.below(name.get_ref(), name.span(), value)?.read(&mut read);
            Some((parsed?, table?))
        };
        tables.entries.iter().filter_map(entry).collect()
    }

    /// The table at `key` from texts that `K` accepts to values.
    pub(crate) fn map<K, V>(&mut self, key: &'static str) -> BTreeMap<K, V>
    where
        K: FromStr<Err: std::fmt::Display> + Ord,
        V: Scalar,
    {
        let Some(table) = self.inner(key) else { return BTreeMap::new() };
        let entry = |(name, value): (&'t Spanned<Cow<'t, str>>, _)| {
            let parsed = name.get_ref().parse();
            let parsed = parsed.map_err(|error: K::Err| table.problem(name.span(), error.to_string(), ""));
            let value = table.scalar(name.get_ref(), value);
            Some((parsed.ok()?, value?))
        };
        table.entries.iter().filter_map(entry).collect()
    }

    /// Keys that a later version reads: refused by name, not as unknown.
    pub(crate) fn not_yet(&mut self, keys: &'static [&'static str]) {
        self.refused = keys;
        for key in keys.iter().filter(|key| self.has(key)) {
            let message = format!("`{}` is not supported by this version yet", self.full(key));
            self.problem(self.key_span(key), message, "leave it out");
        }
    }

    /// The table as a header names it: `function.classify`.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether there is anything at `key`.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The keys of the table at `key`, without reading it: what other tables may refer to.
    pub(crate) fn names_of(&self, key: &str) -> Vec<&'t str> {
        let table = self.entries.get(key).and_then(|value| value.get_ref().as_table());
        table.into_iter().flat_map(|table| table.keys().map(|key| key.get_ref().as_ref())).collect()
    }

    /// Notes a problem at the value of `key`, or at the table where there is none.
    pub(crate) fn problem_at(&self, key: &str, message: String, hint: &str) {
        let span = self.entries.get(key).map_or(self.span.clone(), Spanned::span);
        self.problem(span, message, hint);
    }

    /// Notes that the table lacks `key`.
    pub(crate) fn missing<T>(&self, key: &str, hint: &str) -> Option<T> {
        let place = if self.path.is_empty() { String::new() } else { format!(" in `[{}]`", self.path) };
        self.problem(self.span.clone(), format!("`{key}` is missing{place}"), hint);
        None
    }

    fn problem(&self, span: Range<usize>, message: String, hint: &str) {
        self.note(Finding { span, message, hint: unless_empty(hint), nearest: None });
    }

    fn take(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.entries.get(key)
    }

    fn elements(&mut self, key: &'static str) -> &'t [Spanned<DeValue<'t>>] {
        let Some(value) = self.take(key) else { return &[] };
        value.get_ref().as_array().map(|array| &**array).unwrap_or_else(|| {
            self.wrong_type(key, value, "a list");
            &[]
        })
    }

    /// The table at `key` as one whose keys the file's author chooses.
    fn inner(&mut self, key: &'static str) -> Option<Table<'t>> {
        let value = self.take(key)?;
        self.below(key, self.key_span(key), value)
    }

    fn below(&self, key: &str, span: Range<usize>, value: &'t Spanned<DeValue<'t>>) -> Option<Table<'t>> {
        let Some(entries) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table");
            return None;
        };
        Some(Table {
            entries,
            path: self.full(key),
            span,
            known: Vec::new(),
            refused: &[],
            findings: self.findings,
        })
    }

    fn scalar<T: Scalar>(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<T> {
        let note = |trouble: Trouble| {
            let message = format!("`{key}`: {}", trouble.message);
            self.note(Finding {
                span: value.span(),
                message,
                hint: unless_empty(T::HINT),
                nearest: trouble.nearest,
            });
        };
        T::scalar(value.get_ref()).map_err(note).ok()
    }

    fn name(&self, key: &Spanned<Cow<'_, str>>) -> Option<Name> {
        let note = |error: NameError| self.problem(key.span(), error.to_string(), Name::HINT);
        key.get_ref().parse().map_err(note).ok()
    }

    fn reference(&self, key: &str, value: &Spanned<DeValue<'_>>, what: &str, valid: &[&str]) -> Option<Name> {
        let name: Name = self.scalar(key, value)?;
        if valid.contains(&name.as_str()) {
            return Some(name);
        }
        self.note(Finding {
            span: value.span(),
            message: format!("there is no {what} `{name}` in this file"),
            hint: Some(format!("declare it as `[{what}.{name}]`")),
            nearest: nearest(name.as_str(), valid.iter().copied()),
        });
        None
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = type_name(value.get_ref());
        self.problem(value.span(), format!("`{key}` must be {expected}, not {found}"), "");
    }

    fn report_unknown(&self) {
        for key in self.entries.keys() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) || self.refused.contains(&name) {
                continue;
            }
            let place = if self.path.is_empty() { "this file".into() } else { format!("`[{}]`", self.path) };
            self.note(Finding {
                span: key.span(),
                message: format!("unknown key `{name}` in {place}"),
                hint: Some(format!("the keys here are {}", listed(&self.known))),
                nearest: nearest(name, self.known.iter().copied()),
            });
        }
    }

    fn note(&self, finding: Finding) {
        self.findings.0.borrow_mut().push(finding);
    }

    fn key_span(&self, key: &str) -> Range<usize> {
        self.entries.get_key_value(key).map_or(self.span.clone(), |(key, _)| key.span())
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }
}

/// A hint, unless there is nothing to say.
fn unless_empty(hint: &str) -> Option<String> {
    (!hint.is_empty()).then(|| hint.into())
}
