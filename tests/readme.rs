//! README.md against the program: the table of operations, and the answers that
//! its examples show.

use std::fs;
use std::path::Path;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_table_of_operations_is_that_of_the_code() {
    let readme = readme();
    let (_, rest) = readme.split_once("<!-- operations -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- end -->").unwrap();
    assert_eq!(table, adsum::op::support_table(), "copy the right side into README.md");
}

#[cfg(feature = "cli")]
mod program;

#[cfg(feature = "cli")]
mod examples {
    use super::program;

    /// Every `$ adsum` or `$ cargo run` line of a console block with the lines
    /// that it answers on stdout.
    #[test]
    fn shown_answers_are_the_real_ones() {
        let readme = super::readme();
        let blocks = readme.split("```console\n").skip(1);
        let mut shown = 0;
        for block in blocks.map(|block| block.split("```").next().unwrap()) {
            let (line, answer) = block.split_once('\n').unwrap();
            let line = line.strip_prefix("$ ").unwrap();
            let arguments = line.strip_prefix("cargo run --release --").unwrap_or(line);
            let arguments = arguments.strip_prefix("adsum").unwrap_or(arguments);
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            let folder = if line.contains("tests/data") { "." } else { "tests/data" };
            let run = program::finish(
                program::command(&arguments)
                    .current_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)),
            );
            assert_eq!(run.code, Some(0), "{line}: {run:?}");
            if arguments.contains(&"--json") {
                // Times differ from run to run; the fields and the answer do not.
                let expected: serde_json::Value = serde_json::from_str(answer).unwrap();
                let got = run.json();
                let names = |object: &serde_json::Value| {
                    object.as_object().unwrap().keys().cloned().collect::<Vec<String>>()
                };
                assert_eq!(names(&got), names(&expected), "{line}");
                assert_eq!((&got["value"], &got["bits"]), (&expected["value"], &expected["bits"]));
            } else {
                assert!(answer.starts_with(&run.stdout), "{line}: {answer} is not {}", run.stdout);
            }
            shown += 1;
        }
        assert!(shown >= 3, "only {shown} examples");
    }
}
