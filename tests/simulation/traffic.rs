//! What travels between nodes, counted.

use std::collections::BTreeMap;

use adsum::manifest::JobId;
use adsum::wire::{self, Message, frame};

/// Messages of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub messages: u64,
    /// Their bytes with the headers of their frames.
    pub bytes: u64,
}

/// Messages by the names of their kinds.
pub type Counts = BTreeMap<&'static str, Count>;

#[derive(Clone, Debug, Default)]
pub struct Traffic {
    pub counts: Counts,
    /// Offers are long and the same for all nodes.
    offers: BTreeMap<JobId, u64>,
}

impl Traffic {
    /// Counts a message, and says how many bytes it takes.
    pub fn count(&mut self, message: &Message) -> u64 {
        let length = || (wire::encode(message).len() + frame::HEADER_BYTES) as u64;
        let (kind, bytes) = match message {
            Message::Offer { job, .. } => {
                ("Offer", *self.offers.entry(*job).or_insert_with(length))
            }
            Message::Pull { .. } => ("Pull", length()),
            Message::Assign { .. } => ("Assign", length()),
            Message::Results { .. } => ("Results", length()),
            Message::Delegate { .. } => ("Delegate", length()),
            Message::Report { .. } => ("Report", length()),
            Message::Unreached { .. } => ("Unreached", length()),
            Message::Returned { .. } => ("Returned", length()),
            Message::Failed { .. } => ("Failed", length()),
            Message::Refused { .. } => ("Refused", length()),
            Message::Cancel { .. } => ("Cancel", length()),
            other => panic!("an engine sends no {other:?}"),
        };
        let count = self.counts.entry(kind).or_default();
        count.messages += 1;
        count.bytes += bytes;
        bytes
    }
}
