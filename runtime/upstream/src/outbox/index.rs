//! The index of an outbox: its tables, and every change that they go through.
//!
//! Called by the writer within its one transaction per group, and by readers with a snapshot. Knows no files, threads and
//! policies of others. Nothing of it is held in memory, so a million calls cost what their pages in the cache cost.
//!
//! A lane is a sequence of calls that are delivered one after the other. Only the first call of a lane has a row in `due`,
//! which holds what is to be delivered, most urgent first, then by time.

use super::Trouble;
use super::clock::{Moment, millis};
use super::letter::{Content, Letter};
use super::policy::{Policy, WhenFull};
use crate::limits::outbox as limits;
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
    let mut work = Work {
        tables: Tables::open(transaction)?,
        policy,
        now_ms: now.outbox_ms,
        sums,
        happened: Happened::default(),
    };
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

/// One transaction under way.
struct Work<'t, 'p> {
    tables: Tables<'t>,
    policy: &'p Policy,
    now_ms: u64,
    sums: Sums,
    happened: Happened,
}

impl Work<'_, '_> {
    fn apply(&mut self, change: Change) -> Result<Effect, Trouble> {
        let done = match change {
            Change::Push(letter) => return self.push(*letter),
            Change::Delivered(number, answered) => self.delivered(number, *answered)?,
            Change::Later { number, due_ms, reason, counts } => {
                self.later(number, due_ms, &reason, counts)?
            }
            Change::Dead { number, reason, counts } => self.die(number, &reason, counts)?,
            Change::Requeue(number) => self.requeue(number)?,
            Change::Discard(number) => self.discard(number)?,
            Change::Hurry(number) => self.reschedule(number, |tries, now| tries.due_ms = now)?,
            Change::Told(number) => self.told(number)?,
            Change::TellLater { number, due_ms } => self.tell_later(number, due_ms)?,
            Change::Tidy => self.tidy()?,
        };
        Ok(Effect::Done(done))
    }

    fn push(&mut self, letter: Letter) -> Result<Effect, Trouble> {
        if letter.is_callers_key
            && let Some((number, accepted)) = self.tables.keys.get(&*letter.key)?.map(|found| found.value())
            && self.now_ms.saturating_sub(accepted) < millis(self.policy.dedupe)
        {
            self.happened.blobs.extend(letter.content.blob());
            return Ok(Effect::Pushed { number, is_new: false });
        }
        if !self.make_room(letter.bytes())? {
            self.happened.blobs.extend(letter.content.blob());
            let is_never = letter.bytes() > self.policy.bytes_max;
            return Ok(if is_never { Effect::TooLarge } else { Effect::Full });
        }
        self.sums.next += 1;
        let number = self.sums.next;
        if letter.is_callers_key {
            self.remember(&letter, number)?;
        }
        if let Some(blob) = letter.content.blob() {
            self.tables.blobs.insert(blob, number)?;
        }
        self.enqueue(number, &letter)?;
        self.happened.deferred += 1;
        Ok(Effect::Pushed { number, is_new: true })
    }

    /// Whether there is room for `bytes` more, after whatever the policy says to do about it.
    fn make_room(&mut self, bytes: u64) -> Result<bool, Trouble> {
        let most = self.policy.bytes_max;
        if bytes > most || self.policy.when_full == WhenFull::Reject {
            return Ok(self.sums.bytes.saturating_add(bytes) <= most);
        }
        while self.sums.bytes.saturating_add(bytes) > most {
            let Some(oldest) = self.tables.calls.first()?.map(|(number, _)| number.value()) else {
                return Ok(true);
            };
            self.discard(oldest)?;
        }
        Ok(true)
    }

