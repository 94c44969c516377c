//! `cargo xtask faults`: the rows of `docs/faults.md`, each with the tests that show it. A test says which rows it shows
//! at the beginning of its description: `/// G4, G6: what must hold.` A row without a test is a gap, and an id that no
//! row has is a mistake; both fail. So does a promise of `SPECIFICATION.md` that names a test which is not there, or none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::workspace::root;

/// The page with the promises: `| P1 | promise | `test`, `test` |`, or **pending**.
const PROMISES: &str = "SPECIFICATION.md";

/// The page with the rows.
const PAGE: &str = "docs/faults.md";

/// Where tests are.
const FOLDERS: [&str; 3] = ["runtime", "tests", "sdk"];

/// Lists the rows of docs/faults.md with their tests; fails where a row has none.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write JSON.
    #[arg(long)]
    json: bool,
    /// Name the tests too, not only how many there are.
    #[arg(long, short)]
    verbose: bool,
}

/// One row, with its tests as `FILE:LINE name`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    id: Id,
    fault: String,
    tests: Vec<String>,
}

/// A letter and a number, ordered as people order them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Id(char, u16);

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let rows = rows()?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        print(&rows, arguments.verbose);
    }
    gaps(&rows)?;
    promises()
}

/// The same as a check, without a word where all is well.
pub(crate) fn check() -> Result<()> {
    gaps(&rows()?)?;
    promises()
}

/// Each promise names tests that are there.
fn promises() -> Result<()> {
    let text =
        fs::read_to_string(root().join(PROMISES)).with_context(|| format!("cannot read {PROMISES}"))?;
    let mut names = BTreeSet::new();
    for file in FOLDERS.iter().flat_map(|folder| sources(&root().join(folder))) {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        names.extend(text.lines().filter_map(|line| function(line.trim_start())).map(str::to_owned));
    }
    let broken = broken(&text, &names);
    ensure!(broken.is_empty(), "promises of {PROMISES} without their tests: {}", broken.join(", "));
    Ok(())
}

/// Promises that name no test, and tests that are not there.
fn broken(text: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut broken = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, _, held_by, _] = cells[..] else { continue };
        if !matches!(number.parse(), Ok(Id('P', _))) || held_by == "**pending**" {
            continue;
        }
        let named: Vec<&str> = held_by.split(", ").map(|name| name.trim_matches('`')).collect();
        let missing = named.iter().filter(|name| !tests.contains(**name));
        broken.extend(missing.map(|name| format!("{number} `{name}`")));
    }
    broken
}

fn print(rows: &[Row], verbose: bool) {
    for Row { id, fault, tests } in rows {
        println!("{:<4} {:>3}  {fault}", id.to_string(), tests.len());
        if verbose {
            tests.iter().for_each(|test| println!("            {test}"));
        }
    }
    let tests: usize = rows.iter().map(|row| row.tests.len()).sum();
    println!("{} rows, {tests} tests", rows.len());
}

fn gaps(rows: &[Row]) -> Result<()> {
    let gaps: Vec<_> = rows.iter().filter(|row| row.tests.is_empty()).map(|row| row.id.to_string()).collect();
    ensure!(gaps.is_empty(), "rows of {PAGE} without a test: {}", gaps.join(", "));
    Ok(())
}

/// Every row with its tests.
fn rows() -> Result<Vec<Row>> {
    let page = root().join(PAGE);
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read `{}`", page.display()))?;
    let mut rows = table(&text);
    let mut unknown = Vec::new();
    for file in FOLDERS.iter().flat_map(|folder| sources(&root().join(folder))) {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let name = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        for Found { ids, line, test } in found(&text) {
            for id in ids {
                match rows.get_mut(&id) {
                    Some(row) => row.tests.push(format!("{name}:{line} {test}")),
                    None if is_of_the_page(id) => unknown.push(format!("{id} in {name}:{line}")),
                    None => {}
                }
            }
        }
    }
    ensure!(unknown.is_empty(), "rows that {PAGE} does not have: {}", unknown.join(", "));
    Ok(rows.into_values().collect())
}

/// Other pages may have rows of their own, under other letters.
fn is_of_the_page(id: Id) -> bool {
    matches!(id.0, 'G' | 'D' | 'H')
}

