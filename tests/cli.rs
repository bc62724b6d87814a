//! The program as a user runs it: answers, refusals, and where each goes.

#![cfg(feature = "cli")]

mod program;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use program::{Run, command, data, finish, run, run_with_input, to_run, totals, write_npy};
use serde_json::Value as Json;

const REAL: &str = "flights_time.npy";

/// The bits that the recorded total has as the program's answer.
fn recorded_bits(total: &Json) -> String {
    if total["dtype"].as_str().unwrap().starts_with("float") {
        return total["bits_f64"].as_str().unwrap().to_owned();
    }
    let value: i128 = total["numerator"].as_str().unwrap().parse().unwrap();
    let unsigned = total["dtype"].as_str().unwrap().starts_with('u');
    match (i64::try_from(value), u64::try_from(value)) {
        (_, Ok(value)) if unsigned => format!("{value:#018x}"),
        (Ok(value), _) if !unsigned => format!("{value:#018x}"),
        _ => format!("{value:#034x}"),
    }
}

#[test]
fn every_recorded_array_has_its_recorded_total_on_every_device() {
    let totals = totals();
    for device in ["cpu", "gpu"] {
        for total in &totals {
            let path = data(total["file"].as_str().unwrap());
            let answer = run(&["sum", "--json", "--device", device, &path]);
            assert_eq!(answer.bits(), recorded_bits(total), "{device} {answer:?}");
            assert_eq!(answer.json()["elements"], total["elements"], "{answer:?}");
        }
    }
}

#[test]
fn float32_is_rounded_once_when_asked_for() {
    for total in totals().iter().filter(|total| total["bits_f32"].is_string()) {
        let path = data(total["file"].as_str().unwrap());
        let answer = run(&["sum", "--json", "--out-dtype", "float32", &path]);
        assert_eq!(answer.bits(), total["bits_f32"].as_str().unwrap(), "{answer:?}");
    }
}

#[test]
fn no_setting_changes_the_bits() {
    let path = data(REAL);
    let expected = run(&["sum", "--json", &path]).bits();
    let settings: &[&[&str]] = &[
        &["--device", "cpu"],
        &["--device", "gpu"],
        &["--device", "gpu:0"],
        &["--device", "llvmpipe", "--device", "cpu"],
        &["--device", "cpu,gpu", "--tile", "64KiB"],
        &["--device", "auto"],
        &["--threads", "1"],
        &["--threads", "7"],
        &["--tile", "8"],
        &["--tile", "1000"],
        &["--tile", "1GiB", "--memory", "4GiB"],
        &["--threads", "2", "--memory", "40MiB"],
        &["--no-mmap"],
        &["--deadline", "10m"],
    ];
    for setting in settings {
        let arguments = [&["sum", "--json", &path][..], setting].concat();
        assert_eq!(run(&arguments).bits(), expected, "{setting:?}");
    }
}

#[test]
fn the_answer_goes_to_stdout_and_one_line_to_stderr() {
    let answer = run(&["sum", &data(REAL)]);
    assert_eq!(answer.stdout, "2755170.1666666665\n", "{answer:?}");
    assert_eq!(answer.stderr.lines().count(), 1, "{answer:?}");
    assert!(answer.stderr.starts_with("1.60 MB in "), "{answer:?}");
    assert!(answer.stderr.contains("GB/s: cpu "), "{answer:?}");
    let quiet = run(&["sum", "--quiet", &data(REAL)]);
    assert_eq!((quiet.stdout, quiet.stderr.as_str()), (answer.stdout, ""));
}