    fn remember(&mut self, letter: &Letter, number: u64) -> Result<(), Trouble> {
        let before = self.tables.keys.insert(&*letter.key, (number, self.now_ms))?.map(|found| found.value());
        if let Some((number, accepted)) = before {
            self.tables.key_ages.remove((accepted, number))?;
        }
        self.tables.key_ages.insert((self.now_ms, number), &*letter.key)?;
        if self.tables.keys.len()? > limits::DEDUPE_KEYS_MAX {
            self.forget_oldest_key()?;
        }
        Ok(())
    }

    fn forget_oldest_key(&mut self) -> Result<(), Trouble> {
        let oldest = self.tables.key_ages.pop_first()?.map(|(_, key)| key.value().to_owned());
        if let Some(key) = oldest {
            self.tables.keys.remove(&*key)?;
        }
        Ok(())
    }

    /// Puts a call among the waiting ones, where its number says.
    fn enqueue(&mut self, number: u64, letter: &Letter) -> Result<(), Trouble> {
        self.sums.bytes += letter.bytes();
        self.tables.calls.insert(number, row(letter))?;
        let Some(lane) = &letter.lane else { return self.schedule(number) };
        if let Some(first) = self.first_of(lane)? {
            if first < number {
                self.tables.lanes.insert((&**lane, number), ())?;
                return Ok(());
            }
            self.unschedule(first)?;
        }
        self.tables.lanes.insert((&**lane, number), ())?;
        self.schedule(number)
    }

    fn first_of(&self, lane: &str) -> Result<Option<u64>, Trouble> {
        let mut rows = self.tables.lanes.range((lane, 0)..=(lane, u64::MAX))?;
        Ok(rows.next().transpose()?.map(|(key, _)| key.value().1))
    }

    /// Where its row in `due` is, or would be.
    fn due_key(&self, number: u64) -> Result<Option<(u8, u64, u64)>, Trouble> {
        let Some(found) = self.tables.calls.get(number)? else { return Ok(None) };
        let (accepted, urgency, ..) = found.value();
        let due = self.tables.tries.get(number)?.map_or(accepted, |tries| tries.value().1);
        Ok(Some((urgency, due, number)))
    }

    fn schedule(&mut self, number: u64) -> Result<(), Trouble> {
        if let Some(key) = self.due_key(number)? {
            self.tables.due.insert(key, ())?;
        }
        Ok(())
    }

    /// Whether it had been scheduled.
    fn unschedule(&mut self, number: u64) -> Result<bool, Trouble> {
        let Some(key) = self.due_key(number)? else { return Ok(false) };
        Ok(self.tables.due.remove(key)?.is_some())
    }

    fn tries(&self, number: u64) -> Result<Tries, Trouble> {
        Ok(self.tables.tries.get(number)?.map_or_else(Tries::default, |found| tries(found.value())))
    }

    fn set_tries(&mut self, number: u64, tries: &Tries) -> Result<(), Trouble> {
        let row = (tries.attempts, tries.due_ms, tries.renewed_ms, &*tries.reason);
        self.tables.tries.insert(number, row)?;
        Ok(())
    }

    /// Takes a call out of the waiting ones; the next of its lane is scheduled.
    fn take(&mut self, number: u64) -> Result<Option<(Letter, Tries)>, Trouble> {
        self.unschedule(number)?;
        let Some(letter) = self.tables.calls.remove(number)?.map(|found| letter(found.value())) else {
            return Ok(None);
        };
        let tries = self.tries(number)?;
        self.tables.tries.remove(number)?;
        self.sums.bytes = self.sums.bytes.saturating_sub(letter.bytes());
        if let Some(lane) = &letter.lane {
            self.tables.lanes.remove((&**lane, number))?;
            if let Some(next) = self.first_of(lane)? {
                self.schedule(next)?;
            }
        }
        Ok(Some((letter, tries)))
    }

    /// Its body is not needed any more.
    fn release(&mut self, content: &Content) -> Result<(), Trouble> {
        if let Some(blob) = content.blob() {
            self.tables.blobs.remove(blob)?;
            self.happened.blobs.push(blob);
        }
        Ok(())
    }

