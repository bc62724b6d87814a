//! An array that comes through a pipe.

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use crate::dtype::{Layout, MemoryOrder};
use crate::shard::MemoryShard;

use super::dataset::{read_header, refuse_npy_as_raw};
use super::error::SourceError;
use super::npy::{Header, MAGIC};
use super::raw::{RawFormat, array_bytes, whole_elements};
use super::{Options, read_full};

/// An array that is read once, from its first element to its last, and is kept
/// nowhere: memory is one shard at a time.
///
/// As of files, what starts with the magic string of `.npy` is one, and
/// everything else needs a [`RawFormat`]. What follows the array of a `.npy`
/// stream is left unread, so that its writer need not close it. Raw data goes
/// on to the end of the stream, and must fill its shape, if it has one.
///
/// After an error the position in the stream is not known: drop it.
#[derive(Debug)]
pub struct Stream<R> {
    reader: io::Chain<Cursor<Vec<u8>>, R>,
    name: String,
    layout: Layout,
    memory_order: MemoryOrder,
    extent: Extent,
    /// Bytes of elements that were read.
    bytes: u64,
}

/// Where the elements end.
#[derive(Debug)]
enum Extent {
    /// After an array of this shape. What follows is not ours.
    Npy { shape: Vec<u64>, bytes: u64 },
    /// After an array of this shape, which is where the stream must end.
    Shaped { shape: Vec<u64>, bytes: u64 },
    /// Where the stream ends.
    Open,
}

impl<R: Read> Stream<R> {
    /// Reads up to the first element of what `reader` gives. Errors call the
    /// stream `name`.
    ///
    /// # Errors
    /// The stream is empty or fails, or what it starts with cannot be used.
    pub fn open(
        mut reader: R,
        options: &Options,
        name: impl Into<String>,
    ) -> Result<Stream<R>, SourceError> {
        let name = name.into();
        let io = |error| SourceError::io(&name, error);
        let mut start = vec![0; MAGIC.len()];
        let got = read_full(&mut reader, &mut start).map_err(io)?;
        start.truncate(got);
        if start.is_empty() {
            return Err(SourceError::Empty { name });
        }
        let mut reader = Cursor::new(start.clone()).chain(reader);
        let (layout, memory_order, extent) = match &options.raw {
            None => {
                let Header { layout, memory_order, shape, .. } =
                    read_header(&name, &start, &mut reader)?;
                let bytes = array_bytes(&name, &shape, layout.dtype)?;
                (layout, memory_order, Extent::Npy { shape, bytes })
            }
            Some(format) => {
                refuse_npy_as_raw(&name, &start, format)?;
                skip(&name, &mut reader, format)?;
                let extent = match format.shape.clone() {
                    None => Extent::Open,
                    Some(shape) => {
                        let bytes = array_bytes(&name, &shape, format.dtype)?;
                        Extent::Shaped { shape, bytes }
                    }
                };
                (format.layout(), MemoryOrder::C, extent)
            }
        };
        Ok(Stream { reader, name, layout, memory_order, extent, bytes: 0 })
    }

    /// Type and byte order of the elements.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Which axis varies fastest.
    pub fn memory_order(&self) -> MemoryOrder {
        self.memory_order
    }

    /// Lengths of the axes, if they are known before the end.
    pub fn shape(&self) -> Option<&[u64]> {
        match &self.extent {
            Extent::Npy { shape, .. } | Extent::Shaped { shape, .. } => Some(shape),
            Extent::Open => None,
        }
    }

    /// Lengths of the axes of an array that comes in Fortran order.
    pub fn fortran_shape(&self) -> Option<Arc<[u64]>> {
        let shape = self.shape()?;
        let long = shape.iter().filter(|&&length| length > 1).count();
        (self.memory_order == MemoryOrder::Fortran && long > 1).then(|| shape.into())
    }

    /// The number of elements, if it is known before the end.
    pub fn elements_expected(&self) -> Option<u64> {
        self.bytes_expected().map(|bytes| bytes / self.size())
    }

    /// The number of elements that have come in shards so far.
    pub fn elements_read(&self) -> u64 {
        self.bytes / self.size()
    }

    /// The next elements, as many as go into `bytes_max` bytes (but at least
    /// one), or fewer at the end; `None` after the last one. Waits until they
    /// have come.
    ///
    /// # Errors
    /// Reading fails, or the stream ends too early, inside an element, or too
    /// late.
    pub fn next_shard(&mut self, bytes_max: usize) -> Result<Option<MemoryShard>, SourceError> {
        let size = self.size();
        let room = (bytes_max as u64 / size).max(1) * size;
        let wanted = match self.bytes_expected() {
            Some(expected) => room.min(expected - self.bytes),
            None => room,
        };
        let mut bytes = Vec::new();
        self.reader
            .by_ref()
            .take(wanted)
            .read_to_end(&mut bytes)
            .map_err(|error| SourceError::io(&self.name, error))?;
        self.bytes += bytes.len() as u64;
        if (bytes.len() as u64) < wanted {
            self.check_early_end()?;
        }
        if bytes.is_empty() {
            self.check_late_end()?;
            return Ok(None);
        }
        Ok(Some(MemoryShard::new(self.layout, bytes)))
    }

    /// Whether the stream may end after the bytes that have come.
    fn check_early_end(&self) -> Result<(), SourceError> {
        let dtype = self.layout.dtype;
        let (name, got_bytes) = (self.name.clone(), self.bytes);
        match &self.extent {
            Extent::Npy { shape, bytes } => {
                let (shape, expected_bytes) = (shape.clone(), *bytes);
                Err(SourceError::Truncated { name, shape, dtype, expected_bytes, got_bytes })
            }
            Extent::Shaped { shape, bytes } => {
                let (shape, expected_bytes) = (shape.clone(), *bytes);
                Err(SourceError::Shape { name, shape, dtype, expected_bytes, got_bytes })
            }
            Extent::Open => whole_elements(&name, dtype, got_bytes).map(|_elements| ()),
        }
    }

    /// Whether a stream ends with the shape that was given for it.
    fn check_late_end(&mut self) -> Result<(), SourceError> {
        let Extent::Shaped { shape, bytes } = &self.extent else {
            return Ok(());
        };
        let more = read_full(&mut self.reader, &mut [0])
            .map_err(|error| SourceError::io(&self.name, error))?;
        match more {
            0 => Ok(()),
            _ => Err(SourceError::Shape {
                name: self.name.clone(),
                shape: shape.clone(),
                dtype: self.layout.dtype,
                expected_bytes: *bytes,
                got_bytes: bytes.saturating_add(1),
            }),
        }
    }

    fn bytes_expected(&self) -> Option<u64> {
        match &self.extent {
            Extent::Npy { bytes, .. } | Extent::Shaped { bytes, .. } => Some(*bytes),
            Extent::Open => None,
        }
    }

    fn size(&self) -> u64 {
        self.layout.dtype.size_bytes() as u64
    }
}

/// Steps over the bytes before the first element.
fn skip(name: &str, reader: &mut impl Read, format: &RawFormat) -> Result<(), SourceError> {
    let offset_bytes = format.offset_bytes;
    let size_bytes = io::copy(&mut reader.by_ref().take(offset_bytes), &mut io::sink())
        .map_err(|error| SourceError::io(name, error))?;
    match size_bytes < offset_bytes {
        true => Err(SourceError::Offset { name: name.to_owned(), offset_bytes, size_bytes }),
        false => Ok(()),
    }
}