#[test]
fn json_has_the_fields_that_are_promised() {
    let path = data(REAL);
    let object = run(&["sum", "--json", &path]).json();
    assert_eq!(object["schema"], 1);
    assert_eq!(object["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(object["value"], 2755170.1666666665);
    assert_eq!(object["dtype"], "float64");
    assert_eq!(object["dtype_out"], "float64");
    assert_eq!(
        object["files"],
        serde_json::json!([{ "path": path, "bytes": 1_600_000, "digest": null }])
    );
    assert_eq!(
        object["shards"],
        serde_json::json!({ "total": 1, "done": 1, "recalled": 0, "recomputed": 0 })
    );
    assert_eq!(object["nodes"], serde_json::json!([]));
    let device = &object["devices"][0];
    for field in ["name", "id", "kind", "backend", "driver", "node", "tiles", "bytes", "busy_s"] {
        assert!(device.get(field).is_some(), "{field} is missing in {device}");
    }
    assert_eq!(run(&["sum", "--json", &data("infinite.npy")]).json()["value"], "-inf");
    assert_eq!(run(&["sum", "--json", &data("nan.npy")]).json()["value"], "nan");
}

#[test]
fn several_files_and_globs_are_one_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, value) in [("a.npy", 1.0_f64), ("b.npy", 1e100), ("c.npy", -1e100)] {
        write_npy(&at(name), "<f8", 1, &value.to_le_bytes());
    }
    let glob = at("*.npy").to_str().unwrap().to_owned();
    let answer = run(&["sum", "--json", &glob]);
    assert_eq!(answer.json()["value"], 1.0);
    assert_eq!(answer.json()["shards"]["total"], 3);
    let first = at("a.npy").to_str().unwrap().to_owned();
    let twice = run(&["sum", "--json", &glob, &first]);
    assert_eq!(twice.json()["value"], 1.0);
    assert_eq!(twice.json()["warnings"].as_array().unwrap().len(), 1);
    assert!(!twice.stderr.contains("warning"), "{twice:?}");
    let told = run(&["sum", &glob, &first]);
    assert!(told.stderr.contains("warning") && told.stdout == "1.0\n", "{told:?}");
}

#[test]
fn raw_binary_is_read_as_described() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw.bin");
    let mut bytes = vec![0xff; 3];
    bytes.extend([1_i32, -5, 70_000].iter().flat_map(|value| value.to_be_bytes()));
    fs::write(&path, bytes).unwrap();
    let path = path.to_str().unwrap();
    let raw = ["sum", "--json", "--dtype", "i32", "--offset", "3", "--endian", "big", path];
    assert_eq!(run(&raw).json()["value"], 69_996);
    let shaped = [&raw[..], &["--shape", "3,1"]].concat();
    assert_eq!(run(&shaped).json()["value"], 69_996);
    run(&[&raw[..], &["--shape", "4"]].concat()).refused(2, &["raw.bin", "16", "12"]);
    run(&["sum", "--dtype", "i32", path]).refused(3, &["raw.bin", "15", "int32"]);
    run(&["sum", "--dtype", "complex64", path]).refused(2, &["complex64", "float32"]);
    run(&["sum", "--dtype", "i32", "--offset", "99", path]).refused(2, &["99", "15"]);
    run(&["sum", "--offset", "3", path]).refused(2, &["--dtype"]);
    run(&["sum", path]).refused(3, &["raw.bin", "--dtype"]);
}

#[test]
fn standard_input_is_a_source() {
    let file = fs::read(data(REAL)).unwrap();
    let expected = run(&["sum", "--json", &data(REAL)]).bits();
    for setting in [&[][..], &["--memory", "32MiB", "--threads", "1"], &["--device", "gpu"]] {
        let arguments = [&["sum", "--json", "-"][..], setting].concat();
        assert_eq!(run_with_input(&arguments, &file).bits(), expected, "{setting:?}");
    }
    let raw = run_with_input(&["sum", "--json", "--dtype", "f64", "--offset", "128", "-"], &file);
    assert_eq!(raw.bits(), expected);
    run_with_input(&["sum", "-"], b"").refused(3, &["standard input", "empty"]);
    run_with_input(&["sum", "-"], &file[..1000]).refused(3, &["standard input"]);
    run_with_input(&["sum", "--dtype", "f64", "-"], &[0; 12]).refused(3, &["12", "float64"]);
    run_with_input(&["sum", "--nodes", "2", "-"], &file).refused(2, &["--nodes"]);
    run_with_input(&["sum", "-", &data(REAL)], &file).refused(2, &["'-'"]);
}

