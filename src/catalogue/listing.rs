//! The whole catalogue for people.

use serde::{Deserialize, Serialize};

use super::standing::{Standing, Verdict};
use super::{Catalogue, Copies};

/// A name, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The name.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// All contents that count or are there: one, if nobody made a mistake.
    pub contents: Vec<Copies>,
}

/// How a name stands. For each, what is asked of the name says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// Live nodes hold its contents.
    Present,
    /// A live node has it, and nobody has hashed it yet.
    Unhashed,
    /// No live node holds it, as far as its copies are hashed.
    Missing,
    /// It means different things.
    Conflict,
    /// It was removed, and a live node has it nevertheless.
    Returned,
}

impl Catalogue {
    /// Every name that counts or is there, in the order of their bytes.
    pub fn list(&self) -> Vec<Listed> {
        self.standings().filter_map(|standing| self.listed(&standing)).collect()
    }

    fn listed(&self, standing: &Standing<'_>) -> Option<Listed> {
        let state = match standing.verdict() {
            Verdict::Hashed(_) => State::Present,
            Verdict::Unhashed(..) => State::Unhashed,
            Verdict::Missing(_) => State::Missing,
            Verdict::Conflict => State::Conflict,
            Verdict::Removed => standing.returned().next().map(|_| State::Returned)?,
        };
        let contents = standing.copies(&self.live);
        Some(Listed { name: standing.name.to_owned(), state, contents })
    }
}
