//! The house's own rules, held by a test: who may import whom, and where
//! clocks, sleeps, prints and `unwrap` do not belong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module with the modules it may import. An import of anything else, or
/// a module that is not listed, fails. `gpu` and the network never see each
/// other, and nothing in the core sees an edge.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // Core.
    ("bounded", &[]),
    ("buffers", &[]),
    ("launch", &[]),
    ("dtype", &[]),
    ("value", &["dtype"]),
    ("op", &["bounded", "dtype"]),
    ("reduction", &["dtype", "op", "value"]),
    ("rounds", &["dtype", "op", "reduction", "value"]),
    ("finish", &["dtype", "op", "reduction", "value"]),
    ("partial", &["dtype", "op", "reduction"]),
    ("manifest", &["dtype", "op", "partial"]),
    ("site", &["manifest", "op"]),
    ("ledger", &["manifest", "op", "partial", "reduction"]),
    ("shard", &["dtype"]),
    ("placement", &["manifest"]),
    ("catalogue", &["bounded", "dtype", "manifest", "placement"]),
    ("backend", &["dtype", "op", "partial", "reduction", "site"]),
    ("collective", &[]),
    ("fold", &["backend", "dtype", "op", "reduction"]),
    ("group", &["buffers", "collective", "dtype", "fold", "op"]),
    (
        "wire",
        &[
            "backend",
            "bounded",
            "catalogue",
            "dtype",
            "ledger",
            "manifest",
            "op",
            "partial",
            "placement",
            "shard",
        ],
    ),
    ("engine", &["dtype", "ledger", "manifest", "op", "partial", "placement", "shard", "wire"]),
    // Edges.
    ("os", &["manifest"]),
    ("array", &["backend", "dtype", "op", "partial", "reduction"]),
    (
        "communicator",
        &["backend", "collective", "dtype", "finish", "fold", "group", "op", "partial"],
    ),
    ("source", &["dtype", "manifest", "os", "shard"]),
    ("sink", &["dtype", "manifest", "os", "source"]),
    ("inventory", &["catalogue", "manifest", "os", "sink", "source"]),
    ("store", &["catalogue", "inventory", "manifest", "os", "sink", "source"]),
    ("gpu", &["backend", "dtype", "op", "partial", "reduction", "site"]),
    ("compute", &["backend", "manifest", "op", "partial", "reduction", "shard", "site", "wire"]),
    ("device", &["backend", "gpu"]),
    ("membership", &["placement"]),
    ("transport", &["placement", "wire"]),
    ("rendezvous", &["buffers", "communicator", "launch", "os", "transport", "wire"]),
    ("service", &["catalogue", "engine", "manifest", "membership", "op", "placement", "wire"]),
    (
        "driver",
        &[
            "backend",
            "catalogue",
            "engine",
            "manifest",
            "op",
            "placement",
            "service",
            "shard",
            "transport",
            "wire",
        ],
    ),
    (
        "node",
        &[
            "backend",
            "catalogue",
            "driver",
            "engine",
            "membership",
            "placement",
            "service",
            "transport",
            "wire",
        ],
    ),
    (
        "client",
        &[
            "catalogue",
            "driver",
            "engine",
            "manifest",
            "node",
            "op",
            "partial",
            "placement",
            "transport",
            "wire",
        ],
    ),
    // What puts the edges together. The network is not among them: it sees
    // processors through a trait of its own.
    (
        "executor",
        &[
            "backend", "compute", "device", "gpu", "manifest", "op", "partial", "shard", "site",
            "source",
        ],
    ),
    (
        "local",
        &[
            "backend",
            "compute",
            "dtype",
            "engine",
            "executor",
            "ledger",
            "manifest",
            "op",
            "partial",
            "placement",
            "shard",
            "site",
            "source",
            "wire",
        ],
    ),
    (
        "cli",
        &[
            "backend",
            "catalogue",
            "client",
            "compute",
            "device",
            "driver",
            "dtype",
            "engine",
            "executor",
            "finish",
            "gpu",
            "inventory",
            "launch",
            "local",
            "manifest",
            "membership",
            "node",
            "op",
            "os",
            "partial",
            "placement",
            "reduction",
            "rounds",
            "shard",
            "sink",
            "site",
            "source",
            "store",
            "transport",
            "value",
            "wire",
        ],
    ),
];

/// Words that only the listed places may hold, with the reason.
const CONFINED: &[(&[&str], &[&str], &str)] = &[
    (
        &["Instant::now", "SystemTime", "std::time::Instant"],
        &[
            "cli",
            "client",
            "communicator/shared",
            "compute/worker",
            "driver",
            "gpu",
            "inventory/clock",
            "local",
            "node",
            "rendezvous",
            "transport",
        ],
        "the core is told the time, it does not read it",
    ),
    (
        &["thread::sleep", "time::sleep("],
        &["driver", "node", "rendezvous"],
        "nothing sleeps for correctness",
    ),
    (
        &["println!", "print!(", "eprint!(", "io::stdout", "io::stderr"],
        &["cli", "node/supervised", "os/unix"],
        "only the command line talks, and a node to its parent",
    ),
    (&[".unwrap()"], &[], "say what must hold with expect, or return the error"),
    (
        &["rand::", "random("],
        &["cli", "local", "membership", "node", "transport"],
        "chance is an argument, not a source, in the core",
    ),
    (&["process::exit"], &["cli", "node"], "a library does not end its program"),
    (&["libc::"], &["os"], "operating-system calls live in one module"),
];