    fn delivered(&mut self, number: u64, answered: Answered) -> Result<bool, Trouble> {
        let Some((letter, tries)) = self.take(number)? else { return Ok(false) };
        self.release(&letter.content)?;
        self.happened.delivered += 1;
        self.sums.answers_bytes += answer_bytes(&answered);
        let row = (
            self.now_ms,
            tries.attempts + 1,
            answered.status,
            &*answered.headers,
            &*answered.body,
            answered.is_whole,
            &*letter.key,
            &*letter.path,
        );
        self.tables.answers.insert(number, row)?;
        if self.policy.tells {
            self.tables.telling.insert(number, (self.now_ms, 0))?;
            self.sums.telling_bytes += answer_bytes(&answered);
        }
        while self.sums.answers_bytes > self.policy.answers_bytes_max + self.sums.telling_bytes {
            if !self.forget_an_answer(None)? {
                break;
            }
        }
        Ok(true)
    }

    /// Forgets the oldest answer that nobody is to be told of, if it is of `before` or earlier.
    fn forget_an_answer(&mut self, before: Option<u64>) -> Result<bool, Trouble> {
        let mut told = None;
        for found in self.tables.answers.iter()?.take(limits::TIDY_ROWS_MAX) {
            let (number, row) = found?;
            if before.is_some_and(|before| row.value().0 > before) {
                return Ok(false);
            }
            if self.tables.telling.get(number.value())?.is_none() {
                told = Some(number.value());
                break;
            }
        }
        let Some(number) = told else { return Ok(false) };
        let bytes = self.tables.answers.remove(number)?.map(|row| answer_bytes(&kept(row.value()).answer));
        self.sums.answers_bytes = self.sums.answers_bytes.saturating_sub(bytes.unwrap_or(0));
        Ok(true)
    }

    fn told(&mut self, number: u64) -> Result<bool, Trouble> {
        if self.tables.telling.remove(number)?.is_none() {
            return Ok(false);
        }
        let bytes = self.tables.answers.get(number)?.map(|row| answer_bytes(&kept(row.value()).answer));
        self.sums.telling_bytes = self.sums.telling_bytes.saturating_sub(bytes.unwrap_or(0));
        Ok(true)
    }

    fn tell_later(&mut self, number: u64, again_ms: u64) -> Result<bool, Trouble> {
        let attempts = self.tables.telling.get(number)?.map(|found| found.value().1);
        let Some(attempts) = attempts else { return Ok(false) };
        if attempts + 1 >= limits::TELL_ATTEMPTS_MAX {
            return self.told(number);
        }
        self.tables.telling.insert(number, (again_ms, attempts + 1))?;
        Ok(true)
    }

    fn later(&mut self, number: u64, due_ms: u64, reason: &str, counts: bool) -> Result<bool, Trouble> {
        self.reschedule(number, |tries, _| {
            tries.attempts = tries.attempts.saturating_add(u32::from(counts));
            tries.due_ms = due_ms;
            tries.reason = cut(reason);
        })
    }

    fn reschedule(&mut self, number: u64, change: impl FnOnce(&mut Tries, u64)) -> Result<bool, Trouble> {
        let Some((_, due_ms, _)) = self.due_key(number)? else { return Ok(false) };
        let was_scheduled = self.unschedule(number)?;
        let mut tries = Tries { due_ms, ..self.tries(number)? };
        change(&mut tries, self.now_ms);
        self.set_tries(number, &tries)?;
        if was_scheduled {
            self.schedule(number)?;
        }
        Ok(true)
    }

