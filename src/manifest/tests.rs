use proptest::prelude::*;

use super::*;
use crate::op::{Bins, Monoid, Term};

mod axis;
mod pairs;

fn file(name: &str, elements: u64) -> File {
    imaginary_file(name, DType::F32, elements)
}

fn ranges(manifest: &Manifest) -> Vec<(u32, Range<u64>)> {
    manifest.entries().iter().map(|entry| (entry.file, entry.elements.clone())).collect()
}

fn entry_bytes_max(manifest: &Manifest) -> Option<u64> {
    manifest.entries().iter().map(|entry| manifest.entry_bytes(entry)).max()
}

#[test]
fn files_are_cut_into_runs_in_order() {
    let files = vec![file("b", 5), file("a", 0), file("b", 4)];
    let manifest = Manifest::with_entry_bytes(files, 8).expect("valid files");
    // Equal names and equal bytes are entries of their own, and an empty file has none.
    assert_eq!(ranges(&manifest), [(0, 0..2), (0, 2..4), (0, 4..5), (2, 0..2), (2, 2..4)]);
    let positions: Vec<u32> = manifest.entries().iter().map(|entry| entry.position).collect();
    assert_eq!(positions, [0, 1, 2, 3, 4]);
    assert_eq!((manifest.elements(), manifest.bytes()), (9, 36));
    assert_eq!(manifest.entry(5), None);
    let last = manifest.entry(4).expect("the last entry");
    assert_eq!((last.len(), manifest.entry_bytes(last), last.is_empty()), (2, 8, false));
    assert_eq!(manifest.file(last).name(), "b");
}

#[test]
fn a_large_file_has_entries_of_a_fixed_size() {
    let elements = 3 * ENTRY_BYTES / 4 + 1;
    let manifest = Manifest::new(vec![file("a", elements)]).expect("a valid file");
    assert_eq!(manifest.entries().len(), 4);
    assert_eq!(entry_bytes_max(&manifest), Some(ENTRY_BYTES));
    assert_eq!(manifest.entries()[3].len(), 1);
}

#[test]
fn entries_hold_whole_elements_and_at_least_one() {
    let cut = |bytes| Manifest::with_entry_bytes(vec![file("a", 3)], bytes).expect("valid");
    for bytes in [0, 1, 4, 7] {
        assert_eq!(ranges(&cut(bytes)), [(0, 0..1), (0, 1..2), (0, 2..3)]);
        assert_eq!(entry_bytes_max(&cut(bytes)), Some(4));
    }
    assert_eq!(ranges(&cut(u64::MAX)), [(0, 0..3)]);
}

#[test]
fn no_elements_make_no_entries() {
    let mut empty = file("a", 0);
    empty.shape = vec![u64::MAX, 0, u64::MAX];
    let manifest = Manifest::new(vec![empty]).expect("a valid file");
    assert!(manifest.entries().is_empty());
}

#[test]
fn a_file_without_axes_has_one_element() {
    let scalar = File { shape: Vec::new(), ..file("a", 1) };
    assert_eq!(scalar.elements(), Some(1));
    assert_eq!(Manifest::new(vec![scalar]).expect("valid").elements(), 1);
}

#[test]
fn files_that_make_no_manifest_are_named() {
    assert_eq!(Manifest::new(Vec::new()), Err(ManifestError::Empty));

    let mixed = vec![file("a", 1), imaginary_file("b", DType::F64, 1)];
    let (name, expected, got) = ("b".to_owned(), DType::F32, DType::F64);
    assert_eq!(Manifest::new(mixed), Err(ManifestError::DTypes { name, expected, got }));

    let extent = |change: fn(&mut File)| {
        let mut file = file("a", 4);
        change(&mut file);
        Manifest::new(vec![file])
    };
    assert!(extent(|_| ()).is_ok());
    let broken: [fn(&mut File); 5] = [
        |file| file.identity.size_bytes -= 1,
        |file| file.data_offset_bytes = 1,
        |file| file.data_offset_bytes = u64::MAX,
        |file| file.shape = vec![u64::MAX, 2],
        |file| file.shape = vec![1 << 62],
    ];
    for change in broken {
        assert!(matches!(extent(change), Err(ManifestError::Extent { .. })));
    }
}

