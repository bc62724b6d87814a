use std::collections::BTreeSet;

use super::*;
use crate::dtype::DType;
use crate::manifest::Manifest;

mod bounds;
mod join;
mod model;

fn id(node: u8) -> NodeId {
    NodeId([node; 16])
}

fn holder(node: u8) -> Holder {
    Holder { name: format!("node{node}"), addr: format!("10.0.0.{node}:7000") }
}

fn holders(nodes: &[u8]) -> Nodes {
    nodes.iter().map(|&node| (id(node), holder(node))).collect()
}

fn digest(contents: u8) -> Digest {
    Digest([contents; 32])
}

/// An array of `elements` bytes.
fn array(elements: u64) -> Array {
    Array { layout: Layout::little(DType::U8), memory_order: MemoryOrder::C, shape: vec![elements] }
}

fn identity(size_bytes: u64) -> FileIdentity {
    FileIdentity { device: 1, inode: 2, size_bytes, modified_ns: 3, changed_ns: 4 }
}

/// A file of 10 elements; contents 0 stand for a file that is not hashed.
fn held(name: &str, contents: u8) -> Held {
    Held {
        name: name.to_owned(),
        array: array(10),
        digest: (contents > 0).then(|| digest(contents)),
        identity: identity(138),
    }
}

/// `node` offers these files, all of it.
fn offer(catalogue: &mut Catalogue, node: u8, files: &[(&str, u8)]) -> bool {
    let files = files.iter().map(|&(name, contents)| held(name, contents)).collect();
    catalogue.set_held(id(node), holder(node), files).expect("well formed files")
}

fn catalogue(offers: &[(u8, &[(&str, u8)])]) -> Catalogue {
    let mut catalogue = Catalogue::new(id(1));
    for (node, files) in offers {
        offer(&mut catalogue, *node, files);
    }
    catalogue
}

fn try_expand(catalogue: &Catalogue, patterns: &[&str]) -> Result<Expansion, CatalogueError> {
    let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    catalogue.expand(&patterns, false)
}

fn expand(catalogue: &Catalogue, patterns: &[&str]) -> Expansion {
    try_expand(catalogue, patterns).expect("patterns that match")
}

fn names(expansion: &Expansion) -> Vec<String> {
    expansion.files.iter().map(|found| found.file.name()).collect()
}

fn missing(name: &str, last: &[u8], hashing: &[u8]) -> Missing {
    Missing {
        name: name.to_owned(),
        last: holders(last),
        hashing: holders(hashing),
        unusable: vec![],
    }
}

/// The only name's state and its contents' digests.
fn listed_one(catalogue: &Catalogue) -> (State, Vec<Option<Digest>>) {
    let mut listed = catalogue.list();
    assert_eq!(listed.len(), 1);
    let Listed { state, contents, .. } = listed.remove(0);
    (state, contents.iter().map(|copies| copies.digest).collect())
}

#[test]
fn a_name_with_one_digest_is_found_with_all_its_live_holders() {
    let catalogue = catalogue(&[(2, &[("a", 7)]), (3, &[("a", 7)]), (4, &[])]);
    let found = expand(&catalogue, &["a"]).files.remove(0);
    assert_eq!(found.holders, BTreeSet::from([id(2), id(3)]));
    assert_eq!(found.file.path, b"a");
    assert_eq!(found.file.digest, Some(digest(7)));
    assert_eq!((found.file.shape, found.file.data_offset_bytes), (vec![10], 0));
    let of_contents =
        FileIdentity { device: 0, inode: 0, size_bytes: 10, modified_ns: 0, changed_ns: 0 };
    assert_eq!(found.file.identity, of_contents);
    assert_eq!(listed_one(&catalogue), (State::Present, vec![Some(digest(7))]));
    assert_eq!(catalogue.list()[0].contents[0].bytes(), 10);
}

