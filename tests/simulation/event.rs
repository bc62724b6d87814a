//! What happens in a world.

use adsum::manifest::JobId;
use adsum::wire::Message;

use crate::fault::Fault;
use crate::world::Place;

pub enum Event {
    Fault(Fault),
    Submit(usize),
    Connected { place: Place, peer: Place, connection: usize },
    Lost { place: Place, peer: Place, connection: usize },
    Deliver { place: Place, from: Place, connection: usize, ghost: bool, letter: Letter },
    Computed(Computation),
}

/// An entry that a worker is done with.
#[derive(Clone, Copy, Debug)]
pub struct Computation {
    pub place: Place,
    pub incarnation: u32,
    pub job: JobId,
    pub run: u64,
    pub position: u32,
}

/// A message under way.
#[derive(Clone)]
pub enum Letter {
    Bytes(Vec<u8>),
    Message(Box<Message>),
}

/// A message in a line.
pub fn brief(message: &Message) -> String {
    let mut text = match message {
        Message::Offer { job, .. } => format!("Offer {job}"),
        Message::Delegate { job, team, .. } => format!("Delegate {job} to {team:?}"),
        other => format!("{other:?}"),
    };
    text.truncate(160);
    text
}
