//! Frames: the length of a message before its bytes.

use super::{FRAME_BYTES_MAX, WireError};

/// Bytes of a frame's header: the length of what follows, little endian.
pub const HEADER_BYTES: usize = 4;

/// The header of a message of `length` bytes.
///
/// # Panics
/// If the length is zero or over [`FRAME_BYTES_MAX`]: a node makes no such
/// message.
pub fn header(length: usize) -> [u8; HEADER_BYTES] {
    assert!((1..=FRAME_BYTES_MAX).contains(&length), "a message of {length} bytes");
    (length as u32).to_le_bytes()
}

/// The length of the message that follows a header.
///
/// # Errors
/// [`WireError::FrameLength`] for a length that no message has. The stream
/// cannot be read any further.
pub fn parse_header(header: [u8; HEADER_BYTES]) -> Result<usize, WireError> {
    let length = u32::from_le_bytes(header) as usize;
    if (1..=FRAME_BYTES_MAX).contains(&length) {
        Ok(length)
    } else {
        Err(WireError::FrameLength { max: FRAME_BYTES_MAX, got: length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_up_to_the_limit() {
        for length in [1, 255, 256, FRAME_BYTES_MAX] {
            assert_eq!(parse_header(header(length)), Ok(length));
        }
        for got in [0, FRAME_BYTES_MAX + 1, u32::MAX as usize] {
            assert_eq!(
                parse_header((got as u32).to_le_bytes()),
                Err(WireError::FrameLength { max: FRAME_BYTES_MAX, got })
            );
        }
    }

    #[test]
    #[should_panic(expected = "a message of 67108865 bytes")]
    fn a_longer_message_has_no_header() {
        header(FRAME_BYTES_MAX + 1);
    }
}
