//! One transaction: every change that the tables go through.

use super::super::Trouble;
use super::super::clock::millis;
use super::super::letter::{Content, Letter};
use super::super::policy::{Policy, WhenFull};
use super::{Answered, Change, Effect, Happened, Sums, Tables, Tries, kept, letter, row, tries};
use crate::limits::outbox as limits;
use redb::{ReadableTable, ReadableTableMetadata};

/// One transaction under way.
pub(super) struct Work<'t, 'p> {
    pub(super) tables: Tables<'t>,
    policy: &'p Policy,
    now_ms: u64,
    pub(super) sums: Sums,
    pub(super) happened: Happened,
}

impl<'t, 'p> Work<'t, 'p> {
    pub(super) fn new(tables: Tables<'t>, policy: &'p Policy, now_ms: u64, sums: Sums) -> Self {
        Self { tables, policy, now_ms, sums, happened: Happened::default() }
    }

    pub(super) fn apply(&mut self, change: Change) -> Result<Effect, Trouble> {
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