#[test]
fn a_stream_that_never_ends_meets_the_deadline() {
    let mut child = command(&["sum", "--dtype", "u8", "--deadline", "300ms", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[1; 100_000]).unwrap();
    let ended = to_run(&child.wait_with_output().unwrap());
    drop(stdin);
    ended.refused(6, &["300ms", "standard input"]);
}

#[test]
fn a_silent_stream_meets_the_deadline() {
    let mut child = command(&["sum", "--dtype", "u8", "--deadline", "200ms", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let silent = child.stdin.take();
    let ended = to_run(&child.wait_with_output().unwrap());
    drop(silent);
    ended.refused(6, &["200ms", "standard input"]);
}

#[test]
fn strict_refuses_what_a_number_cannot_tell() {
    run(&["sum", "--strict", &data("nan.npy")]).refused(4, &["NaN"]);
    run(&["sum", "--strict", &data("infinite.npy")]).refused(4, &["infinite"]);
    let infinite = data("infinite.npy");
    for operation in [
        &["median"][..],
        &["quantile", "--q", "0.1"],
        &["count"],
        &["any"],
        &["max"],
        &["prod"],
        &["stats"],
        &["histogram", "--range", "0,5"],
        &["median", "--axis", "0"],
        &["all", "--axis", "0"],
    ] {
        run(&[operation, &["--strict", &infinite]].concat()).refused(4, &["infinite"]);
    }
    assert_eq!(run(&["sum", "--strict", &data(REAL)]).code, Some(0));
    let folder = tempfile::tempdir().unwrap();
    let path = write_npy(&folder.path().join("u.npy"), "<u8", 3, &[0xff; 24]);
    let path = path.to_str().unwrap();
    run(&["sum", "--strict", path]).refused(4, &["55340232221128654845"]);
    let full = run(&["sum", path]);
    assert_eq!(full.stdout, "55340232221128654845\n");
    assert!(full.stderr.contains("64 bits"), "{full:?}");
    run(&["stats", "--strict", path]).refused(4, &["55340232221128654845"]);
    run(&["prod", "--strict", path]).refused(4, &["64 bits"]);
    let object = run(&["sum", "--json", path]).json();
    assert_eq!(object["value"], "55340232221128654845");
    assert!(object["warnings"][0].as_str().unwrap().contains("64 bits"), "{object}");
    assert_eq!(object["bits"], "0x0000000000000002fffffffffffffffd");
    assert_eq!(object["dtype_out"], "uint128");
    let rounded = run(&["sum", "--strict", "--out-dtype", "float64", path]);
    assert_eq!(rounded.stdout, "5.5340232221128655e19\n");
}

#[test]
fn files_that_cannot_be_used_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let real = fs::read(data(REAL)).unwrap();
    fs::write(at("cut.npy"), &real[..1000]).unwrap();
    fs::write(at("cut-header.npy"), &real[..40]).unwrap();
    fs::write(at("text.npy"), "not an array").unwrap();
    fs::write(at("nothing.npy"), "").unwrap();
    write_npy(folder.path().join("f4.npy").as_path(), "<f4", 1, &[0; 4]);
    let header = |shape: &str| {
        let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((text.len() as u16).to_le_bytes());
        file.extend(text.as_bytes());
        file
    };
    fs::write(at("overflow.npy"), header("(4294967296, 4294967296, 4294967296)")).unwrap();
    fs::write(at("negative.npy"), header("(-3,)")).unwrap();
    run(&["sum", &at("missing.npy")]).refused(3, &["missing.npy", "does not exist"]);
    run(&["sum", folder.path().to_str().unwrap()]).refused(3, &["directory"]);
    run(&["sum", &at("*.csv")]).refused(3, &["no file matches", "*.csv"]);
    run(&["sum", &at("cut.npy")]).refused(3, &["cut.npy", "1600000", "872"]);
    run(&["sum", &at("cut-header.npy")]).refused(3, &["cut-header.npy"]);
    run(&["sum", &at("text.npy")]).refused(3, &["text.npy", "--dtype"]);
    run(&["sum", &at("nothing.npy")]).refused(3, &["nothing.npy"]);
    run(&["sum", &at("overflow.npy")]).refused(3, &["overflow.npy", "4294967296"]);
    run(&["sum", &at("negative.npy")]).refused(3, &["negative.npy", "-3"]);
    run(&["sum", &data(REAL), &at("f4.npy")]).refused(3, &["f4.npy", "float32", "float64"]);
    for (name, word) in [
        ("refused_complex128.npy", "complex"),
        ("refused_datetime64.npy", "datetime"),
        ("refused_longdouble.npy", "long double"),
        ("refused_record.npy", "records"),
        ("refused_str.npy", "text"),
        ("refused_timedelta64.npy", "timedelta"),
    ] {
        run(&["sum", &data(name)]).refused(3, &[name, word]);
    }
    // A real error of the device below: this process's memory at address 0.
    let shape = ["--dtype", "u8", "--shape", "8"];
    run(&[&["sum", "/proc/self/mem"][..], &shape].concat()).refused(3, &["/proc/self/mem"]);
}

#[test]
fn an_unreadable_file_is_refused_for_who_may_not_read_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = write_npy(&folder.path().join("secret.npy"), "<f8", 1, &[0; 8]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Another user must be able to run the program, wherever it was built.
    let program = folder.path().join("adsum");
    fs::copy(env!("CARGO_BIN_EXE_adsum"), &program).unwrap();
    let mut command = std::process::Command::new(program);
    command.args(["sum", path.to_str().unwrap()]).current_dir("/");
    if fs::read(&path).is_ok() {
        // Root reads everything; nobody does not.
        command.uid(65534).gid(65534);
    }
    finish(&mut command).refused(3, &["secret.npy", "ermission denied"]);
}

#[test]
fn a_file_that_shrinks_or_changes_while_it_is_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for (name, mapped) in [("mapped.npy", true), ("read.npy", false)] {
        for shrinks in [true, false] {
            let path = folder.path().join(name);
            // Sparse, and more than can be read before the change below.
            let bytes = 24_u64 << 30;
            write_npy(&path, "<f8", (bytes / 8) as usize, &[]);
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(bytes + 128).unwrap();
            let mut command = command(&["sum", path.to_str().unwrap()]);
            if !mapped {
                command.arg("--no-mmap");
            }
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            wait_until_it_reads(child.id(), &path);
            if shrinks {
                file.set_len(4096).unwrap();
            } else {
                let mut file = &file;
                file.seek(SeekFrom::Start(bytes - 100)).unwrap();
                file.write_all(b"changed").unwrap();
            }
            let ended = to_run(&child.wait_with_output().unwrap());
            ended.refused(3, &[name]);
        }
    }
}

/// Waits until the process reads elements of the file: it has mapped a part of
/// it, or has read more than any header. That it has the file open is not
/// enough: the state that it must find unchanged may not be noted yet.
fn wait_until_it_reads(process: u32, path: &Path) {
    let about = |what: &str| fs::read_to_string(format!("/proc/{process}/{what}"));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        let maps = about("maps").expect("the program runs");
        let io = about("io").expect("the program runs");
        let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse::<u64>().ok());
        if maps.contains(path.to_str().unwrap()) || read.is_some_and(|bytes| bytes > 4 << 20) {
            return;
        }
        std::thread::yield_now();
    }
    panic!("the program did not read {path:?}");
}

