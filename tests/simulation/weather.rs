//! How well a network and its nodes behave.

/// How the network treats messages.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub delay_us: (u64, u64),
    /// How long a healthy node takes for an entry.
    pub work_us: (u64, u64),
    /// What a node sends in a second, one message after the other; without it
    /// messages of any length leave at once.
    pub bytes_per_second: Option<u64>,
    /// How long a node takes to take in a message, one after the other, in us.
    pub message_us: u64,
    /// Messages in a thousand that come a second time, later.
    pub repeated: u64,
    /// Messages in a thousand of a cut connection that come all the same, late.
    pub ghosts: u64,
    /// Whether nodes send what they should not. Their words are then no proof.
    pub rogues: bool,
    /// Whether messages travel as bytes. Only the largest worlds do without.
    pub bytes: bool,
}

impl Weather {
    pub const CALM: Weather = Weather {
        delay_us: (100, 200),
        work_us: (200, 4000),
        bytes_per_second: None,
        message_us: 0,
        repeated: 0,
        ghosts: 0,
        rogues: false,
        bytes: true,
    };
}

/// How a node treats an entry that it cannot reduce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It says so.
    Unreadable,
    /// It leaves out an element.
    Short,
    /// It counts an element for another output, if there is one.
    Misplaced,
    /// It answers with a sum of something else.
    Foreign,
}
