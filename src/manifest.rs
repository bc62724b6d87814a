//! The ordered list of a job's entries.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::dtype::{ByteOrder, DType, Layout, MemoryOrder};
use crate::op::Spec;
use crate::partial::FORMAT_VERSION;

/// Bytes of elements in one entry of a large file: fixed, so that entries
/// depend on the data alone and never on the number of nodes.
pub const ENTRY_BYTES: u64 = 64 << 20;

/// The most entries of one job.
pub const ENTRIES_MAX: usize = 1 << 20;

/// The most axes an array has (NumPy's limit).
pub const AXES_MAX: usize = 64;

/// The longest path of a file in bytes.
pub const PATH_BYTES_MAX: usize = 4096;

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Number of the device that holds it.
    pub device: u64,
    /// Number of the file on that device.
    pub inode: u64,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Time of the last change of its contents, in ns since the Unix epoch.
    pub modified_ns: i128,
    /// Time of the last change of its metadata, in ns since the Unix epoch.
    pub changed_ns: i128,
}

/// One array of a data set: a file, and where and how the elements lie in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct File {
    /// The bytes of its path as its machine spells it.
    pub path: Vec<u8>,
    /// Type and byte order of the elements.
    pub layout: Layout,
    /// Which axis varies fastest.
    pub memory_order: MemoryOrder,
    /// Lengths of the axes; empty for a single element without axes.
    pub shape: Vec<u64>,
    /// Where the first element starts, in bytes from the start of the file.
    pub data_offset_bytes: u64,
    /// The state of the file that this describes.
    pub identity: FileIdentity,
}

impl File {
    /// The path for people; bytes that are no UTF-8 are replaced.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    /// Number of elements, or `None` past 64 bits.
    pub fn elements(&self) -> Option<u64> {
        element_count(&self.shape)
    }
}

/// The number of elements of an array of this shape, or `None` past 64 bits.
/// An axis of length zero makes it zero, whatever the others are.
pub fn element_count(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_u64, |count, &length| count.checked_mul(length))
}

/// A run of elements of one file. Its position in the manifest is its
/// identity: two entries with equal bytes are two entries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Position in the manifest.
    pub position: u32,
    /// Position of its file among the manifest's files.
    pub file: u32,
    /// Elements of the file, counted from its first, in storage order.
    pub elements: Range<u64>,
}

impl Entry {
    /// Number of elements.
    pub fn len(&self) -> u64 {
        self.elements.end - self.elements.start
    }

    /// Whether the entry has no element. [`Manifest::new`] makes no such entry.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }
}

/// The identity of a job: the hash of its spec, the partial's format version
/// and the whole ordered manifest. Equal jobs are one job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub [u8; 32]);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

/// The ordered list of a job's entries over the files that hold them.
///
/// Entries follow from the files and one number: each file in order, cut into
/// runs of [`ENTRY_BYTES`]. So only these travel, and every node has the same
/// entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    dtype: DType,
    files: Vec<File>,
    /// Bytes of all elements.
    bytes: u64,
    /// Bytes of a whole entry, a multiple of the element size.
    entry_bytes_max: u64,
    entries: Vec<Entry>,
}

/// Why files make no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Two element types in one data set.
    #[error(
        "'{name}' holds {got}, the files before it hold {expected}; reduce one dtype at a time, or convert with NumPy's astype"
    )]
    DTypes {
        /// The file that differs.
        name: String,
        /// Type of the files before it.
        expected: DType,
        /// Its own type.
        got: DType,
    },
    /// The shape, offset and size of a file do not fit together.
    #[error(
        "'{name}' has {size_bytes} bytes, its shape {shape:?} of {dtype} does not fit into them after byte {data_offset_bytes}"
    )]
    Extent {
        /// The file.
        name: String,
        /// The shape it claims.
        shape: Vec<u64>,
        /// The element type it claims.
        dtype: DType,
        /// Where it says its elements start.
        data_offset_bytes: u64,
        /// Its length in bytes.
        size_bytes: u64,
    },
    /// More axes, or a longer path, than a manifest takes.
    #[error("'{name}' has {what}, the most is {max}")]
    Limit {
        /// The file.
        name: String,
        /// What there is too much of, with its number.
        what: String,
        /// The most there may be.
        max: usize,
    },
    /// More entries than a job takes.
    #[error("the data set has more than {max} entries of up to 64 MiB; reduce it in several runs")]
    Entries {
        /// The most there may be.
        max: usize,
    },
    /// More bytes than 64 bits count. No storage holds that many: a shape lies.
    #[error("the data set has more than 2^64 - 1 bytes of elements; check the shapes of its files")]
    TooLarge,
    /// No files at all.
    #[error("the data set has no files")]
    Empty,
}

impl Manifest {
    /// The manifest over `files`, in this order, all of one element type.
    ///
    /// # Errors
    /// No files, two element types, a shape that its file cannot hold, or a
    /// limit passed; files may come from a peer.
    pub fn new(files: Vec<File>) -> Result<Manifest, ManifestError> {
        Manifest::with_entry_bytes(files, ENTRY_BYTES)
    }

