//! `adsum run` as real processes: output, exit codes, hosts through a stub of
//! ssh, and nobody left behind however it ends.

#![cfg(all(feature = "cli", feature = "net", target_os = "linux"))]

mod program;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use program::{Run, command, run, run_with_input, to_run};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `script` as ranks, with these arguments of `adsum run` before it.
fn ranks(arguments: &[&str], script: &str) -> Run {
    run(&[&["run"], arguments, &["--", "sh", "-c", script]].concat())
}

/// The lines of a text, sorted.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Waits until `what` is there, or gives up.
#[track_caller]
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
    !matches!(state, None | Some("Z" | "X"))
}

fn kill(signal: &str, process: u32) {
    let status = Command::new("kill").args([signal, &process.to_string()]).status().unwrap();
    assert!(status.success());
}

/// A folder in which ranks, and what they start, leave their numbers.
struct Nursery(tempfile::TempDir);

impl Nursery {
    fn new() -> Nursery {
        Nursery(tempfile::tempdir().unwrap())
    }

    /// A script that leaves its number and that of a process that it starts,
    /// and then waits for ever. What `trap` holds is done at SIGTERM.
    fn script(&self, trap: &str) -> String {
        let folder = self.0.path().display();
        format!(
            "trap '{trap}' TERM; sleep 1000 & echo $! > {folder}/child-$ADSUM_RANK; echo $$ > {folder}/rank-$ADSUM_RANK; while :; do wait; done"
        )
    }

    /// Waits until so many numbers are there, complete.
    fn processes(&self, count: usize) -> Vec<u32> {
        wait_for("all processes", || {
            let files = fs::read_dir(self.0.path()).unwrap().flatten();
            let numbers = files.filter_map(|file| {
                fs::read_to_string(file.path()).unwrap().strip_suffix('\n')?.parse().ok()
            });
            let numbers: Vec<u32> = numbers.collect();
            (numbers.len() == count).then_some(numbers)
        })
    }
}

#[track_caller]
fn wait_until_gone(processes: &[u32]) {
    for &process in processes {
        wait_for(&format!("the end of {process}"), || (!is_alive(process)).then_some(()));
    }
}

fn start(arguments: &[&str], script: &str) -> Child {
    let all = [&["run"], arguments, &["--", "sh", "-c", script]].concat();
    command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> Run {
    to_run(&child.wait_with_output().unwrap())
}

/// Ctrl-C, and another one when the first was heard.
fn interrupt_twice(mut child: Child) -> Run {
    kill("-INT", child.id());
    let mut first = [0; 5];
    std::io::Read::read_exact(child.stderr.as_mut().unwrap(), &mut first).unwrap();
    kill("-INT", child.id());
    end(child)
}

/// The living children of a process.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |&process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().nth(1));
        fields.flatten() == Some(&parent.to_string()) && is_alive(process)
    };
    numbers.filter(is_child).collect()
}

