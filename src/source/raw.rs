//! Raw binary: elements without a header.

use crate::dtype::{ByteOrder, DType, Layout};
use crate::manifest::element_count;

use super::error::SourceError;

/// What lies in a raw binary file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFormat {
    /// Type of the elements.
    pub dtype: DType,
    /// Order of the bytes inside each element.
    pub byte_order: ByteOrder,
    /// Bytes before the first element.
    pub offset_bytes: u64,
    /// Lengths of the axes, in C order, which must fill the file; without it,
    /// all bytes after the offset are one axis.
    pub shape: Option<Vec<u64>>,
}

impl RawFormat {
    /// Little-endian elements from the first byte to the last.
    pub fn new(dtype: DType) -> RawFormat {
        RawFormat { dtype, byte_order: ByteOrder::Little, offset_bytes: 0, shape: None }
    }

    /// Type and byte order of the elements.
    pub fn layout(&self) -> Layout {
        Layout { dtype: self.dtype, byte_order: self.byte_order }
    }

    /// The shape of the array in the file `name` of `size_bytes` bytes.
    ///
    /// # Errors
    /// The file does not reach the offset, ends inside an element, or is not
    /// filled by the shape given.
    pub fn shape_of(&self, name: &str, size_bytes: u64) -> Result<Vec<u64>, SourceError> {
        let got_bytes = size_bytes.checked_sub(self.offset_bytes).ok_or(SourceError::Offset {
            name: name.to_owned(),
            offset_bytes: self.offset_bytes,
            size_bytes,
        })?;
        let Some(shape) = &self.shape else {
            return Ok(vec![whole_elements(name, self.dtype, got_bytes)?]);
        };
        let expected_bytes = array_bytes(name, shape, self.dtype)?;
        if expected_bytes != got_bytes {
            return Err(SourceError::Shape {
                name: name.to_owned(),
                shape: shape.clone(),
                dtype: self.dtype,
                expected_bytes,
                got_bytes,
            });
        }
        Ok(shape.clone())
    }
}

/// The number of elements that `bytes` bytes are.
///
/// # Errors
/// The bytes end inside an element.
pub fn whole_elements(name: &str, dtype: DType, bytes: u64) -> Result<u64, SourceError> {
    let size = dtype.size_bytes() as u64;
    if !bytes.is_multiple_of(size) {
        return Err(SourceError::Remainder { name: name.to_owned(), bytes, dtype });
    }
    Ok(bytes / size)
}

/// The bytes of an array of this shape.
///
/// # Errors
/// They, or its elements, are past 64 bits.
pub fn array_bytes(name: &str, shape: &[u64], dtype: DType) -> Result<u64, SourceError> {
    element_count(shape).and_then(|count| count.checked_mul(dtype.size_bytes() as u64)).ok_or_else(
        || SourceError::Overflow { name: name.to_owned(), shape: shape.to_vec(), dtype },
    )
}
