//! Secrets: read from a file or from the environment when an app is installed, handed to whoever was granted them, never
//! written anywhere.

use crate::limits::SECRET_BYTES;
use rimward_manifest::Secret;
use std::io::Read;
use std::path::PathBuf;

/// Why a secret cannot be read. Its value is in none of the texts.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the file `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than a secret.
    #[error("the file `{}` has more than {SECRET_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not text.
    #[error("the file `{}` is not text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// There is no such variable.
    #[error("the environment has no variable `{0}`")]
    NoVariable(String),
}

/// The value of a secret. One line end at the end of a file is not part of it.
pub(crate) fn read(secret: &Secret) -> Result<String, SecretError> {
    match secret {
        Secret::Env(name) => std::env::var(name).map_err(|_| SecretError::NoVariable(name.clone())),
        Secret::File(path) => {
            let io = |source| SecretError::File { path: path.clone(), source };
            let mut bytes = Vec::new();
            let file = std::fs::File::open(path).map_err(io)?;
            file.take(SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
            if bytes.len() as u64 > SECRET_BYTES {
                return Err(SecretError::TooLarge { path: path.clone() });
            }
            let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText { path: path.clone() })?;
            let value =
                text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
            Ok(value.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_without_its_last_line_end_up_to_the_limit_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let check = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            read(&Secret::File(path.clone()))
        };
        assert_eq!(check(b"s3cret\n").unwrap(), "s3cret");
        assert_eq!(check(b"two\n\n").unwrap(), "two\n");
        let most = usize::try_from(SECRET_BYTES).unwrap();
        assert_eq!(check(&vec![b'x'; most]).unwrap().len(), most);
        assert!(matches!(check(&vec![b'x'; most + 1]), Err(SecretError::TooLarge { .. })));
        assert!(matches!(check(b"\xff"), Err(SecretError::NotText { .. })));
    }
}