#[test]
fn limits_hold_exactly() {
    let long = |bytes| File { path: vec![b'x'; bytes], ..file("", 1) };
    assert!(Manifest::new(vec![long(PATH_BYTES_MAX)]).is_ok());
    assert!(matches!(
        Manifest::new(vec![long(PATH_BYTES_MAX + 1)]),
        Err(ManifestError::Limit { max: PATH_BYTES_MAX, .. })
    ));

    let deep = |axes| File { shape: vec![1; axes], ..file("", 1) };
    assert!(Manifest::new(vec![deep(AXES_MAX)]).is_ok());
    assert!(matches!(
        Manifest::new(vec![deep(AXES_MAX + 1)]),
        Err(ManifestError::Limit { max: AXES_MAX, .. })
    ));

    // Over two files, so that the second meets what the first has left.
    let many = |more| {
        let half = ENTRIES_MAX as u64 / 2;
        Manifest::with_entry_bytes(vec![file("a", half), file("b", half + more)], 4)
    };
    assert_eq!(many(0).map(|manifest| manifest.entries().len()), Ok(ENTRIES_MAX));
    assert_eq!(many(1), Err(ManifestError::Entries { max: ENTRIES_MAX }));
}

#[test]
fn all_bytes_together_fit_into_64_bits() {
    let half = imaginary_file("a", DType::U8, 1 << 63);
    let less = imaginary_file("b", DType::U8, (1 << 63) - 1);
    let most = Manifest::with_entry_bytes(vec![half.clone(), less], u64::MAX);
    assert_eq!(most.map(|manifest| manifest.bytes()), Ok(u64::MAX));
    let more = Manifest::with_entry_bytes(vec![half.clone(), half], u64::MAX);
    assert_eq!(more, Err(ManifestError::TooLarge));
}

#[test]
fn a_job_is_its_spec_and_all_of_its_manifest() {
    let spec = Spec::sum(DType::F32);
    let job = |files: Vec<File>| Manifest::new(files).expect("valid").job_id(&spec);
    let base = vec![file("a", 10), file("b", 10)];
    assert_eq!(job(base.clone()), job(base.clone()));
    assert_ne!(job(base.clone()), job(base.iter().rev().cloned().collect()), "order");
    assert_ne!(job(base.clone()), job(base[..1].to_vec()), "number");
    let changes: [fn(&mut File); 8] = [
        |file| file.path.push(b'x'),
        |file| file.layout.byte_order = ByteOrder::Big,
        |file| file.memory_order = MemoryOrder::Fortran,
        |file| file.shape = vec![2, 5],
        |file| file.identity.inode += 1,
        |file| file.identity.size_bytes += 1,
        |file| file.identity.modified_ns += 1,
        |file| file.identity.changed_ns += 1,
    ];
    for change in changes {
        let mut files = base.clone();
        change(&mut files[1]);
        assert_ne!(job(base.clone()), job(files));
    }
}

/// Two manifests over the same files with as many entries, cut at other
/// places: one position then has two meanings, and a result of one job taken
/// for the other would be wrong. Hashing the number of entries was not enough.
#[test]
fn a_job_is_also_where_its_files_are_cut() {
    let spec = Spec::sum(DType::F32);
    let cut = |bytes| Manifest::with_entry_bytes(vec![file("a", 100)], bytes).expect("valid");
    let (one, other) = (cut(34 * 4), cut(40 * 4));
    assert_eq!(one.entries().len(), other.entries().len());
    assert_ne!(one.job_id(&spec), other.job_id(&spec));
    // But cuts that are the same are the same job.
    assert_eq!(one.job_id(&spec), cut(34 * 4 + 3).job_id(&spec));
    // So it is along an axis, also where less is there than the cut says.
    let along = |axis, outputs, outputs_max, bytes| {
        let file = File { shape: vec![10, 10], ..file("a", 100) };
        let cut = Cut::Axis { entry_bytes: bytes, axis, outputs, outputs_max };
        Manifest::cut(vec![file], cut).expect("valid").job_id(&spec)
    };
    assert_eq!(along(0, 0..10, 1, 8), along(0, 0..u64::MAX, 0, 11));
    let others = [along(1, 0..10, 1, 8), along(0, 0..9, 1, 8), along(0, 1..10, 1, 8)];
    let more = [along(0, 0..10, 2, 8), along(0, 0..10, 1, 4), one.job_id(&spec)];
    for other in others.into_iter().chain(more) {
        assert_ne!(along(0, 0..10, 1, 8), other);
    }
}

