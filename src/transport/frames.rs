//! Frames out of a stream.

use std::ops::Range;

use quinn::RecvStream;

use crate::transport::LinkError;
use crate::transport::error::Terms;
use crate::wire::{WireError, frame};

/// The most bytes taken from the stream at once.
const READ_BYTES: usize = 256 << 10;

/// A buffer that grew past this is given back when its frame has been read.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// A stream of frames, of which it holds one at most.
///
/// A frame's length is checked when its header is there, and memory grows with
/// the bytes that arrive, not with what a header claims.
pub(super) struct FrameReader {
    stream: RecvStream,
    buffer: FrameBuffer,
    terms: Terms,
}

impl FrameReader {
    /// The frames of `stream`.
    pub(super) fn new(stream: RecvStream, terms: Terms) -> FrameReader {
        FrameReader { stream, buffer: FrameBuffer::default(), terms }
    }

    /// The contents of the next frame, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// The connection ended, or the frame is too long.
    pub(super) async fn next(&mut self, bytes_max: usize) -> Result<&[u8], LinkError> {
        let range = loop {
            if let Some(range) = self.buffer.take(bytes_max)? {
                break range;
            }
            let chunk = self.stream.read_chunk(READ_BYTES, true).await;
            match chunk.map_err(|error| LinkError::from_read(error, self.terms))? {
                Some(chunk) => self.buffer.extend(&chunk.bytes),
                None => return Err(LinkError::Left),
            }
        };
        Ok(&self.buffer.bytes[range])
    }
}

/// Bytes that arrived; those before `start` belong to frames read before.
#[derive(Default)]
struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl FrameBuffer {
    fn extend(&mut self, bytes: &[u8]) {
        // Less than one frame is left here, so little is moved.
        self.bytes.drain(..self.start);
        self.start = 0;
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT_BYTES_MAX);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Where the contents of the next frame lie, if it is complete.
    fn take(&mut self, bytes_max: usize) -> Result<Option<Range<usize>>, WireError> {
        let Some((&header, _)) = self.bytes[self.start..].split_first_chunk() else {
            return Ok(None);
        };
        let length = frame::parse_header(header)?;
        if length > bytes_max {
            return Err(WireError::FrameLength { max: bytes_max, got: length });
        }
        let start = self.start + frame::HEADER_BYTES;
        let range = start..start + length;
        if range.end > self.bytes.len() {
            return Ok(None);
        }
        self.start = range.end;
        Ok(Some(range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FRAME_BYTES_MAX;

    fn framed(contents: &[u8]) -> Vec<u8> {
        [&frame::header(contents.len())[..], contents].concat()
    }

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let frames: Vec<Vec<u8>> = (1..40_u8).map(|n| vec![n; usize::from(n) * 3]).collect();
        let stream: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
        for piece in [1, 2, 3, 5, 7, 64, stream.len()] {
            let mut buffer = FrameBuffer::default();
            let mut read = Vec::new();
            for bytes in stream.chunks(piece) {
                buffer.extend(bytes);
                while let Some(range) = buffer.take(FRAME_BYTES_MAX).expect("short frames") {
                    read.push(buffer.bytes[range].to_vec());
                }
            }
            assert_eq!(read, frames);
        }
    }

    #[test]
    fn a_header_over_the_limit_is_refused_before_memory_is_spent() {
        let mut buffer = FrameBuffer::default();
        buffer.extend(&u32::MAX.to_le_bytes());
        let got = u32::MAX as usize;
        assert_eq!(buffer.take(100), Err(WireError::FrameLength { max: FRAME_BYTES_MAX, got }));
        assert!(buffer.bytes.capacity() < 1024);

        let mut buffer = FrameBuffer::default();
        buffer.extend(&frame::header(101));
        assert_eq!(buffer.take(100), Err(WireError::FrameLength { max: 100, got: 101 }));
    }

    #[test]
    fn a_long_frame_does_not_keep_its_memory() {
        let mut buffer = FrameBuffer::default();
        buffer.extend(&framed(&vec![1; 2 * KEPT_BYTES_MAX]));
        assert!(buffer.take(FRAME_BYTES_MAX).expect("a valid frame").is_some());
        buffer.extend(&framed(&[2]));
        assert!(buffer.bytes.capacity() <= KEPT_BYTES_MAX + 64);
    }
}
