//! `--out` and `--plot`: files that are whole or not there.

#![cfg(all(feature = "cli", unix))]

mod program;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use program::{command, data, run, write_array};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_result_is_an_npy_file_of_numpys_type() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.npy");
    let path = out.to_str().unwrap();
    let answer = run(&["argmax", "--axis", "-1", "--out", path, &data("order_fortran.npy")]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), ""), "{answer:?}");
    let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 4), }";
    let bytes = fs::read(&out).unwrap();
    assert!(bytes[10..].starts_with(header.as_bytes()), "{:?}", &bytes[..128]);
    assert_eq!(bytes.len(), 128 + 12 * 8);
    // The same numbers as those that are printed.
    let printed = run(&["argmax", "--json", "--axis", "-1", &data("order_fortran.npy")]).json();
    let written = bytes[128..].as_chunks::<8>().0.iter().map(|word| i64::from_le_bytes(*word));
    assert_eq!(printed["value"], serde_json::json!(written.collect::<Vec<i64>>()));
    let json =
        run(&["sum", "--json", "--axis", "0", "--force", "--out", path, &data("order_c.npy")]);
    assert_eq!(json.json()["out"], path);
    assert_eq!(json.json()["shape"], serde_json::json!([4, 5]));
    assert_eq!(json.json()["dtype_out"], "float64");
    assert_eq!(names(folder.path()), ["out.npy"]);
}

#[test]
fn several_numbers_for_each_output_have_an_axis_in_front() {
    let values = |arguments: &[&str]| {
        let object =
            run(&[arguments, &["--json", "--axis", "1", &data("order_c.npy")]].concat()).json();
        (object["bits"].as_array().unwrap().clone(), object["shape"].clone())
    };
    let (both, shape) = values(&["minmax"]);
    assert_eq!(shape, serde_json::json!([2, 3, 5]));
    assert_eq!(both, [values(&["min"]).0, values(&["max"]).0].concat());
    let (all, shape) = values(&["quantile", "-q", "0,0.5,1"]);
    assert_eq!(shape, serde_json::json!([3, 3, 5]));
    let parts = [values(&["min"]).0, values(&["median"]).0, values(&["max"]).0];
    assert_eq!(all, parts.concat());
}

#[test]
fn a_file_that_is_there_stays_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (out, plot) = (at("out.npy"), at("plot.svg"));
    fs::write(&out, "mine").unwrap();
    fs::write(&plot, "mine").unwrap();
    let array = data("order_c.npy");
    run(&["sum", "--axis", "0", "--out", &out, &array]).refused(2, &[&out, "--force"]);
    run(&["histogram", "--plot", &plot, &array]).refused(2, &[&plot, "--force"]);
    assert_eq!(fs::read(&out).unwrap(), b"mine");
    assert_eq!(fs::read(&plot).unwrap(), b"mine");
    let missing = at("no/such/out.npy");
    run(&["sum", "--axis", "0", "--out", &missing, &array]).refused(2, &["no/such"]);
    let itself = folder.path().to_str().unwrap();
    run(&["sum", "--axis", "0", "--force", "--out", itself, &array]).refused(2, &[itself]);
    assert_eq!(run(&["histogram", "--force", "--plot", &plot, &array]).code, Some(0));
    let svg = fs::read_to_string(&plot).unwrap();
    assert!(svg.contains("<svg") && svg.contains("order_c.npy (float64)") && svg.contains("count"));
    assert_eq!(names(folder.path()), ["out.npy", "plot.svg"]);
}

#[test]
fn a_run_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.npy");
    let arguments = ["min", "--axis", "1", "--out", out.to_str().unwrap(), &data("empty_axis.npy")];
    run(&arguments).refused(3, &["min"]);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn ctrl_c_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let array = tempfile::tempdir().unwrap().keep().join("row.npy");
    // Rows of two elements: more outputs than are reduced in the time it takes
    // to interrupt.
    let elements = 16_000_000;
    write_array(&array, "<f8", "(8000000, 2)", &vec![0; elements * 8]);
    let out = folder.path().join("out.npy");
    let arguments = ["std", "--axis", "1", "--out", out.to_str().unwrap(), array.to_str().unwrap()];
    let mut child = command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while names(folder.path()).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "the run never began to write");
        std::thread::yield_now();
    }
    let killed = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{stderr}");
    assert_eq!(names(folder.path()), [""; 0]);
    fs::remove_dir_all(array.parent().unwrap()).unwrap();
}