    fn die(&mut self, number: u64, reason: &str, counts: bool) -> Result<bool, Trouble> {
        let Some((letter, tries)) = self.take(number)? else { return Ok(false) };
        self.happened.died += 1;
        let attempts = tries.attempts.saturating_add(u32::from(counts));
        self.sums.dead_bytes += letter.bytes();
        self.tables.dead.insert(number, (self.now_ms, attempts, &*cut(reason)))?;
        self.tables.dead_calls.insert(number, row(&letter))?;
        while self.sums.dead_bytes > self.policy.bytes_max / limits::DEAD_SHARE {
            let Some(oldest) = self.tables.dead.first()?.map(|(number, _)| number.value()) else { break };
            self.bury(oldest)?;
            self.happened.buried += 1;
        }
        Ok(true)
    }

    fn exhume(&mut self, number: u64) -> Result<Option<Letter>, Trouble> {
        let found = self.tables.dead_calls.remove(number)?.map(|found| letter(found.value()));
        if let Some(letter) = &found {
            self.sums.dead_bytes = self.sums.dead_bytes.saturating_sub(letter.bytes());
        }
        self.tables.dead.remove(number)?;
        Ok(found)
    }

    fn bury(&mut self, number: u64) -> Result<bool, Trouble> {
        let Some(letter) = self.exhume(number)? else { return Ok(false) };
        self.release(&letter.content)?;
        Ok(true)
    }

    /// Back among the waiting ones, at its old place in its lane, with its attempts and its age begun anew.
    fn requeue(&mut self, number: u64) -> Result<bool, Trouble> {
        let Some(letter) = self.exhume(number)? else { return Ok(false) };
        let now_ms = self.now_ms;
        let renewed = Tries { attempts: 0, due_ms: now_ms, renewed_ms: now_ms, reason: String::new() };
        self.set_tries(number, &renewed)?;
        self.enqueue(number, &letter)?;
        Ok(true)
    }

    fn discard(&mut self, number: u64) -> Result<bool, Trouble> {
        let Some((letter, _)) = self.take(number)? else { return self.bury(number) };
        self.release(&letter.content)?;
        self.happened.dropped += 1;
        Ok(true)
    }

    fn tidy(&mut self) -> Result<bool, Trouble> {
        let mut did = self.expire()?;
        let before = |age| self.now_ms.checked_sub(millis(age));
        let (keys, dead, answers) =
            (before(self.policy.dedupe), before(limits::DEAD_AGE_MAX), before(self.policy.answers_age));
        for _ in 0..limits::TIDY_ROWS_MAX {
            let oldest = self.tables.key_ages.first()?.map(|(key, _)| key.value().0);
            if oldest.is_none() || oldest > keys {
                break;
            }
            self.forget_oldest_key()?;
            did = true;
        }
        for _ in 0..limits::TIDY_ROWS_MAX {
            let oldest = self.tables.dead.first()?.map(|(number, end)| (number.value(), end.value().0));
            let Some((number, _)) = oldest.filter(|(_, at)| Some(*at) <= dead) else { break };
            self.bury(number)?;
            self.happened.buried += 1;
            did = true;
        }
        if answers.is_some() {
            for _ in 0..limits::TIDY_ROWS_MAX {
                if !self.forget_an_answer(answers)? {
                    break;
                }
                did = true;
            }
        }
        Ok(did)
    }

    fn expire(&mut self) -> Result<bool, Trouble> {
        let Some(before) = self.now_ms.checked_sub(millis(self.policy.age_max)) else { return Ok(false) };
        let mut old = Vec::new();
        for found in self.tables.calls.iter()? {
            let (number, row) = found?;
            let renewed = self.tables.tries.get(number.value())?.map_or(0, |tries| tries.value().2);
            match (row.value().0.max(renewed) <= before, renewed > 0) {
                (true, _) => old.push(number.value()),
                // Renewed ones are among older ones.
                (false, true) => {}
                (false, false) => break,
            }
            if old.len() == limits::TIDY_ROWS_MAX {
                break;
            }
        }
        for number in &old {
            let tries = self.tries(*number)?;
            let last = if tries.reason.is_empty() { "it was never tried" } else { &tries.reason };
            self.die(*number, &format!("it became too old: {last}"), false)?;
        }
        Ok(!old.is_empty())
    }
}

