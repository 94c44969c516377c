//! The index of an outbox: its tables, and every change that they go through.
//!
//! Called by the writer within its one transaction per group, and by readers with a snapshot. Knows no files, threads and
//! policies of others. Nothing of it is held in memory, so a million calls cost what their pages in the cache cost.
//!
//! A lane is a sequence of calls that are delivered one after the other. Only the first call of a lane has a row in `due`,
//! which holds what is to be delivered, most urgent first, then by time.

mod look;
mod work;

pub(super) use self::look::{due, find, has_blob, page, telling};

use self::work::Work;
use super::Trouble;
use super::clock::Moment;
use super::letter::{Content, Letter};
use super::policy::Policy;
use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};

/// The number of the format this version writes, and the newest it reads.
pub(super) const FORMAT: u64 = 1;

/// accepted, urgency, key, whether the caller brought it, lane, method, path, headers, inline body, blob, body bytes.
type Row = (
    u64,
    u8,
    &'static str,
    bool,
    Option<&'static str>,
    &'static str,
    &'static str,
    &'static [u8],
    &'static [u8],
    u64,
    u64,
);
/// at, attempts, status, headers, body, whether all of it was kept, key, path.
type AnswerRow = (u64, u32, u16, &'static [u8], &'static [u8], bool, &'static str, &'static str);

const CALLS: TableDefinition<'_, u64, Row> = TableDefinition::new("calls");
const DUE: TableDefinition<'_, (u8, u64, u64), ()> = TableDefinition::new("due");
const LANES: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("lanes");
/// attempts, due, renewed, reason.
const TRIES: TableDefinition<'_, u64, (u32, u64, u64, &str)> = TableDefinition::new("tries");
const KEYS: TableDefinition<'_, &str, (u64, u64)> = TableDefinition::new("keys");
const KEY_AGES: TableDefinition<'_, (u64, u64), &str> = TableDefinition::new("key-ages");
const DEAD: TableDefinition<'_, u64, (u64, u32, &str)> = TableDefinition::new("dead");
const DEAD_CALLS: TableDefinition<'_, u64, Row> = TableDefinition::new("dead-calls");
const ANSWERS: TableDefinition<'_, u64, AnswerRow> = TableDefinition::new("answers");
/// due, attempts.
const TELLING: TableDefinition<'_, u64, (u64, u32)> = TableDefinition::new("telling");
const BLOBS: TableDefinition<'_, u64, u64> = TableDefinition::new("blobs");
pub(super) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("rimward-outbox");

pub(super) const KEY_FORMAT: &str = "format";
const KEY_MARK: &str = "mark";

/// Sums over the tables, kept in step with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) mark: u32,
    pub(super) next: u64,
    pub(super) bytes: u64,
    pub(super) dead_bytes: u64,
    pub(super) answers_bytes: u64,
    /// Of answers that a function is still to be told of.
    pub(super) telling_bytes: u64,
    pub(super) last: Moment,
    /// Rows, read when the sums are.
    pub(super) calls: u64,
    pub(super) dead: u64,
    /// When the oldest waiting call was accepted.
    pub(super) oldest_ms: Option<u64>,
}

/// One change of the index.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Push(Box<Letter>),
    /// The upstream took it.
    Delivered(u64, Box<Answered>),
    /// It failed, and is due again then; `counts` as one of its attempts.
    Later {
        number: u64,
        due_ms: u64,
        reason: String,
        counts: bool,
    },
    /// It is not delivered any more.
    Dead {
        number: u64,
        reason: String,
        counts: bool,
    },
    /// A dead one is to be delivered once more.
    Requeue(u64),
    /// A waiting or dead one is forgotten.
    Discard(u64),
    /// A waiting one is due now.
    Hurry(u64),
    /// The function was told of an answer, or is not told any more.
    Told(u64),
    /// It could not be told, and is to be told again then.
    TellLater {
        number: u64,
        due_ms: u64,
    },
    /// What is too old or too much goes.
    Tidy,
}