/// A stand-in for ssh that notes the host and runs the command here.
fn stub_rsh(folder: &Path, before: &str) -> String {
    let path = folder.join("rsh");
    let log = folder.join("log").display().to_string();
    let script = format!("#!/bin/sh\necho \"$@\" >> {log}\n{before}\nshift\nexec sh -c \"$*\"\n");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn ranks_know_their_places() {
    let script = "echo $ADSUM_RANK/$ADSUM_SIZE $ADSUM_LOCAL_RANK/$ADSUM_LOCAL_SIZE $ADSUM_ROOT";
    let run = ranks(&["-n", "3"], script);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let lines = sorted(&run.stdout);
    let root = lines[0].rsplit(' ').next().unwrap().to_owned();
    assert!(root.starts_with("127.0.0.1:"), "{root}");
    let expected: Vec<String> = (0..3).map(|rank| format!("{rank}/3 {rank}/3 {root}")).collect();
    assert_eq!(lines, expected);
}

#[test]
fn the_port_of_rank_0_is_bound_before_it_begins() {
    // Also where this is a rank 0 itself.
    let outer = ["ADSUM_ROOT", "127.0.0.1:1", "ADSUM_ROOT_FD", "3"];
    let script = "echo ${ADSUM_ROOT_FD:-none}; [ $ADSUM_RANK != 0 ] || \
        { test -S /dev/fd/$ADSUM_ROOT_FD && grep -c \"$(printf ':%04X 0' ${ADSUM_ROOT#*:})\" /proc/net/udp; }";
    let all = ["run", "-n", "2", "--prefix", "--", "sh", "-c", script];
    let run = program::finish(command(&all).env(outer[0], outer[1]).env(outer[2], outer[3]));
    assert_eq!((run.code, sorted(&run.stdout)[2]), (Some(0), "[1] none"), "{run:?}");
    assert!(run.stdout.contains("[0] 1\n") && !run.stdout.contains("[0] 3\n"), "{run:?}");

    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    let taken = ranks(&["-n", "2", "--port", &port], "echo begun");
    taken.refused(2, &["127.0.0.1:", &port, "localhost", "in use", "--port"]);
    assert_eq!(taken.stdout, "");
    drop(socket);
    let free = ranks(&["-n", "1", "--port", &port], "echo $ADSUM_ROOT");
    assert_eq!(free.stdout, format!("127.0.0.1:{port}\n"), "{free:?}");
}

#[test]
fn the_token_comes_by_a_pipe_alone() {
    // A file that is set outside does not reach farther than the pipe.
    let script = "cat /dev/fd/$ADSUM_TOKEN_FD; echo; env; tr '\\0' ' ' < /proc/$PPID/cmdline";
    let two = [ranks(&["-n", "1"], script), ranks(&["-n", "1"], script)];
    let mut tokens = Vec::new();
    for run in &two {
        assert_eq!(run.code, Some(0), "{run:?}");
        let (token, rest) = run.stdout.split_once('\n').unwrap();
        assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(!rest.contains(token));
        tokens.push(token);
    }
    assert_ne!(tokens[0], tokens[1]);
}

#[test]
fn lines_have_prefixes_and_stay_whole() {
    let script = "for i in 1 2 3 4 5 6 7 8 9; do printf 'begin '; printf 'middle '; echo $i; done; echo err >&2; printf open";
    let run = ranks(&["-n", "4", "--prefix"], script);
    assert_eq!(run.code, Some(0), "{run:?}");
    for rank in 0..4 {
        let prefix = format!("[{rank}] ");
        let own: Vec<&str> = run.stdout.lines().filter_map(|l| l.strip_prefix(&prefix)).collect();
        let expected: Vec<String> = (1..10).map(|i| format!("begin middle {i}")).collect();
        assert_eq!(own[..9], expected);
        assert_eq!(own[9..], ["open"]);
        assert!(run.stderr.contains(&format!("[{rank}] err\n")));
    }
    assert_eq!(run.stdout.lines().count(), 40);
}

#[test]
fn standard_input_goes_to_rank_0_alone() {
    let input: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let script = "echo $ADSUM_RANK $(cksum)";
    let run = run_with_input(&["run", "-n", "2", "--", "sh", "-c", script], &input);
    let direct = Command::new("sh").args(["-c", "cksum < /dev/null"]).output().unwrap();
    let nothing = String::from_utf8(direct.stdout).unwrap();
    assert_eq!(run.code, Some(0), "{run:?}");
    let lines = sorted(&run.stdout);
    assert!(lines[0].starts_with("0 ") && lines[0].ends_with(" 3000000"), "{lines:?}");
    assert_eq!(lines[1], format!("1 {}", nothing.trim()));
    // Who does not read it is not kept from ending.
    let run = run_with_input(&["run", "-n", "2", "--", "true"], &input);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn the_first_failure_ends_all_with_its_code() {
    ranks(&["-n", "2", "--grace", "500000000000years"], "exit 3").refused(3, &["exit code 3"]);
    let nursery = Nursery::new();
    let waits = nursery.script("exit 3");
    let script = format!(
        "if [ $ADSUM_RANK = 1 ]; then while ! [ -s {0}/rank-0 -a -s {0}/rank-2 ]; do :; done; exit 7; fi; {waits}",
        nursery.0.path().display()
    );
    let run = ranks(&["-n", "3"], &script);
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(run.stderr.contains("rank 1 on localhost ended with exit code 7"), "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    wait_until_gone(&nursery.processes(4));
}

#[test]
fn a_signal_counts_as_shells_have_it() {
    let run = ranks(&["-n", "2"], "[ $ADSUM_RANK = 0 ] && kill -SEGV $$; sleep 1000");
    assert_eq!(run.code, Some(128 + 11), "{run:?}");
    assert!(run.stderr.contains("rank 0 on localhost was ended by signal 11"), "{run:?}");
}

#[test]
fn what_ranks_leave_behind_ends_with_them() {
    let nursery = Nursery::new();
    let folder = nursery.0.path().display();
    let script = format!("sleep 1000 & echo $! > {folder}/$ADSUM_RANK");
    let run = ranks(&["-n", "2", "--prefix"], &script);
    assert_eq!(run.code, Some(0), "{run:?}");
    wait_until_gone(&nursery.processes(2));
}

#[test]
fn programs_that_cannot_be_started() {
    for arguments in [&["-n", "2"][..], &["-n", "2", "--prefix"]] {
        let at = |program| run(&[&["run"], arguments, &["--", program]].concat());
        at("no-such-program").refused(127, &["'no-such-program' on localhost", "PATH"]);
        at("/etc/passwd").refused(126, &["'/etc/passwd' on localhost"]);
    }
}

#[test]
fn command_lines_that_make_no_sense() {
    run(&["run", "--", "true"]).refused(2, &["--ranks"]);
    run(&["run", "-n", "2"]).refused(2, &["PROGRAM"]);
    run(&["run", "-n", "0", "true"]).refused(2, &["0", "1..=1024"]);
    run(&["run", "-n", "3", "--hosts", "a:2", "true"]).refused(2, &["-n is 3", "2 slots"]);
    run(&["run", "--hosts", "-x", "true"]).refused(2, &["-x"]);
    run(&["run", "--hosts", "a:x", "true"]).refused(2, &["--hosts has 'a:x'", "'x'"]);
    run(&["run", "--hosts", "localhost,a", "true"]).refused(2, &["'localhost'", "other hosts"]);
    run(&["run", "-n", "1", "--env", "NO_SUCH_VARIABLE", "true"])
        .refused(2, &["NO_SUCH_VARIABLE", "not set here"]);
    run(&["run", "--hosts", "127.0.0.2", "--rsh", "/no/rsh", "true"])
        .refused(2, &["--rsh '/no/rsh'"]);
    // Standard output is for 'adsum run', so it is greeted there.
    let run = run_with_input(&["run", "--remote"], &[b'x'; 1 << 20]);
    assert!(run.code == Some(2) && run.stderr.contains("'--remote'"), "{run:?}");
}

#[test]
fn files_of_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts");
    let path = path.to_str().unwrap();
    run(&["run", "--hostfile", path, "true"]).refused(2, &[path, "cannot be read"]);
    run(&["run", "--hostfile", "/dev/zero", "true"]).refused(2, &["/dev/zero", "1048576 bytes"]);
    for (text, words) in [
        ("", &["has no host"][..]),
        ("# nobody\n", &["has no host"]),
        ("localhost\nb slots=none\n", &["line 2", "'none'"]),
        ("localhost cores=2\n", &["line 1", "cores=2"]),
    ] {
        fs::write(path, text).unwrap();
        run(&["run", "--hostfile", path, "true"]).refused(2, words);
    }
    fs::write(path, "# this machine\nlocalhost slots=3 # three\n").unwrap();
    let run = run(&["run", "--hostfile", path, "--", "sh", "-c", "echo $ADSUM_RANK $ADSUM_SIZE"]);
    assert_eq!(sorted(&run.stdout), ["0 3", "1 3", "2 3"], "{run:?}");
}

#[test]
fn other_hosts_are_reached_by_rsh() {
    let folder = tempfile::tempdir().unwrap();
    // A shell that talks before anything else is passed over.
    let rsh = stub_rsh(folder.path(), "echo Welcome to adsum");
    let arguments = ["--hosts", "127.0.0.2:2,127.0.0.3", "--rsh", &rsh, "--env", "COLOUR=blue"];
    let script = "echo $ADSUM_RANK/$ADSUM_SIZE $ADSUM_LOCAL_RANK/$ADSUM_LOCAL_SIZE $COLOUR $PWD ${ADSUM_ROOT%:*} $(wc -c < /dev/fd/$ADSUM_TOKEN_FD)";
    let here = std::env::current_dir().unwrap().display().to_string();
    let line = |place: &str| format!("{place} blue {here} 127.0.0.2 64");
    for prefix in [&[][..], &["--prefix"]] {
        let run = ranks(&[&arguments[..], prefix].concat(), script);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
        let lines: Vec<String> = sorted(&run.stdout)
            .into_iter()
            .map(|line| line.split_once("] ").map_or(line, |(_, line)| line).to_owned())
            .collect();
        assert_eq!(lines, [line("0/3 0/2"), line("1/3 1/2"), line("2/3 0/1")]);
    }
    // No secret, no variable and no program is on a command line.
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let adsum = env!("CARGO_BIN_EXE_adsum");
    let expected = |host| format!("{host} {adsum} run --remote");
    let expected = [expected("127.0.0.2"), expected("127.0.0.3")];
    assert_eq!(sorted(&log), [&expected[0], &expected[0], &expected[1], &expected[1]]);

    let turn = ["-n", "3", "--hosts", "127.0.0.2:2,127.0.0.3:2", "--rsh", &rsh];
    let run = ranks(&[&turn[..], &["--placement", "round-robin"]].concat(), script);
    let places: Vec<&str> = sorted(&run.stdout).iter().map(|l| &l[..7]).collect();
    assert_eq!(places, ["0/3 0/2", "1/3 0/1", "2/3 1/2"]);
}

#[test]
fn failures_on_other_hosts_end_all() {
    let folder = tempfile::tempdir().unwrap();
    let rsh = stub_rsh(folder.path(), "");
    let nursery = Nursery::new();
    let script = format!("[ $ADSUM_RANK = 2 ] && exit 9; {}", nursery.script("exit 0"));
    let hosts = ["--hosts", "127.0.0.2:2,127.0.0.3", "--rsh", &rsh];
    let run = ranks(&hosts, &script);
    assert_eq!(run.code, Some(9), "{run:?}");
    assert!(run.stderr.contains("rank 2 on 127.0.0.3 ended with exit code 9"), "{run:?}");

    let nothing = ranks(&[&hosts[..], &["--adsum", "/no/such/adsum"]].concat(), "true");
    nothing.refused(10, &["'127.0.0.", "no adsum", "--adsum"]);
    let unreachable = stub_rsh(folder.path(), "exit 255");
    let nothing = ranks(&["--hosts", "127.0.0.2", "--rsh", &unreachable], "true");
    nothing.refused(10, &["'127.0.0.2' cannot be reached", "exit code 255"]);
}

#[test]
fn a_directory_that_a_host_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let here = tempfile::tempdir().unwrap();
    let hide = format!("rmdir {}", here.path().display());
    let rsh = stub_rsh(folder.path(), &hide);
    let run = program::finish(
        command(&["run", "--hosts", "127.0.0.2", "--rsh", &rsh, "true"]).current_dir(&here),
    );
    run.refused(2, &["127.0.0.2 has no directory", here.path().to_str().unwrap()]);
}

#[test]
fn ctrl_c_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let rsh = stub_rsh(folder.path(), "");
    for hosts in [&["-n", "2"][..], &["--hosts", "127.0.0.2,127.0.0.3", "--rsh", &rsh]] {
        for signal in ["-INT", "-TERM"] {
            let nursery = Nursery::new();
            let child = start(hosts, &nursery.script("exit 0"));
            let processes = nursery.processes(4);
            kill(signal, child.id());
            let run = end(child);
            run.refused(130, &["interrupted"]);
            wait_until_gone(&processes);
        }
    }
}