struct Source {
    /// Path below `src`, without the extension.
    name: String,
    /// Lines that are code: no comments, no unit tests.
    code: Vec<(usize, String)>,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(files.len() > 10, "the walk found only {} files", files.len());
    files
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let name = path.strip_prefix(&root).unwrap().with_extension("");
            let code = text
                .lines()
                .enumerate()
                .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
                .filter(|(_, line)| !line.trim_start().starts_with("//"))
                .map(|(index, line)| (index + 1, line.to_owned()))
                .collect();
            Source { name: name.to_str().unwrap().to_owned(), code, lines: text.lines().count() }
        })
        .filter(|source| !source.name.ends_with("tests"))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn module_of(name: &str) -> &str {
    name.split('/').next().unwrap()
}

/// The modules that a line of code names by `crate::`.
fn imports(line: &str) -> Vec<String> {
    line.match_indices("crate::")
        .map(|(at, word)| {
            let rest = &line[at + word.len()..];
            rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        })
        .filter(|name: &String| !name.is_empty())
        .collect()
}

/// What `lib.rs` re-exports, by the module it comes from.
fn home(name: &str) -> &str {
    match name {
        "ByteOrder" | "DType" | "Layout" | "MemoryOrder" => "dtype",
        "Monoid" | "Op" | "Spec" | "Term" => "op",
        "Partial" => "partial",
        "Value" => "value",
        module => module,
    }
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut found = Vec::new();
    for source in sources() {
        let module = module_of(&source.name);
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(allowed) = table.get(module) else {
            found.push(format!("src/{module}: no row in the table of tests/tidy.rs"));
            continue;
        };
        for (number, line) in &source.code {
            for import in imports(line) {
                let import = home(&import);
                if import != module && !allowed.contains(&import) {
                    found.push(format!(
                        "src/{}.rs:{number}: {module} imports {import}",
                        source.name
                    ));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_table_allows_no_more_than_is_imported() {
    let mut imported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let of_module = imported.entry(module_of(&source.name).to_owned()).or_default();
        let lines = source.code.iter().flat_map(|(_, line)| imports(line));
        of_module.extend(lines.map(|import| home(&import).to_owned()));
    }
    for (module, allowed) in MAY_IMPORT {
        for import in *allowed {
            assert!(imported[*module].contains(*import), "{module} does not import {import}");
        }
    }
}

#[test]
fn the_table_has_no_cycle_and_no_ghost() {
    // Each row may import only rows above it.
    let mut above: Vec<&str> = Vec::new();
    for (module, allowed) in MAY_IMPORT {
        for import in *allowed {
            assert!(above.contains(import), "{module} may import {import}, which is not above it");
        }
        above.push(module);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/{module}.rs"));
        assert!(path.exists(), "the table lists {module}, which does not exist");
    }
}

#[test]
fn clocks_sleeps_prints_and_unwraps_stay_where_they_belong() {
    let mut found = Vec::new();
    for source in sources() {
        for (words, places, reason) in CONFINED {
            if places.iter().any(|place| source.name.starts_with(place)) {
                continue;
            }
            for (number, line) in &source.code {
                for word in words.iter().filter(|word| line.contains(**word)) {
                    found.push(format!("src/{}.rs:{number}: '{word}': {reason}", source.name));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_engine_moves_partials_and_never_folds_elements() {
    for source in sources().iter().filter(|source| module_of(&source.name) == "engine") {
        for (number, line) in &source.code {
            for word in ["lift(", "add_units", "reference::", "backend::cpu"] {
                assert!(!line.contains(word), "src/{}.rs:{number}: '{word}'", source.name);
            }
        }
    }
}

#[test]
fn files_stay_short_enough_to_be_one_noun() {
    for source in sources() {
        assert!(source.lines <= 600, "src/{}.rs has {} lines", source.name, source.lines);
    }
}

#[test]
fn every_unsafe_block_is_confined_and_carries_its_proof() {
    let places = [
        "os",
        "backend/cpu/prefetch",
        "backend/cpu/simd",
        "backend/cpu/windows",
        "communicator/lent",
    ];
    for source in sources() {
        let confined = places.iter().any(|place| source.name.starts_with(place));
        for (number, line) in &source.code {
            let holds = line.contains("unsafe {") || line.contains("unsafe fn");
            assert!(
                !holds || confined,
                "src/{}.rs:{number}: unsafe outside {places:?}",
                source.name
            );
        }
    }
}

#[test]
fn the_limits_that_the_protocol_names_are_in_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/protocol.md")).unwrap();
    let sources = sources();
    let code: Vec<&str> =
        sources.iter().flat_map(|source| &source.code).map(|(_, line)| line.trim()).collect();
    let is_limit = |name: &str| {
        name.contains('_')
            && name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
    };
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let names = cells.flat_map(|cell| cell.split('`')).filter_map(|name| name.split("::").last());
    let names: Vec<&str> = names.filter(|name| is_limit(name)).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let defined = format!("const {name}:");
        assert!(code.iter().any(|line| line.contains(&defined)), "{name} of docs/protocol.md");
    }
}
