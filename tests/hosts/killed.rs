//! Nodes that are killed in the middle of a job.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::chance::Chance;
use crate::cluster::{Cluster, MANY, PATIENCE, Shape, bits, file, name};
use crate::numbers::Op;
use crate::process::Process;

/// More than a second until a node is missed, and its work once more.
const TAKEOVER_MAX: Duration = Duration::from_secs(15);

#[test]
fn killed_nodes_change_nothing() {
    let Some(mut cluster) = Cluster::start(Shape { hosts: 5, copies: 3, files: MANY }) else {
        return;
    };
    let undisturbed = Instant::now();
    cluster.check(Op::Columns, 0);
    let undisturbed = undisturbed.elapsed();
    println!("undisturbed: {undisturbed:?}");
    let mut chance = Chance(29);
    // The asker asks the first; each round kills these.
    for victims in [&[1][..], &[0], &[2, 4], &[0, 3], &[0, 1], &[3]] {
        let mut asked = cluster.begin(Op::Columns, 0);
        cluster.wait_until_at_work(&mut asked, 0);
        let mut killed = Instant::now();
        for &victim in victims {
            let wait = chance.below(undisturbed.as_millis() as usize / 4);
            std::thread::sleep(Duration::from_millis(wait as u64));
            killed = Instant::now();
            cluster.kill(victim);
        }
        let (run, took) = asked.end(TAKEOVER_MAX + undisturbed);
        assert_eq!(bits(&run), cluster.right(Op::Columns), "killed {victims:?}: {run:?}");
        println!(
            "killed {victims:?}: {took:?} in all, {:?} after the last kill; {} recomputed",
            killed.elapsed(),
            run.json()["shards"]["recomputed"]
        );
        victims.iter().for_each(|&victim| cluster.launch(victim));
        cluster.settle();
    }
}

#[test]
fn the_only_holder_is_waited_for() {
    let Some(mut cluster) = Cluster::start(Shape { hosts: 2, copies: 1, files: MANY }) else {
        return;
    };
    let undisturbed = Instant::now();
    cluster.check(Op::Columns, 0);
    let undisturbed = undisturbed.elapsed();
    let mut asked = cluster.begin(Op::Columns, 0);
    cluster.wait_until_at_work(&mut asked, 0);
    cluster.kill(1);
    let killed = Instant::now();
    cluster.launch(1);
    let (run, took) = asked.end(TAKEOVER_MAX + undisturbed);
    assert_eq!(bits(&run), cluster.right(Op::Columns), "{run:?}");
    println!("the only holder was restarted: {took:?} in all, {:?} after it", killed.elapsed());
    let lost = run.json()["nodes"].to_string().matches("\"lost\":true").count();
    assert_eq!(lost, 1, "{run:?}");
}

#[test]
fn a_part_is_answered_where_it_is_allowed() {
    let Some(mut cluster) = Cluster::start(Shape { hosts: 2, copies: 1, files: MANY }) else {
        return;
    };
    let with = [Op::Columns.arguments(), &["--allow-partial", "obs/*.npy"]].concat();
    // Nothing is missing, so nothing is waited for.
    let sum = ["sum", "--json", "--allow-partial", "obs/*.npy"];
    let (run, took) = Process::start_piped(&mut cluster.asker(&sum, &[0])).end(PATIENCE);
    assert_eq!(bits(&run), cluster.right(Op::Sum), "{run:?}");
    println!("with everything there it takes {took:?}");

    let mut asked = Process::start_piped(&mut cluster.asker(&with, &[0]));
    cluster.wait_until_at_work(&mut asked, 0);
    cluster.kill(1);
    let (run, took) = asked.end(PATIENCE);
    println!("the rest was answered after {took:?}");
    let lost: Vec<usize> = (0..MANY).filter(|number| number % 2 == 1).collect();
    let kept = (0..MANY).filter(|number| number % 2 == 0);
    assert_eq!(run.code, Some(9), "{run:?}");
    let answer: Json = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(answer["bits"], cluster.numbers.bits(Op::Columns, kept), "{run:?}");
    let told = answer.to_string();
    for number in lost {
        assert!(told.contains(&file(number)), "{told}");
    }
    // Who does not allow it gets no number.
    let run = cluster.ask(&["sum", "--json", "obs/*.npy"], 0);
    run.refused(5, &[&file(1), &name(1)]);
}