/// What is due, and when something is due next.
pub(super) type Due<T> = (Vec<T>, Option<u64>);

/// What is to be delivered: at most `most` numbers, without those that `skip` names; and when something is due next.
pub(super) fn due(
    snapshot: &ReadTransaction,
    now_ms: u64,
    most: usize,
    skip: impl Fn(u64) -> bool,
) -> Result<Due<u64>, Trouble> {
    let table = snapshot.open_table(DUE)?;
    let (mut ready, mut next) = (Vec::new(), None::<u64>);
    for urgency in 0..8 {
        for found in table.range((urgency, 0, 0)..=(urgency, u64::MAX, u64::MAX))? {
            let (_, due, number) = found?.0.value();
            if due > now_ms {
                next = Some(next.map_or(due, |next| next.min(due)));
                break;
            }
            if ready.len() == most {
                break;
            }
            if !skip(number) {
                ready.push(number);
            }
        }
    }
    Ok((ready, next))
}

/// The answers that a function is to be told of: those due among the oldest, without those that `skip` names, and when
/// one is due next.
pub(super) fn telling(
    snapshot: &ReadTransaction,
    now_ms: u64,
    most: usize,
    skip: impl Fn(u64) -> bool,
) -> Result<Due<(u64, u32)>, Trouble> {
    let (mut ready, mut next) = (Vec::new(), None::<u64>);
    for found in snapshot.open_table(TELLING)?.iter()?.take(limits::TIDY_ROWS_MAX) {
        let (number, row) = found?;
        let (due, attempts) = row.value();
        if due > now_ms {
            next = Some(next.map_or(due, |next| next.min(due)));
        } else if ready.len() < most && !skip(number.value()) {
            ready.push((number.value(), attempts));
        }
    }
    Ok((ready, next))
}

/// What the index has under `number`.
pub(super) fn find(snapshot: &ReadTransaction, number: u64) -> Result<Found, Trouble> {
    if let Some(row) = snapshot.open_table(CALLS)?.get(number)? {
        let found = snapshot.open_table(TRIES)?.get(number)?;
        return Ok(Found::Waiting(
            letter(row.value()),
            found.map_or_else(Tries::default, |found| tries(found.value())),
        ));
    }
    if let Some(row) = snapshot.open_table(DEAD_CALLS)?.get(number)?
        && let Some(end) = snapshot.open_table(DEAD)?.get(number)?
    {
        let (at_ms, attempts, reason) = end.value();
        return Ok(Found::Dead(letter(row.value()), End { at_ms, attempts, reason: reason.to_owned() }));
    }
    let answer = snapshot.open_table(ANSWERS)?.get(number)?.map(|row| kept(row.value()));
    Ok(answer.map_or(Found::Nothing, Found::Delivered))
}

/// The numbers after `after` of waiting or of dead calls, at most `most`.
pub(super) fn page(
    snapshot: &ReadTransaction,
    is_dead: bool,
    after: u64,
    most: usize,
) -> Result<Vec<u64>, Trouble> {
    let table = snapshot.open_table(if is_dead { DEAD_CALLS } else { CALLS })?;
    let rows = table.range(after.saturating_add(1)..)?.take(most);
    rows.map(|found| Ok(found?.0.value())).collect()
}

/// Whether a call names this blob.
pub(super) fn has_blob(snapshot: &ReadTransaction, blob: u64) -> Result<bool, Trouble> {
    Ok(snapshot.open_table(BLOBS)?.get(blob)?.is_some())
}

fn answer_bytes(answered: &Answered) -> u64 {
    (answered.headers.len() + answered.body.len()) as u64 + limits::CALL_OVERHEAD_BYTES
}

fn cut(reason: &str) -> String {
    let mut end = reason.len().min(limits::REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
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
