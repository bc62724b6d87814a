//! A bar on a terminal while a reduction runs.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar on stderr, or nothing where nobody would see it.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `bytes`, or one without an end for a stream of unknown
    /// length. `shown` is whether the user wants it; only a terminal gets it.
    pub fn new(bytes: Option<u64>, shown: bool) -> Progress {
        let target = if shown && std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let template = match bytes {
            Some(_) => {
                "{bar:30} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}, \
                 {decimal_bytes_per_sec}, {eta} left"
            }
            None => "{spinner} {decimal_bytes}, {decimal_bytes_per_sec}",
        };
        let style = ProgressStyle::with_template(template).expect("the template is a constant");
        let bar = ProgressBar::with_draw_target(bytes, target).with_style(style);
        Progress { bar }
    }

    /// Shows that so many bytes are done. Work that is done twice counts once.
    pub fn set(&self, bytes: u64) {
        let most = self.bar.length().unwrap_or(u64::MAX);
        self.bar.set_position(bytes.min(most));
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| super::exit::say(line));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
