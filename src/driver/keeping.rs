//! When changes of what is remembered are kept: those of a moment together, since each
//! time costs a copy of all of it.

use std::time::Duration;

/// The least time between two.
const EVERY: Duration = Duration::from_millis(200);

/// When to keep what has changed.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    due: Option<Duration>,
    /// When it was kept last.
    kept: Option<Duration>,
}

impl Keeping {
    /// Something has changed.
    pub(super) fn changed(&mut self, now: Duration) {
        let earliest = self.kept.map_or(now, |kept| now.max(kept + EVERY));
        self.due.get_or_insert(earliest);
    }

    /// When to call [`Keeping::is_due`].
    pub(super) fn next(&self) -> Option<Duration> {
        self.due
    }

    /// Whether all is to be kept now, which the caller then does.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        let is_due = self.due.take_if(|due| *due <= now).is_some();
        if is_due {
            self.kept = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_kept_at_once_and_those_after_it_together() {
        let ms = Duration::from_millis;
        let mut keeping = Keeping::default();
        assert!(!keeping.is_due(ms(1)));
        keeping.changed(ms(5));
        assert!(keeping.is_due(ms(5)));
        for now in [6, 7, 100] {
            keeping.changed(ms(now));
            assert!(!keeping.is_due(ms(now)));
        }
        assert_eq!(keeping.next(), Some(ms(5) + EVERY));
        assert!(keeping.is_due(ms(5) + EVERY));
        assert!(!keeping.is_due(ms(10_000)));
        keeping.changed(ms(20_000));
        assert!(keeping.is_due(ms(20_000)));
    }
}
