//! Reading a bundle from an app's folder.
//!
//! The only I/O of this crate. Every file is read once, bounded by its own limit; nothing is written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rimward_manifest::{App, AppPath, Function, Name, ReadError};

use crate::bundle::{Bundle, Component, ComponentError};
use crate::digest::Digest;
use crate::limits::{
    COMPONENT_BYTES_MAX, FILE_BYTES_MAX, MODEL_BYTES_MAX, PRECOMPILED_BYTES_MAX, PRECOMPILED_MAX,
};
use crate::precompiled::{FOLDER, Precompiled, engine_of};

/// The declaration's file name.
const MANIFEST: &str = "rimward.toml";

/// Why a folder is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The declaration.
    #[error("the app in `{}` cannot be read", folder.display())]
    Manifest {
        /// The app's folder.
        folder: PathBuf,
        /// What is wrong with the file.
        source: ReadError,
    },
    /// A component is not there, most likely because it was not built yet.
    #[error("the component of `{function}` is not at `{}`: {}", path.display(), remedy(command.as_deref()))]
    NotBuilt {
        /// The function.
        function: Name,
        /// Where its component should be.
        path: PathBuf,
        /// The command that the app declares for it.
        command: Option<String>,
    },
    /// A file is there and is no component.
    #[error("`{}` is not the component of `{function}`", path.display())]
    NotAComponent {
        /// The function.
        function: Name,
        /// The file.
        path: PathBuf,
        /// What it is instead.
        source: ComponentError,
    },
    /// A file that the app names cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is larger than its limit.
    #[error("`{}` is larger than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// A link leads to a file that does not belong to the app.
    #[error("`{}` leads out of the app's folder", path.display())]
    Outside {
        /// The link, or a file below it.
        path: PathBuf,
    },
    /// A folder, a pipe or a device.
    #[error("`{}` is not a file", path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// More precompiled forms of one component than anyone needs.
    #[error("`{}` holds more than {PRECOMPILED_MAX} files for one component", folder.display())]
    TooManyPrecompiled {
        /// The folder.
        folder: PathBuf,
    },
}

fn remedy(command: Option<&str>) -> String {
    match command {
        Some(command) => format!("`rimward build` makes it with `{command}`"),
        None => "build it, or correct `component` in rimward.toml".into(),
    }
}

pub(crate) fn read(folder: &Path) -> Result<Bundle, Error> {
    let app = App::read(&folder.join(MANIFEST))
        .map_err(|source| Error::Manifest { folder: folder.into(), source })?;
    let components =
        app.functions.iter().map(|(name, function)| Ok((name.clone(), component(folder, name, function)?)));
    let components = components.collect::<Result<BTreeMap<_, _>, Error>>()?;
    let files =
        app.files().into_iter().map(|path| Ok((path.clone(), inside(folder, path, file_max(&app, path))?)));
    let files = files.collect::<Result<BTreeMap<_, _>, Error>>()?;
    Ok(Bundle::new(app, components, files))
}

fn component(folder: &Path, name: &Name, function: &Function) -> Result<Component, Error> {
    let path = folder.join(&function.component);
    let bytes = bounded(&path, COMPONENT_BYTES_MAX).map_err(|error| not_built(error, name, function))?;
    let mut component = Component::new(bytes).map_err(|source| Error::NotAComponent {
        function: name.clone(),
        path,
        source,
    })?;
    component.precompiled = precompiled(&folder.join(FOLDER), &component.digest)?;
    Ok(component)
}

fn not_built(error: Error, name: &Name, function: &Function) -> Error {
    match error {
        Error::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
            let command = function.build.as_ref().map(|build| build.command.clone());
            Error::NotBuilt { function: name.clone(), path, command }
        }
        other => other,
    }
}

/// The precompiled forms of the component with that digest, by engine key; none where there is no such folder.
fn precompiled(folder: &Path, component: &Digest) -> Result<Vec<Precompiled>, Error> {
    let mut found = Vec::new();
    for name in file_names(folder)? {
        let Some(engine) = engine_of(&name, component) else { continue };
        if found.len() == PRECOMPILED_MAX {
            return Err(Error::TooManyPrecompiled { folder: folder.into() });
        }
        let bytes = bounded(&folder.join(&name), PRECOMPILED_BYTES_MAX)?;
        found.push(Precompiled { engine: engine.into(), bytes });
    }
    found.sort_by(|one, other| one.engine.cmp(&other.engine));
    Ok(found)
}

fn file_names(folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Read { path: folder.into(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let names = entries.map(|entry| Ok(entry.map_err(failed)?.file_name().into_string().ok()));
    names.filter_map(Result::transpose).collect()
}

fn file_max(app: &App, path: &AppPath) -> u64 {
    if app.is_model(path) { MODEL_BYTES_MAX } else { FILE_BYTES_MAX }
}

/// A file that travels with the app: also by way of links it is below the app's folder.
fn inside(folder: &Path, path: &AppPath, bytes_max: u64) -> Result<Bytes, Error> {
    let path = path.under(folder);
    let real = |path: &Path| path.canonicalize().map_err(|source| Error::Read { path: path.into(), source });
    match real(&path)?.starts_with(real(folder)?) {
        true => bounded(&path, bytes_max),
        false => Err(Error::Outside { path }),
    }
}

fn bounded(path: &Path, bytes_max: u64) -> Result<Bytes, Error> {
    let failed = |source| Error::Read { path: path.into(), source };
    let too_large = || Error::TooLarge { path: path.into(), bytes_max };
    // Looked at first: opening a pipe waits for whoever writes to it.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::NotAFile { path: path.into() });
    }
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > bytes_max {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // A file that grows while it is read is bounded too.
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max { Err(too_large()) } else { Ok(bytes.into()) }
}
