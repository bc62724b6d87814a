//! Files that are sent to a node that is to hold them.

use std::collections::VecDeque;

use super::Client;
use crate::catalogue::Array;
use crate::driver::Answers;
use crate::manifest::Digest;
use crate::placement::NodeId;
use crate::wire::{Bytes, PIECE_BYTES_MAX, PlaceId, Question, Reply, Trouble};

/// Pieces that are on their way at once: enough that the network is never idle while
/// one is written, and a quarter of what a node takes from one asker.
const IN_FLIGHT: usize = 4;

/// The bytes of the elements of an array.
pub trait Elements {
    /// Why they cannot be read.
    type Error;

    /// Fills `buffer` from byte `offset` of the elements on.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), Self::Error>;

    /// Checks that all that was read is of one state of the array.
    ///
    /// # Errors
    /// It is not.
    fn verify(&mut self) -> Result<(), Self::Error>;
}

/// A file that is whole at a node and has no name there. Nobody sees it, and it goes with
/// the connection, unless it is [sealed](Client::seal).
#[derive(Debug)]
pub struct Unsealed {
    to: NodeId,
    place: PlaceId,
}

/// Why a file did not come to a node, which holds nothing of it then.
#[derive(Debug)]
pub enum PlaceError<E> {
    /// The node was lost.
    Lost,
    /// The node does not take it.
    Refused(Trouble),
    /// What the node answered is no answer.
    Wrong(String),
    /// It cannot be read here.
    Unread(E),
}

impl Client {
    /// Sends a file to a node that was [reached](Client::reach). Returns when it is whole
    /// there, to be sealed; nothing if the node has it under that name.
    ///
    /// # Errors
    /// It is not.
    pub fn place<E: Elements>(
        &self,
        to: NodeId,
        name: &str,
        array: &Array,
        digest: Digest,
        elements: &mut E,
    ) -> Result<Option<Unsealed>, PlaceError<E::Error>> {
        let (name, bytes) = (name.to_owned(), array.bytes().unwrap_or(u64::MAX));
        let question = Question::Place { name, array: array.clone(), digest };
        let place = match answer(&self.ask_of(to, question))? {
            Reply::Placed => return Ok(None),
            Reply::Placing(place) => place,
            other => return Err(wrong(&other)),
        };
        self.send_pieces(to, place, bytes, elements)?;
        elements.verify().map_err(PlaceError::Unread)?;
        Ok(Some(Unsealed { to, place }))
    }

    /// Gives a file its name, once the node has checked its contents.
    ///
    /// # Errors
    /// It has none. Another file may have been faster.
    pub fn seal<E>(&self, file: Unsealed) -> Result<(), PlaceError<E>> {
        let Unsealed { to, place } = file;
        match answer(&self.ask_of(to, Question::Seal { place }))? {
            Reply::Placed => Ok(()),
            other => Err(wrong(&other)),
        }
    }

    fn send_pieces<E: Elements>(
        &self,
        to: NodeId,
        place: PlaceId,
        bytes: u64,
        elements: &mut E,
    ) -> Result<(), PlaceError<E::Error>> {
        let mut waiting: VecDeque<Answers> = VecDeque::new();
        let taken = |answers: &Answers| match answer(answers)? {
            Reply::Taken => Ok(()),
            other => Err(wrong(&other)),
        };
        let mut offset = 0;
        while offset < bytes {
            if waiting.len() == IN_FLIGHT
                && let Some(oldest) = waiting.pop_front()
            {
                taken(&oldest)?;
            }
            let mut piece = vec![0; (bytes - offset).min(PIECE_BYTES_MAX as u64) as usize];
            elements.read(&mut piece, offset).map_err(PlaceError::Unread)?;
            let next = offset + piece.len() as u64;
            let question = Question::Piece { place, offset, bytes: Bytes(piece) };
            waiting.push_back(self.ask_of(to, question));
            offset = next;
        }
        waiting.iter().try_for_each(taken)
    }
}

/// The last answer. There is no limit to the time: a disk may be slow, and a node that
/// is gone is noticed by its connection.
fn answer<E>(answers: &Answers) -> Result<Reply, PlaceError<E>> {
    loop {
        match answers.next(None) {
            Ok(Reply::Progress { .. }) => {}
            Ok(Reply::Refused(trouble)) => return Err(PlaceError::Refused(trouble)),
            Ok(reply) => return Ok(reply),
            Err(_) => return Err(PlaceError::Lost),
        }
    }
}

fn wrong<E>(reply: &Reply) -> PlaceError<E> {
    PlaceError::Wrong(format!("to another question: {:.60}", format!("{reply:?}")))
}
