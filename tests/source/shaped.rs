//! Entries along an axis and of two data sets, read from files: the elements
//! that a walk over indices gathers, in every way of reading.

use adsum::dtype::{ByteOrder, DType, MemoryOrder};
use adsum::manifest::{Cut, Entry, Manifest};
use adsum::shard::{Shard, ShardErrorKind};
use adsum::source::LocalFiles;

use crate::fixture::{Directory, WAYS, npy, open, read_all};

/// The bytes of an array whose elements are numbered as they lie.
fn numbered(elements: u64) -> Vec<u8> {
    (0..elements).flat_map(|number| (number as u16).to_le_bytes()).collect()
}

/// The elements of an entry, gathered one by one from the bytes of its array.
fn gathered(entry: &Entry, array: &[u8]) -> Vec<u8> {
    let block = entry.block;
    let runs = 0..block.outer * block.reduced;
    let elements = runs.flat_map(|run| (0..block.inner).map(move |i| run * block.stride + i));
    let bytes = |element: u64| {
        let at = 2 * (entry.elements.start + element) as usize;
        [array[at], array[at + 1]]
    };
    elements.flat_map(bytes).collect()
}

fn shapes() -> Vec<Vec<u64>> {
    let lengths = [1, 2, 3, 5];
    let two = lengths.iter().flat_map(|&a| lengths.map(|b| vec![a, b]));
    let three = lengths.iter().flat_map(|&a| lengths.map(|b| vec![b, a, 4]));
    let large = [vec![7, 300, 3], vec![3, 7, 300], vec![300, 7], vec![2, 2, 2, 2, 3]];
    two.chain(three).chain(large).collect()
}

#[test]
fn entries_along_every_axis_are_what_a_walk_gathers() {
    let directory = Directory::new();
    for shape in shapes() {
        let elements = shape.iter().product();
        let array = numbered(elements);
        let text: Vec<String> = shape.iter().map(u64::to_string).collect();
        let text = format!("({})", text.join(", "));
        for fortran in [false, true] {
            let path = directory.write("a.npy", &npy("<u2", fortran, &text, &array));
            let files = open(&[path]).unwrap().manifest.files().to_vec();
            for (axis, (entry_bytes, outputs_max)) in (0..shape.len())
                .flat_map(|axis| [(2, 1), (8, 3), (26, 4), (1 << 20, 7)].map(|c| (axis, c)))
            {
                let axis = axis as u8;
                // The fewest entries for the largest arrays: each opens the file.
                if elements > 1000 && entry_bytes < 1000 {
                    continue;
                }
                let cut = Cut::Axis { entry_bytes, axis, outputs: 0..u64::MAX, outputs_max };
                let manifest = Manifest::cut(files.clone(), cut).unwrap();
                check(&manifest, &array, &[1, 2, 7, u64::MAX / 2]);
            }
        }
    }
}

/// Reads all entries in steps of several sizes.
fn check(manifest: &Manifest, array: &[u8], steps: &[u64]) {
    for access in WAYS {
        let files = LocalFiles::new(access);
        let mut all = 0;
        for entry in manifest.entries() {
            let shard = files.shard(manifest, entry).unwrap();
            assert_eq!(shard.elements(), entry.len());
            assert!(shard.second().is_none());
            let expected = gathered(entry, array);
            for &step in steps {
                let bytes = read_all(&*shard, step).unwrap();
                assert_eq!(bytes, expected, "{:?} in steps of {step}", entry.block);
            }
            all += entry.len();
        }
        assert_eq!(all, manifest.elements());
    }
}

