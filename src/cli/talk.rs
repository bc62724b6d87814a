//! What is said on stderr while a reduction runs.

use super::args::OutputArgs;
use super::exit;
use super::progress::Progress;
use crate::local::Observer;

/// Warnings, notes and the progress bar, as far as the user wants them.
pub struct Talk {
    quiet: bool,
    json: bool,
    progress: Option<Progress>,
    /// Bytes of the jobs before this one.
    bytes_before: u64,
    warnings: Vec<String>,
    missing: Vec<String>,
}

impl Talk {
    /// Talk as the user wants it: none, or warnings kept for a JSON object.
    pub fn new(output: &OutputArgs) -> Talk {
        let (quiet, json) = (output.quiet, output.json);
        Talk {
            quiet,
            json,
            progress: None,
            bytes_before: 0,
            warnings: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// The work begins, over so many bytes.
    pub fn start(&mut self, bytes: Option<u64>) {
        self.progress = Some(Progress::new(bytes, !self.quiet));
    }

    /// The next job begins, so many bytes having been reduced before it.
    pub fn begin(&mut self, bytes_before: u64) {
        self.bytes_before = bytes_before;
    }

    /// The work is done: the bar goes.
    pub fn end(&mut self) {
        self.progress = None;
    }

    /// Something about the answer that is no warning, but is kept with them in
    /// a JSON object.
    pub fn note(&mut self, text: &str) {
        if self.json {
            self.warnings.push(text.to_owned());
        } else {
            self.line(&format!("adsum: note: {text}"));
        }
    }

    /// Notes what will not be in the answer.
    #[cfg(feature = "net")]
    pub fn leave_out(&mut self, missing: Vec<String>) {
        self.missing.extend(missing);
    }

    /// What is not in the answer.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The warnings so far, if the answer is to hold them.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn line(&self, line: &str) {
        match &self.progress {
            _ if self.quiet => {}
            Some(progress) => progress.say(line),
            None => exit::say(line),
        }
    }
}

impl Observer for Talk {
    fn progress(&mut self, bytes_done: u64) {
        if let Some(progress) = &self.progress {
            progress.set(self.bytes_before + bytes_done);
        }
    }

    /// On stderr for people; in the answer's object for programs, whose stderr
    /// holds an error object or nothing that they need.
    fn warning(&mut self, text: &str) {
        if self.json {
            self.warnings.push(text.to_owned());
        } else {
            self.line(&format!("adsum: warning: {text}"));
        }
    }
}
