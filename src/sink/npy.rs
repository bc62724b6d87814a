//! `.npy` files, version 1.0, with the bytes that `numpy.save` writes.

use std::path::Path;

use super::error::SinkError;
use super::new_file::NewFile;
use crate::dtype::{ByteOrder, DType, Layout, MemoryOrder};
use crate::manifest::AXES_MAX;

/// An array in C order that is written piece by piece, in any order of pieces.
#[derive(Debug)]
pub struct NpySink {
    file: NewFile,
    dtype: DType,
    data_offset_bytes: u64,
    /// Elements of the shape.
    elements: u64,
    /// Elements written so far.
    written: u64,
}

impl NpySink {
    /// Begins the file `path` for little-endian elements of type `dtype`, one
    /// without axes if `shape` is empty, in place of what is there if
    /// `overwrite` allows it.
    ///
    /// # Errors
    /// As [`NewFile::create`]; no file can hold the shape; the header cannot
    /// be written.
    pub fn create(
        path: &Path,
        dtype: DType,
        shape: &[u64],
        overwrite: bool,
    ) -> Result<NpySink, SinkError> {
        let header = header(dtype, shape);
        let data_offset_bytes = header.len() as u64;
        let Some(elements) = elements(dtype, shape, data_offset_bytes) else {
            let name = path.display().to_string();
            return Err(SinkError::Shape { name, shape: shape.to_vec(), dtype });
        };
        let mut file = NewFile::create(path, overwrite)?;
        file.write_at(&header, 0)?;
        Ok(NpySink { file, dtype, data_offset_bytes, elements, written: 0 })
    }

    /// Writes the elements whose bytes these are; the first has the index
    /// `first_element` in C order.
    ///
    /// # Errors
    /// As [`NewFile::write_at`].
    ///
    /// # Panics
    /// The bytes are no whole elements, or elements past the end of the array.
    pub fn write_at(&mut self, first_element: u64, bytes: &[u8]) -> Result<(), SinkError> {
        let size = self.dtype.size_bytes() as u64;
        let count = bytes.len() as u64 / size;
        assert_eq!(bytes.len() as u64 % size, 0, "a piece holds whole elements");
        assert!(
            first_element.checked_add(count).is_some_and(|end| end <= self.elements),
            "a piece lies inside its array"
        );
        self.file.write_at(bytes, self.data_offset_bytes + first_element * size)?;
        self.written += count;
        Ok(())
    }

    /// Brings the array to the disk and to its place, once each element is
    /// written.
    ///
    /// # Errors
    /// As [`NewFile::finish`], or not as many elements were written as the
    /// shape has; nothing is left then.
    pub fn finish(self) -> Result<(), SinkError> {
        let NpySink { file, elements, written, .. } = self;
        if written != elements {
            let name = file.name().to_owned();
            return Err(SinkError::Incomplete { name, written, elements });
        }
        file.finish()
    }
}

/// Elements of the shape, if a file can hold them. File offsets are signed.
fn elements(dtype: DType, shape: &[u64], data_offset_bytes: u64) -> Option<u64> {
    if shape.len() > AXES_MAX {
        return None;
    }
    let elements = match shape.contains(&0) {
        true => 0,
        false => shape.iter().try_fold(1_u64, |product, length| product.checked_mul(*length))?,
    };
    let bytes = elements.checked_mul(dtype.size_bytes() as u64)?.checked_add(data_offset_bytes)?;
    i64::try_from(bytes).is_ok().then_some(elements)
}

/// All bytes before the first element of the array in a `.npy` file: as `numpy.save`
/// writes them, but for bfloat16, which [`source`](crate::source) reads by its name.
/// `None` if no file can hold it.
pub fn header_of(layout: Layout, memory_order: MemoryOrder, shape: &[u64]) -> Option<Vec<u8>> {
    let plain = &descr(layout.dtype)[1..];
    let (plain, is_native) = match layout.dtype {
        DType::BF16 => ("bfloat16", true),
        dtype => (plain, dtype.size_bytes() == 1),
    };
    let order = match layout.byte_order {
        order if is_native && order == ByteOrder::NATIVE => match layout.dtype {
            DType::BF16 => "",
            _ => "|",
        },
        ByteOrder::Little => "<",
        ByteOrder::Big => ">",
    };
    elements(layout.dtype, shape, HEADER_BYTES_MAX)?;
    Some(text_header(&format!("{order}{plain}"), memory_order, shape))
}

/// More than any header has.
const HEADER_BYTES_MAX: u64 = 1 << 16;

/// NumPy's name for little-endian elements of a type.
fn descr(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "|b1",
        DType::I8 => "|i1",
        DType::I16 => "<i2",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::U8 => "|u1",
        DType::U16 => "<u2",
        DType::U32 => "<u4",
        DType::U64 => "<u8",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        DType::F16 => "<f2",
        // As numpy.save names it where ml_dtypes brings the type.
        DType::BF16 => "<V2",
    }
}

/// All bytes before the first element: a multiple of 64, for readers that map
/// the file. Version 1.0 has room for the axes that arrays have.
fn header(dtype: DType, shape: &[u64]) -> Vec<u8> {
    text_header(descr(dtype), MemoryOrder::C, shape)
}

