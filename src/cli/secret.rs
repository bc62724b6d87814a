//! The cluster's secret: where it comes from, and how one is made.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::config;
use super::exit::{self, Blame, Failure};
use crate::os;
use crate::transport::Secret;

/// The most bytes of a token file: a token and much white space.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// `adsum token new`.
pub fn new() -> Result<(), Failure> {
    let secret = Secret::generate().map_err(|error| Failure::new(Blame::Internal, error))?;
    os::make_output_private().map_err(|error| {
        Failure::new(
            Blame::Internal,
            format!("cannot keep the token file from others: {error}; choose another directory"),
        )
    })?;
    exit::answer(&secret.to_token())
}

/// The secret in the file that was given, or in the user's own.
pub fn read(given: Option<&Path>) -> Result<Secret, Failure> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => of_user().filter(|path| path.exists()).ok_or_else(|| {
            let place = of_user().map_or_else(String::new, |path| {
                format!(" or as '{}'", path.display())
            });
            usage(format!(
                "there is no token; make one with 'adsum token new > cluster.token', the same for all nodes, and give it as '--token FILE', by ADSUM_TOKEN_FILE{place}"
            ))
        })?,
    };
    read_file(&path)
}

/// The secret in this file.
pub fn read_file(path: &Path) -> Result<Secret, Failure> {
    let name = path.display();
    let unreadable = |error: std::io::Error| {
        let advice = match error.kind() {
            std::io::ErrorKind::NotFound => "make one with 'adsum token new > cluster.token'",
            _ => "see that it is a file which this user may read",
        };
        usage(format!("the token file '{name}' cannot be read: {error}; {advice}"))
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_file() && !os::is_private(&metadata) {
        return Err(usage(format!(
            "others can read the token file '{name}', and whoever has it is a node; run 'chmod 600 {name}', and make a new token if others may have read it"
        )));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Secret::from_token(&text).map_err(|error| usage(format!("in '{name}': {error}")))
}

fn usage(message: String) -> Failure {
    Failure::new(Blame::Usage, message)
}

/// Where the user's own token is.
pub fn of_user() -> Option<PathBuf> {
    config::directory().map(|directory| directory.join("token"))
}
