//! Room in the pool for components with many memories, tables, or parts that wait. Each slot of the pool has a share of
//! all three, as many as usual components need. One with more takes the rest from a reserve that only such components
//! share: they may find it taken and are refused, and a usual component always finds its own. Asked once for each
//! instance; nothing is counted for a usual one.

use crate::code::Code;
use crate::limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What an instance of a component takes from the reserve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    memories: usize,
    tables: usize,
    stacks: usize,
}

/// The reserve is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("other components with many memories, tables or parts have taken the room for such")]
pub struct NoRoom;

/// What one instance has taken; it is given back when this is dropped.
pub struct Room {
    needs: Needs,
    reserve: Arc<Reserve>,
}

/// What is left for all of them.
pub(crate) struct Reserve {
    memories: AtomicUsize,
    tables: AtomicUsize,
    stacks: AtomicUsize,
}

impl Needs {
    /// What instances of this component need. Nobody provides modules, so that what cannot be known cannot be linked.
    pub fn of(code: &Code) -> Self {
        let beyond = |number: u32, share: u32| number.saturating_sub(share) as usize;
        let stacks = limits::STACKS_OF_PARTS[code.parts.min(limits::PARTS)];
        code.component.resources_required().map_or(Self::default(), |required| Self {
            memories: beyond(required.num_memories, limits::SLOT_MEMORIES),
            tables: beyond(required.num_tables, limits::SLOT_TABLES),
            stacks: beyond(stacks, limits::SLOT_STACKS),
        })
    }

    /// How much of each kind, and where it is taken from.
    fn each<'r>(&self, reserve: &'r Reserve) -> [(usize, &'r AtomicUsize); 3] {
        [(self.memories, &reserve.memories), (self.tables, &reserve.tables), (self.stacks, &reserve.stacks)]
    }
}

impl Reserve {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            memories: AtomicUsize::new(limits::RESERVED_MEMORIES as usize),
            tables: AtomicUsize::new(limits::RESERVED_TABLES as usize),
            stacks: AtomicUsize::new(limits::RESERVED_STACKS as usize),
        })
    }

    pub(crate) fn take(self: &Arc<Self>, needs: Needs) -> Result<Option<Room>, NoRoom> {
        if needs == Needs::default() {
            return Ok(None);
        }
        let all = needs.each(self);
        for (taken, (wanted, left)) in all.iter().enumerate() {
            if let Err(no_room) = take(left, *wanted) {
                for (wanted, left) in &all[..taken] {
                    left.fetch_add(*wanted, Relaxed);
                }
                return Err(no_room);
            }
        }
        Ok(Some(Room { needs, reserve: self.clone() }))
    }
}

fn take(left: &AtomicUsize, wanted: usize) -> Result<(), NoRoom> {
    left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(wanted)).map(drop).map_err(|_| NoRoom)
}

impl Drop for Room {
    fn drop(&mut self) {
        for (taken, left) in self.needs.each(&self.reserve) {
            left.fetch_add(taken, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G8: what is in the reserve, and no more.
    #[test]
    fn the_reserve_is_taken_up_to_its_end_and_given_back() {
        let reserve = Reserve::new();
        let needs = |memories: u32, tables: u32| Needs {
            memories: memories as usize,
            tables: tables as usize,
            stacks: 0,
        };
        let all = reserve.take(needs(limits::RESERVED_MEMORIES, 0)).unwrap();
        assert_eq!(reserve.take(needs(1, 1)).err(), Some(NoRoom));
        assert!(reserve.take(needs(0, 0)).unwrap().is_none(), "a usual component does not ask");
        let tables = reserve.take(needs(0, limits::RESERVED_TABLES)).unwrap();
        drop((all, tables));
        assert_eq!(reserve.take(needs(1, limits::RESERVED_TABLES + 1)).err(), Some(NoRoom));
        let stacks = |stacks: u32| Needs { stacks: stacks as usize, ..needs(limits::RESERVED_MEMORIES, 1) };
        assert_eq!(reserve.take(stacks(limits::RESERVED_STACKS + 1)).err(), Some(NoRoom));
        assert!(reserve.take(stacks(limits::RESERVED_STACKS)).unwrap().is_some(), "what was taken is back");
    }
}
