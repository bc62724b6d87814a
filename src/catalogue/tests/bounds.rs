//! What is not well formed, and every limit: at it, and one past it.

use super::super::limits::check_name;
use super::super::memory::{Remembered, Trace};
use super::*;

fn limit(result: Result<impl std::fmt::Debug, CatalogueError>) -> (usize, usize) {
    match result {
        Err(CatalogueError::Limit { got, max, .. }) => (got, max),
        other => panic!("expected a limit, got {other:?}"),
    }
}

fn set(files: Vec<Held>) -> Result<bool, CatalogueError> {
    Catalogue::new(id(1)).set_held(id(2), holder(2), files)
}

fn trace() -> Trace {
    Trace { array: array(10), added: 1, removed: 0, last: Nodes::new() }
}

fn memory(name: &str, remembered: Remembered) -> Memory {
    Memory { names: BTreeMap::from([(name.to_owned(), remembered)]) }
}

fn merge(memory: &Memory) -> Result<bool, CatalogueError> {
    Catalogue::new(id(1)).merge(memory)
}

#[test]
fn names_are_paths_below_a_directory() {
    let refused = ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "./a", "a/./b", "a\0"];
    for name in refused {
        assert!(matches!(check_name(name), Err(CatalogueError::Name { .. })), "{name:?}");
        assert!(set(vec![held(name, 7)]).is_err(), "{name:?}");
        assert!(merge(&memory(name, Remembered::Unhashed(trace()))).is_err(), "{name:?}");
        let restored = Catalogue::new(id(1)).restore(name, array(10), digest(1));
        assert!(restored.is_err(), "{name:?}");
    }
    for name in ["a", "a/b", ".a", "..a", "a b", "[a]*?", "é/ü"] {
        assert_eq!(check_name(name), Ok(()), "{name:?}");
    }
    let error = check_name("a\0").expect_err("it has a NUL");
    assert_eq!(
        error.to_string(),
        "'a\\0' cannot be a name in the catalogue: it has a NUL; rename the file"
    );
}

#[test]
fn long_names() {
    assert_eq!(check_name(&"n".repeat(NAME_BYTES_MAX)), Ok(()));
    let past = NAME_BYTES_MAX + 1;
    assert_eq!(limit(check_name(&"n".repeat(past))), (past, NAME_BYTES_MAX));
    // A name of any length makes an error of a bounded one.
    let error = check_name(&"é".repeat(1 << 20)).expect_err("far too long");
    assert!(error.to_string().len() < 4 * NAME_BYTES_MAX);
}

#[test]
fn long_patterns() {
    let catalogue = catalogue(&[(2, &[("a", 7)])]);
    let at = try_expand(&catalogue, &[&"?".repeat(PATTERN_BYTES_MAX)]);
    assert!(matches!(at, Err(CatalogueError::NoMatch { .. })));
    let past = PATTERN_BYTES_MAX + 1;
    let result = try_expand(&catalogue, &[&"?".repeat(past)]);
    assert_eq!(limit(result), (past, PATTERN_BYTES_MAX));
}

#[test]
fn texts_of_nodes() {
    for past in [false, true] {
        let text = "t".repeat(TEXT_BYTES_MAX + usize::from(past));
        let named = Holder { name: text.clone(), ..holder(2) };
        let placed = Holder { addr: text, ..holder(2) };
        for holder in [named, placed] {
            let set = Catalogue::new(id(1)).set_held(id(2), holder.clone(), vec![]);
            let last = Nodes::from([(id(2), holder)]);
            let merged = merge(&memory("a", Remembered::Unhashed(Trace { last, ..trace() })));
            match past {
                false => assert_eq!((set, merged), (Ok(false), Ok(true))),
                true => {
                    assert_eq!(limit(set), (TEXT_BYTES_MAX + 1, TEXT_BYTES_MAX));
                    assert_eq!(limit(merged), (TEXT_BYTES_MAX + 1, TEXT_BYTES_MAX));
                }
            }
        }
    }
}

