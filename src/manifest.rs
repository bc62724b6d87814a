//! The ordered list of a job's entries.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::dtype::{ByteOrder, DType, Layout, MemoryOrder};
use crate::op::Spec;
use crate::partial::{ENCODED_BYTES_MAX, FORMAT_VERSION, encoded_bytes_max};

mod cut;

pub use cut::{Block, Cut, OutputOrder, axis_outputs, fortran_to_c, joined_shape};

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

/// What tells the contents of one array from those of another, wherever they lie:
/// the BLAKE3 hash of its description and of the hashes of its elements' bytes, in
/// runs of [`ENTRY_BYTES`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of an array whose runs of elements have these hashes.
    pub fn of(
        layout: Layout,
        memory_order: MemoryOrder,
        shape: &[u64],
        runs: &[[u8; 32]],
    ) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("adsum 2026 array digest");
        postcard::to_io(&(layout, memory_order, shape, runs), &mut hasher)
            .expect("hashing writes to memory only");
        Digest(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One array of a data set: a file, and where and how the elements lie in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct File {
    /// The bytes of its path as its machine spells it, or of its name in a cluster's
    /// catalogue.
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
    /// What its contents are, where that is known. Then any file with these contents
    /// will do, whatever its state and wherever its elements start.
    pub digest: Option<Digest>,
    /// Whether what is read is also to be hashed and compared with the digest.
    pub verified: bool,
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

    /// Whether the elements lie otherwise than in C order. An array with at
    /// most one axis longer than 1 lies in both orders.
    pub fn is_fortran(&self) -> bool {
        let long = self.shape.iter().filter(|&&length| length > 1).count();
        self.memory_order == MemoryOrder::Fortran && long > 1
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

/// Elements of one file that are reduced together. Its position in the manifest
/// is its identity: two entries with equal bytes are two entries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Position in the manifest.
    pub position: u32,
    /// Position of its file among the manifest's files.
    pub file: u32,
    /// From its first to its last element in the file, counted in storage order.
    pub elements: Range<u64>,
    /// Which of these elements it has.
    pub block: Block,
    /// The job's output that its first element belongs to.
    pub first_output: u64,
    /// Place of its first element along the reduced axis, counted over all
    /// files in storage order.
    pub first_index: u64,
    /// Where its partners lie, in a job of two data sets: a file, and an element
    /// of it in storage order.
    pub second: Option<(u32, u64)>,
}

impl Entry {
    /// A run of the only array of a stream.
    pub fn line(position: u32, elements: Range<u64>) -> Entry {
        let (block, first_index) = (Block::line(elements.end - elements.start), elements.start);
        Entry { position, file: 0, elements, block, first_output: 0, first_index, second: None }
    }

    /// Number of elements.
    pub fn len(&self) -> u64 {
        self.block.outer * self.block.reduced * self.block.inner
    }

    /// Whether the entry has no element. A manifest has no such entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of outputs that its elements belong to.
    pub fn outputs(&self) -> u64 {
        self.block.outer * self.block.inner
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
/// Entries follow from the files and the [`Cut`]. So only these travel, and
/// every node has the same entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    dtype: DType,
    files: Vec<File>,
    cut: Cut,
    /// Bytes of the elements of all entries.
    bytes: u64,
    outputs: u64,
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
    /// An axis that an array does not have.
    #[error("axis {axis} does not exist: '{name}' has {axes} axes{}", axis_advice(*axes))]
    Axis {
        /// The file.
        name: String,
        /// The axis.
        axis: usize,
        /// Axes of the file.
        axes: usize,
    },
    /// Arrays that cannot be joined along the first axis.
    #[error(
        "'{name}' has the shape {got:?}, the files before it {expected:?}; to reduce along an axis all but the first length must be equal"
    )]
    Shapes {
        /// The file that differs.
        name: String,
        /// Shape of the files before it.
        expected: Vec<u64>,
        /// Its own shape.
        got: Vec<u64>,
    },
    /// C order and Fortran order where they cannot be together.
    #[error(
        "'{fortran}' lies in Fortran order, '{c}' does not fit beside it; save it again with numpy.save(path, numpy.ascontiguousarray(array))"
    )]
    Orders {
        /// The file in Fortran order.
        fortran: String,
        /// The file that does not fit beside it.
        c: String,
    },
    /// Two data sets of different lengths or shapes.
    #[error("the two data sets do not match: {first} and {second}; they must have equal shapes")]
    Pair {
        /// What the first one is.
        first: String,
        /// What the second one is.
        second: String,
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

fn axis_advice(axes: usize) -> String {
    match axes {
        0 => "; leave '--axis' out".to_owned(),
        axes => format!("; use -{axes} to {}", axes - 1),
    }
}

impl Manifest {
    /// The manifest over `files`, in this order, all of one element type, for a
    /// reduction to one number.
    ///
    /// # Errors
    /// No files, two element types, a shape that its file cannot hold, or a
    /// limit passed; files may come from a peer.
    pub fn new(files: Vec<File>) -> Result<Manifest, ManifestError> {
        Manifest::with_entry_bytes(files, ENTRY_BYTES)
    }

    /// As [`Manifest::new`] with entries of another size, at least one element
    /// each. Tests use it to have many entries of little data.
    ///
    /// # Errors
    /// As [`Manifest::new`].
    pub fn with_entry_bytes(files: Vec<File>, entry_bytes: u64) -> Result<Manifest, ManifestError> {
        Manifest::cut(files, Cut::Runs { entry_bytes })
    }

    /// The manifest over `files` with entries as `cut` says.
    ///
    /// Allocates [`ENTRIES_MAX`] entries at most, whatever the files say.
    ///
    /// # Errors
    /// As [`Manifest::new`], and files that do not fit together in the way that
    /// the cut needs.
    pub fn cut(files: Vec<File>, mut cut: Cut) -> Result<Manifest, ManifestError> {
        let dtype = files.first().ok_or(ManifestError::Empty)?.layout.dtype;
        if files.len() > ENTRIES_MAX {
            return Err(ManifestError::Entries { max: ENTRIES_MAX });
        }
        // Each file's elements are counted once, and so is each entry's.
        let mut bytes = 0_u64;
        for file in &files {
            bytes = check_file(file, dtype)?
                .checked_mul(dtype.size_bytes() as u64)
                .and_then(|file_bytes| bytes.checked_add(file_bytes))
                .ok_or(ManifestError::TooLarge)?;
        }
        let (entries, outputs) = cut.entries(&files, dtype)?;
        let lengths =
            entries.iter().map(|entry| entry.len() * (1 + u64::from(entry.second.is_some())));
        let bytes = lengths.sum::<u64>() * dtype.size_bytes() as u64;
        Ok(Manifest { dtype, files, cut, bytes, outputs, entries })
    }

    /// The manifest over the files of two others, whose elements are reduced in pairs.
    ///
    /// # Errors
    /// As [`Manifest::new`], or data sets of different lengths or shapes.
    pub fn pairs(first: &Manifest, second: &Manifest) -> Result<Manifest, ManifestError> {
        let cut = Cut::Pairs { entry_bytes: ENTRY_BYTES, second: first.files.len() as u32 };
        Manifest::cut([first.files(), second.files()].concat(), cut)
    }

    /// Type of all elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The files, in order.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// How the files are cut into entries. With the files, this is all that
    /// another node needs to make the same manifest.
    pub fn cut_by(&self) -> &Cut {
        &self.cut
    }

    /// Whether the job reduces along an axis.
    pub fn is_along_axis(&self) -> bool {
        matches!(self.cut, Cut::Axis { .. })
    }

    /// Number of outputs of the job: 1, or those that its entries belong to
    /// along an axis.
    pub fn outputs(&self) -> u64 {
        self.outputs
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

    /// Bytes of the elements of an entry, its partners not counted.
    pub fn entry_bytes(&self, entry: &Entry) -> u64 {
        entry.len() * self.dtype.size_bytes() as u64
    }

    /// Number of the elements of all entries, partners not counted.
    pub fn elements(&self) -> u64 {
        self.entries.iter().map(Entry::len).sum()
    }

    /// Bytes that the entries read, of both data sets if there are two.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether `spec` can be carried out over this manifest: it takes these
    /// elements, as many data sets as there are, and no entry's partial is too
    /// large to travel.
    pub fn suits(&self, spec: &Spec) -> bool {
        let paired = matches!(self.cut, Cut::Pairs { .. });
        let outputs = self.entries.iter().map(Entry::outputs).max().unwrap_or(1);
        spec.is_valid()
            && spec.dtype == self.dtype
            && spec.is_paired() == paired
            && encoded_bytes_max(spec, outputs) <= ENCODED_BYTES_MAX as u64
    }

    /// An upper bound of the bytes that the partial of all entries encodes to.
    pub fn total_bytes_max(&self, spec: &Spec) -> u64 {
        encoded_bytes_max(spec, self.outputs())
    }

    /// The identity of the job that reduces this manifest by `spec`.
    pub fn job_id(&self, spec: &Spec) -> JobId {
        let mut hasher = blake3::Hasher::new_derive_key("adsum 2026 job id");
        let description = (FORMAT_VERSION, spec, &self.files, &self.cut);
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
        digest: None,
        verified: false,
    }
}

#[cfg(test)]
mod tests;
