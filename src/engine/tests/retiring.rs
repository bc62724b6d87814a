//! Nodes that are about to leave.

use super::*;

impl Cluster {
    fn retire(&mut self, name: u8) {
        let now = self.now;
        self.engine(name).retire(now);
        self.run();
    }
}

#[test]
fn what_is_under_way_is_finished_and_nothing_is_done_twice() {
    let mut cluster = Cluster::new(&[0, 2, 1], Config::default());
    (1..3).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    cluster.submit(0, request(1, &manifest(1, 40), Holders::Everyone));
    assert_eq!(cluster.stuck_at(1).len(), 4);
    cluster.retire(1);
    assert_eq!(cluster.stuck_at(1).len(), 4);
    assert!(!cluster.engine(1).is_idle());
    cluster.release(1);
    assert!(cluster.engine(1).is_idle());
    assert!(cluster.stuck_at(1).is_empty());
    cluster.lose(1);
    cluster.behave(2, Behaviour::Prompt);
    cluster.release(2);
    let outcome = cluster.result(40);
    assert_eq!((outcome.course.recomputed, outcome.course.duplicates), (0, 0));
    assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    let report = |id, entries, lost| NodeReport { id: node(id), entries, lost };
    assert_eq!(outcome.nodes, [report(1, 4, true), report(2, 36, false)]);
}

#[test]
fn results_one_by_one_bring_no_more_to_do() {
    let mut cluster = Cluster::new(&[0, 2, 1], Config::default());
    (1..3).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    cluster.submit(0, request(1, &manifest(1, 40), Holders::Everyone));
    cluster.retire(1);
    for left in (0..4).rev() {
        let (_, job, position) =
            *cluster.stuck.iter().find(|(at, ..)| *at == node(1)).expect("it is stuck");
        cluster.stuck.retain(|stuck| *stuck != (node(1), job, position));
        let now = cluster.now;
        cluster.engine(1).handle_computed(now, job, position, Ok(computed(position)));
        cluster.run();
        assert_eq!(cluster.stuck_at(1).len(), left);
    }
    assert!(cluster.engine(1).is_idle());
}

#[test]
fn a_node_that_goes_takes_no_job_of_others() {
    let mut cluster = Cluster::new(&[0, 1, 1], Config::default());
    cluster.retire(1);
    assert!(cluster.engine(1).is_idle());
    cluster.submit(0, request(1, &manifest(1, 10), Holders::Everyone));
    assert_eq!(cluster.result(10).nodes, [NodeReport { id: node(2), entries: 10, lost: false }]);
}

#[test]
fn a_node_that_goes_ends_its_own_jobs() {
    let mut cluster = Cluster::new(&[1, 1], Config::default());
    (0..2).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    // The second file only it has.
    let holders = Holders::PerFile(vec![[node(0), node(1)].into(), [node(0)].into()]);
    cluster.submit(0, request(1, &manifest(2, 8), holders));
    cluster.retire(0);
    assert!(!cluster.engine(0).is_idle());
    (0..2).for_each(|name| cluster.behave(name, Behaviour::Prompt));
    (0..2).for_each(|name| cluster.release(name));
    assert_eq!(cluster.result(16).course.recomputed, 0);
    assert!(cluster.engine(0).is_idle());
}

#[test]
fn what_only_a_node_that_goes_has_waits_for_it_to_come_back() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 8), Holders::Everyone));
    cluster.retire(1);
    cluster.release(1);
    assert!(cluster.engine(1).is_idle());
    cluster.lose(1);
    cluster.behave(1, Behaviour::Prompt);
    cluster.advance(ms(5_000));
    cluster.join(1, 1, Config::default());
    assert_eq!(cluster.result(8).course.recomputed, 0);
}

#[test]
fn a_node_that_goes_is_no_deputy() {
    let mut cluster = Cluster::new(
        &[&[0_usize][..], &[1; 10]].concat(),
        Config { fan_in: 3, ..Config::default() },
    );
    (1..11).for_each(|name| cluster.retire(name));
    cluster.join(11, 1, Config::default());
    cluster.submit(0, request(1, &manifest(1, 10), Holders::Everyone));
    assert_eq!(cluster.result(10).nodes, [NodeReport { id: node(11), entries: 10, lost: false }]);
    assert!((1..11).all(|name| cluster.engine(name).is_idle()));
}
