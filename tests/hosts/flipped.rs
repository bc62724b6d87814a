//! Bits that flip on a disk: the file looks as it did when it was hashed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::cluster::{Cluster, Shape, bits, file, name};
use crate::disk::Disk;
use crate::numbers::Op;

const SUM: [&str; 3] = ["sum", "--json", "obs/*.npy"];
const VERIFIED: [&str; 4] = ["sum", "--json", "--verify", "obs/*.npy"];

#[test]
fn a_bit_that_flipped_on_a_disk_is_found_by_who_asks_for_it() {
    let Some(mut cluster) = Cluster::new(Shape { hosts: 2, copies: 1, files: 2 }) else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(mut disk) = Disk::new(&folder.path().join("image")) else { return };
    let data = cluster.nodes[0].data.clone();
    disk.mount(&data);
    fs::create_dir(data.join("obs")).unwrap();
    let path = cluster.path(0, 0);
    cluster.numbers.copy(0, &path);
    cluster.launch_with_seeds(0, &[]);
    cluster.settle_without(&[1]);
    let run = cluster.ask(&VERIFIED, 0);
    assert_eq!(bits(&run), cluster.numbers.bits(Op::Sum, [0]), "{run:?}");
    cluster.stop(0);

    let state = |path| {
        let known = fs::metadata(path).unwrap();
        (known.dev(), known.ino(), known.size(), known.mtime_nsec(), known.ctime_nsec())
    };
    let (before, right) = (state(&path), fs::read(&path).unwrap());
    disk.unmount();
    // The header is in the first block.
    disk.flip(&right[1 << 20..]);
    disk.mount(&data);
    assert_eq!(state(&path), before, "the file looks as before");
    assert_ne!(fs::read(&path).unwrap(), right, "and is another");

    (0..2).for_each(|host| cluster.launch(host));
    cluster.settle();
    // Who does not ask for it gets what the disk says.
    let run = cluster.ask(&SUM, 1);
    assert_ne!(bits(&run), cluster.right(Op::Sum), "{run:?}");
    cluster.ask(&VERIFIED, 1).refused(3, &[&file(0), &name(0)]);
    // From then on the copy is not offered, and it is told why.
    cluster.wait("the copy is known to be damaged", |cluster| {
        cluster.status(1).iter().any(|node| {
            let problems = node["problems"].as_array().unwrap();
            problems.iter().any(|problem| problem.as_str().unwrap().contains("gives wrong bits"))
        })
    });
    cluster.ask(&SUM, 1).refused(5, &[&file(0), &name(0), "gives wrong bits"]);

    // Another copy is as good, also for those who do not ask.
    cluster.numbers.copy(0, &cluster.path(1, 0));
    for question in [&SUM[..], &VERIFIED[..]] {
        cluster.wait("the copy is seen", |cluster| cluster.ask(question, 1).code == Some(0));
        let run = cluster.ask(question, 1);
        assert_eq!(bits(&run), cluster.right(Op::Sum), "{run:?}");
    }
    // The damaged one is put back.
    fs::remove_file(&path).unwrap();
    cluster.numbers.copy(0, &path);
    cluster.settle();
    let run = cluster.ask(&VERIFIED, 0);
    assert_eq!(bits(&run), cluster.right(Op::Sum), "{run:?}");
    (0..2).for_each(|host| cluster.stop(host));
    disk.unmount();
}