#[test]
fn what_is_found_makes_a_manifest() {
    let catalogue = catalogue(&[(2, &[("a", 7), ("b", 0)])]);
    let files = expand(&catalogue, &["*"]).files;
    let manifest = Manifest::new(files.into_iter().map(|found| found.file).collect());
    assert_eq!(manifest.expect("two valid files").elements(), 20);
}

#[test]
fn a_node_that_was_started_often_does_not_push_others_out() {
    let mut catalogue = catalogue(&[(100, &[("a", 7)])]);
    for start in (2..40).chain(200..240) {
        let files = vec![held("a", 7)];
        catalogue.set_held(id(start), holder(1), files).expect("well formed files");
        catalogue.lost(id(start));
    }
    catalogue.lost(id(100));
    let last = expand(&catalogue, &["a"]).missing.remove(0).last;
    assert_eq!(last, Nodes::from([(id(2), holder(1)), (id(100), holder(100))]));
}

#[test]
fn a_known_name_without_a_live_holder_is_missing_and_names_the_last_ones() {
    let mut catalogue = catalogue(&[(2, &[("a", 7)]), (3, &[("a", 7), ("b", 1)])]);
    catalogue.lost(id(2));
    assert_eq!(expand(&catalogue, &["a"]).files[0].holders, BTreeSet::from([id(3)]));
    catalogue.lost(id(3));
    let expansion = expand(&catalogue, &["a"]);
    assert_eq!((expansion.files, expansion.missing.len()), (vec![], 1));
    assert_eq!(expansion.missing[0], missing("a", &[2, 3], &[]));
    let text = expansion.missing[0].to_string();
    assert!(text.contains("node2 (10.0.0.2:7000), node3 (10.0.0.3:7000)"), "{text}");
    // It comes back, and so does the name.
    assert!(!offer(&mut catalogue, 3, &[("a", 7)]));
    assert_eq!(names(&expand(&catalogue, &["*"])), ["a"]);
    assert_eq!(expand(&catalogue, &["*"]).missing, [missing("b", &[3], &[])]);
}

#[test]
fn a_file_that_its_node_does_not_offer_any_more_is_missing() {
    let mut catalogue = catalogue(&[(2, &[("a", 7)])]);
    offer(&mut catalogue, 2, &[]);
    assert_eq!(expand(&catalogue, &["a"]).missing, [missing("a", &[2], &[])]);
    assert_eq!(listed_one(&catalogue), (State::Missing, vec![Some(digest(7))]));
}

#[test]
fn what_others_remember_is_missing_here_and_not_forgotten() {
    let other = catalogue(&[(2, &[("a", 7)]), (3, &[("b", 0)])]);
    let mut catalogue = Catalogue::new(id(9));
    assert_eq!(catalogue.own(), id(9));
    assert_eq!(catalogue.merge(&other.memory()), Ok(true));
    assert_eq!(catalogue.merge(&other.memory()), Ok(false));
    let expected = [missing("a", &[2], &[]), missing("b", &[3], &[])];
    assert_eq!(expand(&catalogue, &["*"]).missing, expected);
}

#[test]
fn two_contents_under_one_name_are_a_conflict_with_the_holders_of_each() {
    let mut catalogue = catalogue(&[(2, &[("a", 7)]), (3, &[("a", 8)])]);
    let conflict = expand(&catalogue, &["a"]).conflicts.remove(0);
    let live: Vec<_> = conflict.contents.iter().map(|copies| copies.live.clone()).collect();
    assert_eq!(live, [holders(&[2]), holders(&[3])]);
    // It stays one when only one of them is there.
    catalogue.lost(id(2));
    let conflict = expand(&catalogue, &["a"]).conflicts.remove(0);
    assert_eq!(
        conflict.to_string(),
        "'a' has different contents: 0707070707070707, last seen at node2 (10.0.0.2:7000); \
         0808080808080808 at node3 (10.0.0.3:7000); \
         rename or delete all files but those of one, then forget what is gone with 'adsum rm', or take each of them with '--each-node'"
    );
    assert_eq!(listed_one(&catalogue), (State::Conflict, vec![Some(digest(7)), Some(digest(8))]));
    // Removing what is gone ends it, and what is there stays.
    assert_eq!(catalogue.remove("a"), Ok(vec![digest(7)]));
    assert_eq!(names(&expand(&catalogue, &["a"])), ["a"]);
}