#[test]
fn axes_and_bytes_of_arrays() {
    use crate::manifest::AXES_MAX;
    let of = |shape: Vec<u64>| Held { array: Array { shape, ..array(1) }, ..held("a", 7) };
    assert_eq!(set(vec![of(vec![1; AXES_MAX])]), Ok(true));
    assert_eq!(limit(set(vec![of(vec![1; AXES_MAX + 1])])), (AXES_MAX + 1, AXES_MAX));
    // A file of 138 bytes.
    assert_eq!(set(vec![of(vec![138])]), Ok(true));
    let error = set(vec![of(vec![139])]).expect_err("one byte too many");
    assert_eq!(
        error.to_string(),
        "'a' has 138 bytes, its shape [139] of uint8 needs 139; check whether its file is complete"
    );
    let past = set(vec![of(vec![1 << 32, 1 << 32])]);
    assert!(matches!(past, Err(CatalogueError::TooLarge { .. })));
    let of = |elements| {
        let layout = Layout::little(DType::U64);
        Trace { array: Array { layout, ..array(elements) }, ..trace() }
    };
    let at = u64::MAX / 8;
    assert_eq!(merge(&memory("a", Remembered::Unhashed(of(at)))), Ok(true));
    let past = merge(&memory("a", Remembered::Unhashed(of(at + 1))));
    assert!(matches!(past, Err(CatalogueError::TooLarge { .. })));
}

#[test]
fn one_name_twice_from_one_node() {
    let twice = set(vec![held("a", 7), held("b", 1), held("a", 7)]);
    assert_eq!(twice, Err(CatalogueError::Twice { name: "a".to_owned() }));
}

#[test]
fn files_of_a_node() {
    // Names that come twice are looked for after the limit.
    let at = set(vec![held("a", 0); FILES_MAX]);
    assert_eq!(at, Err(CatalogueError::Twice { name: "a".to_owned() }));
    let past = set(vec![held("a", 0); FILES_MAX + 1]);
    assert_eq!(limit(past), (FILES_MAX + 1, FILES_MAX));
}

#[test]
fn names_of_a_catalogue() {
    let no_axes = Trace { array: Array { shape: vec![], ..array(0) }, ..trace() };
    let numbers = (0..NAMES_MAX).map(|number| format!("{number:x}"));
    let names = numbers.map(|name| (name, Remembered::Unhashed(no_axes.clone())));
    let mut full = Memory { names: names.collect() };
    let mut catalogue = Catalogue::new(id(1));
    assert_eq!(catalogue.merge(&full), Ok(true));
    let past = catalogue.set_held(id(2), holder(2), vec![held("0", 7), held("x", 7)]);
    assert_eq!(limit(past), (NAMES_MAX + 1, NAMES_MAX));
    let past = catalogue.restore("x", array(10), digest(7));
    assert_eq!(limit(past), (NAMES_MAX + 1, NAMES_MAX));
    let past = catalogue.merge(&memory("x", Remembered::Unhashed(trace())));
    assert_eq!(limit(past), (NAMES_MAX + 1, NAMES_MAX));
    // What was refused has changed nothing; known names still come and go.
    assert_eq!(catalogue.memory, full);
    assert!(catalogue.live.offers("0").next().is_none());
    assert!(offer(&mut catalogue, 2, &[("0", 7)]));
    drop(catalogue);
    full.names.insert("x".to_owned(), Remembered::Unhashed(no_axes));
    assert_eq!(limit(merge(&full)), (NAMES_MAX + 1, NAMES_MAX));
}

