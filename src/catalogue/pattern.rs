//! Globs over names.

use super::limits::check_count;
use super::{CatalogueError, PATTERN_BYTES_MAX, clip};

/// As `source` takes globs of paths, so that a name means the same here and there.
const OPTIONS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// A glob, cut at each `/`.
///
/// It matches what [`glob::Pattern::matches_with`] matches. That goes back to all
/// earlier parts when a later one does not match, which takes for ever with a few
/// stars in each of many parts. Here the time is bounded by the product of parts.
#[derive(Clone, Debug)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    /// `**`: any number of parts that are not hidden.
    Any,
    One(glob::Pattern),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It is too long, or not well formed.
    pub fn new(text: &str) -> Result<Pattern, CatalogueError> {
        check_count(
            || format!("bytes of the pattern '{}'", clip(text)),
            text.len(),
            PATTERN_BYTES_MAX,
            "use a shorter one",
        )?;
        let part = |part| match part {
            "**" => Ok(Part::Any),
            part => glob::Pattern::new(part).map(Part::One),
        };
        let parts = text.split('/').map(part).collect::<Result<Vec<Part>, glob::PatternError>>();
        let parts = parts.map_err(|error| CatalogueError::Glob {
            pattern: text.to_owned(),
            problem: error.msg,
        })?;
        Ok(Pattern { parts })
    }

    /// Whether the pattern means this name among others.
    pub fn matches(&self, name: &str) -> bool {
        let names: Vec<&str> = name.split('/').collect();
        // For each number of the name's parts: whether the pattern's parts so far
        // match just these.
        let mut reached = vec![false; names.len() + 1];
        reached[0] = true;
        for (index, part) in self.parts.iter().enumerate() {
            match part {
                Part::One(one) => step(&mut reached, |at| one.matches_with(names[at], OPTIONS)),
                Part::Any => {
                    let is_plain = |at: usize| !names[at].starts_with('.');
                    for at in 0..names.len() {
                        reached[at + 1] |= reached[at] && is_plain(at);
                    }
                    // At the end there must be something for it.
                    if index + 1 == self.parts.len() {
                        step(&mut reached, is_plain);
                    }
                }
            }
            if !reached.contains(&true) {
                return false;
            }
        }
        reached[names.len()]
    }
}

/// Takes one more part of the name, where that matches.
fn step(reached: &mut [bool], matches: impl Fn(usize) -> bool) {
    for at in (1..reached.len()).rev() {
        reached[at] = reached[at - 1] && matches(at - 1);
    }
    reached[0] = false;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_in_many_parts_end() {
        let pattern = Pattern::new(&("*a*/".repeat(100) + "b")).expect("a pattern");
        assert!(!pattern.matches(&("aaaa/".repeat(100) + "c")));
        assert!(pattern.matches(&("aaaa/".repeat(100) + "b")));
        let pattern = Pattern::new(&("**/*a*/".repeat(100) + "b")).expect("a pattern");
        assert!(!pattern.matches(&("aaaa/".repeat(200) + "c")));
        let pattern = Pattern::new(&("*a".repeat(400) + "b")).expect("a pattern");
        assert!(!pattern.matches(&"a".repeat(1000)));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["a[", "***", "a**", "a/**b", "[a/b]"] {
            let result = Pattern::new(text);
            assert!(matches!(result, Err(CatalogueError::Glob { .. })), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn a_pattern_matches_what_the_crate_says(
            parts in proptest::collection::vec(
                prop_oneof![
                    3 => proptest::string::string_regex("[a.*?]{1,3}|\\[[!]?[ab.]\\]").expect("valid"),
                    1 => Just("**".to_owned()),
                ],
                1..5,
            ),
            names in proptest::collection::vec("[.]?[ab][ab.]{0,2}", 1..5),
        ) {
            let (pattern, name) = (parts.join("/"), names.join("/"));
            let expected = glob::Pattern::new(&pattern).ok();
            let got = Pattern::new(&pattern).ok();
            prop_assert_eq!(
                got.map(|got| got.matches(&name)),
                expected.map(|expected| expected.matches_with(&name, OPTIONS)),
                "{} {}", pattern, name
            );
        }
    }
}
