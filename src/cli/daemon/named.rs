//! Files by their names in the catalogue.

use std::sync::Arc;

use crate::inventory::Inventory;
use crate::manifest::{File, FileIdentity};
use crate::shard::ShardError;
use crate::source::{Resolve, Resolved};

/// The files under the data directory of a node.
pub struct Named(pub Arc<Inventory>);

impl Resolve for Named {
    fn resolve(&self, file: &File) -> Result<Resolved, ShardError> {
        let name = file.name();
        let found = self.0.find(&name).ok_or_else(|| {
            ShardError::unreadable(format!(
                "'{name}' is not offered by this node: it is gone, or there is something wrong with it that 'adsum status' tells; ask again"
            ))
        })?;
        let (found, runs) = (found.file, found.runs);
        let same_contents = match file.digest {
            Some(digest) => found.digest == Some(digest),
            None => found.identity == file.identity,
        };
        let same_array = (found.layout, found.memory_order, &found.shape)
            == (file.layout, file.memory_order, &file.shape);
        match same_contents && same_array {
            true => Ok(Resolved { file: found, runs }),
            false => Err(ShardError::changed(format!(
                "'{name}' changed on this node since it was asked for; ask again"
            ))),
        }
    }

    fn doubt(&self, file: &File, identity: &FileIdentity) {
        self.0.doubt(file.name(), *identity);
    }
}