#[test]
fn contents_of_a_name() {
    let contents = |count: usize| {
        let all = (1..=count).map(|number| (digest(number as u8), trace()));
        memory("a", Remembered::Hashed(all.collect()))
    };
    let mut catalogue = Catalogue::new(id(1));
    assert_eq!(catalogue.merge(&contents(CONTENTS_MAX)), Ok(true));
    assert!(!offer(&mut catalogue, 2, &[("a", 0)]));
    let past = catalogue.restore("a", array(10), digest(99));
    assert_eq!(limit(past), (CONTENTS_MAX + 1, CONTENTS_MAX));
    let past = catalogue.set_held(id(2), holder(2), vec![held("a", 99)]);
    assert_eq!(limit(past), (CONTENTS_MAX + 1, CONTENTS_MAX));
    assert_eq!(limit(merge(&contents(CONTENTS_MAX + 1))), (CONTENTS_MAX + 1, CONTENTS_MAX));
    // Removing makes no room, as it is remembered.
    catalogue.lost(id(2));
    assert_eq!(catalogue.remove("a").map(|digests| digests.len()), Ok(CONTENTS_MAX));
    let past = catalogue.restore("a", array(10), digest(99));
    assert_eq!(limit(past), (CONTENTS_MAX + 1, CONTENTS_MAX));
}

#[test]
fn holders_of_contents() {
    let nodes: Vec<u8> = (1..=HOLDERS_MAX as u8 + 1).collect();
    let remembered =
        |nodes: &[u8]| memory("a", Remembered::Unhashed(Trace { last: holders(nodes), ..trace() }));
    assert_eq!(merge(&remembered(&nodes[1..])), Ok(true));
    assert_eq!(limit(merge(&remembered(&nodes))), (HOLDERS_MAX + 1, HOLDERS_MAX));
    // Of more live ones the first are remembered, and all hold it.
    let mut catalogue = Catalogue::new(id(1));
    for &node in nodes.iter().rev() {
        assert!(offer(&mut catalogue, node, &[("a", 7)]));
    }
    assert!(!offer(&mut catalogue, 99, &[("a", 7)]), "later than those that are kept");
    assert_eq!(expand(&catalogue, &["a"]).files[0].holders.len(), HOLDERS_MAX + 2);
    let error = catalogue.remove("a").expect_err("it is held");
    assert!(error.to_string().contains("(10.0.0.8:7000), 2 more;"), "{error}");
    nodes.iter().chain(&[99]).for_each(|&node| catalogue.lost(id(node)));
    assert_eq!(expand(&catalogue, &["a"]).missing[0].last, holders(&nodes[..HOLDERS_MAX]));
}

#[test]
fn counts_of_placements() {
    let counted = |added, removed| {
        let trace = Trace { added, removed, ..trace() };
        memory("a", Remembered::Hashed(BTreeMap::from([(digest(7), trace)])))
    };
    for (added, removed) in [(1, 0), (1, 1), (CHANGES_MAX, CHANGES_MAX)] {
        assert_eq!(merge(&counted(added, removed)), Ok(true));
    }
    for (added, removed) in [(0, 0), (1, 2), (CHANGES_MAX + 1, 0), (u32::MAX, u32::MAX)] {
        let result = merge(&counted(added, removed));
        assert!(matches!(result, Err(CatalogueError::Memory { .. })), "{added} {removed}");
    }
    let mut catalogue = Catalogue::new(id(1));
    catalogue.merge(&counted(CHANGES_MAX - 1, CHANGES_MAX - 1)).expect("well formed");
    assert_eq!(catalogue.restore("a", array(10), digest(7)), Ok(true));
    assert_eq!(catalogue.remove("a"), Ok(vec![digest(7)]));
    let (past, max) = limit(catalogue.restore("a", array(10), digest(7)));
    assert_eq!((past, max), (max + 1, CHANGES_MAX as usize));
}

#[test]
fn a_name_of_which_nothing_is_remembered() {
    let nothing = merge(&memory("a", Remembered::Hashed(BTreeMap::new())));
    assert!(matches!(nothing, Err(CatalogueError::Memory { .. })));
}