#[test]
fn a_name_that_nobody_hashed_yet_is_found_at_the_lowest_node_alone() {
    let mut catalogue = catalogue(&[(3, &[("a", 0)]), (2, &[("a", 0)])]);
    let found = expand(&catalogue, &["a"]).files.remove(0);
    assert_eq!(found.holders, BTreeSet::from([id(2)]));
    assert_eq!((found.file.digest, found.file.identity), (None, identity(138)));
    assert_eq!(listed_one(&catalogue), (State::Unhashed, vec![None]));
    assert_eq!(catalogue.list()[0].contents[0].live, holders(&[2, 3]));
    catalogue.lost(id(2));
    catalogue.lost(id(3));
    assert_eq!(expand(&catalogue, &["a"]).missing, [missing("a", &[2, 3], &[])]);
    assert_eq!(listed_one(&catalogue), (State::Missing, vec![None]));
}

#[test]
fn different_arrays_are_a_conflict_before_they_are_hashed() {
    let mut catalogue = catalogue(&[(2, &[("a", 0)])]);
    let other = Held { array: array(11), ..held("a", 0) };
    catalogue.set_held(id(3), holder(3), vec![other]).expect("a valid file");
    let conflict = expand(&catalogue, &["a"]).conflicts.remove(0);
    let live: Vec<_> = conflict.contents.iter().map(|copies| copies.live.clone()).collect();
    assert_eq!(live, [holders(&[2]), holders(&[3])]);
}

#[test]
fn a_digest_supersedes_that_a_name_was_seen_without() {
    let mut catalogue = catalogue(&[(2, &[("a", 0)])]);
    assert!(offer(&mut catalogue, 2, &[("a", 7)]));
    assert!(!offer(&mut catalogue, 3, &[("a", 0)]), "nothing to remember");
    // The copy that is not hashed is not counted yet.
    let found = expand(&catalogue, &["a"]).files.remove(0);
    assert_eq!((found.holders, found.file.digest), (BTreeSet::from([id(2)]), Some(digest(7))));
    assert_eq!(listed_one(&catalogue), (State::Present, vec![Some(digest(7)), None]));
}

#[test]
fn known_contents_whose_only_copy_is_being_hashed_are_missing_until_then() {
    let mut catalogue = catalogue(&[(2, &[("a", 7)])]);
    offer(&mut catalogue, 2, &[("a", 0)]);
    let expansion = expand(&catalogue, &["a"]);
    assert_eq!(expansion.missing, [missing("a", &[2], &[2])]);
    assert!(expansion.missing[0].to_string().contains("ask again soon"));
    offer(&mut catalogue, 2, &[("a", 7)]);
    assert_eq!(names(&expand(&catalogue, &["a"])), ["a"]);
}

#[test]
fn a_removed_name_is_no_match_and_its_copy_is_reported_and_not_counted() {
    let mut catalogue = catalogue(&[(2, &[("a", 7), ("b", 8)])]);
    offer(&mut catalogue, 2, &[("b", 8)]);
    assert_eq!(catalogue.remove("a"), Ok(vec![digest(7)]));
    assert_eq!(names(&expand(&catalogue, &["*"])), ["b"]);
    assert_eq!(catalogue.list().len(), 1);
    // The copy returns.
    assert!(!offer(&mut catalogue, 2, &[("a", 7), ("b", 8)]));
    let expansion = expand(&catalogue, &["*"]);
    let returned = Returned { name: "a".to_owned(), digest: digest(7), holders: holders(&[2]) };
    assert!(returned.to_string().contains("node2"));
    assert_eq!((names(&expansion), expansion.removed), (vec!["b".to_owned()], vec![returned]));
    assert_eq!(catalogue.list()[0].state, State::Returned);
    assert!(catalogue.list()[0].contents[0].removed);
    let error = try_expand(&catalogue, &["a"]).expect_err("it is removed");
    assert_eq!(
        error.to_string(),
        "'a' matches nothing that the cluster knows (1 name it matches has been removed); \
         see the names with 'adsum ls --via HOST'"
    );
    assert_eq!(catalogue.remove("a"), Err(CatalogueError::Removed { name: "a".to_owned() }));
}

