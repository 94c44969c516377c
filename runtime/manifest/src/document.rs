//! Walking a TOML document table by table: what was asked for is known, whatever is left over is a problem.
//!
//! [`App`](crate::App) and [`NodeFile`](crate::NodeFile) are read with it. A reader goes on after a problem, so
//! that one pass finds all of them; a value that could not be read is `None`, and then a problem has been noted.
//! It does not know what any key means.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::name::Name;
use crate::problem::{Finding, Problems, nearest};
use crate::text::Text;

/// What is wrong with one value, before its place is known.
pub(crate) struct Trouble {
    message: String,
    hint: &'static str,
    nearest: Option<String>,
}

/// A value that is not a table.
pub(crate) trait Scalar: Sized {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble>;
}

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
    findings: &'t Findings,
}

/// Parses `text` and reads the document with `read`. An error names the file `file`.
pub(crate) fn parse<T>(file: &str, text: &str, read: impl FnOnce(&mut Table<'_>) -> Option<T>) -> Result<T, Problems> {
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
        let value = self.take(key).or_else(|| self.missing(key))?;
        self.scalar(key, value)
    }

    /// The elements of the list at `key`; none where it is absent.
    pub(crate) fn list<T: Scalar, C: FromIterator<T>>(&mut self, key: &'static str) -> C {
        self.elements(key).iter().filter_map(|value| self.scalar(key, value)).collect()
    }

    /// The list at `key` of names that must be in `valid`; `what` says what they name.
    pub(crate) fn references<C: FromIterator<Name>>(&mut self, key: &'static str, what: &str, valid: &[&str]) -> C {
        let elements = self.elements(key).iter();
        elements.filter_map(|value| self.reference(key, value, what, valid)).collect()
    }

    /// The name at `key`, which must be there and in `valid`.
    pub(crate) fn required_reference(&mut self, key: &'static str, what: &str, valid: &[&str]) -> Option<Name> {
        let value = self.take(key).or_else(|| self.missing(key))?;
        self.reference(key, value, what, valid)
    }

    /// The table at `key`, read with `read`, if it is there.
    pub(crate) fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Table<'_>) -> Option<T>) -> Option<T> {
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
        let entry = |(name, value): (&'t Spanned<std::borrow::Cow<'t, str>>, _)| {
            let parsed = name.get_ref().parse().map_err(|error: K::Err| table.problem(name.span(), error.to_string()));
            let value = table.scalar(name.get_ref(), value);
            Some((parsed.ok()?, value?))
        };
        table.entries.iter().filter_map(entry).collect()
    }

    /// Keys that a later version reads: known, and refused by name.
    pub(crate) fn not_yet(&mut self, keys: &[&'static str]) {
        for key in keys {
            if self.entries.contains_key(*key) {
                let (span, name) = (self.key_span(key), self.full(key));
                self.problem(span, format!("`{name}` is not supported by this version yet"));
            }
        }
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

    /// Notes a problem at `span`.
    pub(crate) fn problem(&self, span: Range<usize>, message: String) {
        self.note(Finding { span, message, hint: None, nearest: None });
    }

    /// Notes a problem at the value of `key`, or at the table where there is none.
    pub(crate) fn problem_at(&self, key: &str, message: String, hint: &str) {
        let span = self.entries.get(key).map_or(self.span.clone(), Spanned::span);
        self.note(Finding { span, message, hint: Some(hint.into()), nearest: None });
    }

    /// Notes that the table lacks `key`.
    pub(crate) fn missing<T>(&self, key: &str) -> Option<T> {
        let place = if self.path.is_empty() { String::new() } else { format!(" in `[{}]`", self.path) };
        self.problem(self.span.clone(), format!("`{key}` is missing{place}"));
        None
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
        Some(Table { entries, path: self.full(key), span, known: Vec::new(), findings: self.findings })
    }

    fn scalar<T: Scalar>(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<T> {
        T::scalar(value.get_ref()).map_err(|trouble| self.note(trouble.found(key, value.span()))).ok()
    }

    fn name(&self, key: &Spanned<std::borrow::Cow<'_, str>>) -> Option<Name> {
        let parsed = key.get_ref().parse::<Name>();
        let trouble = parsed.as_ref().err().map(|error| Trouble::new(error.to_string(), Name::HINT));
        if let Some(trouble) = trouble {
            self.note(Finding { message: trouble.message.clone(), ..trouble.found("", key.span()) });
        }
        parsed.ok()
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
        self.problem(value.span(), format!("`{key}` must be {expected}, not {found}"));
    }

    fn report_unknown(&self) {
        for key in self.entries.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref().as_ref();
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

impl Trouble {
    pub(crate) fn new(message: impl Into<String>, hint: &'static str) -> Self {
        Self { message: message.into(), hint, nearest: None }
    }

    fn found(self, key: &str, span: Range<usize>) -> Finding {
        let hint = (!self.hint.is_empty()).then(|| self.hint.into());
        Finding { span, message: format!("`{key}`: {}", self.message), hint, nearest: self.nearest }
    }
}

/// A string value as `T`.
pub(crate) fn parse_text<T: Text>(value: &DeValue<'_>) -> Result<T, Trouble> {
    let text = value.as_str().ok_or_else(|| expected("a string", value, T::HINT))?;
    text.parse().map_err(|error: T::Err| Trouble::new(error.to_string(), T::HINT))
}

/// What a value is, with its article, for a message.
pub(crate) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn expected(what: &str, value: &DeValue<'_>, hint: &'static str) -> Trouble {
    Trouble::new(format!("{what} is expected, not {}", type_name(value)), hint)
}

/// A string value out of a list of words.
pub(crate) fn choice<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Result<T, Trouble> {
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let listed = listed(&names);
    let found = value.as_str().map_or_else(|| type_name(value).to_owned(), |text| format!("`{text}`"));
    let chosen = words.iter().find(|(word, _)| value.as_str() == Some(word));
    chosen.map(|(_, choice)| *choice).ok_or_else(|| Trouble {
        nearest: value.as_str().and_then(|text| nearest(text, names)),
        ..Trouble::new(format!("{found} is not one of {listed}"), "")
    })
}

fn listed(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

impl Scalar for String {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        value.as_str().map(Self::from).ok_or_else(|| expected("a string", value, ""))
    }
}

impl Scalar for PathBuf {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        match value.as_str() {
            Some("") => Err(Trouble::new("the path is empty", "")),
            Some(path) => Ok(path.into()),
            None => Err(expected("a path", value, "")),
        }
    }
}

impl Scalar for bool {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        value.as_bool().ok_or_else(|| expected("`true` or `false`", value, "write it without quotes"))
    }
}

impl Scalar for u32 {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        let integer = value.as_integer().ok_or_else(|| expected("a whole number", value, ""))?;
        let number = u32::from_str_radix(integer.as_str(), integer.radix());
        number.map_err(|_| Trouble::new(format!("`{integer}` is not between 0 and {}", u32::MAX), ""))
    }
}

impl Scalar for NonZeroU32 {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        Self::new(u32::scalar(value)?).ok_or_else(|| Trouble::new("the number is zero", "at least 1 is needed"))
    }
}

impl Scalar for std::net::SocketAddr {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        const HINT: &str = "an address is an IP address and a port, as in `127.0.0.1:8080` or `[::]:8080`";
        let text = value.as_str().ok_or_else(|| expected("an address", value, HINT))?;
        text.parse().map_err(|_| Trouble::new(format!("`{text}` is not an address with a port"), HINT))
    }
}
