//! When a way that does not always work is worth trying.

/// The most blocks that go by between two attempts.
const SKIPPED_MAX: u32 = 64;

/// Tries each block as long as that works. After each failure twice as many
/// blocks go by, so that data for which it never works costs next to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempts {
    /// Blocks to let go by after the next failure.
    pause: u32,
    /// Blocks yet to let go by.
    left: u32,
}

impl Attempts {
    /// What `attempt` found, if it is made and works.
    #[inline(always)]
    pub fn make<T>(&mut self, attempt: impl FnOnce() -> Option<T>) -> Option<T> {
        if self.left > 0 {
            self.left -= 1;
            return None;
        }
        let found = attempt();
        match found {
            Some(_) => self.pause = 0,
            None => {
                self.left = self.pause;
                self.pause = (2 * self.pause).clamp(1, SKIPPED_MAX);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_make_attempts_rare_and_success_makes_them_frequent() {
        let mut attempts = Attempts::default();
        let mut made = Vec::new();
        for block in 0..400 {
            let works = block >= 300;
            attempts.make(|| {
                made.push(block);
                works.then_some(())
            });
        }
        assert_eq!(made[..8], [0, 1, 3, 6, 11, 20, 37, 70]);
        let first = made.iter().position(|&block| block >= 300).unwrap();
        assert_eq!(made[first - 1] + 65, made[first]);
        assert!(made[first..].windows(2).all(|pair| pair[0] + 1 == pair[1]));
    }
}
