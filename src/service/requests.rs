//! The requests that a node collects for askers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::RequestId;
use crate::manifest::{JobId, Manifest};
use crate::placement::NodeId;

/// Requests under way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    next: u128,
    running: BTreeMap<RequestId, Request>,
}

/// One request and who asked for it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub asker: NodeId,
    pub ask: u64,
    pub job: JobId,
    pub manifest: Arc<Manifest>,
    pub entries_done: u64,
    pub bytes_done: u64,
}

impl Requests {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Takes a request in, under a name of its own.
    pub(super) fn add(&mut self, request: Request) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        self.running.insert(id, request);
        id
    }

    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut Request> {
        self.running.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: RequestId) -> Option<Request> {
        self.running.remove(&id)
    }

    /// The request that is the answer to a question.
    pub(super) fn of_ask(&self, asker: NodeId, ask: u64) -> Option<RequestId> {
        let of = |request: &Request| request.asker == asker && request.ask == ask;
        self.running.iter().find(|(_, request)| of(request)).map(|(&id, _)| id)
    }

    pub(super) fn of_asker(&self, asker: NodeId) -> Vec<RequestId> {
        self.running.iter().filter(|(_, r)| r.asker == asker).map(|(&id, _)| id).collect()
    }

    pub(super) fn manifests(&self) -> Vec<(RequestId, Arc<Manifest>)> {
        self.running.iter().map(|(&id, request)| (id, Arc::clone(&request.manifest))).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (RequestId, &Request)> {
        self.running.iter().map(|(&id, request)| (id, request))
    }
}
