//! Clusters of 3 to 10,000 nodes: what a job costs without faults, and that it
//! ends right with many.

use std::time::Duration;

use crate::formula::Job;
use crate::scale::{START, calm, rough};

/// Without teams.
fn job(nodes: u64) -> Job {
    Job::growing(nodes, 16, u64::MAX)
}

/// Runs a job and compares what was sent with the formula.
#[track_caller]
fn assert_costs(job: Job) {
    let mut world = calm(&job, None, 0);
    world.run_until(START + Duration::from_secs(60));
    let Some(Ok(outcome)) = &world.asks[0].result else { panic!("no result of {job:?}") };
    assert_eq!((outcome.course.recomputed, outcome.course.duplicates), (0, 0));
    assert!(world.is_quiet(), "a node works for nobody");
    let traffic = world.traffic.as_ref().expect("it was counted");
    let team = job.team(&world.job_id(0));
    let computed: Vec<&[u32]> = world.nodes.iter().map(|node| &node.computed[..]).collect();
    assert_eq!(traffic.counts, job.counts(&team, &computed), "{job:?}");
    if !job.collector_reduces {
        assert_eq!(world.asks[0].ended - START, job.time(&team), "{job:?}");
    }
}

#[test]
fn a_job_costs_what_the_formula_says() {
    for nodes in [3, 10, 100, 1000] {
        assert_costs(job(nodes));
    }
    // All that the formula speaks of, in small.
    for nodes in [2, 3, 7] {
        for workers in 1..=5 {
            for results_per_message in [1, 2, 3, 64] {
                for entries in [1, 2, 9, 40, 41, 42, 43, 140, 211] {
                    for collector_reduces in [false, true] {
                        assert_costs(Job {
                            entries,
                            files: 1,
                            workers,
                            results_per_message,
                            collector_reduces,
                            outstanding: 2 + entries % 2,
                            ..job(nodes)
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn a_job_of_teams_costs_what_the_formula_says() {
    for (nodes, fan_in) in [(8, 3), (10, 3), (11, 4), (31, 6), (40, 32), (101, 10), (1000, 32)] {
        for (workers, outstanding) in [(4, 2), (1, 2), (2, 3)] {
            let entries = workers * outstanding;
            assert_costs(Job { workers, outstanding, ..Job::growing(nodes, entries, fan_in) });
        }
    }
}

/// One entry more or less, or another limit, and the formula says something
/// else: it is no bound but the number.
#[test]
fn the_formula_is_no_bound() {
    let all = |job: Job| job.counts(&job.team(&[0; 32]), &[]);
    let ten = job(10);
    assert_ne!(all(ten), all(Job { entries: 170, ..ten }));
    assert_ne!(all(ten), all(Job { workers: 5, ..ten }));
    assert_ne!(all(ten), all(Job { results_per_message: 3, ..ten }));
}

/// With teams nobody speaks to many, at any size.
#[test]
fn a_collector_of_ten_thousand_takes_few_messages() {
    let job = Job::growing(10_000, 16, 32);
    let mut world = calm(&job, None, 0);
    world.run_until(START + Duration::from_secs(60));
    assert!(matches!(&world.asks[0].result, Some(Ok(_))), "{:?}", world.asks[0].result);
    assert!(world.is_quiet(), "a node works for nobody");
    let most = world.nodes.iter().map(|node| node.received).max();
    // Of 32 deputies, or nodes: a pull, the end, and a report of each quarter of
    // what they take at once, which is half of their entries.
    assert!(most <= Some(32 * (2 + 2 * 4 + 1)), "{most:?}");
}

fn assert_survives(seed: u64, nodes: usize) {
    let mut world = rough(seed, nodes, 8);
    world.run_until(START + Duration::from_secs(120));
    for (index, ask) in world.asks.iter().enumerate() {
        match &ask.result {
            // That it is the oracle's was checked when it came.
            Some(Ok(outcome)) => assert_eq!(outcome.coverage.entries(), 8 * nodes),
            other => panic!("request {index} among {nodes} nodes: {other:?}"),
        }
    }
    assert!(world.is_quiet(), "a node works for nobody");
    let stats = world.stats;
    if nodes >= 100 {
        assert_eq!(stats.results_after_a_loss, 2, "{stats:#?}");
        assert!(stats.entries_twice > 0 && stats.entries_recomputed > 0, "{stats:#?}");
        assert!(stats.messages_from_old_connections > 0, "{stats:#?}");
    }
}

#[test]
fn a_tenth_of_the_nodes_dies_and_two_collect() {
    for seed in 0..50 {
        assert_survives(seed, 3);
        assert_survives(seed, 10);
    }
    for seed in 0..5 {
        assert_survives(seed, 100);
    }
    assert_survives(0, 1000);
}

#[test]
fn ten_thousand_nodes() {
    assert_costs(job(10_000));
}

#[test]
fn ten_thousand_nodes_of_which_a_tenth_dies() {
    assert_survives(0, 10_000);
}
