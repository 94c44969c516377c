//! Running out of file descriptors. Clients do not get them all (see [`DESCRIPTORS_KEPT`]), but whatever else a process
//! opens may. Whoever operates the node must still reach it then, so its own listeners keep a descriptor in hand.
//!
//! [`DESCRIPTORS_KEPT`]: crate::limits::DESCRIPTORS_KEPT

use std::fs::File;
use std::io;

/// A file descriptor in hand. Where there is no other, it is given up for a connection, and taken again when that ends.
#[derive(Debug, Default)]
pub struct Spare(Option<File>);

impl Spare {
    /// What `accept` comes to, at the cost of this descriptor if there is no other.
    pub async fn accept<T, F>(&mut self, mut accept: impl FnMut() -> F) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        self.take();
        match accept().await {
            Err(error) if self.give_up(&error) => accept().await,
            accepted => accepted,
        }
    }

    /// Takes one, if there is one.
    fn take(&mut self) {
        if self.0.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
    }

    /// Whether it was given up because `error` says that there is no other: the next attempt finds it free.
    fn give_up(&mut self, error: &io::Error) -> bool {
        is_exhausted(error) && self.0.take().is_some()
    }
}

/// Whether this process or the machine has no file descriptor left.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H17: given up for lack of others only, and once.
    #[test]
    fn a_spare_descriptor_is_given_up_when_there_is_no_other() {
        let exhausted = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let mut spare = Spare::default();
        assert!(!spare.give_up(&exhausted), "there is none");
        spare.take();
        assert!(!spare.give_up(&io::ErrorKind::ConnectionAborted.into()));
        assert!(spare.give_up(&exhausted));
        assert!(!spare.give_up(&exhausted));
        spare.take();
        assert!(spare.give_up(&exhausted));
    }
}
