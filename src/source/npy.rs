//! The header of NumPy's `.npy` format, versions 1.0, 2.0 and 3.0.
//!
//! A file is a magic string, a version, the length of the header's text, that
//! text (a Python dict of `descr`, `fortran_order` and `shape`), and then the
//! elements. Specification: `numpy/lib/_format_impl.py` in NumPy.
//!
//! The header is read here and not by a crate because it comes from outside:
//! the text is bounded before it is read, and its parser before it recurses.

use std::io::{self, Read};

use crate::dtype::{ByteOrder, DType, Layout, MemoryOrder};
use crate::manifest::AXES_MAX;

use literal::{Literal, Malformed};

pub mod literal;

/// The bytes every `.npy` file starts with.
pub const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The longest text of a header in bytes. NumPy by itself reads 10,000.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// What a `.npy` file says of its array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type and byte order of the elements.
    pub layout: Layout,
    /// Which axis varies fastest.
    pub memory_order: MemoryOrder,
    /// Lengths of the axes; empty for a single element without axes.
    pub shape: Vec<u64>,
    /// Bytes from the start of the file to the first element.
    pub data_offset_bytes: u64,
}

/// Why a header cannot be used. Each message continues one that has named the
/// file.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// Reading failed.
    #[error("could not be read: {0}")]
    Read(#[from] io::Error),
    /// The file does not start with [`MAGIC`].
    #[error("does not start as a .npy file")]
    Magic,
    /// A version of the format from after this program.
    #[error(
        "has .npy version {major}.{minor}, known are 1.0, 2.0 and 3.0; save it again with numpy.save"
    )]
    Version {
        /// First number of the version.
        major: u8,
        /// Second number of the version.
        minor: u8,
    },
    /// The file ends inside its header.
    #[error(
        "is cut off: its header has {expected_bytes} bytes, the file has {got_bytes}; copy or save it again"
    )]
    Truncated {
        /// Bytes of the header, as far as it says them.
        expected_bytes: u64,
        /// Bytes that there are.
        got_bytes: u64,
    },
    /// The text is longer than [`TEXT_BYTES_MAX`].
    #[error("has a header of {bytes} bytes, the most is {max}; save the array again with numpy.save", max = TEXT_BYTES_MAX)]
    Long {
        /// Bytes of the text, as the file says them.
        bytes: u64,
    },
    /// The text is not of the form that NumPy writes.
    #[error("has a broken .npy header: {0}; save the array again with numpy.save")]
    Malformed(#[from] Malformed),
    /// The text is a literal, but not of the right keys and types.
    #[error("has a broken .npy header: {problem}; save the array again with numpy.save")]
    Field {
        /// What is wrong with which key.
        problem: String,
    },
    /// More axes than NumPy has.
    #[error("has {axes} axes, the most is {max}", max = AXES_MAX)]
    Axes {
        /// Axes in the header.
        axes: usize,
    },
    /// An element type that is not reduced here.
    #[error("holds {kind} ('{descr}'), which adsum does not read{hint}")]
    DType {
        /// The type in words.
        kind: &'static str,
        /// The type as the header spells it.
        descr: String,
        /// The way out, or nothing where there is none.
        hint: &'static str,
    },
}

impl Header {
    /// Reads a header from its first byte on, and nothing after it.
    ///
    /// # Errors
    /// As the variants of [`HeaderError`] say. The reader stands somewhere
    /// inside the header then.
    pub fn read(reader: &mut impl Read) -> Result<Header, HeaderError> {
        let mut source = Counted { reader, bytes: 0 };
        let mut start = [0; 8];
        source.fill(&mut start)?;
        if !start.starts_with(MAGIC) {
            return Err(HeaderError::Magic);
        }
        let text_bytes = match [start[6], start[7]] {
            [1, 0] => {
                let mut length = [0; 2];
                source.fill(&mut length)?;
                u64::from(u16::from_le_bytes(length))
            }
            [2 | 3, 0] => {
                let mut length = [0; 4];
                source.fill(&mut length)?;
                u64::from(u32::from_le_bytes(length))
            }
            [major, minor] => return Err(HeaderError::Version { major, minor }),
        };
        if text_bytes > TEXT_BYTES_MAX as u64 {
            return Err(HeaderError::Long { bytes: text_bytes });
        }
        let mut text = vec![0; text_bytes as usize];
        source.fill(&mut text)?;
        let (layout, memory_order, shape) = fields(literal::parse(&text)?)?;
        Ok(Header { layout, memory_order, shape, data_offset_bytes: source.bytes })
    }
}

/// A reader that knows how far it has come.
struct Counted<'a, R> {
    reader: &'a mut R,
    bytes: u64,
}

impl<R: Read> Counted<'_, R> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), HeaderError> {
        let expected_bytes = self.bytes + buffer.len() as u64;
        let got = super::read_full(self.reader, buffer)?;
        self.bytes += got as u64;
        if self.bytes < expected_bytes {
            return Err(HeaderError::Truncated { expected_bytes, got_bytes: self.bytes });
        }
        Ok(())
    }
}

