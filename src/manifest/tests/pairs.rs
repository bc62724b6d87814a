//! Two data sets side by side.

use super::*;

fn cut(first: Vec<File>, second: Vec<File>, entry_bytes: u64) -> Result<Manifest, ManifestError> {
    let at = first.len() as u32;
    Manifest::cut([first, second].concat(), Cut::Pairs { entry_bytes, second: at })
}

fn files(name: &str, lengths: &[u64]) -> Vec<File> {
    let named = lengths.iter().enumerate();
    named.map(|(index, &length)| file(&format!("{name}{index}"), length)).collect()
}

fn array(name: &str, shape: &[u64], memory_order: MemoryOrder) -> File {
    let elements = element_count(shape).expect("a small array");
    File { shape: shape.to_vec(), memory_order, ..file(name, elements) }
}

/// Each element of some files, the first of which has the number `base`.
fn elements(base: u32, lengths: &[u64]) -> Vec<(u32, u64)> {
    let number = (base..).zip(lengths);
    number.flat_map(|(file, &length)| (0..length).map(move |at| (file, at))).collect()
}

prop_compose! {
    /// As many elements in two lists of files.
    fn lengths()(
        first in prop::collection::vec(0_u64..20, 1..5),
        marks in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) -> (Vec<u64>, Vec<u64>) {
        let count = first.iter().sum::<u64>();
        let mut marks: Vec<u64> =
            marks.iter().map(|mark| mark.index(count as usize + 1) as u64).collect();
        marks.extend([0, count]);
        marks.sort_unstable();
        let second = marks.windows(2).map(|pair| pair[1] - pair[0]).collect();
        (first, second)
    }
}

proptest! {
    #[test]
    fn every_element_meets_its_partner((first, second) in lengths(), entry_bytes in 0_u64..60) {
        // One file against one file must have one shape, which it has here.
        let manifest = cut(files("a", &first), files("b", &second), entry_bytes);
        let manifest = manifest.expect("as many elements");
        let mut pairs = Vec::new();
        for (number, entry) in (0..).zip(manifest.entries()) {
            prop_assert_eq!(entry.position, number);
            prop_assert_eq!(entry.block, Block::line(entry.len()));
            prop_assert_eq!((entry.first_output, entry.outputs()), (0, 1));
            prop_assert_eq!(entry.first_index, pairs.len() as u64);
            prop_assert!(!entry.is_empty() && manifest.entry_bytes(entry) <= entry_bytes.max(4));
            let (file, start) = entry.second.expect("a partner");
            let partners = (start..).map(|at| (file, at));
            let ours = entry.elements.clone().map(|at| (entry.file, at));
            pairs.extend(ours.zip(partners));
        }
        let left = elements(0, &first);
        let right = elements(first.len() as u32, &second);
        prop_assert_eq!(pairs, left.into_iter().zip(right).collect::<Vec<_>>());
        let count = first.iter().sum::<u64>();
        prop_assert_eq!((manifest.elements(), manifest.bytes()), (count, 2 * count * 4));
        prop_assert_eq!((manifest.outputs(), manifest.is_along_axis()), (1, false));
    }
}

#[test]
fn two_data_sets_must_match() {
    let pair = |first: Vec<File>, second: Vec<File>| cut(first, second, 100);
    let Err(error) = pair(files("a", &[3]), files("b", &[4])) else { panic!("3 are not 4") };
    let text = error.to_string();
    assert!(text.contains("'a0' of shape [3] and 'b0' of shape [4]"), "{text}");
    let Err(error) = pair(files("a", &[3]), files("b", &[2, 2])) else { panic!("3 are not 4") };
    assert!(error.to_string().contains("'a0' of shape [3] and 2 files of 4 elements"), "{error}");
    // As many elements in another shape are other elements.
    let flat = array("a", &[6], MemoryOrder::C);
    let square = array("b", &[2, 3], MemoryOrder::C);
    let turned = array("c", &[3, 2], MemoryOrder::C);
    for (first, second) in [(&flat, &square), (&square, &turned)] {
        let refused = pair(vec![first.clone()], vec![second.clone()]);
        assert!(matches!(refused, Err(ManifestError::Pair { .. })), "{refused:?}");
    }
    assert!(pair(vec![square.clone()], vec![square]).is_ok());
    assert_eq!(pair(Vec::new(), files("b", &[1])), Err(ManifestError::Empty));
    assert_eq!(pair(files("a", &[1]), Vec::new()), Err(ManifestError::Empty));
    let past = Cut::Pairs { entry_bytes: 1, second: 9 };
    assert_eq!(Manifest::cut(files("a", &[1, 1]), past), Err(ManifestError::Empty));
    let types = cut(files("a", &[1]), vec![imaginary_file("b", DType::F64, 1)], 8);
    assert!(matches!(types, Err(ManifestError::DTypes { .. })));
    // Nothing has a partner, which is fine.
    let none = pair(files("a", &[0, 0]), files("b", &[0])).expect("no elements");
    assert!(none.entries().is_empty());
}

#[test]
fn fortran_order_meets_only_its_like() {
    let fortran = |name: &str, shape: &[u64]| array(name, shape, MemoryOrder::Fortran);
    let c = |name: &str, shape: &[u64]| array(name, shape, MemoryOrder::C);
    let (one, other) = (fortran("a", &[2, 3]), fortran("b", &[2, 3]));
    assert!(cut(vec![one.clone()], vec![other.clone()], 8).is_ok());
    let two = vec![one.clone(), one.clone()];
    assert!(cut(two.clone(), vec![other.clone(), other.clone()], 8).is_ok());
    let refused = |fortran: &str, c: &str| {
        Err(ManifestError::Orders { fortran: fortran.to_owned(), c: c.to_owned() })
    };
    assert_eq!(cut(vec![one.clone()], vec![c("b", &[2, 3])], 8), refused("a", "b"));
    assert_eq!(cut(vec![c("b", &[2, 3])], vec![one.clone()], 8), refused("a", "b"));
    // As many elements, but in other shapes, or from another one on.
    assert_eq!(cut(two.clone(), vec![other.clone(), fortran("c", &[3, 2])], 8), refused("a", "c"));
    let late = vec![file("x", 1), other.clone(), file("y", 5)];
    assert_eq!(cut(two, late, 8), refused("a", "x"));
    // One long axis lies the same in both.
    assert!(cut(vec![fortran("a", &[1, 3])], vec![c("b", &[1, 3])], 8).is_ok());
}

#[test]
fn pairs_have_no_more_entries_than_another_job() {
    let half = ENTRIES_MAX as u64 / 2;
    let many = |more| {
        let lengths = [half, half + more];
        let manifest = cut(files("a", &lengths), files("b", &lengths), 4);
        manifest.map(|manifest| manifest.entries().len())
    };
    assert_eq!(many(0), Ok(ENTRIES_MAX));
    assert_eq!(many(1), Err(ManifestError::Entries { max: ENTRIES_MAX }));
}
