//! Writing and reading the parts of a message.
//!
//! Small values of fixed shape go through serde and postcard. What can be
//! long, lists and texts, goes through here, so that its limit is checked
//! before anything is allocated and the error says which limit it was.

use serde::Serialize;
use serde::de::Deserialize;

use super::{TEXT_BYTES_MAX, WireError};

/// The bytes of a message, as they grow.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn value(&mut self, value: &impl Serialize) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(value, bytes).expect("writing to memory");
    }

    /// A list of at most `max` items, each written by `write`.
    pub(super) fn list<T>(&mut self, items: &[T], max: usize, write: impl Fn(&mut Writer, &T)) {
        assert!(items.len() <= max, "a list of {} items, the most is {max}", items.len());
        self.value(&(items.len() as u64));
        items.iter().for_each(|item| write(self, item));
    }

    /// As much of `text` as a message takes.
    pub(super) fn text(&mut self, text: &str) {
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.blob(&text.as_bytes()[..end]);
    }

    /// Bytes with their length before them.
    pub(super) fn blob(&mut self, bytes: &[u8]) {
        self.value(&(bytes.len() as u64));
        self.raw(bytes);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// The bytes of a message that are not read yet.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], WireError> {
        let (&head, rest) = self.bytes.split_first_chunk().ok_or_else(|| end(what))?;
        self.bytes = rest;
        Ok(head)
    }

    pub(super) fn value<T: Deserialize<'a>>(&mut self, what: &'static str) -> Result<T, WireError> {
        let (value, rest) = postcard::take_from_bytes(self.bytes)
            .map_err(|source| WireError::Malformed { what, source })?;
        self.bytes = rest;
        Ok(value)
    }

    /// A list of at most `max` items, each read by `read` from at least one byte.
    pub(super) fn list<T>(
        &mut self,
        what: &'static str,
        max: usize,
        mut read: impl FnMut(&mut Reader<'a>) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let count = self.length(what, max)?;
        // The list grows as items come, so a count without items costs nothing.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<String, WireError> {
        let bytes = self.blob(what, TEXT_BYTES_MAX)?;
        let text = std::str::from_utf8(bytes).map_err(|_| WireError::Text { what })?;
        Ok(text.to_owned())
    }

    /// At most `max` bytes with their length before them, borrowed.
    pub(super) fn blob(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], WireError> {
        let length = self.length(what, max)?;
        let (blob, rest) = self.bytes.split_at_checked(length).ok_or_else(|| end(what))?;
        self.bytes = rest;
        Ok(blob)
    }

    /// Says that nothing is left.
    pub(super) fn finish(self) -> Result<(), WireError> {
        match self.bytes.len() {
            0 => Ok(()),
            bytes => Err(WireError::Trailing { bytes }),
        }
    }

    /// Checks the length of a list that is read as a value next.
    pub(super) fn check_length(&self, what: &'static str, max: usize) -> Result<(), WireError> {
        Reader { bytes: self.bytes }.length(what, max).map(|_| ())
    }

    fn length(&mut self, what: &'static str, max: usize) -> Result<usize, WireError> {
        let got: u64 = self.value(what)?;
        if got > max as u64 {
            return Err(WireError::Limit { what, max, got });
        }
        Ok(got as usize)
    }
}

fn end(what: &'static str) -> WireError {
    WireError::Malformed { what, source: postcard::Error::DeserializeUnexpectedEnd }
}
