//! Quantiles along axes too long for their elements to be kept, against sorted
//! elements.

#![cfg(all(feature = "cli", feature = "files"))]

mod program;

use std::path::Path;

use program::{run, write_array};
use serde_json::json;

const LONG: usize = 70_001;
const COLUMNS: usize = 3;

/// Small numbers in no order, with NaN in the middle column where it may be.
fn element(row: usize, column: usize, nan: bool) -> f32 {
    let hash = ((row * COLUMNS + column) as u32).wrapping_mul(2_654_435_761) >> 16;
    match nan && column == 1 && row % 1000 == 7 {
        true => f32::NAN,
        false => (hash % 5003) as f32 * 0.5 - 700.0,
    }
}

/// The rows of an array of shape `(LONG, COLUMNS)`, or of its transpose.
fn array(
    folder: &Path,
    name: &str,
    rows: std::ops::Range<usize>,
    turned: bool,
    nan: bool,
) -> String {
    let length = rows.len();
    let elements = (0..length * COLUMNS).map(|index| match turned {
        true => element(rows.start + index % length, index / length, nan),
        false => element(rows.start + index / COLUMNS, index % COLUMNS, nan),
    });
    let shape =
        if turned { format!("({COLUMNS}, {length})") } else { format!("({length}, {COLUMNS})") };
    let bytes: Vec<u8> = elements.flat_map(f32::to_le_bytes).collect();
    write_array(&folder.join(name), "<f4", &shape, &bytes).to_str().unwrap().to_owned()
}

/// The elements of rank 7000, 35000 and 70000 of each column: 70,000 times 0.1,
/// 0.5 and 1. In order of the ranks first.
fn expected() -> Vec<f32> {
    let columns = (0..COLUMNS).map(|column| {
        let mut sorted: Vec<f32> = (0..LONG).map(|row| element(row, column, false)).collect();
        sorted.sort_by(f32::total_cmp);
        sorted
    });
    let columns: Vec<Vec<f32>> = columns.collect();
    [7000, 35_000, 70_000].iter().flat_map(|&rank| columns.iter().map(move |c| c[rank])).collect()
}

fn quantiles(arguments: &[&str], files: &[&str]) -> serde_json::Value {
    let question = ["quantile", "-q", "0.1,0.5,1", "--method", "nearest", "--json"];
    run(&[&question, arguments, files].concat()).json()
}

#[test]
fn every_column_of_a_long_array_has_its_quantiles() {
    let folder = tempfile::tempdir().unwrap();
    let table = array(folder.path(), "table.npy", 0..LONG, false, false);
    let turned = array(folder.path(), "turned.npy", 0..LONG, true, false);
    let parts = [0..30_000, 30_000..LONG]
        .map(|rows| array(folder.path(), &format!("part{}.npy", rows.start), rows, false, false));
    let parts = parts.each_ref().map(String::as_str);
    let cases: [(&[&str], &[&str]); 5] = [
        (&["--axis", "0"], &[&table]),
        (&["--axis", "-1"], &[&turned]),
        (&["--axis", "0"], &parts),
        (&["--axis", "0", "--nodes", "2"], &[&table]),
        (&["--axis", "0", "--memory", "40MiB", "--threads", "1"], &[&table]),
    ];
    for (arguments, files) in cases {
        let answer = quantiles(&[arguments, &["--device", "cpu"]].concat(), files);
        assert_eq!(answer["value"], json!(expected()), "{arguments:?}");
        assert_eq!(answer["shape"], json!([3, COLUMNS]));
        assert_eq!(answer["elements"], LONG * COLUMNS);
    }
}

#[cfg(feature = "gpu")]
#[test]
fn the_gpu_counts_them_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let table = array(folder.path(), "table.npy", 0..LONG, false, false);
    let answer = quantiles(&["--axis", "0", "--device", "gpu"], &[&table]);
    assert_eq!(answer["value"], json!(expected()));
}

#[test]
fn nan_counts_in_its_column_alone() {
    let folder = tempfile::tempdir().unwrap();
    let table = array(folder.path(), "nan.npy", 0..LONG, false, true);
    let medians =
        |more: &[&str]| run(&[&["median", "--axis", "0", "--json", &table], more].concat()).json();
    let all = medians(&[]);
    assert_eq!((all["value"][1].as_str(), all["nan"].as_u64()), (Some("nan"), Some(70)));
    let skipping = medians(&["--skip-nan"]);
    let mut column: Vec<f32> = (0..LONG).map(|row| element(row, 1, true)).collect();
    column.retain(|x| !x.is_nan());
    column.sort_by(f32::total_cmp);
    let (low, high) = (column[(column.len() - 1) / 2], column[column.len() / 2]);
    assert_eq!(skipping["value"][1], json!(f32::midpoint(low, high)));
    for column in [0, 2] {
        assert_eq!(all["bits"][column], skipping["bits"][column]);
        assert_eq!(all["value"][column], json!(expected()[COLUMNS + column]));
    }
}
