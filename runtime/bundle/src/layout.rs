//! An OCI image layout: a bundle and its signatures as one file, for a copy, a stick or another tool.
//!
//! (OCI image specification 1.1, "Image Layout".) Written as a tar archive whose bytes depend on nothing but what is in
//! it; read from an archive or from a folder. What is read may come from anybody: names other than a layout's are
//! refused, sizes and counts are bounded before bytes are kept, and every blob is what its name says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rimward_manifest::Name;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::assemble::ImageError;
use crate::bundle::Bundle;
use crate::digest::Digest;
use crate::image::{Descriptor, Image, ManifestError};
use crate::limits::{INDEX_BYTES_MAX, LAYOUT_FILES_MAX, TOTAL_BYTES_MAX};
use crate::oci::{CONFIG_TYPE, MANIFEST_TYPE};
use crate::signature::{self, Signature, SignatureError};

const VERSION_FILE: &str = "oci-layout";
const INDEX_FILE: &str = "index.json";
const BLOBS: &str = "blobs/sha256/";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The annotation that names a manifest in an index.
const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// Manifests by name, and every blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    manifests: Vec<Descriptor>,
    blobs: BTreeMap<Digest, Bytes>,
}

/// Why something is no layout, or holds no bundle.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The system says so.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A name that a layout does not have, or a link.
    #[error("`{0}` does not belong in an OCI image layout")]
    Stray(String),
    /// More files than a layout needs.
    #[error("it has more than {LAYOUT_FILES_MAX} files")]
    TooManyFiles,
    /// A file is larger than its kind may be, or all of them are.
    #[error("`{file}` is too large: at most {bytes_max} bytes are left for it")]
    TooLarge {
        /// The file's name in the layout.
        file: String,
        /// What it may have.
        bytes_max: u64,
    },
    /// A blob's bytes are not what its name says.
    #[error("the blob {named} was changed: its bytes have the digest {found}")]
    Changed {
        /// Its name.
        named: Digest,
        /// Its bytes' digest.
        found: Digest,
    },
    /// Not a layout, or one of another version.
    #[error("it is not an OCI image layout of version 1.0.0")]
    NotALayout,
    /// The index cannot be read.
    #[error("the index of the layout is not readable")]
    Index(#[from] serde_json::Error),
    /// No app in it, or more than one.
    #[error("it holds {0} apps: one is needed")]
    Apps(usize),
    /// The app's manifest is of no use.
    #[error("the manifest in it cannot be used")]
    Manifest(#[from] ManifestError),
    /// Its blobs do not make up the app.
    #[error("the app in it cannot be used")]
    Image(#[from] ImageError),
    /// The signatures in it cannot be read.
    #[error("the signatures in it cannot be used")]
    Signature(#[from] SignatureError),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    image_layout_version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Vec<Descriptor>,
}

impl Layout {
    /// The layout of `bundle` and `signatures`.
    ///
    /// # Panics
    /// If `bundle` is a bare component from elsewhere, whose manifest is not ours.
    pub fn of(bundle: &Bundle, signatures: &[Signature]) -> Self {
        let manifest = bundle.oci_manifest();
        assert_eq!(Digest::of(&manifest), bundle.revision, "the manifest is the one that was made here");
        let mut layout = Self { manifests: Vec::new(), blobs: BTreeMap::new() };
        let name = bundle.app.version.clone().unwrap_or_else(|| bundle.app.name.to_string());
        layout.add_manifest(manifest, name, Some(CONFIG_TYPE));
        layout.add(bundle.oci_config());
        for component in bundle.components.values() {
            layout.add(component.bytes.clone());
        }
        for file in bundle.files.values() {
            layout.add(file.clone());
        }
        if !signatures.is_empty() {
            let image = signature::image(signatures);
            layout.add_manifest(image.manifest, signature::tag(&bundle.revision), None);
            image.blobs.into_iter().for_each(|blob| layout.add(blob));
        }
        layout
    }

    fn add(&mut self, blob: impl Into<Bytes>) {
        let blob = blob.into();
        self.blobs.insert(Digest::of(&blob), blob);
    }

    fn add_manifest(&mut self, manifest: Vec<u8>, reference: String, artifact_type: Option<&str>) {
        self.manifests.push(Descriptor {
            media_type: MANIFEST_TYPE.into(),
            digest: Digest::of(&manifest),
            size: manifest.len() as u64,
            annotations: BTreeMap::from([(REFERENCE.into(), reference)]),
            artifact_type: artifact_type.map(Into::into),
        });
        self.add(manifest);
    }

    /// The layout at `path`: an archive or a folder.
    pub fn read(path: &Path) -> Result<Self, LayoutError> {
        let failed = |source| LayoutError::Read { path: path.into(), source };
        let mut reading = Reading::default();
        if path.is_dir() {
            reading.folder(path)?;
        } else {
            reading.archive(File::open(path).map_err(failed)?, path)?;
        }
        reading.finish()
    }

    /// The bundle in it with its signatures, which nobody has verified yet. A bare component becomes an app named `name`.
    pub fn bundle(&self, name: &Name) -> Result<(Bundle, Vec<Signature>), LayoutError> {
        let is_signature = |manifest: &&Descriptor| self.reference(manifest).is_some_and(signature::is_tag);
        let apps: Vec<_> = self.manifests.iter().filter(|manifest| !is_signature(manifest)).collect();
        let [app] = apps[..] else { return Err(LayoutError::Apps(apps.len())) };
        let image = Image::parse(self.blob(app)?)?;
        let bundle = Bundle::from_image(&image, &self.blobs, name)?;
        let tag = signature::tag(&image.digest);
        let signatures = self.manifests.iter().find(|manifest| self.reference(manifest) == Some(&tag));
        let signatures = match signatures {
            Some(manifest) => signature::read(self.blob(manifest)?, &self.blobs)?,
            None => Vec::new(),
        };
        Ok((bundle, signatures))
    }

    fn reference<'l>(&self, manifest: &'l Descriptor) -> Option<&'l str> {
        manifest.annotations.get(REFERENCE).map(String::as_str)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<&Bytes, ImageError> {
        self.blobs.get(&descriptor.digest).ok_or(ImageError::Missing(descriptor.digest))
    }

    /// Writes it as a tar archive: the same layout gives the same bytes.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(out);
        let version = Version { image_layout_version: "1.0.0".into() };
        append(&mut archive, VERSION_FILE, &serde_json::to_vec(&version)?)?;
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": self.manifests });
        append(&mut archive, INDEX_FILE, index.to_string().as_bytes())?;
        for (digest, blob) in &self.blobs {
            append(&mut archive, &format!("{BLOBS}{}", digest.hex()), blob)?;
        }
        archive.into_inner()?.flush()
    }
}

/// One file, of nobody and of no time.
fn append(archive: &mut tar::Builder<impl Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, name, bytes)
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    files: usize,
    bytes: u64,
    version: Option<Vec<u8>>,
    index: Option<Vec<u8>>,
    blobs: BTreeMap<Digest, Bytes>,
}