#[test]
fn command_lines_that_make_no_sense_are_usage_errors() {
    let path = data(REAL);
    let path = path.as_str();
    run(&["sum"]).refused(2, &["FILE"]);
    run(&["sum", "--nodes", "0", path]).refused(2, &["--nodes", "0", "1..=256"]);
    run(&["sum", "--nodes", "99999999999999999999", path]).refused(2, &["--nodes"]);
    run(&["sum", "--nodes", "-1", path]).refused(2, &["-1"]);
    run(&["sum", "--threads", "0", path]).refused(2, &["--threads", "0"]);
    run(&["sum", "--memory", "1KiB", path]).refused(2, &["--memory", "1024", "MiB"]);
    run(&["sum", "--memory", "lots", path]).refused(2, &["--memory", "lots"]);
    run(&["sum", "--tile", "0", path]).refused(2, &["--tile", "0"]);
    run(&["sum", "--deadline", "soon", path]).refused(2, &["--deadline", "soon"]);
    run(&["sum", "--out-dtype", "int64", path]).refused(2, &["int64", "float64"]);
    run(&["sum", "--frobnicate", path]).refused(2, &["--frobnicate"]);
    run(&["frobnicate"]).refused(2, &["frobnicate"]);
}

#[cfg(feature = "net")]
#[test]
fn what_is_for_this_machine_is_refused_where_a_cluster_is_asked() {
    for [flag, value] in
        [["--memory", "1GiB"], ["--threads", "2"], ["--device", "cpu"], ["--tile", "1MiB"]]
    {
        run(&["sum", "a.npy", "--via", "lab1", flag, value]).refused(2, &[flag, "--via"]);
    }
    run(&["median", "a.npy", "--via", "lab1", "--no-mmap"]).refused(2, &["--no-mmap", "--via"]);
    let json = run(&["sum", "a.npy", "--via", "lab1", "--memory", "1GiB", "--json"]);
    json.refused(2, &["\"kind\":\"usage\"", "--memory"]);
    // The environment says it for all runs.
    let mut command = command(&["sum", "a.npy", "--via", "lab1"]);
    let run = finish(command.env("ADSUM_MEMORY", "1GiB").env("ADSUM_THREADS", "2"));
    run.refused(2, &["there is no token"]);
}

