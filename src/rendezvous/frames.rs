//! Frames out of a stream, with as few copies as there can be.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use quinn::RecvStream;

use crate::buffers::Buffer;
use crate::transport::{LinkError, Terms};
use crate::wire::{WireError, frame};

/// The most pieces taken from the stream at once. A piece is what a packet
/// brought.
const PIECES: usize = 16;

/// The most memory that is taken for a frame before its bytes arrive.
const AHEAD_BYTES_MAX: usize = 4 << 20;

/// A stream of frames.
///
/// A frame that lies in one packet is not copied; one of many packets is copied
/// once, into memory that grows with the bytes that arrive.
pub(super) struct Frames {
    stream: RecvStream,
    pieces: Pieces,
    terms: Terms,
}

impl Frames {
    pub(super) fn new(stream: RecvStream, terms: Terms) -> Frames {
        Frames { stream, pieces: Pieces::default(), terms }
    }

    /// The contents of the next frame, of at most `bytes_max` bytes; `None` if
    /// the peer has ended the stream.
    ///
    /// # Errors
    /// The connection ended, or the frame is too long.
    pub(super) async fn next(&mut self, bytes_max: usize) -> Result<Option<Bytes>, LinkError> {
        loop {
            if let Some(frame) = self.pieces.take(bytes_max)? {
                return Ok(Some(frame));
            }
            let mut pieces = [const { Bytes::new() }; PIECES];
            let read = self.stream.read_chunks(&mut pieces).await;
            match read.map_err(|error| LinkError::from_read(error, self.terms))? {
                Some(count) => self.pieces.extend(pieces.into_iter().take(count)),
                None => return Ok(None),
            }
        }
    }
}

/// Bytes that arrived, and the frame that they are the next of.
#[derive(Default)]
struct Pieces {
    queue: VecDeque<Bytes>,
    /// Bytes in the queue.
    bytes: usize,
    /// The frame that is not complete, and its length.
    open: Option<(Buffer, usize)>,
}

impl Pieces {
    fn extend(&mut self, pieces: impl Iterator<Item = Bytes>) {
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            self.bytes += piece.len();
            self.queue.push_back(piece);
        }
    }

    /// The next frame, if it is complete.
    fn take(&mut self, bytes_max: usize) -> Result<Option<Bytes>, WireError> {
        if self.open.is_none() {
            if self.bytes < frame::HEADER_BYTES {
                return Ok(None);
            }
            let mut header = [0; frame::HEADER_BYTES];
            self.copy_to(&mut header);
            let length = frame::parse_header(header)?;
            if length > bytes_max {
                return Err(WireError::FrameLength { max: bytes_max, got: length });
            }
            if let Some(first) = self.queue.front_mut()
                && first.len() >= length
            {
                let frame = first.split_to(length);
                self.bytes -= length;
                self.drop_empty();
                return Ok(Some(frame));
            }
            let ahead = length.min(AHEAD_BYTES_MAX);
            self.open = Some((Buffer::with_capacity(ahead), length));
        }
        let Some((mut frame, length)) = self.open.take() else { return Ok(None) };
        while frame.as_ref().len() < length
            && let Some(first) = self.queue.front_mut()
        {
            let part = first.split_to(first.len().min(length - frame.as_ref().len()));
            self.bytes -= part.len();
            frame.extend(&part);
            self.drop_empty();
        }
        if frame.as_ref().len() < length {
            self.open = Some((frame, length));
            return Ok(None);
        }
        Ok(Some(frame.freeze()))
    }

    fn copy_to(&mut self, mut to: &mut [u8]) {
        while let (false, Some(first)) = (to.is_empty(), self.queue.front_mut()) {
            let count = first.len().min(to.len());
            let (head, rest) = to.split_at_mut(count);
            first.copy_to_slice(head);
            self.bytes -= count;
            to = rest;
            self.drop_empty();
        }
    }

    fn drop_empty(&mut self) {
        if self.queue.front().is_some_and(Bytes::is_empty) {
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FRAME_BYTES_MAX;

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let frames: Vec<Vec<u8>> = (1..60_u8).map(|n| vec![n; usize::from(n) * 5]).collect();
        let framed = |frame: &Vec<u8>| [&frame::header(frame.len())[..], frame].concat();
        let stream: Vec<u8> = frames.iter().flat_map(framed).collect();
        for size in [1, 2, 3, 5, 7, 64, 1000, stream.len()] {
            for at_once in [1, 3, 1000] {
                let mut pieces = Pieces::default();
                let mut read = Vec::new();
                let all: Vec<Bytes> = stream.chunks(size).map(Bytes::copy_from_slice).collect();
                for some in all.chunks(at_once) {
                    pieces.extend(some.iter().cloned());
                    while let Some(frame) = pieces.take(FRAME_BYTES_MAX).expect("short frames") {
                        read.push(frame.to_vec());
                    }
                }
                assert_eq!(read, frames);
                assert!(pieces.bytes == 0 && pieces.queue.is_empty());
            }
        }
    }

    #[test]
    fn a_header_over_the_limit_is_refused_before_memory_is_spent() {
        for (header, max) in [(u32::MAX.to_le_bytes(), FRAME_BYTES_MAX), (frame::header(101), 100)]
        {
            let mut pieces = Pieces::default();
            pieces.extend([Bytes::copy_from_slice(&header)].into_iter());
            let got = u32::from_le_bytes(header) as usize;
            assert_eq!(pieces.take(100), Err(WireError::FrameLength { max, got }));
        }
    }
}
