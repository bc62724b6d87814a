//! Cuts along an axis, against arrays that are walked index by index.

use std::collections::BTreeMap;

use super::*;

/// Every index of an array of this shape, the last axis fastest.
fn indices(shape: &[u64]) -> Vec<Vec<u64>> {
    let mut all = vec![Vec::new()];
    for &length in shape {
        let longer = |index: &Vec<u64>| {
            (0..length).map(|last| [&index[..], &[last]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// Where the element at `index` lies: in Fortran order the first axis is the
/// fastest.
fn position(shape: &[u64], index: &[u64], order: MemoryOrder) -> u64 {
    let axes: Vec<usize> = match order {
        MemoryOrder::C => (0..shape.len()).collect(),
        MemoryOrder::Fortran => (0..shape.len()).rev().collect(),
    };
    axes.into_iter().fold(0, |position, axis| position * shape[axis] + index[axis])
}

fn without(values: &[u64], axis: usize) -> Vec<u64> {
    [&values[..axis], &values[axis + 1..]].concat()
}

/// What an entry says of an element: its output and its place.
type Belongs = (u64, u64);

/// Where every element of a joined array belongs, by file and position; and how
/// many outputs there are.
fn naive(files: &[File], axis: usize) -> (BTreeMap<(u32, u64), Belongs>, u64) {
    let mut elements = BTreeMap::new();
    let (mut outputs, mut places) = (0, 0);
    for (number, file) in (0..).zip(files) {
        let rest = without(&file.shape, axis);
        for index in indices(&file.shape) {
            let at = position(&file.shape, &index, file.memory_order);
            let output = position(&rest, &without(&index, axis), file.memory_order);
            elements.insert((number, at), (outputs + output, places + index[axis]));
        }
        match axis {
            0 => places += file.shape[0],
            _ => outputs += rest.iter().product::<u64>(),
        }
    }
    let first: u64 = without(&files[0].shape, axis).iter().product();
    (elements, if axis == 0 { first } else { outputs })
}

/// Where every element of a manifest belongs, as its entries say; panics if
/// they say it of one twice.
fn told(manifest: &Manifest) -> BTreeMap<(u32, u64), Belongs> {
    let mut elements = BTreeMap::new();
    for (number, entry) in (0..).zip(manifest.entries()) {
        assert_eq!(entry.position, number);
        assert_eq!(entry.second, None);
        let Block { outer, reduced, inner, stride } = entry.block;
        assert_eq!(entry.elements.end - entry.elements.start, entry.block.span());
        for (o, k) in (0..outer).flat_map(|o| (0..reduced).map(move |k| (o, k))) {
            for i in 0..inner {
                let at = entry.elements.start + (o * reduced + k) * stride + i;
                assert!(entry.elements.contains(&at));
                let output = entry.first_output + o * inner + i;
                let before = elements.insert((entry.file, at), (output, entry.first_index + k));
                assert_eq!(before, None, "one element in two entries");
            }
        }
    }
    elements
}

fn array(name: usize, dtype: DType, shape: &[u64], order: MemoryOrder) -> File {
    let elements = element_count(shape).expect("a small array");
    let file = imaginary_file(&name.to_string(), dtype, elements);
    File { shape: shape.to_vec(), memory_order: order, ..file }
}

fn c_arrays(shapes: &[&[u64]]) -> Vec<File> {
    let number = shapes.iter().enumerate();
    number.map(|(name, shape)| array(name, DType::F32, shape, MemoryOrder::C)).collect()
}

fn cut(files: Vec<File>, axis: u8) -> Result<Manifest, ManifestError> {
    let cut = Cut::Axis { entry_bytes: 64, axis, outputs: 0..u64::MAX, outputs_max: 8 };
    Manifest::cut(files, cut)
}

prop_compose! {
    /// Files that join along their first axis, and one of their axes.
    fn joined()(
        firsts in prop::collection::vec(0_u64..5, 1..4),
        rest in prop::collection::vec(prop::sample::select(vec![0_u64, 1, 1, 2, 3, 3, 4, 5]), 0..4),
        fortran in any::<bool>(), wide in any::<bool>(), axis in any::<prop::sample::Index>(),
    ) -> (Vec<File>, usize) {
        let order = if fortran { MemoryOrder::Fortran } else { MemoryOrder::C };
        let dtype = if wide { DType::F64 } else { DType::U8 };
        let shape = |first: &u64| [&[*first], &rest[..]].concat();
        let files = firsts.iter().enumerate();
        let files = files.map(|(name, first)| array(name, dtype, &shape(first), order)).collect();
        (files, axis.index(rest.len() + 1))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn entries_cover_the_window_once_and_say_where_elements_belong(
        (files, axis) in joined(),
        entry_bytes in 0_u64..200, outputs_max in 0_u64..12,
        window in prop::option::of((0_u64..40, 0_u64..40)),
    ) {
        let (elements, outputs) = naive(&files, axis);
        prop_assert_eq!(axis_outputs(&files, axis), Ok(outputs));
        let window = window.map_or(0..u64::MAX, |(start, length)| start..start + length);
        let cut =
            Cut::Axis { entry_bytes, axis: axis as u8, outputs: window.clone(), outputs_max };
        let size = files[0].layout.dtype.size_bytes() as u64;
        let manifest = Manifest::cut(files, cut).expect("valid files");
        let window = window.start.min(outputs)..window.end.min(outputs);
        prop_assert_eq!(manifest.outputs(), window.end - window.start);
        let expected: BTreeMap<(u32, u64), Belongs> = elements
            .into_iter()
            .filter(|(_, (output, _))| window.contains(output))
            .map(|(at, (output, place))| (at, (output - window.start, place)))
            .collect();
        prop_assert_eq!(&told(&manifest), &expected);
        prop_assert_eq!(manifest.elements(), expected.len() as u64);
        prop_assert_eq!(manifest.bytes(), expected.len() as u64 * size);
        for entry in manifest.entries() {
            prop_assert!(!entry.is_empty());
            prop_assert!(manifest.entry_bytes(entry) <= entry_bytes.max(size));
            prop_assert!(entry.outputs() <= outputs_max.max(1));
            prop_assert_eq!(entry.len(), entry.outputs() * entry.block.reduced);
        }
        // A peer that is told the cut makes the same of it.
        let again = Manifest::cut(manifest.files().to_vec(), manifest.cut_by().clone());
        prop_assert_eq!(again, Ok(manifest));
    }

    /// Windows side by side have all of the elements, each of them once.
    #[test]
    fn windows_side_by_side_are_the_whole((files, axis) in joined(), width in 1_u64..9) {
        let (elements, outputs) = naive(&files, axis);
        let mut seen = BTreeMap::new();
        for start in (0..outputs).step_by(width as usize) {
            let window = start..start + width;
            let cut =
                Cut::Axis { entry_bytes: 40, axis: axis as u8, outputs: window, outputs_max: 5 };
            let manifest = Manifest::cut(files.clone(), cut).expect("valid files");
            for (at, (output, place)) in told(&manifest) {
                prop_assert_eq!(seen.insert(at, (start + output, place)), None);
            }
        }
        prop_assert_eq!(seen, elements);
    }

    /// Each output lies in the result where the rest of its elements' index,
    /// in C order, says.
    #[test]
    fn outputs_lie_in_the_result_in_c_order((files, axis) in joined()) {
        let order = OutputOrder::new(&files, axis).expect("valid files");
        let (_, outputs) = naive(&files, axis);
        let joined = files.iter().map(|file| file.shape[0]).sum();
        let whole = [&[joined], &files[0].shape[1..]].concat();
        let result = without(&whole, axis);
        prop_assert_eq!(order.shape(), &result[..]);
        prop_assert_eq!(result.iter().product::<u64>(), outputs);
        let (mut first_output, mut first) = (0, 0);
        for file in if axis == 0 { &files[..1] } else { &files[..] } {
            let rest = without(&file.shape, axis);
            for index in indices(&rest) {
                let output = first_output + position(&rest, &index, file.memory_order);
                let mut there = index;
                if axis > 0 {
                    there[0] += first;
                }
                let expected = position(&result, &there, MemoryOrder::C);
                prop_assert_eq!(order.position(output), expected, "output {}", output);
                prop_assert!(!order.is_linear() || expected == output);
            }
            first_output += rest.iter().product::<u64>();
            first += file.shape[0];
        }
    }
}

#[test]
fn the_picture_of_the_documentation_is_what_is_cut() {
    // Two slabs of 2 x 3: whole where they fit, else columns of two and of one.
    let ranges = |entry_bytes, outputs_max| {
        let files = c_arrays(&[&[2, 2, 3]]);
        let cut = Cut::Axis { entry_bytes, axis: 1, outputs: 0..u64::MAX, outputs_max };
        let manifest = Manifest::cut(files, cut).expect("a valid file");
        let told = |entry: &Entry| (entry.elements.clone(), entry.first_output, entry.first_index);
        manifest.entries().iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(ranges(4 * 12, 6), [(0..12, 0, 0)]);
    assert_eq!(ranges(4 * 6, 6), [(0..6, 0, 0), (6..12, 3, 0)]);
    assert_eq!(ranges(4 * 12, 3), [(0..6, 0, 0), (6..12, 3, 0)]);
    let columns = ranges(4 * 2, 2);
    let first = [(0..2, 0, 0), (3..5, 0, 1), (2..6, 2, 0)];
    assert_eq!(columns[..3], first);
    assert_eq!(columns.len(), 6);
}

#[test]
fn an_axis_of_length_zero_leaves_outputs_of_nothing() {
    let none = cut(c_arrays(&[&[3, 0, 2]]), 1).expect("a valid file");
    assert_eq!((none.entries().len(), none.outputs()), (0, 6));
    let none = cut(c_arrays(&[&[3, 0, 2]]), 0).expect("a valid file");
    assert_eq!((none.entries().len(), none.outputs()), (0, 0));
    // Along the joined axis a file without elements has the outputs of others.
    let some = cut(c_arrays(&[&[0, 2], &[1, 2]]), 0).expect("valid files");
    assert_eq!((some.elements(), some.outputs()), (2, 2));
}

#[test]
fn arrays_that_do_not_join_are_named() {
    let axis = |shapes: &[&[u64]], axis| cut(c_arrays(shapes), axis);
    let missing =
        |name: &str, axis, axes| Err(ManifestError::Axis { name: name.to_owned(), axis, axes });
    assert_eq!(axis(&[&[2, 3]], 2), missing("0", 2, 2));
    assert_eq!(axis(&[&[2, 3]], 255), missing("0", 255, 2));
    assert_eq!(axis(&[&[2, 3], &[2]], 1), missing("1", 1, 1));
    let Err(error) = axis(&[&[]], 0) else { panic!("an array without axes has none") };
    assert!(error.to_string().ends_with("axes; leave '--axis' out"), "{error}");
    let Err(error) = axis(&[&[2, 3]], 2) else { panic!("it has two") };
    assert!(error.to_string().ends_with("axis 2 does not exist: '0' has 2 axes; use -2 to 1"));

    for (first, other) in [(&[2, 3][..], &[2, 4][..]), (&[2, 3], &[2, 3, 1]), (&[2, 3, 1], &[2, 3])]
    {
        for along in [0, 1] {
            let error = ManifestError::Shapes {
                name: "1".to_owned(),
                expected: first.to_vec(),
                got: other.to_vec(),
            };
            assert_eq!(axis(&[first, other], along), Err(error));
        }
    }
    assert!(axis(&[&[2, 3], &[7, 3]], 1).is_ok());
}

#[test]
fn memory_orders_do_not_mix_where_they_differ() {
    let files = |shapes: [&[u64]; 2]| {
        vec![
            array(0, DType::F32, shapes[0], MemoryOrder::C),
            array(1, DType::F32, shapes[1], MemoryOrder::Fortran),
        ]
    };
    let refused = Err(ManifestError::Orders { fortran: "1".to_owned(), c: "0".to_owned() });
    assert_eq!(cut(files([&[2, 3], &[4, 3]]), 0), refused);
    assert_eq!(cut(files([&[2, 3], &[4, 3]]), 1), refused);
    // One long axis lies the same in both.
    for shapes in [[&[2, 1][..], &[5, 1]], [&[1, 3], &[1, 3]], [&[1, 3], &[4, 3]]] {
        for axis in [0, 1] {
            let files = files(shapes);
            let manifest = cut(files.clone(), axis).expect("valid files");
            assert_eq!(told(&manifest), naive(&files, usize::from(axis)).0);
        }
    }
}

#[test]
fn lengths_beside_a_zero_must_not_overflow() {
    let huge = |shape: &[u64]| cut(vec![array(0, DType::F32, shape, MemoryOrder::C)], 0);
    assert_eq!(huge(&[0, 1 << 32, 1 << 32]), Err(ManifestError::TooLarge));
    assert_eq!(huge(&[1 << 40, 0, 1 << 40]), Err(ManifestError::TooLarge));
    let most = huge(&[0, (1 << 32) - 1, 1 << 32]).expect("it can be counted");
    assert_eq!(most.outputs(), ((1 << 32) - 1) << 32);
    // Outputs of several files are counted without overflow.
    let wide = vec![array(0, DType::F32, &[1 << 63, 0], MemoryOrder::C); 3];
    assert_eq!(cut(wide, 1).map(|manifest| manifest.outputs()), Ok(u64::MAX));
}

#[test]
fn a_job_along_an_axis_has_no_more_entries_than_another() {
    let many = |rows| {
        let files = vec![array(0, DType::U8, &[rows, 2], MemoryOrder::C)];
        let cut = Cut::Axis { entry_bytes: 1, axis: 0, outputs: 0..u64::MAX, outputs_max: 1 };
        Manifest::cut(files, cut).map(|manifest| manifest.entries().len())
    };
    assert_eq!(many(ENTRIES_MAX as u64 / 2), Ok(ENTRIES_MAX));
    assert_eq!(many(ENTRIES_MAX as u64), Err(ManifestError::Entries { max: ENTRIES_MAX }));
    assert_eq!(many(1 << 60), Err(ManifestError::Entries { max: ENTRIES_MAX }));
}
