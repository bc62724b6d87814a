//! The thread that writes the files of askers.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::cli::exit::{Blame, Failure};
use crate::driver::{self, MakeStore, Reports, StoreWork, Stored};
use crate::store::{Begun, Growing, Store, StoreError};
use crate::wire::{PlaceId, Trouble, TroubleKind};

/// What a driver gives its work to. The service bounds how much waits here.
struct Storing {
    /// `None` only while it is being dropped.
    sender: Option<Sender<StoreWork>>,
    thread: Option<JoinHandle<()>>,
}

/// Makes a thread that works on `store` as soon as the node starts.
pub fn storing(store: Store) -> Result<MakeStore, Failure> {
    let (sender, works) = channel();
    let (give, reports) = channel();
    let thread = std::thread::Builder::new()
        .name("adsum-store".to_owned())
        .spawn(move || {
            // Without a node there is nothing to do.
            if let Ok(reports) = reports.recv() {
                run(&store, &works, &reports);
            }
        })
        .map_err(|error| Failure::new(Blame::Internal, error))?;
    Ok(Box::new(move |reports| {
        // The thread waits for this.
        let _taken = give.send(reports);
        Box::new(Storing { sender: Some(sender), thread: Some(thread) })
    }))
}

impl driver::Store for Storing {
    fn take(&mut self, work: StoreWork) {
        // The thread ends before this only by a panic, which was reported.
        let _gone = self.sender.as_ref().map(|sender| sender.send(work));
    }
}

impl Drop for Storing {
    /// Waits until nothing is left of files that are not whole.
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn run(store: &Store, works: &Receiver<StoreWork>, reports: &Reports) {
    let mut growing: BTreeMap<PlaceId, Box<Growing>> = BTreeMap::new();
    while let Ok(work) = works.recv() {
        let (place, result) = match work {
            StoreWork::Begin { place, name, array, digest } => {
                let begun = store.begin(&name, &array, digest).map(|begun| match begun {
                    Begun::There => Stored::There,
                    Begun::Growing(file) => {
                        growing.insert(place, file);
                        Stored::Begun
                    }
                });
                (place, begun)
            }
            StoreWork::Write { place, bytes } => {
                // What comes for a file that failed is of no use.
                let Some(file) = growing.get_mut(&place) else { continue };
                let written = file.write(&bytes).map(|()| Stored::Written);
                if written.is_err() {
                    growing.remove(&place);
                }
                (place, written)
            }
            StoreWork::Seal { place } => {
                let Some(file) = growing.remove(&place) else { continue };
                (place, store.seal(*file).map(|()| Stored::Sealed))
            }
            StoreWork::Drop { place } => {
                growing.remove(&place);
                continue;
            }
        };
        reports.report(place, result.map_err(|error| trouble(&error)));
    }
}

fn trouble(error: &StoreError) -> Trouble {
    let kind = match error {
        StoreError::Io { .. } | StoreError::Changed { .. } | StoreError::FileSystem { .. } => {
            TroubleKind::Storage
        }
        StoreError::Unknown { .. } => TroubleKind::Busy,
        StoreError::Invalid(_)
        | StoreError::Name { .. }
        | StoreError::NotDirectory { .. }
        | StoreError::Taken { .. }
        | StoreError::Shape { .. }
        | StoreError::Contents { .. } => TroubleKind::Question,
    };
    if kind == TroubleKind::Storage {
        tracing::warn!("{error}");
    }
    Trouble::new(kind, error)
}
