//! Arrays through a pipe.

use std::io::{self, Read};

use adsum::dtype::{ByteOrder, DType, MemoryOrder};
use adsum::shard::Shard;
use adsum::source::{Options, RawFormat, SourceError, Stream};

use crate::fixture::{f64_bytes, npy, npy_f64, raw, raw_options};

/// A pipe that gives one byte at a time, with interruptions.
struct Trickle<'a> {
    bytes: &'a [u8],
    turn: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.bytes.read(&mut buffer[..1])
    }
}

/// The bytes of all shards and the number of elements in each.
fn drain(
    bytes: &[u8],
    options: &Options,
    bytes_max: usize,
) -> Result<(Vec<u8>, Vec<u64>), SourceError> {
    let mut stream = Stream::open(Trickle { bytes, turn: 0 }, options, "standard input")?;
    let (mut all, mut counts, mut block) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(shard) = stream.next_shard(bytes_max)? {
        counts.push(shard.elements());
        all.extend_from_slice(shard.read(0..shard.elements(), &mut block).unwrap());
    }
    assert_eq!(stream.elements_read(), counts.iter().sum::<u64>());
    Ok((all, counts))
}

fn error_of(bytes: &[u8], options: &Options) -> String {
    drain(bytes, options, 16).expect_err("this should fail").to_string()
}

#[test]
fn npy_comes_in_shards_of_whole_elements() {
    let values = [1.0, 2.0, 3.0, 4.0, 5.0];
    let bytes = npy_f64(&values);
    for (bytes_max, expected) in
        [(16, vec![2, 2, 1]), (23, vec![2, 2, 1]), (1, vec![1; 5]), (1 << 20, vec![5])]
    {
        let (all, counts) = drain(&bytes, &Options::default(), bytes_max).unwrap();
        assert_eq!((all, counts), (f64_bytes(&values), expected), "{bytes_max}");
    }
}

#[test]
fn a_stream_says_what_its_header_says() {
    let bytes = npy(">u2", true, "(2, 3)", &[0; 12]);
    let stream = Stream::open(&bytes[..], &Options::default(), "-").unwrap();
    assert_eq!(stream.layout().dtype, DType::U16);
    assert_eq!(stream.layout().byte_order, ByteOrder::Big);
    assert_eq!(stream.memory_order(), MemoryOrder::Fortran);
    assert_eq!(stream.shape(), Some(&[2, 3][..]));
    assert_eq!(stream.elements_expected(), Some(6));
}

#[test]
fn arrays_without_elements_and_without_axes_come_too() {
    let none = npy("<f8", false, "(0, 3)", &[]);
    assert_eq!(drain(&none, &Options::default(), 16).unwrap(), (vec![], vec![]));
    let one = npy("<f8", false, "()", &f64_bytes(&[7.0]));
    assert_eq!(drain(&one, &Options::default(), 16).unwrap().1, [1]);
}

#[test]
fn raw_goes_on_to_the_end_of_the_stream() {
    let bytes: Vec<u8> = (0..15).collect();
    let format = RawFormat { offset_bytes: 3, ..raw(DType::U32) };
    let options = raw_options(format.clone());
    assert_eq!(drain(&bytes, &options, 8).unwrap(), (bytes[3..].to_vec(), vec![2, 1]));
    assert_eq!(drain(&bytes[..11], &options, 8).unwrap().1, [2]);
    assert_eq!(drain(&bytes[..3], &options, 8).unwrap().1, [0; 0]);
    let stream = Stream::open(&bytes[..], &options, "-").unwrap();
    assert_eq!((stream.shape(), stream.elements_expected()), (None, None));

    let shaped = raw_options(RawFormat { shape: Some(vec![3, 1]), ..format });
    assert_eq!(drain(&bytes, &shaped, 8).unwrap().0, bytes[3..]);
}

#[test]
fn streams_that_end_too_early_or_too_late_are_refused() {
    let whole = npy_f64(&[1.0, 2.0, 3.0]);
    let npy = Options::default();
    let shaped = raw_options(RawFormat { shape: Some(vec![3]), ..raw(DType::U16) });
    let offset = raw_options(RawFormat { offset_bytes: 9, ..raw(DType::U16) });
    for (bytes, options, words) in [
        (&b""[..], &npy, "is empty; nothing was piped into it"),
        (b"", &offset, "is empty"),
        (&whole[..50], &npy, "its header has 128 bytes, the file has 50"),
        (&whole[..whole.len() - 1], &npy, "shape [3] of float64 takes 24 bytes, there are 23"),
        (&whole[..128], &npy, "takes 24 bytes, there are 0"),
        (b"1 2 3", &npy, "is not a .npy file (starts with \"1 2 3\")"),
        (&whole, &raw_options(raw(DType::F64)), "is a .npy file"),
        (&[0; 7], &raw_options(raw(DType::U16)), "7 bytes of data, which is no multiple of the 2"),
        (&[0; 5], &shaped, "has 5 bytes of data, the shape [3] of uint16 takes 6"),
        (&[0; 8], &shaped, "has 7 bytes of data, the shape [3] of uint16 takes 6"),
        (&[0; 8], &offset, "has 8 bytes, no data can start at --offset 9"),
    ] {
        let message = error_of(bytes, options);
        assert!(message.starts_with("'standard input' "), "{message}");
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    let bytes = npy("<f8", false, "(1000000000000000000,)", &[0; 20]);
    let message = drain(&bytes, &Options::default(), usize::MAX).unwrap_err().to_string();
    assert!(message.contains("there are 20"), "{message}");
}

#[test]
fn what_follows_an_npy_array_is_left_in_the_pipe() {
    let bytes = [npy_f64(&[1.0]), b"next".to_vec()].concat();
    let mut rest = &bytes[..];
    let mut stream = Stream::open(&mut rest, &Options::default(), "-").unwrap();
    assert!(stream.next_shard(100).unwrap().is_some());
    assert!(stream.next_shard(100).unwrap().is_none());
    assert!(stream.next_shard(100).unwrap().is_none());
    drop(stream);
    assert_eq!(rest, b"next");
}

#[test]
fn an_error_of_the_pipe_is_an_error_of_the_stream() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the cable is out"))
        }
    }
    let start = npy_f64(&[1.0, 2.0]);
    let mut stream = Stream::open(start[..130].chain(Broken), &Options::default(), "-").unwrap();
    let message = stream.next_shard(100).unwrap_err().to_string();
    assert_eq!(message, "'-' could not be read: the cable is out");
}