/// Runs of every start and length of one block of columns.
#[test]
fn every_run_of_a_block_of_columns_is_read() {
    let directory = Directory::new();
    let array = numbered(6 * 9);
    let path = directory.write("a.npy", &npy("<u2", false, "(6, 9)", &array));
    let files = open(&[path]).unwrap().manifest.files().to_vec();
    let cut = Cut::Axis { entry_bytes: 1 << 20, axis: 0, outputs: 2..6, outputs_max: 4 };
    let manifest = Manifest::cut(files, cut).unwrap();
    let [entry] = manifest.entries() else { panic!("one block of columns") };
    assert!(!entry.block.is_contiguous());
    let expected = gathered(entry, &array);
    for access in WAYS {
        let shard = LocalFiles::new(access).shard(&manifest, entry).unwrap();
        let mut block = Vec::new();
        for start in 0..24_usize {
            for end in start + 1..=24 {
                let bytes = shard.read(start as u64..end as u64, &mut block).unwrap();
                assert_eq!(bytes, &expected[2 * start..2 * end], "{start}..{end}");
            }
        }
        shard.verify().unwrap();
    }
}

#[test]
fn partners_are_read_beside_their_elements() {
    let directory = Directory::new();
    let (left, right) = (numbered(20), numbered(20).iter().rev().copied().collect::<Vec<u8>>());
    let write = |name: &str, descr: &str, data: &[u8]| {
        directory.write(name, &npy(descr, false, &format!("({},)", data.len() / 2), data))
    };
    let paths = [
        write("a0.npy", "<u2", &left[..14]),
        write("a1.npy", "<u2", &left[14..]),
        write("b0.npy", ">u2", &right[..2]),
        write("b1.npy", "<u2", &right[2..30]),
        write("b2.npy", "<u2", &right[30..]),
    ];
    let files = open(&paths).unwrap().manifest.files().to_vec();
    for entry_bytes in [2, 6, 10, 1000] {
        let manifest = Manifest::cut(files.clone(), Cut::Pairs { entry_bytes, second: 2 }).unwrap();
        for access in WAYS {
            let local = LocalFiles::new(access);
            let (mut first, mut second) = (Vec::new(), Vec::new());
            for entry in manifest.entries() {
                let shard = local.shard(&manifest, entry).unwrap();
                let partner = shard.second().expect("a pair");
                assert_eq!((shard.elements(), partner.elements()), (entry.len(), entry.len()));
                let order =
                    if entry.second == Some((2, 0)) { ByteOrder::Big } else { ByteOrder::Little };
                assert_eq!(partner.layout().byte_order, order);
                first.extend(read_all(&*shard, 3).unwrap());
                second.extend(read_all(partner, 3).unwrap());
            }
            assert_eq!((&first, &second), (&left, &right), "{entry_bytes}");
        }
    }
}

#[test]
fn either_file_of_a_pair_and_one_behind_columns_is_verified() {
    let array = numbered(12);
    let changed = |shard: &dyn Shard| shard.verify().unwrap_err().kind;
    for access in WAYS {
        for touched in ["a.npy", "b.npy"] {
            let directory = Directory::new();
            let paths = ["a.npy", "b.npy"]
                .map(|name| directory.write(name, &npy("<u2", false, "(12,)", &array)));
            let files = open(&paths).unwrap().manifest.files().to_vec();
            let cut = Cut::Pairs { entry_bytes: 1000, second: 1 };
            let manifest = Manifest::cut(files, cut).unwrap();
            let shard = LocalFiles::new(access).shard(&manifest, &manifest.entries()[0]).unwrap();
            shard.verify().unwrap();
            std::fs::remove_file(directory.path(touched)).unwrap();
            assert_eq!(changed(&*shard), ShardErrorKind::Changed, "{touched}");
        }
        let directory = Directory::new();
        let path = directory.write("a.npy", &npy("<u2", false, "(3, 4)", &array));
        let files = open(&[&path]).unwrap().manifest.files().to_vec();
        assert_eq!(files[0].memory_order, MemoryOrder::C);
        assert_eq!(files[0].layout.dtype, DType::U16);
        let cut = Cut::Axis { entry_bytes: 1000, axis: 0, outputs: 1..3, outputs_max: 2 };
        let manifest = Manifest::cut(files, cut).unwrap();
        let shard = LocalFiles::new(access).shard(&manifest, &manifest.entries()[0]).unwrap();
        shard.verify().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(changed(&*shard), ShardErrorKind::Changed);
    }
}
