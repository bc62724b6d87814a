//! The bytes of states: numbers as LEB128 varints, words as eight bytes.
//!
//! Every number has one spelling, so equal states have equal bytes.

use super::InvalidState;

/// Appends `value`, lowest seven bits first; the top bit of a byte says that
/// more follow.
pub fn put_number(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Appends eight bytes, the lowest first.
pub fn put_word(to: &mut Vec<u8>, value: u64) {
    to.extend(value.to_le_bytes());
}

/// Appends an optional number.
pub fn put_option(to: &mut Vec<u8>, value: Option<u64>) {
    to.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put_number(to, value);
    }
}

/// Bytes from outside, read from the front.
#[derive(Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    /// The next byte.
    ///
    /// # Errors
    /// There is none.
    pub fn byte(&mut self) -> Result<u8, InvalidState> {
        let (&first, rest) = self.0.split_first().ok_or(InvalidState::Short)?;
        self.0 = rest;
        Ok(first)
    }

    /// A number written by [`put_number`].
    ///
    /// # Errors
    /// The bytes end, the number is past 64 bits, or it has a shorter spelling.
    pub fn number(&mut self) -> Result<u64, InvalidState> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(InvalidState::Number);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let overlong = byte == 0 && shift > 0;
                return if overlong { Err(InvalidState::Number) } else { Ok(value) };
            }
        }
        Err(InvalidState::Number)
    }

    /// A word written by [`put_word`].
    ///
    /// # Errors
    /// The bytes end.
    pub fn word(&mut self) -> Result<u64, InvalidState> {
        let (word, rest) = self.0.split_first_chunk::<8>().ok_or(InvalidState::Short)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*word))
    }

    /// A truth value, 0 or 1.
    ///
    /// # Errors
    /// The bytes end, or another value.
    pub fn flag(&mut self) -> Result<bool, InvalidState> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(InvalidState::Number),
        }
    }

    /// A number written by [`put_option`].
    ///
    /// # Errors
    /// As [`Bytes::number`].
    pub fn option(&mut self) -> Result<Option<u64>, InvalidState> {
        Ok(if self.flag()? { Some(self.number()?) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_return_and_have_one_spelling(value in any::<u64>(), shift in 0..64_u32) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put_number(&mut bytes, value);
            let mut from = Bytes(&bytes);
            prop_assert_eq!(from.number(), Ok(value));
            prop_assert!(from.0.is_empty());
            // A longer spelling of the same number is refused.
            *bytes.last_mut().expect("at least one byte") |= 0x80;
            bytes.push(0);
            prop_assert!(Bytes(&bytes).number().is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = Bytes(&bytes).number();
            let _ = Bytes(&bytes).word();
            let _ = Bytes(&bytes).option();
        }
    }

    #[test]
    fn a_number_past_64_bits_is_refused() {
        assert_eq!(Bytes(&[0xff; 12]).number(), Err(InvalidState::Number));
        let most = [&[0xff; 9][..], &[1]].concat();
        assert_eq!(Bytes(&most).number(), Ok(u64::MAX));
        let more = [&[0xff; 9][..], &[2]].concat();
        assert_eq!(Bytes(&more).number(), Err(InvalidState::Number));
    }
}
