//! A disk whose bits flip: an image of a file system that is mounted, so that its blocks
//! can be changed while nothing that a file says of itself changes.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longer than tests take that run at the same time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Room for two files and what is kept beside them.
const BYTES: u64 = 48 << 20;

/// Enough of a file to find it on the disk.
const BLOCK: usize = 4096;

/// The last byte of a little-endian number in it.
const SIGN: usize = BLOCK / 2 + 7;

/// A disk, mounted or not, until it is dropped.
pub struct Disk {
    image: PathBuf,
    device: String,
    /// Where it is mounted.
    at: Option<PathBuf>,
}

impl Disk {
    /// A disk in a file of this path. `None` where there can be none, which is told,
    /// and is an error where it must not be.
    pub fn new(image: &Path) -> Option<Disk> {
        File::create(image).unwrap().set_len(BYTES).unwrap();
        let path = image.to_str().unwrap();
        let made = run("mkfs.ext4", &["-q", "-F", "-b", "4096", path])
            .and_then(|_| run("losetup", &["--find", "--show", path]));
        match made {
            Ok(device) => {
                let device = device.trim().to_owned();
                Some(Disk { image: image.to_owned(), device, at: None })
            }
            Err(problem) => {
                let needed = env::var_os("ADSUM_NEED_HOSTS").is_some();
                assert!(!needed, "no disk can be made, and one is needed: {problem}");
                let line = format!("\nSKIPPED bits that flip: no disk can be made: {problem}\n");
                // Not by `eprintln`, which tests that pass keep to themselves.
                std::io::stderr().write_all(line.as_bytes()).unwrap();
                None
            }
        }
    }

    pub fn mount(&mut self, at: &Path) {
        run("mount", &[&self.device, at.to_str().unwrap()]).unwrap();
        self.at = Some(at.to_owned());
    }

    pub fn unmount(&mut self) {
        if let Some(at) = self.at.take() {
            run("umount", &[at.to_str().unwrap()]).unwrap();
            // Hosts of other tests that began meanwhile have it mounted still: where mounts
            // are private, each got a copy of all of them.
            let start = Instant::now();
            while self.is_mounted() {
                assert!(start.elapsed() < PATIENCE, "{} stays mounted somewhere", self.device);
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Whether any process sees it mounted.
    fn is_mounted(&self) -> bool {
        let mounted = format!(" {} ", self.device);
        let processes = fs::read_dir("/proc").unwrap().flatten();
        // What ended meanwhile sees nothing.
        let mounts =
            processes.filter_map(|it| fs::read_to_string(it.path().join("mountinfo")).ok());
        mounts.into_iter().any(|mounts| mounts.contains(&mounted))
    }

    /// Flips the sign of a number in the block that begins like these bytes, while it is
    /// not mounted.
    pub fn flip(&self, like: &[u8]) {
        assert!(self.at.is_none(), "the file system would not see it");
        let like = &like[..BLOCK];
        let all = fs::read(&self.image).unwrap();
        let mut blocks = all.chunks_exact(BLOCK);
        let found = blocks.position(|block| block == like).expect("the file is on the disk");
        let device = File::options().write(true).open(&self.device).unwrap();
        let flipped = like[SIGN] ^ 0x80;
        device.write_all_at(&[flipped], (found * BLOCK + SIGN) as u64).unwrap();
        device.sync_all().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Of what is left nothing more can be done.
        if let Some(at) = &self.at {
            let _ = run("umount", &["--lazy", at.to_str().unwrap()]);
        }
        let _ = run("losetup", &["--detach", &self.device]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let told = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program} {}: {}", arguments.join(" "), told.trim()))
        }
    }
}
