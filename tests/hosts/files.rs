//! Files that are lost, come back, and change.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::Value as Json;

use crate::cluster::{Cluster, MANY, PATIENCE, Shape, bits, file, name};
use crate::numbers::{Op, age};
use crate::process::Process;
use crate::program::Run;

const SUM: [&str; 3] = ["sum", "--json", "obs/*.npy"];

#[test]
fn a_name_whose_files_are_gone_is_missed_until_it_is_removed() {
    let Some(mut cluster) = Cluster::start(Shape { hosts: 3, copies: 1, files: 3 }) else {
        return;
    };
    let words = [&*file(2), &*name(2)];
    cluster.check(Op::Sum, 0);
    cluster.kill(2);
    // Who asks before anybody knows waits whether the node comes back.
    let (run, took) = cluster.begin(Op::Sum, 0).end(Duration::from_secs(20));
    run.refused(5, &words);
    println!("its only holder was killed just now: exit 5 after {took:?}");
    cluster.wait("the node is missed", |cluster| cluster.status(0).len() == 2);
    cluster.ask(&SUM, 0).refused(5, &words);
    // The files that are there can be asked for.
    let run = cluster.ask(&["sum", "--json", "obs/000.npy", "obs/001.npy"], 0);
    assert_eq!(bits(&run), cluster.numbers.bits(Op::Sum, [0, 1]), "{run:?}");

    // It is remembered when nobody is left who saw it in this life.
    cluster.kill(0);
    cluster.stop(1);
    cluster.launch(0);
    cluster.launch(1);
    cluster.settle_without(&[2]);
    for via in [0, 1] {
        cluster.ask(&SUM, via).refused(5, &words);
    }
    // One that is held is not removed.
    cluster.ask(&["rm", &file(0)], 1).refused(3, &[&file(0), &name(0)]);
    let run = cluster.ask(&["rm", &file(2)], 1);
    assert_eq!(run.code, Some(0), "{run:?}");
    let rest = cluster.numbers.bits(Op::Sum, [0, 1]);
    for via in [1, 0] {
        let run = cluster.ask(&SUM, via);
        assert_eq!(bits(&run), rest, "{run:?}");
    }
    // That it was removed is remembered too.
    cluster.kill(1);
    cluster.kill(0);
    cluster.launch(0);
    cluster.launch(1);
    cluster.settle_without(&[2]);
    assert_eq!(bits(&cluster.ask(&SUM, 0)), rest);

    // Who comes back with it is told, and so is who asks.
    cluster.launch(2);
    cluster.wait("the copy that came back is seen", |cluster| {
        let of_name = |listed: &Json| listed["name"] == words[0];
        (0..3).all(|via| {
            cluster.list(via).iter().any(|listed| of_name(listed) && listed["state"] == "returned")
        })
    });
    for via in [0, 2] {
        let run = cluster.ask(&SUM, via);
        assert_eq!(bits(&run), rest, "{run:?}");
        let warnings = run.json()["warnings"].to_string();
        words.iter().for_each(|word| assert!(warnings.contains(word), "{warnings}"));
    }
}

/// How a file can be spoilt.
#[derive(Clone, Copy, Debug)]
enum Spoil {
    Delete,
    Truncate,
    /// One element, in place.
    Overwrite,
    /// By another file of the same form.
    Replace,
}

impl Spoil {
    const ALL: [Spoil; 4] = [Spoil::Delete, Spoil::Truncate, Spoil::Overwrite, Spoil::Replace];

    fn carry_out(self, path: &Path) {
        match self {
            Spoil::Delete => fs::remove_file(path).unwrap(),
            Spoil::Truncate => open(path).set_len(5 << 20).unwrap(),
            Spoil::Overwrite => {
                let mut file = open(path);
                file.seek(SeekFrom::Start(1 << 20)).unwrap();
                file.write_all(&1e9f64.to_le_bytes()).unwrap();
            }
            Spoil::Replace => {
                let fresh = path.with_extension("part");
                fs::copy(path, &fresh).unwrap();
                Spoil::Overwrite.carry_out(&fresh);
                fs::rename(&fresh, path).unwrap();
            }
        }
    }
}