impl Reading {
    fn archive(&mut self, file: impl Read, path: &Path) -> Result<(), LayoutError> {
        let failed = |source| LayoutError::Read { path: path.into(), source };
        let mut archive = tar::Archive::new(file);
        for entry in archive.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            match entry.header().entry_type() {
                tar::EntryType::Directory => self.count()?,
                tar::EntryType::Regular => self.file(name.trim_start_matches("./"), entry, path)?,
                _ => return Err(LayoutError::Stray(name)),
            }
        }
        Ok(())
    }

    /// Only what the index and its manifests can name is opened; links are not followed.
    fn folder(&mut self, folder: &Path) -> Result<(), LayoutError> {
        let failed = |path: &Path, source| LayoutError::Read { path: path.into(), source };
        let blobs = folder.join(BLOBS);
        let entries = fs::read_dir(&blobs).map_err(|source| failed(&blobs, source))?;
        let mut names = vec![VERSION_FILE.to_owned(), INDEX_FILE.to_owned()];
        for entry in entries.take(LAYOUT_FILES_MAX) {
            let entry = entry.map_err(|source| failed(&blobs, source))?;
            names.push(format!("{BLOBS}{}", entry.file_name().to_string_lossy()));
        }
        for name in names {
            let path = folder.join(&name);
            let is_file = fs::symlink_metadata(&path).map_err(|source| failed(&path, source))?.is_file();
            if !is_file {
                return Err(LayoutError::Stray(name));
            }
            let file = File::open(&path).map_err(|source| failed(&path, source))?;
            self.file(&name, file, &path)?;
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), LayoutError> {
        self.files += 1;
        if self.files > LAYOUT_FILES_MAX { Err(LayoutError::TooManyFiles) } else { Ok(()) }
    }

    fn file(&mut self, name: &str, from: impl Read, path: &Path) -> Result<(), LayoutError> {
        self.count()?;
        let left = TOTAL_BYTES_MAX.saturating_sub(self.bytes);
        let bytes_max = if name.starts_with(BLOBS) { left } else { left.min(INDEX_BYTES_MAX) };
        let blob = name.strip_prefix(BLOBS).map(|hex| format!("sha256:{hex}").parse::<Digest>());
        let blob = blob.transpose().map_err(|_| LayoutError::Stray(name.into()))?;
        if blob.is_none() && name != VERSION_FILE && name != INDEX_FILE {
            return Err(LayoutError::Stray(name.into()));
        }
        let mut bytes = Vec::new();
        let read = from.take(bytes_max + 1).read_to_end(&mut bytes);
        let read = read.map_err(|source| LayoutError::Read { path: path.into(), source })? as u64;
        if read > bytes_max {
            return Err(LayoutError::TooLarge { file: name.into(), bytes_max });
        }
        self.bytes += read;
        match blob {
            Some(named) => {
                let found = Digest::of(&bytes);
                if found != named {
                    return Err(LayoutError::Changed { named, found });
                }
                self.blobs.insert(named, bytes.into());
            }
            None if name == VERSION_FILE => self.version = Some(bytes),
            None => self.index = Some(bytes),
        }
        Ok(())
    }

    fn finish(self) -> Result<Layout, LayoutError> {
        let (Some(version), Some(index)) = (self.version, self.index) else {
            return Err(LayoutError::NotALayout);
        };
        let version: Version = serde_json::from_slice(&version).map_err(|_| LayoutError::NotALayout)?;
        if version.image_layout_version != "1.0.0" {
            return Err(LayoutError::NotALayout);
        }
        let index: Index = serde_json::from_slice(&index)?;
        match (index.schema_version, index.media_type.as_deref().unwrap_or(INDEX_TYPE)) {
            (2, INDEX_TYPE) => Ok(Layout { manifests: index.manifests, blobs: self.blobs }),
            _ => Err(LayoutError::NotALayout),
        }
    }
}
