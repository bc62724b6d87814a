//! The cluster secret and its text form, the token.

use std::fmt;

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

/// Bytes of a cluster secret.
pub const SECRET_BYTES: usize = 32;

/// Hexadecimal digits of a token.
pub const TOKEN_DIGITS: usize = 2 * SECRET_BYTES;

/// What all nodes of one cluster know and nobody else does: 32 random bytes.
///
/// Whoever holds it can pose as any node of the cluster. It is wiped when it
/// is dropped, and no `Debug`, error or log shows it. A password is no secret:
/// nothing here slows down a guess.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<[u8; SECRET_BYTES]>);

impl Secret {
    /// A new secret from the operating system's random numbers.
    ///
    /// # Errors
    /// The operating system has none to give.
    pub fn generate() -> Result<Secret, TokenError> {
        let mut secret = Secret(Zeroizing::new([0; SECRET_BYTES]));
        SysRng
            .try_fill_bytes(&mut *secret.0)
            .map_err(|error| TokenError::Entropy { message: error.to_string() })?;
        Ok(secret)
    }

    /// The secret made of these bytes, for a caller who has them from a safe
    /// place.
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// Reads a token: 64 hexadecimal digits, with white space around them.
    ///
    /// # Errors
    /// Too few or too many digits, or a character that is none. The errors
    /// say where, never what.
    pub fn from_token(token: &str) -> Result<Secret, TokenError> {
        let digits = token.trim().as_bytes();
        if digits.len() != TOKEN_DIGITS {
            return Err(TokenError::Length { expected: TOKEN_DIGITS, got: digits.len() });
        }
        let mut secret = Secret(Zeroizing::new([0; SECRET_BYTES]));
        for (index, &digit) in digits.iter().enumerate() {
            let value = (digit as char)
                .to_digit(16)
                .ok_or(TokenError::Digit { position: index + 1, digits: TOKEN_DIGITS })?;
            secret.0[index / 2] = secret.0[index / 2] << 4 | value as u8;
        }
        Ok(secret)
    }

    /// The token of this secret; it is wiped when dropped.
    pub fn to_token(&self) -> Zeroizing<String> {
        // A string that grows would leave copies behind.
        let mut token = Zeroizing::new(String::with_capacity(TOKEN_DIGITS));
        for nibble in self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            token.extend(char::from_digit(u32::from(nibble), 16));
        }
        token
    }

    /// The bytes themselves, for key derivation and for the pipe to a child.
    pub(crate) fn expose(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why there is no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token is cut, or something else.
    #[error(
        "the token has {got} characters, it needs {expected} hexadecimal digits; copy the token file whole"
    )]
    Length {
        /// Digits of a token.
        expected: usize,
        /// Characters that came.
        got: usize,
    },
    /// A character is no hexadecimal digit.
    #[error(
        "character {position} of the token's {digits} is no hexadecimal digit; copy the token file whole"
    )]
    Digit {
        /// Which character, counted from one.
        position: usize,
        /// Digits of a token.
        digits: usize,
    },
    /// No random numbers.
    #[error("the operating system gives no random numbers: {message}")]
    Entropy {
        /// What it said.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_secret() {
        let secret = Secret::generate().expect("this system has random numbers");
        let token = secret.to_token();
        assert_eq!(token.len(), TOKEN_DIGITS);
        assert_eq!(Secret::from_token(&format!("  {}\n", *token)), Ok(secret.clone()));
        assert_eq!(Secret::from_token(&token.to_uppercase()), Ok(secret));
    }

    #[test]
    fn two_secrets_differ() {
        assert_ne!(Secret::generate(), Secret::generate());
    }

    #[test]
    fn broken_tokens_are_refused_without_showing_them() {
        assert_eq!(
            Secret::from_token("c0ffee"),
            Err(TokenError::Length { expected: TOKEN_DIGITS, got: 6 })
        );
        let token = format!("{}x{}", "a".repeat(40), "b".repeat(23));
        let error = Secret::from_token(&token).expect_err("x is no digit");
        assert_eq!(error, TokenError::Digit { position: 41, digits: TOKEN_DIGITS });
        assert!(!error.to_string().contains("aaaa"));
        // 64 bytes that are 32 characters.
        assert!(Secret::from_token(&"é".repeat(32)).is_err());
    }

    #[test]
    fn debug_shows_nothing_of_the_secret() {
        let secret = Secret::from_bytes([0xab; SECRET_BYTES]);
        let shown = format!("{secret:?} {:?}", Some(&secret));
        assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
    }
}
