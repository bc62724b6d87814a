//! How a run ends: exit codes, and errors as people and machines read them.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::json;

/// Whose fault a failure is, as the exit code tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[cfg_attr(not(feature = "net"), expect(dead_code, reason = "the network has blame of its own"))]
pub enum Blame {
    /// A defect of this program, or this machine does not give it what it needs: its
    /// output cannot be written, here or by a node that is to hold a file, or somebody
    /// else listens on its port.
    Internal = 1,
    /// The command line asks for what makes no sense.
    Usage = 2,
    /// The data cannot be read, or is not what it says.
    Input = 3,
    /// `--strict` met a NaN, an infinity or an integer past 64 bits.
    Numeric = 4,
    /// Entries are missing and no node is left that has them.
    Incomplete = 5,
    /// `--deadline` passed.
    Deadline = 6,
    /// A peer has another cluster secret.
    Identity = 7,
    /// No such device, or it failed.
    Device = 8,
    /// The answer is a part, as `--allow-partial` allows.
    Partial = 9,
    /// No node can be reached.
    Cluster = 10,
    /// Ctrl-C.
    Interrupted = 130,
}

/// The code of a run that did what it was asked.
pub const ANSWERED: u8 = 0;

impl Blame {
    /// The word for it in JSON.
    fn kind(self) -> &'static str {
        match self {
            Blame::Internal => "internal",
            Blame::Usage => "usage",
            Blame::Input => "input",
            Blame::Numeric => "numeric",
            Blame::Incomplete => "incomplete",
            Blame::Deadline => "deadline",
            Blame::Identity => "identity",
            Blame::Device => "device",
            Blame::Partial => "partial",
            Blame::Cluster => "cluster",
            Blame::Interrupted => "interrupted",
        }
    }
}

/// A run that gave no answer.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Whose fault it is.
    pub blame: Blame,
    /// What was wrong, the value, and the way out.
    pub message: String,
}

impl Failure {
    /// A failure with its message.
    pub fn new(blame: Blame, message: impl ToString) -> Failure {
        Failure { blame, message: message.to_string() }
    }

    /// Tells it on stderr, as text or as one JSON object, and returns the code
    /// to exit with.
    pub fn report(&self, as_json: bool) -> u8 {
        if as_json {
            let object = json!({
                "schema": super::report::SCHEMA,
                "version": env!("CARGO_PKG_VERSION"),
                "error": {
                    "code": self.blame as u8,
                    "kind": self.blame.kind(),
                    "message": self.message,
                },
            });
            write_line(&object.to_string());
        } else {
            say(&format!("adsum: error: {}", self.message));
        }
        self.blame as u8
    }
}

/// Prints one line on stderr for people.
pub fn say(line: &str) {
    write_line(&plain(line));
}

/// A stderr that nobody reads is no failure.
fn write_line(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Text as a terminal shows it and does nothing else: names come from outside, and may
/// hold what moves the cursor or breaks the line.
pub fn plain(text: &str) -> Cow<'_, str> {
    match text.contains(char::is_control) {
        false => text.into(),
        true => text
            .chars()
            .flat_map(|c| {
                let escaped = c.is_control().then(|| c.escape_default());
                let itself = escaped.is_none().then_some(c);
                escaped.into_iter().flatten().chain(itself)
            })
            .collect::<String>()
            .into(),
    }
}

/// Prints the answer on stdout and flushes it: an answer that did not arrive
/// is a failure. A reader that has closed the pipe wants no more, so that ends
/// the run quietly.
pub fn answer(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(
            Blame::Internal,
            format!("cannot write the answer to standard output: {error}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(plain("Tür 'a.npy'"), "Tür 'a.npy'");
        assert_eq!(plain("a\u{1b}[2Jb\n\u{7f}\u{9b}é"), "a\\u{1b}[2Jb\\n\\u{7f}\\u{9b}é");
    }
}
