//! The cluster's secret, of which nothing is told but where it is.

use std::path::{Path, PathBuf};

use super::super::args::ViaArgs;
use super::super::config::Loaded;
use super::super::exit::{Blame, Failure};
use super::super::secret;
use super::{Check, late, within};
use crate::transport::Secret;

/// Looks at the token that this command line means, and at that of the section
/// `[node]`.
pub fn check(loaded: &Loaded, via: &ViaArgs, checks: &mut Vec<Check>) -> Option<Secret> {
    let of_node = loaded.config.node.token.clone();
    let own = secret::of_user().filter(|path| path.exists());
    let secret = match (via.token.clone().or(own), via.is_given(), &of_node) {
        (Some(path), ..) => one("token", path, checks),
        // Who asks a cluster does not take that of a node.
        (None, false, Some(_)) => None,
        (None, is_needed, _) => {
            let missing = secret::read(None).err().map(|failure| failure.message);
            let (value, fix) = super::told(&missing.unwrap_or_default());
            checks.push(match is_needed {
                true => Check::failure("token", value, fix, Blame::Internal),
                false => Check::warning("token", value, fix),
            });
            None
        }
    };
    let of_node = of_node.and_then(|path| one("token of [node]", path, checks));
    secret.or(of_node)
}

fn one(what: &str, path: PathBuf, checks: &mut Vec<Check>) -> Option<Secret> {
    let looked_at = path.clone();
    let read = within(move || secret::read_file(&looked_at));
    let name = path.display();
    match read {
        None => {
            let value = format!("{name}: {}", late());
            let fix = "see that it is a file, and that its file system answers";
            checks.push(Check::failure(what, value, fix, Blame::Internal));
            None
        }
        Some(Err(Failure { message, .. })) => {
            checks.push(Check::failed(what, message, Blame::Internal));
            None
        }
        Some(Ok(secret)) => {
            checks.push(Check::ok(what, format!("{name}{}", mode(&path))));
            Some(secret)
        }
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777);
    mode.map_or_else(|_| String::new(), |mode| format!(", mode {mode:o}"))
}

#[cfg(not(unix))]
fn mode(_: &Path) -> String {
    String::new()
}
