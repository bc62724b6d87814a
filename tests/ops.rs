//! Every operation as a user runs it, against answers that Python recorded:
//! NumPy where it is exact or the rule is its own, integers and fractions
//! elsewhere (`tests/data/make_ops.py`).

#![cfg(feature = "cli")]

mod program;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use program::{command, finish};
use serde_json::Value as Json;

fn cases() -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ops.json");
    let text = std::fs::read_to_string(path).unwrap();
    let cases: Vec<Json> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() > 3000, "only {} recorded answers", cases.len());
    cases
}

/// Runs every `step`th case with `settings` and compares all that is recorded.
fn check(settings: &[&str], step: usize) {
    let all = cases();
    let cases: Vec<&Json> = all.iter().step_by(step).collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let worker = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            check_case(case, settings);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(worker);
        }
    });
}

fn check_case(case: &Json, settings: &[&str]) {
    let arguments = case["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    let arguments: Vec<&str> =
        arguments.chain(["--json"]).chain(settings.iter().copied()).collect();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let run = finish(command(&arguments).current_dir(data));
    // Products of floats are refused where there is no CPU to do them.
    if settings.contains(&"gpu") && run.code == Some(8) {
        assert_eq!(arguments[0], "prod", "{arguments:?}: {run:?}");
        return run.refused(8, &["kernel", "--device cpu"]);
    }
    if let Some(code) = case["exit"].as_i64() {
        let words = case["words"].as_array().cloned().unwrap_or_default();
        let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
        return run.refused(code as i32, &words);
    }
    let answer = run.json();
    for field in ["dtype_out", "bits", "shape", "elements", "edges", "edges_bits", "value"] {
        if let Some(expected) = case.get(field) {
            assert_eq!(&answer[field], expected, "{field} of {arguments:?}");
        }
    }
}

#[test]
fn every_recorded_answer_on_the_cpu() {
    check(&["--device", "cpu"], 1);
}

#[test]
fn recorded_answers_in_tiles_of_one_element() {
    check(&["--device", "cpu", "--tile", "8", "--threads", "3", "--no-mmap"], 7);
}

#[test]
fn recorded_answers_over_nodes() {
    check(&["--nodes", "3", "--device", "cpu"], 41);
}

#[cfg(feature = "gpu")]
#[test]
fn recorded_answers_on_the_gpu() {
    check(&["--device", "gpu"], 13);
}