/// The rows of the page's tables, in their order.
fn table(text: &str) -> BTreeMap<Id, Row> {
    let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().to_owned()).collect() };
    let rows = text.lines().filter(|line| line.starts_with('|')).map(cells);
    rows.filter_map(|cells| {
        let id = cells.get(1)?.parse().ok()?;
        Some((id, Row { id, fault: cells.get(2)?.clone(), tests: Vec::new() }))
    })
    .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let path = entry.path();
            let kind = entry.file_type().ok()?;
            match (kind.is_dir(), entry.file_name() == "target") {
                (true, true) => None,
                (true, false) => Some(sources(&path)),
                (false, _) => Some(vec![path]),
            }
        })
        .flatten()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    found.sort();
    found
}

/// A test and the rows that it shows.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    ids: Vec<Id>,
    line: usize,
    test: String,
}

/// The tests of a source file that name rows: the description's first line, then an attribute that ends in `test`, then
/// the function. A description that stands before anything else names nothing.
fn found(text: &str) -> Vec<Found> {
    let mut tests = Vec::new();
    let mut named: Option<Vec<Id>> = None;
    let (mut in_description, mut is_test) = (false, false);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if let Some(description) = line.strip_prefix("/// ") {
            if !in_description {
                (named, is_test) = (ids(description), false);
            }
            in_description = true;
            continue;
        }
        in_description = line.starts_with("///");
        if line.starts_with("#[") {
            is_test |= line.contains("test]") || line.contains("test(");
        } else if let Some(name) = function(line) {
            if let (Some(ids), true) = (named.take(), is_test) {
                tests.push(Found { ids, line: index + 1, test: name.to_owned() });
            }
            is_test = false;
        } else if line.starts_with("proptest! {") || line.is_empty() {
            // The description may stand inside of it.
        } else if !line.starts_with("//") && !in_description {
            named = None;
        }
    }
    tests
}

fn function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

/// The ids at the beginning of a description, up to a colon or a full stop.
fn ids(description: &str) -> Option<Vec<Id>> {
    let (list, _) = description.split_once([':', '.'])?;
    list.split(", ").map(|id| id.parse().ok()).collect()
}

impl std::str::FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut letters = text.chars();
        let letter = letters.next().filter(char::is_ascii_uppercase).ok_or(())?;
        let number = letters.as_str();
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| number.parse().ok()).flatten().map(|number| Self(letter, number)).ok_or(())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&[Id], &str)]) {
        let found = found(text);
        let found: Vec<_> = found.iter().map(|found| (&*found.ids, &*found.test)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_test_names_its_rows_at_the_beginning_of_its_description() {
        let (g4, g6) = (Id('G', 4), Id('G', 6));
        check("/// G4: it holds.\n#[test]\nfn a() {}", &[(&[g4], "a")]);
        check("/// G4, G6: both.\n/// More.\n#[tokio::test]\nasync fn b() {}", &[(&[g4, g6], "b")]);
        check("/// G4.\n#[tokio::test(start_paused = true)]\nasync fn c() {}", &[(&[g4], "c")]);
    }

    #[test]
    fn what_is_no_test_or_names_no_row_is_left_alone() {
        check("/// G4: a constant.\nconst A: u8 = 1;\n#[test]\nfn a() {}", &[]);
        check("/// G4: a helper.\nfn a() {}", &[]);
        check("/// As G4 says: it holds.\n#[test]\nfn a() {}", &[]);
        check("/// It is about G4.\n#[test]\nfn a() {}", &[]);
    }

    #[test]
    fn a_promise_names_tests_that_are_there_or_is_pending() {
        let tests = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let check = |row: &str, expected: &[&str]| assert_eq!(broken(row, &tests), expected, "{row}");
        check("| P1 | it holds | `a`, `b` |", &[]);
        check("| P1 | it holds | `a`, `c` |", &["P1 `c`"]);
        check("| P1 | it holds |  |", &["P1 ``"]);
        check("| P1 | it will hold | **pending** |", &[]);
        check("| nr | promise | held by |", &[]);
    }

    #[test]
    fn rows_are_read_from_the_tables_and_ordered_by_number() {
        let rows = table("| id | fault | what |\n|---|---|---|\n| G10 | ten | x |\n| G2 | two | y |\n");
        let read: Vec<_> = rows.values().map(|row| (row.id, &*row.fault)).collect();
        assert_eq!(read, [(Id('G', 2), "two"), (Id('G', 10), "ten")]);
    }
}
