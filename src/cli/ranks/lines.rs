//! Output of ranks, passed on in pieces or in whole lines.

use std::io::{self, Read};

use super::channel::PIECE_BYTES_MAX;

/// The longest line that is kept whole.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Where output goes.
pub struct Sink {
    /// What comes before each line. Without it nothing is looked for in the
    /// bytes.
    pub prefix: Option<String>,
    /// Takes a piece, or some whole lines.
    pub write: Box<dyn FnMut(Vec<u8>) + Send>,
}

/// Passes on all that comes, until the end. A last line without an end gets one
/// if lines have a prefix.
pub fn pass_on(mut from: impl Read, mut sink: Sink) {
    let mut buffer = vec![0; PIECE_BYTES_MAX];
    let mut lines = sink.prefix.take().map(Lines::new);
    loop {
        let bytes = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // As good as the end.
            Err(_) => break,
        };
        let piece = match &mut lines {
            Some(lines) => lines.add(bytes),
            None => bytes.to_vec(),
        };
        if !piece.is_empty() {
            (sink.write)(piece);
        }
    }
    let rest = lines.map(Lines::finish).unwrap_or_default();
    if !rest.is_empty() {
        (sink.write)(rest);
    }
}

/// Bytes to lines.
struct Lines {
    prefix: String,
    /// The beginning of a line whose end has not come.
    open: Vec<u8>,
}

impl Lines {
    fn new(prefix: String) -> Lines {
        Lines { prefix, open: Vec::new() }
    }

    /// The lines that are whole with `bytes`, each with the prefix before it.
    fn add(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.open.extend_from_slice(part);
            if part.ends_with(b"\n") {
                whole.extend_from_slice(self.prefix.as_bytes());
                whole.append(&mut self.open);
            } else if self.open.len() >= LINE_BYTES_MAX {
                self.end_line(&mut whole);
            }
        }
        whole
    }

    fn finish(mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        if !self.open.is_empty() {
            self.end_line(&mut whole);
        }
        whole
    }

    fn end_line(&mut self, whole: &mut Vec<u8>) {
        whole.extend_from_slice(self.prefix.as_bytes());
        whole.append(&mut self.open);
        whole.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_the_bytes_come() {
        let text = b"one\n\ntwo and three\nfour";
        for piece in 1..text.len() {
            let mut lines = Lines::new("[7] ".to_owned());
            let mut out: Vec<u8> = text.chunks(piece).flat_map(|bytes| lines.add(bytes)).collect();
            assert!(out.is_empty() || out.ends_with(b"\n"));
            out.extend(lines.finish());
            let expected = "[7] one\n[7] \n[7] two and three\n[7] four\n";
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn a_line_without_end_does_not_take_all_memory() {
        let mut lines = Lines::new(String::new());
        let long = vec![b'x'; 100_000];
        let written: usize = (0..40).map(|_| lines.add(&long).len()).sum();
        assert!(written > 2_000_000 && lines.open.len() < LINE_BYTES_MAX);
    }
}