/// What the upstream answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// The status.
    pub(super) status: u16,
    /// The headers, as [`packed`](super::letter::packed).
    pub(super) headers: Vec<u8>,
    /// The body, as much of it as is kept.
    pub(super) body: Bytes,
    /// Whether that is all of it.
    pub(super) is_whole: bool,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Pushed {
        number: u64,
        is_new: bool,
    },
    Full,
    TooLarge,
    /// It did something, or there was nothing to do it to.
    Done(bool),
}

/// What happened in a transaction, for the counters; and what is to be removed once it is on disk.
#[derive(Debug, Default)]
pub(super) struct Happened {
    pub(super) deferred: u64,
    pub(super) delivered: u64,
    pub(super) died: u64,
    pub(super) dropped: u64,
    pub(super) buried: u64,
    pub(super) blobs: Vec<u64>,
}

/// How often a call was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tries {
    pub(super) attempts: u32,
    pub(super) due_ms: u64,
    pub(super) renewed_ms: u64,
    pub(super) reason: String,
}

/// A dead call's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) at_ms: u64,
    pub(super) attempts: u32,
    pub(super) reason: String,
}

/// A kept answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) at_ms: u64,
    pub(super) attempts: u32,
    pub(super) key: String,
    pub(super) path: String,
    pub(super) answer: Answered,
}

/// What an index has under a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Waiting(Letter, Tries),
    Dead(Letter, End),
    Delivered(Kept),
    Nothing,
}

/// Writes the tables and the format's number into a new database.
pub(super) fn begin(transaction: &WriteTransaction, mark: u32) -> Result<(), Trouble> {
    drop(Tables::open(transaction)?);
    let mut numbers = transaction.open_table(NUMBERS)?;
    numbers.insert(KEY_FORMAT, FORMAT)?;
    numbers.insert(KEY_MARK, u64::from(mark))?;
    Ok(())
}

/// Makes `changes`, and says what came of each.
pub(super) fn apply(
    transaction: &WriteTransaction,
    changes: Vec<Change>,
    policy: &Policy,
    now: Moment,
) -> Result<(Vec<Effect>, Happened, Sums), Trouble> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    let mut sums = read_sums(&numbers)?;
    // Time never runs backwards in the file, even if two clocks disagree.
    sums.last = Moment { outbox_ms: now.outbox_ms.max(sums.last.outbox_ms), wall_ms: now.wall_ms };
    let mut work = Work::new(Tables::open(transaction)?, policy, now.outbox_ms, sums);
    let effects = changes.into_iter().map(|change| work.apply(change)).collect::<Result<Vec<_>, _>>()?;
    let Work { tables, mut sums, happened, .. } = work;
    write_sums(&mut numbers, &sums)?;
    sums.calls = tables.calls.len()?;
    sums.dead = tables.dead.len()?;
    sums.oldest_ms = tables.calls.first()?.map(|(_, row)| row.value().0);
    Ok((effects, happened, sums))
}

/// The sums of a snapshot.
pub(super) fn sums(snapshot: &ReadTransaction) -> Result<Sums, Trouble> {
    let mut sums = read_sums(&snapshot.open_table(NUMBERS)?)?;
    let calls = snapshot.open_table(CALLS)?;
    sums.calls = calls.len()?;
    sums.oldest_ms = calls.first()?.map(|(_, row)| row.value().0);
    sums.dead = snapshot.open_table(DEAD)?.len()?;
    Ok(sums)
}

const SUMS: [&str; 8] =
    ["mark", "next", "bytes", "dead-bytes", "answers-bytes", "telling-bytes", "outbox-ms", "wall-ms"];

fn read_sums(numbers: &impl ReadableTable<&'static str, u64>) -> Result<Sums, Trouble> {
    let mut found = [0; SUMS.len()];
    for (found, key) in found.iter_mut().zip(SUMS) {
        *found = numbers.get(key)?.map_or(0, |number| number.value());
    }
    let [mark, next, bytes, dead_bytes, answers_bytes, telling_bytes, outbox_ms, wall_ms] = found;
    Ok(Sums {
        mark: u32::try_from(mark).unwrap_or_default(),
        next,
        bytes,
        dead_bytes,
        answers_bytes,
        telling_bytes,
        last: Moment { outbox_ms, wall_ms },
        ..Sums::default()
    })
}