fn open(path: &Path) -> fs::File {
    fs::File::options().write(true).open(path).unwrap()
}

/// The right answer, or an error that names the file.
#[track_caller]
fn right_or_refused(right: &Json, run: &Run, words: &[&str], what: &str) {
    match run.code {
        Some(0) => assert_eq!(bits(run), *right, "{what}: {run:?}"),
        Some(3 | 5) => run.refused(run.code.unwrap(), words),
        _ => panic!("{what}: {run:?}"),
    }
    println!("{what}: exit {:?} {}", run.code, run.stderr.lines().last().unwrap_or_default());
}

#[test]
fn files_that_change_never_make_another_number() {
    let Some(mut cluster) = Cluster::new(Shape { hosts: 3, copies: 2, files: 72 }) else { return };
    // One file to be spoilt in peace and one during a job for each way, at the node
    // that is asked for it first or second.
    let in_peace: Vec<usize> = (0..4).map(|way| 3 * way).collect();
    let during: Vec<usize> = (0..4).map(|way| 36 + 3 * way).collect();
    for &number in in_peace.iter().chain(&during) {
        cluster.unshare(0, number);
    }
    (0..3).for_each(|host| cluster.launch(host));
    cluster.settle();
    cluster.check(Op::Sum, 0);

    for (&number, spoil) in during.iter().zip(Spoil::ALL) {
        let path = cluster.path(0, number);
        let mut asked = cluster.begin(Op::Columns, 1);
        cluster.wait_until_at_work(&mut asked, 1);
        spoil.carry_out(&path);
        let (run, _) = asked.end(PATIENCE);
        let what = format!("during a job: {spoil:?}");
        right_or_refused(&cluster.right(Op::Columns), &run, &[&file(number)], &what);
        // What is not hashed yet is no reason to answer otherwise.
        let run = cluster.ask(&SUM, 1);
        right_or_refused(&cluster.right(Op::Sum), &run, &[&file(number)], "just after it");
        restore(&cluster, number);
    }
    cluster.settle();

    for (&number, spoil) in in_peace.iter().zip(Spoil::ALL) {
        let path = cluster.path(0, number);
        spoil.carry_out(&path);
        let run = cluster.ask(&SUM, 0);
        right_or_refused(&cluster.right(Op::Sum), &run, &[&file(number)], &format!("{spoil:?}"));
        match spoil {
            // The other copy is as good.
            Spoil::Delete | Spoil::Truncate => {
                cluster.wait("one copy is left", |cluster| holders(cluster, number) == 1);
                cluster.check(Op::Sum, 0);
                restore(&cluster, number);
            }
            Spoil::Overwrite | Spoil::Replace => {
                age(&path);
                cluster.wait("the conflict is seen", |cluster| {
                    let listed = cluster.list(0);
                    listed.iter().any(|listed| listed["state"] == "conflict")
                });
                cluster.ask(&SUM, 0).refused(3, &[&file(number), &name(0), &name(1)]);
                fs::remove_file(&path).unwrap();
                cluster.numbers.copy(number, &path);
                cluster.wait("the wrong copy is gone", |cluster| holders(cluster, number) == 2);
                // Contents that were there once are missed until they are removed.
                cluster.ask(&SUM, 0).refused(3, &[&file(number), &name(0), &name(1)]);
                let run = cluster.ask(&["rm", &file(number)], 2);
                assert_eq!(run.code, Some(0), "{run:?}");
                cluster.check(Op::Sum, 2);
                cluster.settle();
            }
        }
    }
}

