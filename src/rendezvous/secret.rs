//! The secret, from where the launcher put it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::launch::SecretSource;
use crate::rendezvous::error::SecretError;
use crate::transport::Secret;

/// The most bytes of a token file: a token and much white space.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// What was read from the launcher's pipe, which gives it once.
static FROM_PIPE: Mutex<Option<(i32, Secret)>> = Mutex::new(None);

/// Reads the secret. A pipe is read once; this process remembers what it gave.
///
/// # Errors
/// It cannot be read, others can read it, or it is no token.
pub fn read(source: &SecretSource) -> Result<Secret, SecretError> {
    match source {
        SecretSource::File(path) => from_file(path),
        SecretSource::Pipe(fd) => from_pipe(*fd),
    }
}

fn from_file(path: &Path) -> Result<Secret, SecretError> {
    let unreadable = |source| SecretError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_file() && is_public(&metadata) {
        return Err(SecretError::Public { path: path.to_owned() });
    }
    let token = text(file).map_err(unreadable)?;
    Secret::from_token(&token)
        .map_err(|source| SecretError::Token { place: format!("'{}'", path.display()), source })
}

fn from_pipe(fd: i32) -> Result<Secret, SecretError> {
    // It is set whole or not at all.
    let mut known = FROM_PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((from, secret)) = &*known
        && *from == fd
    {
        return Ok(secret.clone());
    }
    // The name under which Linux and macOS have each open file. Windows has
    // none, and 'adsum run' not either.
    let token = File::open(format!("/dev/fd/{fd}"))
        .and_then(text)
        .map_err(|source| SecretError::Pipe { fd, source })?;
    let secret = Secret::from_token(&token)
        .map_err(|source| SecretError::Token { place: format!("the open file {fd}"), source })?;
    *known = Some((fd, secret.clone()));
    Ok(secret)
}

fn text(file: File) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(TOKEN_FILE_BYTES_MAX as usize));
    file.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Whether others than its owner can read or change a file.
#[cfg(unix)]
fn is_public(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

/// Access lists are not looked at: files in a user's directories are private
/// from the start.
#[cfg(not(unix))]
fn is_public(_: &std::fs::Metadata) -> bool {
    false
}
