//! How the program was started, and how it starts itself again.

use std::ffi::OsString;
use std::io;

/// How the program was started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The words of the command line, the program's name before them.
    pub arguments: Vec<OsString>,
    /// The words that start the program again, to be followed by its arguments, where
    /// the file of this process is not the program itself; else none.
    pub again: Vec<OsString>,
}

impl Program {
    /// The program that this process is.
    pub fn of_this_process() -> Program {
        Program { arguments: std::env::args_os().collect(), again: Vec::new() }
    }
}

/// The command that starts this program again, for what is a process of its own.
#[derive(Clone, Debug, Default)]
pub struct Again(Vec<OsString>);

impl Again {
    /// Its words, one at least.
    ///
    /// # Errors
    /// The system does not say which file this process is.
    pub fn words(&self) -> io::Result<Vec<OsString>> {
        match self.0.is_empty() {
            true => Ok(vec![std::env::current_exe()?.into()]),
            false => Ok(self.0.clone()),
        }
    }
}

impl From<Vec<OsString>> for Again {
    fn from(words: Vec<OsString>) -> Again {
        Again(words)
    }
}
