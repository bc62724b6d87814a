//! The catalogue beside a naive one: the list of all that happened, gone through
//! from its start for every question.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 4] = ["a.npy", "b.npy", "d/a.npy", ".h.npy"];

/// Patterns, and the places in [`NAMES`] of what they match, in order.
const PATTERNS: [(&str, &[usize]); 8] = [
    ("a.npy", &[0]),
    ("d/a.npy", &[2]),
    ("*", &[0, 1]),
    ("?.npy", &[0, 1]),
    ("[b-z].npy", &[1]),
    ("d/*", &[2]),
    ("**/a.npy", &[0, 2]),
    (".*", &[3]),
];

/// A file: place of its name, its contents, and whether they are hashed.
type Item = (usize, u8, bool);

#[derive(Clone, Debug)]
enum Event {
    Held(u8, Vec<Item>),
    Lost(u8),
    Remove(usize),
    Restore(usize, u8),
}

/// Contents 1 and 3 are of one array, 2 of another.
fn array_of(contents: u8) -> Array {
    array(u64::from(contents % 2) + 1)
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Found { contents: Option<u8>, holders: BTreeSet<u8> },
    Missing { hashing: BTreeSet<u8> },
    Conflict,
    Nothing,
}

/// What each node has under a name after these events.
fn live(events: &[Event], name: usize) -> Vec<(u8, u8, bool)> {
    let mut found = Vec::new();
    for node in 0..=u8::MAX {
        let last = events.iter().rev().find_map(|event| match event {
            Event::Held(held, items) if *held == node => Some(items.clone()),
            Event::Lost(lost) if *lost == node => Some(Vec::new()),
            _ => None,
        });
        let items = last.unwrap_or_default().into_iter();
        found.extend(items.filter(|item| item.0 == name).map(|item| (node, item.1, item.2)));
    }
    found
}

/// What a name means after these events, and which removed contents are there.
fn answer(events: &[Event], name: usize) -> (Answer, BTreeSet<u8>) {
    let (mut known, mut gone) = (BTreeSet::new(), BTreeSet::new());
    let mut seen = false;
    for (number, event) in events.iter().enumerate() {
        match event {
            Event::Held(_, items) => {
                for &(_, contents, hashed) in items.iter().filter(|item| item.0 == name) {
                    if hashed && !gone.contains(&Some(contents)) {
                        known.insert(contents);
                    }
                    seen |= !hashed && !gone.contains(&None);
                }
            }
            Event::Lost(_) => {}
            Event::Remove(removed) if *removed == name => {
                let there = live(&events[..number], name);
                let is_hashed = !known.is_empty() || gone.iter().any(Option::is_some);
                if !is_hashed && seen && there.is_empty() {
                    (seen, _) = (false, gone.insert(None));
                }
                known.retain(|&contents| {
                    let held = there.iter().any(|&(_, other, hashed)| match hashed {
                        true => other == contents,
                        false => array_of(other) == array_of(contents),
                    });
                    held || !gone.insert(Some(contents))
                });
            }
            Event::Restore(restored, contents) if *restored == name => {
                gone.remove(&Some(*contents));
                known.insert(*contents);
            }
            Event::Remove(_) | Event::Restore(..) => {}
        }
    }
    let there = live(events, name);
    let of = |contents| there.iter().filter(move |item| item.2 && item.1 == contents);
    let returned = gone.iter().copied().flatten().filter(|&contents| of(contents).count() > 0);
    let unhashed: Vec<_> = there.iter().filter(|item| !item.2).collect();
    let hashing: BTreeSet<u8> = unhashed.iter().map(|item| item.0).collect();
    let known: Vec<u8> = known.into_iter().collect();
    let answer = match known[..] {
        [contents] if of(contents).count() > 0 => Answer::Found {
            contents: Some(contents),
            holders: of(contents).map(|item| item.0).collect(),
        },
        [_] => Answer::Missing { hashing },
        [_, _, ..] => Answer::Conflict,
        [] if !gone.is_empty() && hashing.is_empty() => Answer::Nothing,
        [] if !gone.is_empty() => Answer::Missing { hashing },
        [] if hashing.is_empty() && seen => Answer::Missing { hashing },
        [] if hashing.is_empty() => Answer::Nothing,
        [] if unhashed.iter().any(|item| array_of(item.1) != array_of(unhashed[0].1)) => {
            Answer::Conflict
        }
        [] => Answer::Found { contents: None, holders: hashing.into_iter().take(1).collect() },
    };
    (answer, returned.collect())
}

