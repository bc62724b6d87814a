//! Memories that merge in any order.

use proptest::prelude::*;

use super::super::memory::{Remembered, Trace};
use super::*;

const NAMES: [&str; 3] = ["a", "b", "c/d"];

/// More nodes than are remembered of some contents, each with two addresses.
fn any_nodes() -> impl Strategy<Value = Nodes> {
    let node = (1..14_u8, any::<bool>()).prop_map(|(node, moved)| {
        let holder = holder(node);
        (id(node), if moved { Holder { addr: "elsewhere".to_owned(), ..holder } } else { holder })
    });
    proptest::collection::btree_map(1..14_u8, node, 0..=HOLDERS_MAX)
        .prop_map(|nodes| nodes.into_values().collect())
}

/// Contents of one of two arrays, also where a digest allows only one: peers lie.
fn any_trace() -> impl Strategy<Value = Trace> {
    (1..3_u64, 1..4_u32, 0..4_u32, any_nodes()).prop_map(|(elements, added, removed, last)| Trace {
        array: array(elements),
        added,
        removed: removed.min(added),
        last,
    })
}

fn any_remembered() -> impl Strategy<Value = Remembered> {
    let contents = (1..4_u8).prop_map(digest);
    prop_oneof![
        any_trace().prop_map(Remembered::Unhashed),
        proptest::collection::btree_map(contents, any_trace(), 1..4).prop_map(Remembered::Hashed),
    ]
}

fn any_memory() -> impl Strategy<Value = Memory> {
    let name = proptest::sample::select(&NAMES[..]).prop_map(str::to_owned);
    proptest::collection::btree_map(name, any_remembered(), 0..=NAMES.len())
        .prop_map(|names| Memory { names })
}

/// What a node offers: for each name nothing, or contents, of which 0 are not hashed.
fn any_offer() -> impl Strategy<Value = Vec<(&'static str, u8)>> {
    proptest::collection::vec(proptest::option::of(0..4_u8), NAMES.len()).prop_map(|contents| {
        let names = NAMES.iter().zip(contents);
        names.filter_map(|(&name, contents)| Some((name, contents?))).collect()
    })
}

#[derive(Clone, Debug)]
enum Event {
    Held(u8, Vec<(&'static str, u8)>),
    Lost(u8),
    Merge(Memory),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..14_u8, any_offer()).prop_map(|(node, files)| Event::Held(node, files)),
        1 => (1..14_u8).prop_map(Event::Lost),
        1 => any_memory().prop_map(Event::Merge),
    ]
}

fn after(events: &[Event]) -> Catalogue {
    let mut catalogue = Catalogue::new(id(1));
    for event in events {
        let before = catalogue.memory();
        let changed = match event {
            Event::Held(node, files) => offer(&mut catalogue, *node, files),
            Event::Lost(node) => {
                catalogue.lost(id(*node));
                false
            }
            Event::Merge(memory) => catalogue.merge(memory).expect("well formed"),
        };
        assert_eq!(changed, before != catalogue.memory(), "{event:?}");
    }
    catalogue
}

fn joined(a: &Memory, b: &Memory) -> Memory {
    let mut catalogue = Catalogue::new(id(1));
    catalogue.merge(a).expect("well formed");
    let before = catalogue.memory();
    let changed = catalogue.merge(b).expect("well formed");
    assert_eq!(changed, before != catalogue.memory());
    catalogue.memory()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn merging_is_commutative_associative_and_idempotent(
        a in any_memory(), b in any_memory(), c in any_memory()
    ) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        prop_assert_eq!(joined(&a, &a), a.clone());
        let both = joined(&a, &b);
        prop_assert_eq!(joined(&both, &b), both.clone());
        prop_assert_eq!(joined(&Memory::default(), &a), a);
        prop_assert_eq!(both.check(), Ok(()));
    }

    #[test]
    fn events_in_any_order_and_any_number_of_times_make_one_memory(
        (events, shuffled) in proptest::collection::vec(any_event(), 0..12)
            .prop_flat_map(|events| {
                let twice: Vec<_> = events.iter().chain(&events).cloned().collect();
                (Just(events), Just(twice).prop_shuffle())
            })
    ) {
        prop_assert_eq!(after(&events).memory(), after(&shuffled).memory());
    }

    #[test]
    fn a_memory_is_its_bytes(memory in any_memory()) {
        let bytes = postcard::to_stdvec(&memory).expect("to memory");
        prop_assert_eq!(postcard::from_bytes::<Memory>(&bytes), Ok(memory));
    }

    #[test]
    fn every_name_that_counts_is_in_one_place(
        events in proptest::collection::vec(any_event(), 0..12)
    ) {
        let catalogue = after(&events);
        let counts = |name: &str, kept: &Remembered| match kept {
            Remembered::Unhashed(trace) => trace.added > trace.removed,
            Remembered::Hashed(all) => all.values().any(|trace| trace.added > trace.removed),
        } || catalogue.live.offers(name).any(|(_, offered)| offered.digest.is_none());
        let known = catalogue.memory.iter().filter(|(name, kept)| counts(name, kept));
        let known: Vec<String> = known.map(|(name, _)| name.to_owned()).collect();
        let all = match try_expand(&catalogue, &["**"]) {
            Ok(expansion) => expansion,
            Err(CatalogueError::NoMatch { .. }) => Expansion::default(),
            Err(error) => panic!("{error}"),
        };
        let files = all.files.iter().map(|found| found.file.name());
        let missing = all.missing.iter().map(|missing| missing.name.clone());
        let conflicts = all.conflicts.iter().map(|conflict| conflict.name.clone());
        let mut got: Vec<String> = files.chain(missing).chain(conflicts).collect();
        got.sort();
        prop_assert_eq!(got, known);
        // What people are shown says the same.
        let count = |state| catalogue.list().iter().filter(|one| one.state == state).count();
        prop_assert_eq!(count(State::Present) + count(State::Unhashed), all.files.len());
        prop_assert_eq!(count(State::Missing), all.missing.len());
        prop_assert_eq!(count(State::Conflict), all.conflicts.len());
    }
}