#[test]
fn a_removal_reaches_nodes_that_hold_the_file_and_those_that_forgot_nothing() {
    let mut first = catalogue(&[(2, &[("a", 7)])]);
    let mut second = first.clone();
    first.lost(id(2));
    first.remove("a").expect("nobody holds it");
    assert_eq!(second.merge(&first.memory()), Ok(true));
    assert_eq!(expand_removed(&second), ["a"]);
    // The older memory does not bring it back.
    let older = catalogue(&[(2, &[("a", 7)])]).memory();
    assert_eq!(first.merge(&older), Ok(false));
    assert!(first.list().is_empty());
}

/// Names whose removed contents are there.
fn expand_removed(catalogue: &Catalogue) -> Vec<String> {
    let listed = catalogue.list().into_iter();
    listed.filter(|one| one.state == State::Returned).map(|one| one.name).collect()
}

#[test]
fn only_restoring_makes_removed_contents_count_again() {
    let mut catalogue = catalogue(&[(2, &[("a", 7)])]);
    catalogue.lost(id(2));
    let before = catalogue.memory();
    catalogue.remove("a").expect("nobody holds it");
    assert_eq!(catalogue.merge(&before), Ok(false));
    assert_eq!(catalogue.restore("a", array(10), digest(7)), Ok(true));
    assert_eq!(catalogue.restore("a", array(10), digest(7)), Ok(false));
    assert_eq!(expand(&catalogue, &["a"]).missing, [missing("a", &[2], &[])]);
    offer(&mut catalogue, 3, &[("a", 7)]);
    assert_eq!(names(&expand(&catalogue, &["a"])), ["a"]);
    catalogue.lost(id(3));
    assert_eq!(catalogue.remove("a"), Ok(vec![digest(7)]));
    assert!(catalogue.list().is_empty());
}

#[test]
fn restoring_what_was_never_seen_makes_it_known() {
    let mut catalogue = Catalogue::new(id(1));
    assert_eq!(catalogue.restore("a", array(10), digest(7)), Ok(true));
    assert_eq!(expand(&catalogue, &["a"]).missing, [missing("a", &[], &[])]);
    assert!(expand(&catalogue, &["a"]).missing[0].to_string().contains("no node"));
}

#[test]
fn what_is_held_cannot_be_removed_and_the_holders_are_named() {
    let mut catalogue = catalogue(&[(2, &[("a", 7)]), (3, &[("a", 0)])]);
    let error = catalogue.remove("a").expect_err("two nodes hold it");
    assert_eq!(
        error.to_string(),
        "'a' is held by node2 (10.0.0.2:7000), node3 (10.0.0.3:7000); \
         delete the files there first"
    );
    // The copy that is being hashed may be what would be forgotten.
    catalogue.lost(id(2));
    assert!(matches!(catalogue.remove("a"), Err(CatalogueError::Held { .. })));
    catalogue.lost(id(3));
    assert_eq!(catalogue.remove("a"), Ok(vec![digest(7)]));
}

