//! What the tests of sources share: `.npy` files written byte for byte as the
//! format's specification says, and readers that collect what comes out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use adsum::dtype::{ByteOrder, DType};
use adsum::manifest::Manifest;
use adsum::shard::{Shard, ShardError};
use adsum::source::{self, Access, DataSet, LocalFiles, Options, RawFormat, SourceError};

/// Both ways to read a file.
pub const WAYS: [Access; 2] = [Access::Positional, Access::Mapped];

/// A directory that goes away with the test.
pub struct Directory(tempfile::TempDir);

impl Directory {
    pub fn new() -> Directory {
        Directory(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// A `.npy` file of version 1.0.
pub fn npy(descr: &str, fortran_order: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran_order { "True" } else { "False" };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
}

/// A `.npy` file of one axis of little-endian float64.
pub fn npy_f64(values: &[f64]) -> Vec<u8> {
    npy("<f8", false, &format!("({},)", values.len()), &f64_bytes(values))
}

pub fn f64_bytes(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Raw little-endian elements from the first byte on.
pub fn raw(dtype: DType) -> RawFormat {
    RawFormat { dtype, byte_order: ByteOrder::Little, offset_bytes: 0, shape: None }
}

pub fn raw_options(raw: RawFormat) -> Options {
    Options { raw: Some(raw), entry_bytes: None }
}

pub fn open_with(patterns: &[impl AsRef<Path>], options: &Options) -> Result<DataSet, SourceError> {
    let patterns: Vec<OsString> =
        patterns.iter().map(|pattern| pattern.as_ref().as_os_str().to_owned()).collect();
    source::open(&patterns, options)
}

pub fn open(patterns: &[impl AsRef<Path>]) -> Result<DataSet, SourceError> {
    open_with(patterns, &Options::default())
}

/// The message of the error that opening one path gives.
pub fn error_of(path: &Path, options: &Options) -> String {
    open_with(&[path], options).expect_err("this should not open").to_string()
}

/// The paths of a data set's files.
pub fn names(data: &DataSet) -> Vec<String> {
    data.manifest.files().iter().map(|file| file.name()).collect()
}

/// All bytes of a shard, read in runs of `step` elements and verified.
pub fn read_all(shard: &dyn Shard, step: u64) -> Result<Vec<u8>, ShardError> {
    let (mut bytes, mut block) = (Vec::new(), Vec::new());
    let mut start = 0;
    while start < shard.elements() {
        let end = (start + step).min(shard.elements());
        bytes.extend_from_slice(shard.read(start..end, &mut block)?);
        start = end;
    }
    shard.verify()?;
    Ok(bytes)
}

/// All bytes of a data set's elements, in order.
pub fn contents(manifest: &Manifest, access: Access) -> Result<Vec<u8>, ShardError> {
    let files = LocalFiles::new(access);
    let mut bytes = Vec::new();
    for entry in manifest.entries() {
        bytes.extend(read_all(&*files.shard(manifest, entry)?, 3)?);
    }
    Ok(bytes)
}