fn text_header(descr: &str, memory_order: MemoryOrder, shape: &[u64]) -> Vec<u8> {
    const ALIGNMENT: usize = 64;
    /// Digits that the length of the slowest axis may grow to in its place.
    const GROWTH_DIGITS: usize = 21;

    let axes: Vec<String> = shape.iter().map(u64::to_string).collect();
    let tuple = match axes.as_slice() {
        [length] => format!("({length},)"),
        axes => format!("({})", axes.join(", ")),
    };
    let (slowest, fortran) = match memory_order {
        MemoryOrder::C => (axes.first(), "False"),
        MemoryOrder::Fortran => (axes.last(), "True"),
    };
    let growth = slowest.map_or(0, |length| GROWTH_DIGITS - length.len());
    let text = format!(
        "{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {tuple}, }}{:growth$}",
        ""
    );

    let start = crate::source::npy::MAGIC.len() + 4;
    // NumPy pads a header that is aligned already by another 64 bytes.
    let padding = ALIGNMENT - (start + text.len() + 1) % ALIGNMENT;
    let text_bytes = (text.len() + padding + 1) as u16;
    let mut header = crate::source::npy::MAGIC.to_vec();
    header.extend([1, 0]);
    header.extend(text_bytes.to_le_bytes());
    header.extend(format!("{text}{:padding$}\n", "").bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What NumPy 2.4.6 writes before the elements: how many bytes, and in them
    /// the names of the type and of the shape.
    #[test]
    fn headers_are_those_of_numpy() {
        let ones_32 = format!("({}1)", "1, ".repeat(31));
        // Its text ends where a line of 64 bytes does, and gets another line.
        let full_line: Vec<u64> = [vec![1; 13], vec![100]].concat();
        let full_line_text = format!("({}100)", "1, ".repeat(13));
        let recorded: [(DType, &[u64], usize, &str, &str); 13] = [
            (DType::Bool, &[3], 128, "|b1", "(3,)"),
            (DType::I8, &[], 128, "|i1", "()"),
            (DType::I16, &[2, 3], 128, "<i2", "(2, 3)"),
            (DType::I32, &[1; 32], 192, "<i4", &ones_32),
            (DType::I64, &[7], 128, "<i8", "(7,)"),
            (DType::U8, &[7], 128, "|u1", "(7,)"),
            (DType::U16, &[0, 4], 128, "<u2", "(0, 4)"),
            (DType::U32, &[1; 6], 128, "<u4", "(1, 1, 1, 1, 1, 1)"),
            (DType::U64, &[1_000_000, 2, 1], 128, "<u8", "(1000000, 2, 1)"),
            (DType::F32, &[0], 128, "<f4", "(0,)"),
            (DType::F64, &[1], 128, "<f8", "(1,)"),
            (DType::F64, &[100_000_000_000, 0], 128, "<f8", "(100000000000, 0)"),
            (DType::F64, &full_line, 192, "<f8", &full_line_text),
        ];
        for (dtype, shape, bytes, descr, tuple) in recorded {
            let mut expected = b"\x93NUMPY\x01\x00".to_vec();
            expected.extend(((bytes - 10) as u16).to_le_bytes());
            let text =
                format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple}, }}");
            expected.extend(text.bytes());
            expected.resize(bytes - 1, b' ');
            expected.push(b'\n');
            let header = header(dtype, shape);
            assert_eq!(header.escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
    }

    #[test]
    fn headers_of_any_array_are_read_as_that_array() {
        use crate::source::npy::Header;
        for dtype in DType::ALL {
            for byte_order in [ByteOrder::Little, ByteOrder::Big] {
                for memory_order in [MemoryOrder::C, MemoryOrder::Fortran] {
                    for shape in [vec![], vec![0], vec![3], vec![2, 30], vec![1; AXES_MAX]] {
                        let layout = Layout { dtype, byte_order };
                        let bytes = header_of(layout, memory_order, &shape).expect("it is small");
                        assert_eq!(bytes.len() % 64, 0);
                        let header = Header::read(&mut &*bytes).expect("it is valid");
                        let data_offset_bytes = bytes.len() as u64;
                        let same = Header { layout, memory_order, shape, data_offset_bytes };
                        assert_eq!(header, same);
                    }
                }
            }
        }
        let little = Layout { dtype: DType::F64, byte_order: ByteOrder::Little };
        assert_eq!(header_of(little, MemoryOrder::C, &[7]), Some(header(DType::F64, &[7])));
        assert_eq!(header_of(little, MemoryOrder::C, &[1 << 61]), None);
        assert_eq!(header_of(little, MemoryOrder::C, &[1; AXES_MAX + 1]), None);
    }

    #[test]
    fn shapes_past_any_file_are_refused() {
        let held = |dtype, shape: &[u64]| elements(dtype, shape, 128);
        assert_eq!(held(DType::F64, &[]), Some(1));
        assert_eq!(held(DType::F64, &[u64::MAX, u64::MAX, 0]), Some(0));
        assert_eq!(held(DType::I8, &[i64::MAX as u64 - 128]), Some(i64::MAX as u64 - 128));
        assert_eq!(held(DType::I8, &[i64::MAX as u64 - 127]), None);
        assert_eq!(held(DType::F64, &[1 << 61]), None);
        assert_eq!(held(DType::I8, &[1 << 32, 1 << 32]), None);
        assert_eq!(held(DType::I8, &[1; AXES_MAX]), Some(1));
        assert_eq!(held(DType::I8, &[1; AXES_MAX + 1]), None);
    }
}