#[test]
fn what_is_unknown_cannot_be_removed() {
    let error = Catalogue::new(id(1)).remove("a").expect_err("nothing is known");
    let expected = "nothing is known of 'a'; see the names with 'adsum ls --via HOST'";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_name_that_nobody_hashed_can_be_removed_and_a_copy_must_be_hashed_to_count() {
    let mut catalogue = catalogue(&[(2, &[("a", 0)])]);
    assert!(matches!(catalogue.remove("a"), Err(CatalogueError::Held { .. })));
    catalogue.lost(id(2));
    assert_eq!(catalogue.remove("a"), Ok(vec![]));
    assert!(catalogue.list().is_empty());
    offer(&mut catalogue, 2, &[("a", 0)]);
    assert_eq!(expand(&catalogue, &["a"]).missing, [missing("a", &[], &[2])]);
    offer(&mut catalogue, 2, &[("a", 7)]);
    assert_eq!(names(&expand(&catalogue, &["a"])), ["a"]);
}

#[test]
fn new_contents_under_a_removed_name_count_and_the_old_ones_only_warn() {
    let mut catalogue = catalogue(&[(2, &[("a", 7)])]);
    catalogue.lost(id(2));
    catalogue.remove("a").expect("nobody holds it");
    offer(&mut catalogue, 3, &[("a", 8)]);
    offer(&mut catalogue, 2, &[("a", 7)]);
    let expansion = expand(&catalogue, &["a"]);
    assert_eq!(expansion.files[0].holders, BTreeSet::from([id(3)]));
    assert_eq!(expansion.removed[0].holders, holders(&[2]));
    assert!(expansion.conflicts.is_empty());
}

#[test]
fn patterns_count_in_their_order_and_names_of_a_glob_by_their_bytes() {
    let files = [("b", 1), ("a", 2), ("Z", 3), ("d/c", 4), (".h", 5), ("é", 6)];
    let catalogue = catalogue(&[(2, &files)]);
    assert_eq!(names(&expand(&catalogue, &["d/*", "*"])), ["d/c", "Z", "a", "b", "é"]);
    assert_eq!(names(&expand(&catalogue, &[".*"])), [".h"]);
    assert_eq!(names(&expand(&catalogue, &["[!a]"])), ["Z", "b", "é"]);
    assert_eq!(names(&expand(&catalogue, &["**/c"])), ["d/c"]);
    assert_eq!(names(&expand(&catalogue, &[])), Vec::<String>::new());
}

#[test]
fn a_name_met_twice_counts_once_with_a_warning() {
    let catalogue = catalogue(&[(2, &[("a", 1), ("b", 2)])]);
    let expansion = expand(&catalogue, &["b", "*", "a"]);
    assert_eq!(names(&expansion), ["b", "a"]);
    let expected = ["b", "a"].map(|n| format!("'{n}' is given more than once and counts once"));
    assert_eq!(expansion.warnings, expected);
}

#[test]
fn a_name_wins_over_what_it_means_as_a_glob() {
    let mut catalogue = catalogue(&[(2, &[("x[1]", 1), ("x1", 2)])]);
    assert_eq!(names(&expand(&catalogue, &["x[1]"])), ["x[1]"]);
    // Also when it is removed: nobody meant the other one.
    offer(&mut catalogue, 2, &[("x1", 2)]);
    catalogue.remove("x[1]").expect("nobody holds it");
    let error = try_expand(&catalogue, &["x[1]"]);
    assert_eq!(error, Err(CatalogueError::NoMatch { pattern: "x[1]".to_owned(), removed: 1 }));
}

#[test]
fn a_pattern_that_matches_nothing_is_an_error() {
    let catalogue = catalogue(&[(2, &[("a", 1)])]);
    let error = try_expand(&catalogue, &["a", "b*"]).expect_err("nothing starts with b");
    assert_eq!(
        error.to_string(),
        "'b*' matches nothing that the cluster knows; see the names with 'adsum ls --via HOST'"
    );
    assert!(matches!(try_expand(&catalogue, &["a["]), Err(CatalogueError::Glob { .. })));
    assert!(matches!(try_expand(&catalogue, &["A"]), Err(CatalogueError::NoMatch { .. })));
}

#[test]
fn with_each_a_name_means_all_of_its_contents() {
    // 7 at two nodes, 8 at a third, 9 once seen, and a file that is the same to all.
    let mut catalogue = catalogue(&[
        (2, &[("a", 7), ("b", 1)]),
        (3, &[("a", 8), ("b", 1)]),
        (4, &[("a", 7)]),
        (5, &[("a", 9)]),
    ]);
    catalogue.lost(id(5));
    let texts = ["*".to_owned()];
    assert_eq!(catalogue.expand(&texts, false).expect("names").conflicts.len(), 1);
    let expansion = catalogue.expand(&texts, true).expect("names");
    let found: Vec<_> = expansion
        .files
        .iter()
        .map(|found| (found.file.name(), found.file.digest, found.holders.len()))
        .collect();
    let expected = [("a", 7, 2), ("a", 8, 1), ("b", 1, 2)]
        .map(|(name, byte, holders)| (name.to_owned(), Some(digest(byte)), holders));
    assert_eq!(found, expected);
    assert_eq!(expansion.missing, [missing("a", &[5], &[])]);
    assert_eq!(expansion.conflicts, []);
}

#[test]
fn a_name_is_for_one_array() {
    let names: Vec<String> = ["a", "b", "none"].map(str::to_owned).to_vec();
    let mut catalogue = catalogue(&[(2, &[("a", 7), ("b", 0)]), (3, &[("a", 7)])]);
    let listed = catalogue.list_of(&names);
    assert_eq!(listed, catalogue.list());
    let check =
        |listed: &Listed, array: &Array, contents| listed.check_same(array, digest(contents));
    assert_eq!(check(&listed[0], &array(10), 7), Ok(()));
    let error = check(&listed[0], &array(10), 8).expect_err("other contents").to_string();
    for words in ["'a'", "uint8 [10] (0707070707070707)", "(0808080808080808)", "node2", "node3"] {
        assert!(error.contains(words), "'{words}' is not in '{error}'");
    }
    // What is not hashed may be the same, unless it is another array.
    assert_eq!(check(&listed[1], &array(10), 8), Ok(()));
    let error = check(&listed[1], &array(11), 8).expect_err("another array").to_string();
    assert!(error.contains("not hashed yet"), "{error}");

    // Contents that are missing count, and those that were removed do not.
    catalogue.lost(id(2));
    catalogue.lost(id(3));
    let error = check(&catalogue.list_of(&names)[0], &array(10), 8).expect_err("missing");
    assert!(error.to_string().contains("last at node2"), "{error}");
    assert!(catalogue.counts("a", digest(7)) && catalogue.counts("a", digest(8)));
    catalogue.remove("a").expect("nobody has it");
    assert!(!catalogue.counts("a", digest(7)) && catalogue.counts("none", digest(7)));
    offer(&mut catalogue, 2, &[("a", 7)]);
    assert_eq!(check(&catalogue.list_of(&names)[0], &array(10), 8), Ok(()));
}

#[test]
fn what_cannot_be_offered_is_not_left_out_in_silence() {
    let mut catalogue = catalogue(&[(2, &[("d/a", 7)]), (3, &[("d/b", 8)])]);
    let broken =
        |name: &str| Unusable { name: name.to_owned(), reason: format!("'{name}' is cut off") };
    catalogue.set_unusable(id(3), vec![broken("d/c"), broken("d/a"), broken("e")]);
    // That of `d/a` has a good copy elsewhere.
    let reason = "at node3 (10.0.0.3:7000): 'd/c' is cut off".to_owned();
    for patterns in [&["d/*"][..], &["d/a", "d/c"], &["d/c", "d/*"]] {
        assert_eq!(expand(&catalogue, patterns).unusable, vec![reason.clone()], "{patterns:?}");
    }
    assert_eq!(expand(&catalogue, &["d/a", "d/b"]).unusable, Vec::<String>::new());
    // A directory that cannot be read hides what is below it.
    assert_eq!(expand(&catalogue, &["e/*.npy"]).unusable.len(), 1);
    catalogue.lost(id(3));
    assert_eq!(expand(&catalogue, &["d/*"]).unusable, Vec::<String>::new());
}
