//! Groups of processes that `adsum run` starts, and that are gone when they have ended.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::program::{Run, command};

/// What the ranks are to do.
pub const ROLE: &str = "ROLE_OF_A_RANK";

/// Before the number of a rank's process, in its output.
pub const PROCESS: &str = "process ";

/// Longer than any group takes on a busy machine; one that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(240);

/// Ranks that ignore what `adsum run` does when one of them fails: they are to go on.
const SCRIPT: &str = "trap '' TERM; exec \"$0\" \"$@\"";

/// Runs so many processes of this role to their end. Nobody is left behind.
#[track_caller]
pub fn ranks(size: usize, role: &str) -> Run {
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| folder.path().join(name));
    let open = |path| Stdio::from(fs::File::create(path).unwrap());
    let mut child = command(&["run", "-n", &size.to_string(), "--prefix", "--grace", "1h"])
        .args(["--", "sh", "-c", SCRIPT])
        .arg(own)
        .args(["rank::as_a_rank", "--exact", "--nocapture"])
        .env(ROLE, role)
        .stdout(open(&stdout))
        .stderr(open(&stderr))
        .spawn()
        .unwrap();
    let (start, mut hangs) = (Instant::now(), false);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if !hangs && start.elapsed() > PATIENCE {
            hangs = true;
            // The second one ends them at once.
            interrupt(child.id());
            interrupt(child.id());
        }
        assert!(start.elapsed() < 2 * PATIENCE, "'{role}' cannot be ended");
        std::thread::sleep(Duration::from_millis(10));
    };
    let [stdout, stderr] = [stdout, stderr].map(|path| fs::read_to_string(path).unwrap());
    let run = Run { code: status.code(), stdout, stderr };
    assert!(!hangs, "'{role}' hangs: {run:?}");
    let processes: Vec<&str> =
        run.stdout.lines().filter_map(|line| Some(line.split_once(PROCESS)?.1)).collect();
    assert_eq!(processes.len(), size, "{run:?}");
    for process in processes {
        assert!(!is_there(process), "process {process} of '{role}' is left: {run:?}");
    }
    run
}

fn interrupt(process: u32) {
    let sent = Command::new("kill").args(["-INT", &process.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Whether a process lives, or is dead and nobody has asked how it ended.
fn is_there(process: &str) -> bool {
    let program = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
    program.contains("as_a_rank")
}

/// Runs `job` for each of these, so many at a time.
pub fn side_by_side<T: Sync>(jobs: &[T], width: usize, job: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..width.min(jobs.len()) {
            scope.spawn(|| {
                while let Some(one) = jobs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    job(one);
                }
            });
        }
    });
}