#[test]
fn a_job_is_also_what_is_reduced() {
    let manifest = Manifest::new(vec![file("a", 10)]).expect("valid");
    let specs = [
        Spec::sum(DType::F32),
        Spec::of(DType::F32, Monoid::Sum(Term::Magnitude)),
        Spec::of(DType::F32, Monoid::Tally),
        Spec { dtype: DType::F32, monoids: vec![Monoid::Tally; 2] },
        Spec::of(DType::F32, Monoid::Extremum { indexed: false }),
        Spec::of(DType::F32, Monoid::Extremum { indexed: true }),
        Spec::of(DType::F32, Monoid::Bins(Bins { lower: [1].into(), last: 2 })),
        Spec::of(DType::F32, Monoid::Bins(Bins { lower: [1].into(), last: 3 })),
    ];
    let mut ids: Vec<JobId> = specs.iter().map(|spec| manifest.job_id(spec)).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), specs.len());
}

#[test]
fn a_spec_suits_the_data_that_it_can_be_carried_out_over() {
    let runs = Manifest::new(vec![file("a", 10)]).expect("valid");
    let pairs = Cut::Pairs { entry_bytes: 100, second: 1 };
    let pairs = Manifest::cut(vec![file("a", 10), file("b", 10)], pairs).expect("valid");
    let dot = Spec::of(DType::F32, Monoid::Sum(Term::Product));
    let sum = Spec::sum(DType::F32);
    assert!(runs.suits(&sum) && pairs.suits(&dot));
    assert!(!runs.suits(&dot) && !pairs.suits(&sum));
    assert!(!runs.suits(&Spec::sum(DType::F64)), "another type");
    assert!(!runs.suits(&Spec { dtype: DType::F32, monoids: Vec::new() }), "no spec");
    assert!(!runs.suits(&Spec::of(DType::F32, Monoid::Bits)), "no spec of floats");
}

/// A partial of an entry must fit into a message, whatever its cut says.
#[test]
fn a_spec_whose_partials_are_too_large_does_not_suit() {
    let spec = Spec::sum(DType::F32);
    let most = (1..).take_while(|&n| encoded_bytes_max(&spec, n) <= ENCODED_BYTES_MAX as u64);
    let most = most.last().expect("one output fits");
    let suits = |outputs: u64, spec: &Spec| {
        let file = File { shape: vec![3, outputs], ..file("a", 3 * outputs) };
        let (entry_bytes, outputs_max) = (u64::MAX, u64::MAX);
        let cut = Cut::Axis { entry_bytes, axis: 0, outputs: 0..outputs, outputs_max };
        let manifest = Manifest::cut(vec![file], cut).expect("valid");
        assert_eq!((manifest.entries().len(), manifest.outputs()), (1, outputs));
        manifest.suits(spec)
    };
    assert!(suits(most, &spec));
    assert!(!suits(most + 1, &spec));
    assert!(!suits(most, &Spec { dtype: DType::F32, monoids: vec![Monoid::Tally; 4] }));
}

proptest! {
    #[test]
    fn entries_tile_the_files(
        lengths in prop::collection::vec(0_u64..50, 1..5),
        entry_bytes in 0_u64..100,
    ) {
        let files = lengths.iter().map(|&length| file("a", length)).collect();
        let manifest = Manifest::with_entry_bytes(files, entry_bytes).expect("valid files");
        let mut elements: Vec<(u32, u64)> = Vec::new();
        for entry in manifest.entries() {
            prop_assert!(!entry.is_empty());
            elements.extend(entry.elements.clone().map(|element| (entry.file, element)));
        }
        let expected: Vec<(u32, u64)> = lengths
            .iter()
            .enumerate()
            .flat_map(|(file, &length)| (0..length).map(move |element| (file as u32, element)))
            .collect();
        prop_assert_eq!(elements, expected);
    }
}