#[test]
fn ranks_that_do_not_listen_are_killed() {
    let nursery = Nursery::new();
    let child = start(&["-n", "2", "--grace", "200ms"], &nursery.script(":"));
    let processes = nursery.processes(4);
    kill("-INT", child.id());
    end(child).refused(130, &["interrupted"]);
    wait_until_gone(&processes);

    // And at once when Ctrl-C comes again.
    let nursery = Nursery::new();
    let child = start(&["-n", "2", "--grace", "1h"], &nursery.script(":"));
    let processes = nursery.processes(4);
    assert_eq!(interrupt_twice(child).code, Some(130));
    wait_until_gone(&processes);
}

#[test]
fn ranks_end_without_the_process_that_started_them() {
    let nursery = Nursery::new();
    let child = start(&["-n", "2", "--grace", "1h"], &nursery.script(":"));
    let processes = nursery.processes(4);
    for agent in children(child.id()) {
        kill("-STOP", agent);
    }
    assert_eq!(interrupt_twice(child).code, Some(130));
    wait_until_gone(&processes);
}

#[test]
fn hosts_that_say_nothing_keep_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("silent");
    let rsh_without = |host: &str| {
        let before =
            format!("[ $1 = {host} ] && {{ echo $$ > {}; exec sleep 1000; }}", pid.display());
        stub_rsh(folder.path(), &before)
    };
    let rsh = rsh_without("127.0.0.3");
    let silent =
        || wait_for("the silent host", || fs::read_to_string(&pid).ok()?.trim().parse().ok());
    // Rank 0 fails, and that is the end.
    let hosts = ["--hosts", "127.0.0.2,127.0.0.3", "--rsh", &rsh, "--grace", "1h"];
    let script = format!("until [ -s {} ]; do sleep 0.01; done; exit 4", pid.display());
    ranks(&hosts, &script).refused(4, &["rank 0 on 127.0.0.2", "exit code 4"]);
    wait_until_gone(&[silent()]);
    for host in ["127.0.0.2", "127.0.0.3"] {
        fs::remove_file(&pid).unwrap();
        rsh_without(host);
        let child = start(&hosts, "sleep 1000");
        let silent = silent();
        kill("-INT", child.id());
        end(child).refused(130, &["interrupted"]);
        wait_until_gone(&[silent]);
    }
}

