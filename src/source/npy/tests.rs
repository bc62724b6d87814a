//! Headers written here by hand, byte for byte as the specification says.

use proptest::prelude::*;

use super::*;

/// A header of `version` around `text`, padded as NumPy pads it.
fn header(version: u8, text: &str) -> Vec<u8> {
    let prefix = if version == 1 { 10 } else { 12 };
    let padding = 64 - (prefix + text.len() + 1) % 64;
    let length = text.len() + padding + 1;
    let mut bytes = [&MAGIC[..], &[version, 0]].concat();
    match version {
        1 => bytes.extend((length as u16).to_le_bytes()),
        _ => bytes.extend((length as u32).to_le_bytes()),
    }
    bytes.extend(text.as_bytes());
    bytes.extend(" ".repeat(padding).bytes());
    bytes.push(b'\n');
    bytes
}

fn dict(descr: &str, fortran_order: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': {fortran_order}, 'shape': {shape}, }}")
}

fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
    Header::read(&mut &bytes[..])
}

fn read_text(text: &str) -> Result<Header, HeaderError> {
    read(&header(1, text))
}

#[test]
fn each_version_is_read() {
    for version in 1..=3 {
        let bytes = header(version, &dict("'<f8'", "True", "(3, 4)"));
        let expected = Header {
            layout: Layout::little(DType::F64),
            memory_order: MemoryOrder::Fortran,
            shape: vec![3, 4],
            data_offset_bytes: bytes.len() as u64,
        };
        assert_eq!(read(&bytes).unwrap(), expected, "version {version}");
    }
    let error = read(&header(4, &dict("'<f8'", "True", "()"))).unwrap_err();
    assert!(matches!(error, HeaderError::Version { major: 4, minor: 0 }), "{error}");
}

#[test]
fn each_dtype_and_byte_order_is_read() {
    let codes =
        ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "f2", "bfloat16"];
    assert_eq!(codes.len(), DType::ALL.len());
    let orders = [
        ("<", ByteOrder::Little),
        (">", ByteOrder::Big),
        ("=", ByteOrder::NATIVE),
        ("|", ByteOrder::NATIVE),
        ("", ByteOrder::NATIVE),
    ];
    for (code, dtype) in codes.into_iter().zip(DType::ALL) {
        for (order, byte_order) in orders {
            let header = read_text(&dict(&format!("'{order}{code}'"), "False", "(2,)")).unwrap();
            assert_eq!(header.layout, Layout { dtype, byte_order }, "{order}{code}");
        }
    }
}

#[test]
fn other_dtypes_are_refused_with_the_way_out() {
    for (descr, words) in [
        ("'<V2'", "nameless 2-byte elements ('<V2')"),
        ("'|V2'", "'--dtype bfloat16 --offset 128'"),
        ("'<f16'", "long double"),
        ("'<c16'", ".real and .imag"),
        ("'|O'", "Python objects"),
        ("'<M8[ns]'", "datetime64"),
        ("'<m8[D]'", "timedelta64"),
        ("'|S5'", "text"),
        ("'<U5'", "text"),
        ("'|V8'", "records"),
        ("[('x', '<f8'), ('y', '<i4', (2,))]", "each field"),
        ("'<q9'", "unknown type"),
    ] {
        let error = read_text(&dict(descr, "False", "(2,)")).unwrap_err();
        assert!(matches!(error, HeaderError::DType { .. }), "{descr}: {error:?}");
        assert!(error.to_string().contains(words), "{descr}: {error}");
    }
}

#[test]
fn wrong_fields_are_refused() {
    for (text, words) in [
        (dict("'<f8'", "False", "(-1,)"), "negative length -1"),
        (dict("'<f8'", "False", "(18446744073709551616,)"), "past 64 bits"),
        (dict("'<f8'", "False", "3"), "no tuple"),
        (dict("'<f8'", "False", "(3)"), "no tuple"),
        (dict("'<f8'", "False", "('a',)"), "no integer"),
        (dict("'<f8'", "0", "(3,)"), "fortran_order"),
        (dict("7", "False", "(3,)"), "descr"),
        ("{'descr': '<f8', 'fortran_order': False}".into(), "shape"),
        ("{'descr': '<f8', 'descr': '<f4'}".into(), "twice"),
        ("{'order': 1}".into(), "none of"),
        ("[1]".into(), "no dict"),
        ("{'descr': __import__('os')}".into(), "no literal starts at byte 10"),
    ] {
        let error = read_text(&text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn axes_have_a_limit() {
    let shape = |axes| format!("({})", "1, ".repeat(axes));
    assert_eq!(read_text(&dict("'<f8'", "False", &shape(64))).unwrap().shape, [1; 64]);
    let error = read_text(&dict("'<f8'", "False", &shape(65))).unwrap_err();
    assert!(matches!(error, HeaderError::Axes { axes: 65 }), "{error}");
}

#[test]
fn a_cut_header_says_how_much_is_missing() {
    let whole = header(1, &dict("'<f8'", "False", "(3,)"));
    for got in 0..whole.len() {
        let error = read(&whole[..got]).unwrap_err();
        let HeaderError::Truncated { expected_bytes, got_bytes } = error else {
            panic!("{got} bytes: {error}");
        };
        assert_eq!(got_bytes, got as u64);
        assert!(expected_bytes <= whole.len() as u64 && expected_bytes > got_bytes);
    }
}

#[test]
fn a_text_has_a_limit_before_it_is_read() {
    let mut bytes = [&MAGIC[..], &[2, 0]].concat();
    bytes.extend((TEXT_BYTES_MAX as u32 + 1).to_le_bytes());
    assert!(matches!(read(&bytes), Err(HeaderError::Long { bytes: 0x10_0001 })));

    let text = dict("'<f8'", "False", "(3,)");
    let mut longest = [&MAGIC[..], &[2, 0]].concat();
    longest.extend((TEXT_BYTES_MAX as u32).to_le_bytes());
    longest.extend(text.bytes().chain(std::iter::repeat_n(b' ', TEXT_BYTES_MAX - text.len())));
    assert_eq!(read(&longest).unwrap().data_offset_bytes, 12 + TEXT_BYTES_MAX as u64);
}

proptest! {
    /// Headers come from outside: whatever one byte of them becomes, reading
    /// ends with a header or an error.
    #[test]
    fn no_header_panics(at in 0_usize..128, byte: u8, version in 1_u8..=3) {
        let mut bytes = header(version, &dict("'<f8'", "False", "(3, 4)"));
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(&bytes);
    }

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = read_text(&text);
    }
}
