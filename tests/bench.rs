//! `adsum bench`, on little data: what it prints, and that every answer is right.
//! No test says how fast anything is.

#![cfg(all(feature = "cli", unix))]

mod program;

use std::fs;

use program::run;
use serde_json::Value as Json;

/// A block, which is the least there is.
const LITTLE: [&str; 4] = ["--bytes", "4MiB", "--rounds", "1"];

fn rows(arguments: &[&str]) -> Vec<Json> {
    let answer = run(&[&["bench"], arguments, &LITTLE, &["--json"]].concat()).json();
    assert_eq!(answer["kind"], arguments[0]);
    assert_eq!(answer["rounds"], 1);
    answer["rows"].as_array().unwrap().clone()
}

#[track_caller]
fn check(row: &Json) {
    assert_eq!(row["wrong"], 0, "{row}");
    assert!(row["bytes"].as_u64().unwrap() >= 4 << 20, "{row}");
    for field in ["gb_per_s", "vs_naive"] {
        assert!(row[field].as_f64().unwrap() > 0.0, "{field} of {row}");
    }
    for field in ["what", "dtype", "dist", "device"] {
        assert!(row[field].is_string(), "{field} of {row}");
    }
}

#[test]
fn every_operation_on_the_cpu_is_right() {
    let rows = rows(&["cpu", "--threads", "3"]);
    rows.iter().for_each(check);
    assert!(rows.iter().all(|row| row["pct_peak"].as_f64().unwrap() > 0.0));
    let has = |what: &str, dtype: &str, dist: &str| {
        rows.iter().any(|r| r["what"] == what && r["dtype"] == dtype && r["dist"] == dist)
    };
    for what in ["sum", "mean", "var", "std", "dot", "min", "argmax", "stats"] {
        for dist in ["uniform", "wide", "lognormal"] {
            assert!(has(what, "float32", dist) && has(what, "float64", dist), "{what} {dist}");
        }
    }
    assert!(has("sum", "int64", "uniform") && has("sum", "bfloat16", "uniform"));
}

#[test]
fn files_are_reduced_mapped_and_read_and_go_away() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(&["files", "--dir", folder.path().to_str().unwrap()]);
    rows.iter().for_each(check);
    let whats: Vec<&str> = rows.iter().map(|row| row["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["sum mapped", "sum read", "sum mapped", "sum read"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let missing = folder.path().join("missing");
    let arguments = ["bench", "files", "--dir", missing.to_str().unwrap()];
    run(&arguments).refused(2, &["missing"]);
}

#[cfg(feature = "gpu")]
#[test]
fn resident_data_is_reduced_by_an_adapter() {
    let rows = rows(&["gpu", "--device", "gpu:0", "--filter", "float32 wide", "--peak", "100"]);
    rows.iter().for_each(check);
    for row in &rows {
        assert_eq!(row["device"], "gpu:0");
        assert!(row["pct_peak"].as_f64().unwrap() > 0.0, "{row}");
        for part in ["upload_s", "readback_s"] {
            assert!(row[part].as_f64().unwrap() > 0.0, "{part} of {row}");
        }
    }
    assert!(rows.iter().any(|row| row["what"] == "dot"));
    assert!(rows.iter().any(|row| row["what"] == "sum"));
}

#[cfg(feature = "gpu")]
#[test]
fn a_machine_without_hardware_is_not_measured_as_if_it_had_some() {
    let kinds = run(&["devices", "--json"]).json();
    let hardware = kinds["devices"]
        .as_array()
        .unwrap()
        .iter()
        .any(|device| device["kind"] != "cpu" && device["kind"] != "software");
    if !hardware {
        run(&["bench", "gpu"]).refused(8, &["--device"]);
    }
    run(&["bench", "gpu", "--device", "gpu:99"]).refused(8, &["gpu:99"]);
    run(&["bench", "gpu", "--device", "cpu"]).refused(8, &["bench cpu"]);
    for peak in ["0", "-3", "nan", "inf", "fast"] {
        run(&["bench", "gpu", &format!("--peak={peak}")]).refused(2, &["--peak", peak]);
    }
}

#[test]
fn tables_and_pictures_are_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("rates.svg");
    let filter = ["--filter", "sum", "--filter", "int32"];
    let arguments = [&["bench", "cpu"], &LITTLE[..], &filter].concat();
    let table = run(&arguments);
    assert_eq!(table.code, Some(0), "{table:?}");
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("what ") && lines[1].starts_with("sum "), "{table:?}");
    let markdown =
        run(&[&arguments[..], &["--markdown", "--plot", plot.to_str().unwrap()]].concat());
    assert!(markdown.stdout.starts_with("| what | dtype |"), "{markdown:?}");
    assert_eq!(markdown.stdout.lines().nth(1), Some("|---|---|---|---|---|---|---|---|---|"));
    let svg = fs::read_to_string(&plot).unwrap();
    assert!(svg.contains("GB/s") && svg.contains("sum int32 uniform, cpu"), "{svg}");
    let again = run(&[&arguments[..], &["--plot", plot.to_str().unwrap()]].concat());
    again.refused(2, &["rates.svg", "--force"]);
}

#[test]
fn nothing_to_measure_is_said() {
    let none = run(&[&["bench", "cpu", "--json", "--filter", "no such row"], &LITTLE[..]].concat());
    none.refused(2, &["--filter"]);
    run(&["bench"]).refused(2, &["cpu", "gpu", "files"]);
    run(&["bench", "cpu", "--rounds", "0"]).refused(2, &["--rounds"]);
    run(&["bench", "cpu", "--bytes", "1000000TB"]).refused(2, &["--bytes"]);
}
