//! Paths and globs to a manifest.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::dtype::{Layout, MemoryOrder};
use crate::manifest::{ENTRY_BYTES, File, Manifest};
use crate::os;

use super::error::SourceError;
use super::glob::{self, is_glob, is_missing};
use super::npy::{Header, HeaderError, MAGIC};
use super::raw::{RawFormat, array_bytes};
use super::{DataSet, Options, read_full};

/// The data set that `patterns` name: each the path of a file or, where no file
/// has it, a glob, whose files count in the order of their paths' bytes.
///
/// A file given twice, also by two paths that lead to it over symbolic links,
/// counts once, with a warning. Two files with equal bytes, or two hard links
/// to one, are two arrays. Every file is opened and its header read; relative
/// paths stay relative.
///
/// # Errors
/// The first input that cannot be used.
pub fn open(patterns: &[OsString], options: &Options) -> Result<DataSet, SourceError> {
    let (files, warnings) = list(patterns, options)?;
    let manifest = Manifest::with_entry_bytes(files, options.entry_bytes.unwrap_or(ENTRY_BYTES))?;
    Ok(DataSet { manifest, warnings })
}

/// The files of [`open`], also of different types and shapes, and its warnings.
///
/// # Errors
/// The first input that cannot be used.
pub fn list(
    patterns: &[OsString],
    options: &Options,
) -> Result<(Vec<File>, Vec<String>), SourceError> {
    let mut warnings = Vec::new();
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for pattern in patterns {
        for path in expand(pattern)? {
            let name = display(&path);
            let canonical = fs::canonicalize(&path).map_err(|e| SourceError::io(&name, e))?;
            if seen.insert(canonical) {
                files.push(describe(&path, options.raw.as_ref(), &mut warnings)?);
            } else {
                warnings.push(format!("'{name}' is given more than once and counts once"));
            }
        }
    }
    Ok((files, warnings))
}

/// The paths that a pattern stands for. A file of that very name wins over what
/// the name means as a glob, so `data[1].npy` needs no escape.
fn expand(pattern: &OsStr) -> Result<Vec<PathBuf>, SourceError> {
    let path = Path::new(pattern);
    let missing = match path.symlink_metadata() {
        Err(error) if is_missing(&error) => error,
        _ => return Ok(vec![path.to_owned()]),
    };
    let name = display(path);
    let Some(pattern) = pattern.to_str().filter(|pattern| is_glob(pattern)) else {
        return Err(SourceError::io(&name, missing));
    };
    let paths = glob::expand(pattern)?;
    match paths.is_empty() {
        true => Err(SourceError::NoMatch { pattern: name }),
        false => Ok(paths),
    }
}

/// What lies in the `.npy` file at `path`. What [`open`] would warn of is not
/// told.
///
/// # Errors
/// As [`open`]; that the file is no `.npy` file is [`SourceError::NotNpy`].
pub(crate) fn describe_npy(path: &Path) -> Result<File, SourceError> {
    describe(path, None, &mut Vec::new())
}

/// Opens a file and says what lies in it. The identity is taken before the
/// header is read, so a change at any later time is noticed.
fn describe(
    path: &Path,
    raw: Option<&RawFormat>,
    warnings: &mut Vec<String>,
) -> Result<File, SourceError> {
    let name = &display(path);
    let io = |error| SourceError::io(name, error);
    // Looking first keeps from opening devices, for which that has effects.
    require_regular(name, &fs::metadata(path).map_err(io)?)?;
    let mut file = os::open_regular(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    require_regular(name, &metadata)?;
    let identity = os::identity(&metadata);

    let mut start = [0; MAGIC.len()];
    let got = read_full(&mut file, &mut start).map_err(io)?;
    let start = &start[..got];
    if identity.size_bytes == 0 && !start.is_empty() {
        return Err(SourceError::Unsized { name: name.clone() });
    }
    let header = match raw {
        None => {
            file.seek(SeekFrom::Start(0)).map_err(io)?;
            read_npy(name, start, &mut file, identity.size_bytes, warnings)?
        }
        Some(format) => {
            refuse_npy_as_raw(name, start, format)?;
            Header {
                layout: format.layout(),
                memory_order: MemoryOrder::C,
                shape: format.shape_of(name, identity.size_bytes)?,
                data_offset_bytes: format.offset_bytes,
            }
        }
    };
    Ok(File {
        path: os::path_bytes(path).ok_or_else(|| SourceError::Path { name: name.clone() })?,
        layout: header.layout,
        memory_order: header.memory_order,
        shape: header.shape,
        data_offset_bytes: header.data_offset_bytes,
        identity,
        digest: None,
        verified: false,
    })
}

/// The header of a `.npy` file of `size_bytes` bytes that has room for the
/// array it promises.
fn read_npy(
    name: &str,
    start: &[u8],
    file: &mut impl Read,
    size_bytes: u64,
    warnings: &mut Vec<String>,
) -> Result<Header, SourceError> {
    let header = read_header(name, start, file)?;
    let Layout { dtype, .. } = header.layout;
    let expected_bytes = array_bytes(name, &header.shape, dtype)?;
    let got_bytes = size_bytes.saturating_sub(header.data_offset_bytes);
    if got_bytes < expected_bytes {
        return Err(SourceError::Truncated {
            name: name.to_owned(),
            shape: header.shape,
            dtype,
            expected_bytes,
            got_bytes,
        });
    }
    if got_bytes > expected_bytes {
        warnings.push(format!(
            "'{name}' has {} bytes after its array, which are ignored as NumPy ignores them",
            got_bytes - expected_bytes
        ));
    }
    Ok(header)
}

/// The header of a `.npy` file or stream that begins with `start`; `reader`
/// begins there, too.
pub(super) fn read_header(
    name: &str,
    start: &[u8],
    reader: &mut impl Read,
) -> Result<Header, SourceError> {
    // A file cut off inside the magic string is more likely a broken .npy file
    // than anything else, but an empty one is just empty.
    if start.is_empty() || !MAGIC.starts_with(start) {
        return Err(SourceError::not_npy(name, start));
    }
    Header::read(reader).map_err(|error| match error {
        HeaderError::Read(error) => SourceError::io(name, error),
        error => SourceError::header(name, error),
    })
}

/// Refuses a file that begins with `start` where `format` would take the header
/// of a `.npy` file for data.
pub(super) fn refuse_npy_as_raw(
    name: &str,
    start: &[u8],
    format: &RawFormat,
) -> Result<(), SourceError> {
    match start == MAGIC && format.offset_bytes == 0 {
        true => Err(SourceError::NpyAsRaw { name: name.to_owned() }),
        false => Ok(()),
    }
}

fn require_regular(name: &str, metadata: &fs::Metadata) -> Result<(), SourceError> {
    if metadata.is_dir() {
        return Err(SourceError::Directory { name: name.to_owned() });
    }
    match metadata.is_file() {
        true => Ok(()),
        false => Err(SourceError::NotRegular { name: name.to_owned() }),
    }
}

/// A path for people; what is no Unicode is replaced.
fn display(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