#[test]
fn nobody_outlives_a_run_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let rsh = stub_rsh(folder.path(), "");
    for hosts in [&["-n", "2"][..], &["--hosts", "127.0.0.2,127.0.0.3", "--rsh", &rsh]] {
        let nursery = Nursery::new();
        let arguments = [hosts, &["--grace", "200ms"]].concat();
        let mut child = start(&arguments, &nursery.script(":"));
        let mut processes = nursery.processes(4);
        processes.extend(children(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until_gone(&processes);
    }
}

#[test]
fn nobody_outlives_the_process_that_started_the_ranks() {
    let nursery = Nursery::new();
    let child = start(&["-n", "2"], &nursery.script(":"));
    let processes = nursery.processes(4);
    let agents = children(child.id());
    assert_eq!(agents.len(), 1);
    kill("-KILL", agents[0]);
    end(child).refused(10, &["'localhost' is lost", "signal 9"]);
    wait_until_gone(&processes);
}

#[test]
fn a_reader_who_leaves_ends_all() {
    for prefix in [&[][..], &["--prefix"]] {
        let arguments = [&["-n", "2"], prefix].concat();
        let mut child = start(&arguments, "while :; do echo line; done");
        let mut first = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        drop(child.stdout.take());
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(128 + 13));
    }
}

#[test]
fn output_is_whole_for_a_reader_who_is_slow() {
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i of many; i=$((i+1)); done";
    let mut child = start(&["-n", "1", "--prefix"], script);
    std::thread::sleep(Duration::from_millis(300));
    let run = {
        let output = child.stdout.take().unwrap();
        let text = std::io::read_to_string(output).unwrap();
        assert_eq!(text.lines().count(), 20000);
        child.wait().unwrap()
    };
    assert_eq!(run.code(), Some(0));
}