/// Takes the dict apart. NumPy asks for exactly these three keys, too.
fn fields(dict: Literal) -> Result<(Layout, MemoryOrder, Vec<u64>), HeaderError> {
    let Literal::Dict(items) = dict else {
        return Err(field("it is no dict"));
    };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    for (key, value) in items {
        let slot = match &key {
            Literal::Text(name) if name == b"descr" => &mut descr,
            Literal::Text(name) if name == b"fortran_order" => &mut fortran_order,
            Literal::Text(name) if name == b"shape" => &mut shape,
            _ => return Err(field("it has a key that is none of descr, fortran_order and shape")),
        };
        if slot.replace(value).is_some() {
            return Err(field("it has a key twice"));
        }
    }
    let layout = match descr {
        Some(Literal::Text(descr)) => layout(&descr)?,
        Some(Literal::List(_)) => return Err(unsupported("records", b"[...]", FIELD_BY_FIELD)),
        _ => return Err(field("'descr' is neither a string nor a list")),
    };
    let memory_order = match fortran_order {
        Some(Literal::Bool(false)) => MemoryOrder::C,
        Some(Literal::Bool(true)) => MemoryOrder::Fortran,
        _ => return Err(field("'fortran_order' is neither True nor False")),
    };
    let Some(Literal::Tuple(lengths)) = shape else {
        return Err(field("'shape' is no tuple"));
    };
    if lengths.len() > AXES_MAX {
        return Err(HeaderError::Axes { axes: lengths.len() });
    }
    let shape = lengths.into_iter().map(axis_length).collect::<Result<_, _>>()?;
    Ok((layout, memory_order, shape))
}

fn axis_length(length: Literal) -> Result<u64, HeaderError> {
    let Literal::Integer(length) = length else {
        return Err(field("'shape' holds something that is no integer"));
    };
    u64::try_from(length).map_err(|_| match length < 0 {
        true => field(format!("'shape' holds the negative length {length}")),
        false => field("'shape' holds a length past 64 bits"),
    })
}

const FIELD_BY_FIELD: &str = "; save each field as an array of its own";

/// The element type that a type string of NumPy names: byte order, kind and
/// size in bytes.
fn layout(descr: &[u8]) -> Result<Layout, HeaderError> {
    let (byte_order, code) = match descr.split_first() {
        Some((b'<', code)) => (ByteOrder::Little, code),
        Some((b'>', code)) => (ByteOrder::Big, code),
        Some((b'|' | b'=', code)) => (ByteOrder::NATIVE, code),
        _ => (ByteOrder::NATIVE, descr),
    };
    let refuse = |kind, hint| Err(unsupported(kind, descr, hint));
    let dtype = match code {
        b"b1" | b"?" => DType::Bool,
        b"i1" => DType::I8,
        b"i2" => DType::I16,
        b"i4" => DType::I32,
        b"i8" => DType::I64,
        b"u1" => DType::U8,
        b"u2" => DType::U16,
        b"u4" => DType::U32,
        b"u8" => DType::U64,
        b"f4" => DType::F32,
        b"f8" => DType::F64,
        b"f2" => DType::F16,
        b"bfloat16" => DType::BF16,
        // Arrays of bfloat16 are saved as nameless bytes of this size.
        b"V2" => {
            return refuse(
                "nameless 2-byte elements",
                "; if they are bfloat16, read what follows the header as raw data with '--dtype bfloat16 --offset 128'",
            );
        }
        b"f12" | b"f16" | b"g" => {
            return refuse("long double", "; .astype('float64') rounds each element");
        }
        _ => match code.first() {
            Some(b'c') => return refuse("complex numbers", "; save .real and .imag of it"),
            Some(b'O') => {
                return refuse(
                    "Python objects",
                    "; convert it to numbers, for example with .astype('float64')",
                );
            }
            Some(b'M') => return refuse("datetime64", "; .view('int64') has its ticks"),
            Some(b'm') => return refuse("timedelta64", "; .view('int64') has its ticks"),
            Some(b'S' | b'a' | b'U') => {
                return refuse("text", "; convert it to numbers with .astype('float64')");
            }
            Some(b'V') => return refuse("records", FIELD_BY_FIELD),
            _ => return refuse("an unknown type", ""),
        },
    };
    Ok(Layout { dtype, byte_order })
}

fn unsupported(kind: &'static str, descr: &[u8], hint: &'static str) -> HeaderError {
    let descr = String::from_utf8_lossy(&descr[..descr.len().min(64)]).into_owned();
    HeaderError::DType { kind, descr, hint }
}

fn field(problem: impl Into<String>) -> HeaderError {
    HeaderError::Field { problem: problem.into() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test whose steps fail has failed")]
mod tests;
