//! Files that askers place on this node: who may send what, and when.
//!
//! The disk is elsewhere. What is to be done there goes out as [`StoreWork`] and its
//! end comes back by [`Service::handle_stored`], in the same order. Until then the
//! asker has no answer, and how much may wait for one is bounded.

use std::collections::{BTreeMap, VecDeque};

use super::{Output, Service};
use crate::catalogue::{Array, check_name};
use crate::manifest::Digest;
use crate::placement::NodeId;
use crate::wire::{Message, PIECE_BYTES_MAX, PlaceId, Reply, Trouble, TroubleKind};

/// The most files that are being placed at once.
pub const PLACES_MAX: usize = 64;

/// The most of them of one peer.
pub const PLACES_PER_PEER_MAX: usize = 8;

/// The most bytes that wait to be written.
pub const QUEUED_BYTES_MAX: usize = 128 << 20;

/// The most of them of one peer: an asker waits for answers before it sends more.
pub const QUEUED_BYTES_PER_PEER_MAX: usize = 16 << 20;

/// The most questions about one place that wait for an answer.
const WAITING_MAX: usize = 1024;

/// What is to be done on the disk. All but [`StoreWork::Drop`] end with one call of
/// [`Service::handle_stored`], in their order for each place, up to the first that
/// fails or is the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreWork {
    /// Begin a file.
    Begin {
        /// What it is called from now on.
        place: PlaceId,
        /// Its name, a valid one.
        name: String,
        /// What it holds, of less than 2^64 bytes.
        array: Array,
        /// What its contents will turn out to be.
        digest: Digest,
    },
    /// Append these bytes of elements; never more than the array has.
    Write {
        /// The file.
        place: PlaceId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// All bytes of elements were written: check them, and name the file.
    Seal {
        /// The file.
        place: PlaceId,
    },
    /// Nobody wants it any more: leave nothing of it.
    Drop {
        /// The file.
        place: PlaceId,
    },
}

/// What came of a [`StoreWork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The file is begun.
    Begun,
    /// A file of that name and these contents is there. The place is over.
    There,
    /// The bytes are written.
    Written,
    /// The file has its name. The place is over.
    Sealed,
}

/// Files that are being placed.
#[derive(Debug, Default)]
pub(super) struct Places {
    next: u64,
    open: BTreeMap<PlaceId, Place>,
}

#[derive(Debug)]
struct Place {
    peer: NodeId,
    name: String,
    array: Array,
    digest: Digest,
    /// Bytes of the elements.
    bytes: u64,
    /// How many of them came.
    got: u64,
    /// Whether pieces may come: it is begun, and not to be sealed yet.
    takes: bool,
    /// Questions that wait, and how many bytes came with each.
    waiting: VecDeque<(u64, usize)>,
}

impl Place {
    fn queued(&self) -> usize {
        self.waiting.iter().map(|(_, bytes)| bytes).sum()
    }
}

impl Places {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn of_peer(&self, peer: NodeId) -> impl Iterator<Item = (PlaceId, &Place)> {
        self.open.iter().filter(move |(_, place)| place.peer == peer).map(|(&id, at)| (id, at))
    }

    fn queued(&self) -> usize {
        self.open.values().map(Place::queued).sum()
    }
}

impl Service {
    /// A file is to begin.
    pub(super) fn place(
        &mut self,
        from: NodeId,
        ask: u64,
        name: String,
        array: Array,
        digest: Digest,
    ) -> Result<(), Trouble> {
        check_name(&name)?;
        array.check(&name)?;
        self.refuse_other_contents(&name, &array, digest)?;
        let unmet = self.company.unmet(&self.hello.name);
        if let Some(unmet) = unmet.filter(|unmet| !unmet.remembers) {
            let message = format!(
                "{unmet}, and others may have '{name}' with other contents; start a node that it was to join, or put the file by one that is in the cluster"
            );
            return Err(Trouble::new(TroubleKind::Incomplete, message));
        }
        let (all, its) = (self.places.open.len(), self.places.of_peer(from).count());
        if all >= PLACES_MAX || its >= PLACES_PER_PEER_MAX {
            return Err(busy(format!(
                "{all} files are being placed here, {its} of them by you; the most are {PLACES_MAX} and {PLACES_PER_PEER_MAX}, so finish some first"
            )));
        }
        let id = PlaceId(self.places.next);
        self.places.next += 1;
        // Checked above, so there is a number.
        let bytes = array.bytes().unwrap_or(u64::MAX);
        let place = Place {
            peer: from,
            name: name.clone(),
            array: array.clone(),
            digest,
            bytes,
            got: 0,
            takes: false,
            waiting: VecDeque::from([(ask, 0)]),
        };
        self.places.open.insert(id, place);
        let work = StoreWork::Begin { place: id, name, array, digest };
        self.outputs.push_back(Output::Store(work));
        Ok(())
    }