    /// As [`Manifest::new`] with entries of another size, at least one element
    /// each. Tests use it to have many entries of little data, and a node to
    /// have the entries of the node that made the manifest.
    ///
    /// Allocates [`ENTRIES_MAX`] entries at most, whatever the files say.
    ///
    /// # Errors
    /// As [`Manifest::new`].
    pub fn with_entry_bytes(files: Vec<File>, entry_bytes: u64) -> Result<Manifest, ManifestError> {
        let dtype = files.first().ok_or(ManifestError::Empty)?.layout.dtype;
        let step = (entry_bytes / dtype.size_bytes() as u64).max(1);
        let mut entries = Vec::new();
        let mut bytes = 0_u64;
        if files.len() > ENTRIES_MAX {
            return Err(ManifestError::Entries { max: ENTRIES_MAX });
        }
        for (index, file) in files.iter().enumerate() {
            let length = check_file(file, dtype)?;
            bytes = length
                .checked_mul(dtype.size_bytes() as u64)
                .and_then(|file_bytes| bytes.checked_add(file_bytes))
                .ok_or(ManifestError::TooLarge)?;
            let count = length.div_ceil(step);
            if count > (ENTRIES_MAX - entries.len()) as u64 {
                return Err(ManifestError::Entries { max: ENTRIES_MAX });
            }
            entries.extend((0..count).map(|part| part * step).map(|start| Entry {
                position: 0,
                file: index as u32,
                elements: start..start.saturating_add(step).min(length),
            }));
        }
        for (position, entry) in entries.iter_mut().enumerate() {
            entry.position = position as u32;
        }
        let entry_bytes_max = step.saturating_mul(dtype.size_bytes() as u64);
        Ok(Manifest { dtype, files, entry_bytes_max, bytes, entries })
    }

    /// Type of all elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The files, in order.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Bytes of elements in a whole entry. With the files, this is all that
    /// another node needs to make the same manifest.
    pub fn entry_bytes_max(&self) -> u64 {
        self.entry_bytes_max
    }

    /// The entries, in order of their positions.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry at `position`, if there is one.
    pub fn entry(&self, position: u32) -> Option<&Entry> {
        self.entries.get(position as usize)
    }

    /// The file of an entry of this manifest.
    pub fn file(&self, entry: &Entry) -> &File {
        &self.files[entry.file as usize]
    }

    /// Bytes of the elements of an entry.
    pub fn entry_bytes(&self, entry: &Entry) -> u64 {
        entry.len() * self.dtype.size_bytes() as u64
    }

    /// Number of all elements.
    pub fn elements(&self) -> u64 {
        self.bytes / self.dtype.size_bytes() as u64
    }

    /// Bytes of all elements.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The identity of the job that reduces this manifest by `spec`.
    pub fn job_id(&self, spec: Spec) -> JobId {
        let mut hasher = blake3::Hasher::new_derive_key("adsum 2026 job id");
        let description = (FORMAT_VERSION, spec, &self.files, self.entry_bytes_max);
        postcard::to_io(&description, &mut hasher).expect("hashing writes to memory only");
        JobId(*hasher.finalize().as_bytes())
    }
}

/// Checks what a file says of itself, and returns its number of elements.
fn check_file(file: &File, dtype: DType) -> Result<u64, ManifestError> {
    let limit = |what, max| ManifestError::Limit { name: file.name(), what, max };
    if file.path.len() > PATH_BYTES_MAX {
        return Err(limit(format!("a path of {} bytes", file.path.len()), PATH_BYTES_MAX));
    }
    if file.shape.len() > AXES_MAX {
        return Err(limit(format!("{} axes", file.shape.len()), AXES_MAX));
    }
    if file.layout.dtype != dtype {
        return Err(ManifestError::DTypes {
            name: file.name(),
            expected: dtype,
            got: file.layout.dtype,
        });
    }
    let extent = |elements: u64| {
        elements.checked_mul(dtype.size_bytes() as u64)?.checked_add(file.data_offset_bytes)
    };
    file.elements()
        .filter(|&elements| extent(elements).is_some_and(|end| end <= file.identity.size_bytes))
        .ok_or_else(|| ManifestError::Extent {
            name: file.name(),
            shape: file.shape.clone(),
            dtype,
            data_offset_bytes: file.data_offset_bytes,
            size_bytes: file.identity.size_bytes,
        })
}

/// A file of native-endian elements in C order that no disk holds: for tests
/// of what only counts and moves entries.
#[doc(hidden)]
pub fn imaginary_file(name: &str, dtype: DType, elements: u64) -> File {
    File {
        path: name.as_bytes().to_vec(),
        layout: Layout { dtype, byte_order: ByteOrder::NATIVE },
        memory_order: MemoryOrder::C,
        shape: vec![elements],
        data_offset_bytes: 0,
        identity: FileIdentity {
            device: 0,
            inode: 0,
            size_bytes: elements * dtype.size_bytes() as u64,
            modified_ns: 0,
            changed_ns: 0,
        },
    }
}

#[cfg(test)]
mod tests;