fn apply(catalogue: &mut Catalogue, event: &Event) {
    match event {
        Event::Held(node, items) => {
            let files = items.iter().map(|&(name, contents, hashed)| Held {
                name: NAMES[name].to_owned(),
                array: array_of(contents),
                digest: hashed.then(|| digest(contents)),
                identity: identity(138),
            });
            let files = files.collect();
            catalogue.set_held(id(*node), holder(*node), files).expect("well formed files");
        }
        Event::Lost(node) => catalogue.lost(id(*node)),
        // Refusals are tested elsewhere; here they must change nothing.
        Event::Remove(name) => drop(catalogue.remove(NAMES[*name])),
        Event::Restore(name, contents) => {
            let (name, array) = (NAMES[*name], array_of(*contents));
            catalogue.restore(name, array, digest(*contents)).expect("well formed");
        }
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let item = (1..4_u8, proptest::bool::weighted(0.6));
    let items = proptest::collection::btree_map(0..NAMES.len(), item, 0..=NAMES.len());
    let items = items.prop_map(|items| {
        items.into_iter().map(|(name, (contents, hashed))| (name, contents, hashed)).collect()
    });
    prop_oneof![
        4 => (1..5_u8, items).prop_map(|(node, items)| Event::Held(node, items)),
        3 => (1..5_u8).prop_map(Event::Lost),
        3 => (0..NAMES.len()).prop_map(Event::Remove),
        1 => (0..NAMES.len(), 1..4_u8).prop_map(|(name, contents)| Event::Restore(name, contents)),
    ]
}

/// What a catalogue says of a name that it counts.
fn said(expansion: &Expansion, name: &str) -> Vec<Answer> {
    let nodes = |ids: &mut dyn Iterator<Item = NodeId>| ids.map(|id| id.0[0]).collect();
    let found = expansion.files.iter().filter(|found| found.file.name() == name);
    let found = found.map(|found| Answer::Found {
        contents: found.file.digest.map(|digest| digest.0[0]),
        holders: nodes(&mut found.holders.iter().copied()),
    });
    let missing = expansion.missing.iter().filter(|missing| missing.name == name);
    let missing = missing
        .map(|missing| Answer::Missing { hashing: nodes(&mut missing.hashing.keys().copied()) });
    let conflicts = expansion.conflicts.iter().filter(|conflict| conflict.name == name);
    found.chain(missing).chain(conflicts.map(|_| Answer::Conflict)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn patterns_mean_what_the_list_of_events_says(
        events in proptest::collection::vec(any_event(), 0..16),
        patterns in proptest::collection::vec(0..PATTERNS.len(), 1..4),
    ) {
        let mut catalogue = Catalogue::new(id(1));
        events.iter().for_each(|event| apply(&mut catalogue, event));
        let answers: Vec<_> = (0..NAMES.len()).map(|name| answer(&events, name)).collect();
        let counts = |name: usize| answers[name].0 != Answer::Nothing;

        let texts: Vec<String> = patterns.iter().map(|&at| PATTERNS[at].0.to_owned()).collect();
        let result = catalogue.expand(&texts, false);
        let empty = patterns.iter().find(|&&at| !PATTERNS[at].1.iter().any(|&name| counts(name)));
        if let Some(&at) = empty {
            let refused = matches!(
                &result, Err(CatalogueError::NoMatch { pattern, .. }) if pattern == PATTERNS[at].0
            );
            prop_assert!(refused, "{:?}", result);
            return Ok(());
        }
        let expansion = result.expect("each pattern matches something");

        let met: Vec<usize> = patterns.iter().flat_map(|&at| PATTERNS[at].1).copied().collect();
        let mut order: Vec<usize> = Vec::new();
        met.iter().for_each(|name| if !order.contains(name) { order.push(*name) });
        let repeated = met.iter().filter(|&&name| counts(name)).count()
            - order.iter().filter(|&&name| counts(name)).count();
        prop_assert_eq!(expansion.warnings.len(), repeated);

        let (mut files, mut returned) = (Vec::new(), Vec::new());
        for &name in &order {
            let (answer, back) = &answers[name];
            let said = said(&expansion, NAMES[name]);
            match answer {
                Answer::Nothing => prop_assert_eq!(&said, &[]),
                answer => prop_assert_eq!(&said, std::slice::from_ref(answer)),
            }
            if matches!(answer, Answer::Found { .. }) {
                files.push(NAMES[name].to_owned());
            }
            returned.extend(back.iter().map(|&contents| (NAMES[name].to_owned(), digest(contents))));
        }
        prop_assert_eq!(names(&expansion), files);
        let removed = expansion.removed.iter().map(|one| (one.name.clone(), one.digest));
        prop_assert_eq!(removed.collect::<Vec<_>>(), returned);
        let total = expansion.files.len() + expansion.missing.len() + expansion.conflicts.len();
        prop_assert_eq!(total, order.iter().filter(|&&name| counts(name)).count());
    }
}