    /// The next bytes of a file came. Whoever sends anything but the next bytes loses
    /// the place.
    pub(super) fn piece(
        &mut self,
        from: NodeId,
        ask: u64,
        id: PlaceId,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<(), Trouble> {
        let queued = self.places.queued();
        let queued_of_peer: usize = self.places.of_peer(from).map(|(_, at)| at.queued()).sum();
        let place = self.open_place(from, id)?;
        let (name, left) = (&place.name, place.bytes - place.got);
        let wrong = if bytes.is_empty() || bytes.len() > PIECE_BYTES_MAX {
            Some(question(format!(
                "a piece of '{name}' with {} bytes, it has 1 to {PIECE_BYTES_MAX}",
                bytes.len()
            )))
        } else if offset != place.got {
            let expected = place.got;
            Some(question(format!(
                "a piece of '{name}' from byte {offset}, the next is byte {expected}; send it from the start"
            )))
        } else if bytes.len() as u64 > left {
            let got = bytes.len();
            Some(question(format!(
                "a piece of '{name}' with {got} bytes where {left} are left of its array"
            )))
        } else if place.waiting.len() >= WAITING_MAX
            || queued_of_peer + bytes.len() > QUEUED_BYTES_PER_PEER_MAX
        {
            Some(busy(format!(
                "more than {QUEUED_BYTES_PER_PEER_MAX} bytes of one asker wait to be written; wait for answers before you send more"
            )))
        } else if queued + bytes.len() > QUEUED_BYTES_MAX {
            Some(busy(format!(
                "more than {QUEUED_BYTES_MAX} bytes wait to be written; try again when others are done"
            )))
        } else {
            place.got += bytes.len() as u64;
            place.waiting.push_back((ask, bytes.len()));
            None
        };
        if let Some(trouble) = wrong {
            self.end_place(id, &trouble);
            return Err(trouble);
        }
        self.outputs.push_back(Output::Store(StoreWork::Write { place: id, bytes }));
        Ok(())
    }

    /// All of a file came.
    pub(super) fn seal(&mut self, from: NodeId, ask: u64, id: PlaceId) -> Result<(), Trouble> {
        let place = self.open_place(from, id)?;
        let (name, array, digest) = (place.name.clone(), place.array.clone(), place.digest);
        let checked = match place.got == place.bytes {
            // Somebody else may have been faster.
            true => self.refuse_other_contents(&name, &array, digest),
            false => Err(question(format!(
                "'{name}' got {} of its {} bytes; send it from the start",
                place.got, place.bytes
            ))),
        };
        if let Err(trouble) = checked {
            self.end_place(id, &trouble);
            return Err(trouble);
        }
        let place = self.open_place(from, id)?;
        place.takes = false;
        place.waiting.push_back((ask, 0));
        self.outputs.push_back(Output::Store(StoreWork::Seal { place: id }));
        Ok(())
    }

    /// The disk is done with the oldest work of a place.
    pub fn handle_stored(&mut self, id: PlaceId, result: Result<Stored, Trouble>) {
        let Some(place) = self.places.open.get_mut(&id) else { return };
        let (peer, asked) = (place.peer, place.waiting.pop_front());
        let reply = match result {
            Ok(Stored::Begun) => {
                place.takes = true;
                Reply::Placing(id)
            }
            Ok(Stored::Written) => Reply::Taken,
            Ok(Stored::There | Stored::Sealed) => {
                if let Some(Place { name, array, digest, .. }) = self.places.open.remove(&id) {
                    self.restore(&name, array, digest);
                }
                Reply::Placed
            }
            Err(trouble) => {
                if let Some(place) = self.places.open.remove(&id) {
                    self.refuse_waiting(&place, &trouble);
                }
                Reply::Refused(trouble)
            }
        };
        if let Some((ask, _)) = asked {
            self.send(peer, Message::Reply { ask, reply: Box::new(reply) });
        }
    }

    /// Ends the place that a question is about, if it is about one.
    pub(super) fn withdraw_place(&mut self, from: NodeId, ask: u64) {
        let is_about = |place: &Place| place.waiting.iter().any(|&(waiting, _)| waiting == ask);
        let about = self.places.of_peer(from).find(|(_, place)| is_about(place));
        if let Some(id) = about.map(|(id, _)| id) {
            let trouble = Trouble::new(TroubleKind::Cancelled, "it was withdrawn");
            self.end_place(id, &trouble);
        }
    }

    /// Ends all places of a peer that is gone.
    pub(super) fn end_places(&mut self, peer: NodeId) {
        let its: Vec<PlaceId> = self.places.of_peer(peer).map(|(id, _)| id).collect();
        for id in its {
            self.places.open.remove(&id);
            self.outputs.push_back(Output::Store(StoreWork::Drop { place: id }));
        }
    }

    fn end_place(&mut self, id: PlaceId, trouble: &Trouble) {
        if let Some(place) = self.places.open.remove(&id) {
            self.outputs.push_back(Output::Store(StoreWork::Drop { place: id }));
            self.refuse_waiting(&place, trouble);
        }
    }

    fn refuse_waiting(&mut self, place: &Place, trouble: &Trouble) {
        for &(ask, _) in &place.waiting {
            let reply = Box::new(Reply::Refused(trouble.clone()));
            self.send(place.peer, Message::Reply { ask, reply });
        }
    }

    fn open_place(&mut self, from: NodeId, id: PlaceId) -> Result<&mut Place, Trouble> {
        let place = self.places.open.get_mut(&id);
        let place = place.filter(|place| place.peer == from && place.takes);
        let PlaceId(number) = id;
        place.ok_or_else(|| {
            question(format!("place {number} takes nothing from you; place the file anew"))
        })
    }

    fn refuse_other_contents(
        &self,
        name: &str,
        array: &Array,
        digest: Digest,
    ) -> Result<(), Trouble> {
        let known = self.catalogue.list_of(&[name.to_owned()]);
        Ok(known.iter().try_for_each(|listed| listed.check_same(array, digest))?)
    }

    /// Contents that had been removed count again.
    fn restore(&mut self, name: &str, array: Array, digest: Digest) {
        if self.catalogue.counts(name, digest) {
            return;
        }
        match self.catalogue.restore(name, array, digest) {
            Ok(false) => {}
            Ok(true) => self.tell_known(name),
            Err(error) => tracing::warn!(name, %error, "it does not count again"),
        }
    }
}

fn question(message: String) -> Trouble {
    Trouble::new(TroubleKind::Question, message)
}

fn busy(message: String) -> Trouble {
    Trouble::new(TroubleKind::Busy, message)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test whose steps fail has failed")]
mod tests;
