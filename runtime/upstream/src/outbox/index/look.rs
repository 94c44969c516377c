//! What is read from a snapshot of the tables.

use super::super::Trouble;
use super::{
    ANSWERS, BLOBS, CALLS, DEAD, DEAD_CALLS, DUE, End, Found, TELLING, TRIES, Tries, kept, letter, tries,
};
use crate::limits::outbox as limits;
use redb::{ReadTransaction, ReadableTable};

/// What is due, and when something is due next.
pub(in super::super) type Due<T> = (Vec<T>, Option<u64>);

/// What is to be delivered: at most `most` numbers, without those that `skip` names; and when something is due next.
pub(in super::super) fn due(
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
pub(in super::super) fn telling(
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
pub(in super::super) fn find(snapshot: &ReadTransaction, number: u64) -> Result<Found, Trouble> {
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
pub(in super::super) fn page(
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
pub(in super::super) fn has_blob(snapshot: &ReadTransaction, blob: u64) -> Result<bool, Trouble> {
    Ok(snapshot.open_table(BLOBS)?.get(blob)?.is_some())
}
