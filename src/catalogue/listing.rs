//! The whole catalogue for people.

use serde::{Deserialize, Serialize};

use super::standing::{Standing, Verdict};
use super::{Array, Catalogue, CatalogueError, Copies, Digest, Nodes, REPLICAS_MAX, listed};

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

impl Listed {
    /// Checks that the name may stand for these contents: it never stands for two.
    ///
    /// # Errors
    /// Others count under it; who holds what.
    pub fn check_same(&self, array: &Array, digest: Digest) -> Result<(), CatalogueError> {
        let is_other = |copies: &&Copies| match copies.digest {
            Some(other) => other != digest,
            // These may be the same, unless they are another array.
            None => copies.array != *array,
        };
        let others: Vec<&Copies> =
            self.contents.iter().filter(|copies| !copies.removed).filter(is_other).collect();
        if others.is_empty() {
            return Ok(());
        }
        let known = others.iter().map(|copies| {
            let dtype = copies.array.layout.dtype;
            let shape = &copies.array.shape;
            let digest = copies.digest.map_or("not hashed yet".to_owned(), |digest| short(&digest));
            let at = match copies.live.is_empty() {
                true => format!("last at {}", listed(&copies.last)),
                false => format!("at {}", listed(&copies.live)),
            };
            format!("{dtype} {shape:?} ({digest}) {at}")
        });
        Err(CatalogueError::Taken {
            name: self.name.clone(),
            known: known.collect::<Vec<_>>().join(" and "),
            offered: format!("{} {:?} ({})", array.layout.dtype, array.shape, short(&digest)),
        })
    }
}

/// Enough of a digest to tell a few apart.
fn short(digest: &Digest) -> String {
    format!("{digest:?}")
}

impl Catalogue {
    /// Every name that counts or is there, in the order of their bytes.
    pub fn list(&self) -> Vec<Listed> {
        self.standings().filter_map(|standing| self.listed(&standing)).collect()
    }

    /// Those of these names that count or are there.
    pub fn list_of(&self, names: &[String]) -> Vec<Listed> {
        names.iter().filter_map(|name| self.listed(&self.standing(name)?)).collect()
    }

    /// How many names that count are held by no live node, by one and so on, up to the
    /// last that is not 0. The last number there may be is of [`REPLICAS_MAX`] and more.
    pub fn replicas(&self) -> Vec<u64> {
        let mut counts = Vec::new();
        for standing in self.standings().filter(Standing::is_known) {
            let holders = standing.known_holders(&self.live).len().min(REPLICAS_MAX);
            counts.resize(counts.len().max(holders + 1), 0);
            counts[holders] += 1;
        }
        counts
    }

    /// Who held what is missing, as far as that is remembered.
    pub fn missed_holders(&self) -> Nodes {
        let mut nodes = Nodes::new();
        for standing in self.standings() {
            if let Verdict::Missing(Some(trace)) = standing.verdict() {
                nodes.extend(trace.last.clone());
            }
        }
        nodes
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
