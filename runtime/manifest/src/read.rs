//! Reading one of the two files from disk; the only I/O of this crate.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::limits::FILE_BYTES_MAX;
use crate::problem::Problems;

/// Why a file gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("there is no `{}`: {remedy}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// How to get one.
        remedy: &'static str,
    },
    /// The file is there and cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is larger than anything that is written by hand.
    #[error("`{}` is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file was read and something in it is wrong.
    #[error(transparent)]
    Invalid(Problems),
}

/// Reads `path` and hands its text to `parse`; problems then name the file.
pub(crate) fn read<T>(
    path: &Path,
    remedy: &'static str,
    parse: impl FnOnce(&str) -> Result<T, Problems>,
) -> Result<T, ReadError> {
    let text = text(path, remedy)?;
    parse(&text).map_err(|problems| ReadError::Invalid(problems.of_file(path.display().to_string())))
}

fn text(path: &Path, remedy: &'static str) -> Result<String, ReadError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ReadError::Missing { path: path.into(), remedy },
        _ => ReadError::Read { path: path.into(), source },
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge { path: path.into() });
    }
    Ok(text)
}