fn write_sums(numbers: &mut Table<'_, &'static str, u64>, sums: &Sums) -> Result<(), Trouble> {
    let values = [
        u64::from(sums.mark),
        sums.next,
        sums.bytes,
        sums.dead_bytes,
        sums.answers_bytes,
        sums.telling_bytes,
        sums.last.outbox_ms,
        sums.last.wall_ms,
    ];
    for (key, value) in SUMS.into_iter().zip(values) {
        numbers.insert(key, value)?;
    }
    Ok(())
}

struct Tables<'t> {
    calls: Table<'t, u64, Row>,
    due: Table<'t, (u8, u64, u64), ()>,
    lanes: Table<'t, (&'static str, u64), ()>,
    tries: Table<'t, u64, (u32, u64, u64, &'static str)>,
    keys: Table<'t, &'static str, (u64, u64)>,
    key_ages: Table<'t, (u64, u64), &'static str>,
    dead: Table<'t, u64, (u64, u32, &'static str)>,
    dead_calls: Table<'t, u64, Row>,
    answers: Table<'t, u64, AnswerRow>,
    telling: Table<'t, u64, (u64, u32)>,
    blobs: Table<'t, u64, u64>,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, Trouble> {
        Ok(Self {
            calls: transaction.open_table(CALLS)?,
            due: transaction.open_table(DUE)?,
            lanes: transaction.open_table(LANES)?,
            tries: transaction.open_table(TRIES)?,
            keys: transaction.open_table(KEYS)?,
            key_ages: transaction.open_table(KEY_AGES)?,
            dead: transaction.open_table(DEAD)?,
            dead_calls: transaction.open_table(DEAD_CALLS)?,
            answers: transaction.open_table(ANSWERS)?,
            telling: transaction.open_table(TELLING)?,
            blobs: transaction.open_table(BLOBS)?,
        })
    }
}

type RowOf<'a> = (u64, u8, &'a str, bool, Option<&'a str>, &'a str, &'a str, &'a [u8], &'a [u8], u64, u64);

fn row(letter: &Letter) -> RowOf<'_> {
    let (inline, blob, bytes): (&[u8], u64, u64) = match &letter.content {
        Content::Inline(bytes) => (bytes, 0, bytes.len() as u64),
        Content::Blob { id, bytes } => (&[], *id, *bytes),
    };
    (
        letter.accepted_ms,
        letter.urgency,
        &letter.key,
        letter.is_callers_key,
        letter.lane.as_deref(),
        &letter.method,
        &letter.path,
        &letter.headers,
        inline,
        blob,
        bytes,
    )
}

fn letter(row: RowOf<'_>) -> Letter {
    let (accepted_ms, urgency, key, is_callers_key, lane, method, path, headers, inline, blob, bytes) = row;
    Letter {
        accepted_ms,
        urgency,
        key: key.to_owned(),
        is_callers_key,
        lane: lane.map(str::to_owned),
        method: method.to_owned(),
        path: path.to_owned(),
        headers: headers.to_vec(),
        content: match blob {
            0 => Content::Inline(Bytes::copy_from_slice(inline)),
            id => Content::Blob { id, bytes },
        },
    }
}

fn tries((attempts, due_ms, renewed_ms, reason): (u32, u64, u64, &str)) -> Tries {
    Tries { attempts, due_ms, renewed_ms, reason: reason.to_owned() }
}

fn kept(row: (u64, u32, u16, &[u8], &[u8], bool, &str, &str)) -> Kept {
    let (at_ms, attempts, status, headers, body, is_whole, key, path) = row;
    let answer = Answered { status, headers: headers.to_vec(), body: Bytes::copy_from_slice(body), is_whole };
    Kept { at_ms, attempts, key: key.to_owned(), path: path.to_owned(), answer }
}