#[cfg(feature = "net")]
#[test]
fn addresses_that_nobody_can_dial_are_usage_errors() {
    for via in ["lab1:0", "192.0.2.7:0", "[::1", "[::1]:0"] {
        run(&["ls", "--via", via]).refused(2, &["--via", via]);
        run(&["node", "--data", ".", "--join", via]).refused(2, &["--join", via]);
    }
    for addr in ["0.0.0.0", "[::]:7386"] {
        run(&["node", "--data", ".", "--advertise", addr]).refused(2, &["--advertise", addr]);
    }
}

#[test]
fn devices_that_do_not_exist_are_refused() {
    let path = data(REAL);
    run(&["sum", "--device", "gpu:99", &path]).refused(8, &["gpu:99", "cpu"]);
    run(&["sum", "--device", "abacus", &path]).refused(8, &["abacus", "cpu"]);
    run(&["sum", "--device", "", &path]).refused(8, &["'--device '"]);
    // A Vulkan loader without drivers finds no adapter.
    let mut command = command(&["sum", "--device", "gpu", &path]);
    command.env("VK_DRIVER_FILES", "/dev/null").env("VK_ICD_FILENAMES", "/dev/null");
    finish(&mut command).refused(8, &["no GPU", "--device cpu"]);
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    for (arguments, code, kind) in [
        (&["sum", "--json", "missing.npy"][..], 3, "input"),
        (&["sum", "--json", "--nodes", "0", "x.npy"], 2, "usage"),
        (&["sum", "--json", "--device", "gpu:99", &data(REAL)], 8, "device"),
    ] {
        let ended = run(arguments);
        ended.refused(code, &[]);
        let object: Json = serde_json::from_str(&ended.stderr).unwrap();
        assert_eq!(object["error"]["code"], code);
        assert_eq!(object["error"]["kind"], kind);
        assert!(!object["error"]["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure_and_a_closed_pipe_is_none() {
    let mut to_full = command(&["sum", &data(REAL)]);
    to_full.stdout(File::options().write(true).open("/dev/full").unwrap());
    let ended = finish(&mut to_full);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("standard output"), "{ended:?}");

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut to_closed = command(&["sum", "--quiet", &data(REAL)]);
    to_closed.stdout(writer);
    let ended = finish(&mut to_closed);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
}

#[test]
fn ctrl_c_ends_the_run_with_130() {
    let mut child = command(&["sum", "--dtype", "u8", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than a pipe holds: when it is written, the program is reading.
    stdin.write_all(&vec![1; 1 << 20]).unwrap();
    let killed = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{stderr}");
    assert!(stderr.contains("interrupted"), "{stderr}");
}

#[test]
fn devices_are_listed_with_their_self_tests() {
    let cache = tempfile::tempdir().unwrap();
    let list = |arguments: &[&str]| -> Run {
        finish(command(arguments).env("XDG_CACHE_HOME", cache.path()))
    };
    let first = list(&["devices", "--json"]).json();
    let adapter = &first["devices"][1];
    assert_eq!(first["devices"][0]["id"], "cpu");
    assert_eq!(adapter["id"], "gpu:0");
    assert_eq!(adapter["self_test"], "passed");
    assert!(adapter["limits"]["binding_bytes_max"].as_u64().unwrap() > 0);
    let second = list(&["devices", "--json"]).json();
    assert_eq!(second["devices"][1]["self_test"], "passed (cached)");
    let table = list(&["devices"]);
    assert!(table.stdout.starts_with("ID "), "{table:?}");
    assert!(table.stdout.contains("gpu:0"), "{table:?}");
}

#[test]
fn completions_and_the_manual_page_are_printed() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]);
        assert!(script.code == Some(0) && script.stdout.contains("adsum"), "{shell}");
    }
    let page = run(&["man"]);
    assert!(page.stdout.contains(".TH"), "{page:?}");
    assert!(page.stdout.contains("Exit codes"), "{page:?}");
}
