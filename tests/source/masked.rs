//! Elements that are left out, read from files: what a walk over indices puts there.

use std::sync::Arc;

use adsum::manifest::{Cut, Manifest};
use adsum::source::{LocalFiles, Mask};

use crate::fixture::{Directory, WAYS, npy, open, read_all};

const NEUTRAL: u16 = 0xabcd;

/// Whether the element at some index has a flag: about half of them, without a pattern
/// along any axis.
fn has_flag(shape: &[usize], index: &[usize]) -> bool {
    let of_axis = shape.iter().zip(index).map(|(&flags, &i)| if flags == 1 { 0 } else { i });
    let number = of_axis.fold(17_usize, |all, i| all * 31 + i);
    (number * number / 8) % 2 == 0
}

/// All indices of a shape in C order.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |all, &length| {
        let longer = |index: &Vec<usize>| {
            (0..length).map(|i| [&index[..], &[i]].concat()).collect::<Vec<_>>()
        };
        all.iter().flat_map(longer).collect()
    })
}

/// Two arrays of numbered elements, joined along their first axis, under masks with one
/// flag for each element or for whole axes, cut in several ways.
#[test]
fn elements_without_a_flag_are_neutral() {
    let directory = Directory::new();
    let rows = [2, 3];
    for fortran in [false, true] {
        for (masked, big) in (0..8).map(|which: usize| (which, which.is_multiple_of(2))) {
            let (mut paths, mut expected) = (Vec::new(), Vec::new());
            let lengths = [5, 4, 3];
            let flags_shape: Vec<usize> = (0..3)
                .map(|axis| if masked >> axis & 1 == 1 { lengths[axis] } else { 1 })
                .collect();
            let mut before = 0;
            for (file, rows) in rows.into_iter().enumerate() {
                let shape = [rows, 4, 3];
                let mut lying = indices(&if fortran { [3, 4, rows] } else { shape });
                if fortran {
                    lying.iter_mut().for_each(|index| index.reverse());
                }
                let bytes =
                    |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
                let all = (0..lying.len() as u16).flat_map(bytes).collect::<Vec<u8>>();
                let descr = if big { ">u2" } else { "<u2" };
                let header = format!("({rows}, 4, 3)");
                paths.push(
                    directory.write(&format!("{file}.npy"), &npy(descr, fortran, &header, &all)),
                );
                expected.push(
                    (0..)
                        .zip(&lying)
                        .flat_map(|(number, index)| {
                            let joined = [index[0] + before, index[1], index[2]];
                            bytes(if has_flag(&flags_shape, &joined) { number } else { NEUTRAL })
                        })
                        .collect::<Vec<u8>>(),
                );
                before += rows;
            }
            let files = open(&paths).unwrap().manifest.files().to_vec();
            let flags =
                indices(&flags_shape).iter().map(|index| has_flag(&flags_shape, index)).collect();
            let shape: Vec<u64> = flags_shape.iter().map(|&length| length as u64).collect();
            let mask = Arc::new(Mask::new(&files, &shape, flags, NEUTRAL.into()));
            let along = |axis| Cut::Axis { entry_bytes: 14, axis, outputs: 0..999, outputs_max: 2 };
            for cut in [Cut::Runs { entry_bytes: 10 }, along(0), along(1), along(2)] {
                let manifest = Manifest::cut(files.clone(), cut).unwrap();
                for (entry, access) in manifest.entries().iter().flat_map(|e| WAYS.map(|w| (e, w)))
                {
                    let local = LocalFiles::new(access).masked(Arc::clone(&mask));
                    let shard = local.shard(&manifest, entry).unwrap();
                    let whole = &expected[entry.file as usize];
                    let block = entry.block;
                    let places = (0..entry.len()).map(|n| {
                        (entry.elements.start + n / block.inner * block.stride + n % block.inner)
                            as usize
                    });
                    let wanted: Vec<u8> =
                        places.flat_map(|place| whole[2 * place..2 * place + 2].to_vec()).collect();
                    for step in [1, 2, 5, u64::MAX / 2] {
                        assert_eq!(read_all(&*shard, step).unwrap(), wanted, "{flags_shape:?}");
                    }
                }
            }
        }
    }
}