/// Puts the right file back, and removes what was seen of a wrong one.
fn restore(cluster: &Cluster, number: usize) {
    let path = cluster.path(0, number);
    let _ = fs::remove_file(&path);
    cluster.numbers.copy(number, &path);
    cluster.wait("the right file counts again", |cluster| {
        if holders(cluster, number) < 2 {
            return false;
        }
        let listed = cluster.list(0);
        let conflict =
            |one: &Json| one["name"] == file(number).as_str() && one["state"] == "conflict";
        let is_clear = !listed.iter().any(conflict);
        if !is_clear {
            cluster.ask(&["rm", &file(number)], 0);
        }
        is_clear
    });
}

/// Connected nodes that hold the right contents of a file.
fn holders(cluster: &Cluster, number: usize) -> usize {
    let listed = cluster.list(0);
    let of_name = listed.iter().find(|listed| listed["name"] == file(number).as_str()).unwrap();
    let contents = of_name["contents"].as_array().unwrap().iter();
    let hashed = contents.filter(|copies| !copies["digest"].is_null());
    hashed.map(|copies| copies["nodes"].as_array().unwrap().len()).max().unwrap_or(0)
}

#[test]
fn what_differs_between_two_starts_is_found() {
    let Some(mut cluster) = Cluster::new(Shape { hosts: 3, copies: 2, files: 12 }) else { return };
    // Of its own: a link less would be a change of the files that share its bytes.
    cluster.unshare(0, 3);
    cluster.unshare(0, 6);
    (0..3).for_each(|host| cluster.launch(host));
    cluster.settle();
    // A file that was lost while its node was down.
    cluster.stop(0);
    fs::remove_file(cluster.path(0, 3)).unwrap();
    cluster.launch(0);
    cluster.settle();
    cluster.check(Op::Sum, 0);
    // One that has become another meanwhile.
    cluster.stop(0);
    let path = cluster.path(0, 6);
    Spoil::Overwrite.carry_out(&path);
    age(&path);
    cluster.launch(0);
    cluster.wait("the conflict is seen", |cluster| {
        cluster.list(1).iter().any(|listed| listed["state"] == "conflict")
    });
    for via in 0..3 {
        cluster.wait("all see it", |cluster| cluster.ask(&SUM, via).code == Some(3));
        cluster.ask(&SUM, via).refused(3, &[&file(6), &name(0), &name(1)]);
    }
}

#[test]
fn the_only_copy_that_changes_is_named() {
    let Some(mut cluster) = Cluster::new(Shape { hosts: 2, copies: 1, files: MANY }) else {
        return;
    };
    // Of each quarter of the files one is spoilt during a job and one before it.
    let quarters: Vec<Vec<usize>> =
        (0..4).map(|way| (way * MANY / 4..(way + 1) * MANY / 4).collect()).collect();
    for files in &quarters {
        cluster.unshare(1, files[1]);
        cluster.unshare(1, files[MANY / 4 - 1]);
    }
    (0..2).for_each(|host| cluster.launch(host));
    cluster.settle();
    for (files, spoil) in quarters.iter().zip(Spoil::ALL) {
        let (early, late) = (files[1], files[MANY / 4 - 1]);
        let names: Vec<String> = files.iter().map(|&number| file(number)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let job = [Op::Columns.arguments(), &names].concat();
        let asked = Process::start_piped(&mut cluster.asker(&job, &[0]));
        std::thread::sleep(Duration::from_millis(200));
        spoil.carry_out(&cluster.path(1, late));
        let (run, _) = asked.end(PATIENCE);
        // That it came too late is no error.
        let right = cluster.numbers.bits(Op::Columns, files.iter().copied());
        let what = format!("the only copy, during a job: {spoil:?}");
        right_or_refused(&right, &run, &[&file(late)], &what);
        // Before one, it always is one.
        spoil.carry_out(&cluster.path(1, early));
        for number in [early, late] {
            let run = cluster.ask(&["sum", "--json", &file(number)], 0);
            assert!(matches!(run.code, Some(3 | 5)), "{spoil:?}: {run:?}");
            run.refused(run.code.unwrap(), &[&file(number)]);
            println!("the only copy, before a job: {spoil:?}: exit {:?}", run.code);
        }
    }
}
