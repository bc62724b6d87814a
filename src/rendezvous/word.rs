//! What ranks say in a meeting.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::rendezvous::error::Refusal;

/// The most bytes of a word: a table of [`RANKS_MAX`](crate::launch::RANKS_MAX)
/// addresses of at most 20 bytes fits four times. A stranger's can be no longer.
pub(super) const WORD_BYTES_MAX: usize = 128 << 10;

/// What ranks say in a meeting, each as a frame of postcard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Word {
    /// Who dials.
    Hello {
        /// The group's name, from the job's.
        group: [u8; 16],
        /// Its rank.
        rank: u32,
        /// How many there are.
        size: u32,
    },
    /// Where all ranks are, in their order. Rank 0's own is not looked at.
    Table(Vec<SocketAddr>),
    /// To who dialled another rank than 0.
    Welcome,
    /// The meeting is called off.
    Refused(Refusal),
}

impl Word {
    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("memory takes all words")
    }

    /// `None` if no rank said it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Word> {
        postcard::take_from_bytes(bytes)
            .ok()
            .filter(|(_, rest)| rest.is_empty())
            .map(|(word, _)| word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::RANKS_MAX;

    #[test]
    fn words_arrive_as_they_were_said_and_nonsense_does_not() {
        let addr: SocketAddr = "[2001:db8::1]:65535".parse().expect("an address");
        let words = [
            Word::Hello { group: [255; 16], rank: 7, size: u32::MAX },
            Word::Table(vec![addr; RANKS_MAX as usize]),
            Word::Welcome,
            Word::Refused(Refusal::Duplicate { rank: 1, first: addr, second: addr }),
        ];
        for word in words {
            let bytes = word.encode();
            assert!(4 * bytes.len() <= WORD_BYTES_MAX);
            assert_eq!(Word::decode(&bytes), Some(word));
            for end in 0..bytes.len() {
                assert_eq!(Word::decode(&bytes[..end]), None);
            }
            assert_eq!(Word::decode(&[&bytes[..], &[0]].concat()), None);
        }
        assert_eq!(Word::decode(&[0xff; 64]), None);
    }
}
