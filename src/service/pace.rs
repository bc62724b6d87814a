//! How fast this node reduces.

use std::collections::BTreeMap;

use crate::wire::Usage;

/// Work that counts: what lies further back counts half, and half of that again.
const WINDOW_NS: u64 = 10_000_000_000;

/// What each device did lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    devices: BTreeMap<u16, Usage>,
}

impl Pace {
    /// A device did some work.
    pub(super) fn add(&mut self, usage: &Usage) {
        let fresh = Usage { device: usage.device, ..Usage::default() };
        let kept = self.devices.entry(usage.device).or_insert(fresh);
        kept.add(usage);
        while kept.busy_ns > WINDOW_NS {
            kept.tiles /= 2;
            kept.bytes /= 2;
            kept.busy_ns /= 2;
        }
    }

    /// By device, in their order.
    pub(super) fn usage(&self) -> Vec<Usage> {
        self.devices.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_lately_decides() {
        let mut pace = Pace::default();
        let second = |bytes| Usage { device: 1, tiles: 1, bytes, busy_ns: 1_000_000_000 };
        (0..100).for_each(|_| pace.add(&second(1000)));
        let before = pace.usage();
        assert_eq!(before.len(), 1);
        assert!(before[0].busy_ns <= WINDOW_NS);
        // Within a rounding of what it was all the time.
        assert!((990..=1010).contains(&(before[0].bytes * 1_000_000_000 / before[0].busy_ns)));
        (0..100).for_each(|_| pace.add(&second(10)));
        let after = pace.usage()[0];
        assert!(after.bytes * 1_000_000_000 / after.busy_ns < 20, "{after:?}");
    }
}
