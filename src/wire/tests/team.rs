//! Messages between a collector and its deputies.

use std::collections::BTreeSet;

use super::*;
use crate::ledger::Parcel;
use crate::placement::Holders;

fn any_share() -> impl Strategy<Value = Share> {
    (any_node(), 0..9_u64, prop::collection::vec(any_usage(), 0..3))
        .prop_map(|(node, entries, usage)| Share { node, entries, usage })
}

fn any_warning() -> impl Strategy<Value = Warning> {
    (any_node(), any::<u32>(), ".{0,40}").prop_flat_map(|(node, number, message)| {
        let error = ShardError { kind: ShardErrorKind::Changed, message: message.clone() };
        prop_oneof![
            Just(Warning::Lost { node, entries: number as usize }),
            Just(Warning::Refused { node, refusal: Refusal::Busy }),
            Just(Warning::Failed { node, position: number, error }),
            Just(Warning::Misbehaved { node, message }),
        ]
    })
}

fn any_report() -> impl Strategy<Value = Report> {
    (
        any_partial(),
        prop::collection::vec(any_share(), 0..3),
        any::<[u64; 5]>(),
        prop::collection::vec(any_warning(), 0..3),
    )
        .prop_map(|(partial, shares, numbers, warnings)| {
            let entries: u64 = shares.iter().map(|share| share.entries).sum();
            let positions = (0..entries as u32).map(|position| position * 1000).collect();
            let [recalled, recomputed, speculated, duplicates, warnings_omitted] = numbers;
            let course = Course { recalled, recomputed, speculated, duplicates, warnings_omitted };
            Report { parcel: Parcel { positions, partial }, shares, course, warnings }
        })
}

/// An offer's job, for a team of so many nodes of which each file has some.
fn delegate(offer: Message, count: u8, held: &[Vec<u8>], everyone: bool) -> Message {
    let Message::Offer { job, spec, manifest } = offer else { panic!("an offer") };
    let team: Vec<NodeId> = (0..count).map(|number| NodeId([number; 16])).collect();
    let holders = match everyone {
        true => Holders::Everyone,
        false => {
            let nodes = |file: usize| -> BTreeSet<NodeId> {
                let held = held.get(file % held.len().max(1)).into_iter().flatten();
                held.filter_map(|&place| team.get(usize::from(place)).copied()).collect()
            };
            Holders::PerFile((0..manifest.files().len()).map(nodes).collect())
        }
    };
    Message::Delegate { job, spec, manifest, team, holders }
}

pub(super) fn any_message() -> impl Strategy<Value = Message> {
    let job = || any::<[u8; 32]>().prop_map(JobId);
    let held = prop::collection::vec(prop::collection::vec(0..5_u8, 0..3), 0..3);
    prop_oneof![
        (any_offer(), 0..5_u8, held, any::<bool>())
            .prop_map(|(offer, count, held, everyone)| delegate(offer, count, &held, everyone)),
        (job(), any_report(), any::<u32>()).prop_map(|(job, report, want)| Message::Report {
            job,
            report: Box::new(report),
            want
        }),
        (job(), prop::collection::vec(any::<u32>(), 0..9))
            .prop_map(|(job, positions)| Message::Returned { job, positions }),
        (job(), prop::collection::vec(any_node(), 0..9))
            .prop_map(|(job, nodes)| Message::Unreached { job, nodes }),
    ]
}

fn two_files() -> Message {
    let file = |name: &str| imaginary_file(name, DType::U8, 3);
    offer(vec![file("a"), file("b")])
}

/// The bytes of a delegation to three nodes, up to its holders.
fn head() -> Vec<u8> {
    let mut bytes = encode(&delegate(two_files(), 3, &[], true));
    bytes.pop();
    bytes
}

#[test]
fn holders_must_be_of_the_team_and_of_all_files() {
    let read = |holders: &[u8]| decode(&[&head()[..], &[1], holders].concat());
    // Two sets, one of the nodes 0 and 2 and one empty; the files have one each.
    let sets = [2, 2, 0, 2, 0];
    let Ok(Message::Delegate { team, holders: Holders::PerFile(files), .. }) =
        read(&[&sets[..], &[2, 0, 1]].concat())
    else {
        panic!("they are right");
    };
    assert_eq!(files, [[team[0], team[2]].into(), BTreeSet::new()]);
    for wrong in [
        // A node of the team that there is not.
        &[2, 2, 0, 3, 0, 2, 0, 1][..],
        // A set that there is not.
        &[2, 2, 0, 2, 0, 2, 0, 2],
        // One file, and three.
        &[2, 2, 0, 2, 0, 1, 0],
        &[2, 2, 0, 2, 0, 3, 0, 0, 1],
    ] {
        assert_eq!(read(wrong), Err(WireError::Holders), "{wrong:?}");
    }
}

#[test]
fn a_report_says_who_did_all_of_it() {
    let share = Share { node: NodeId([1; 16]), entries: 1, usage: Vec::new() };
    let report = Report {
        parcel: Parcel {
            positions: vec![3, 4],
            partial: Partial::identity(&Spec::sum(DType::U8), 1),
        },
        shares: vec![share.clone(), share],
        course: Course::default(),
        warnings: Vec::new(),
    };
    let message = |report: Report| Message::Report { job: JOB, report: Box::new(report), want: 1 };
    assert_returns(message(report.clone()));
    let less = Report { shares: report.shares[..1].to_vec(), ..report.clone() };
    let error = Err(WireError::Shares { entries: 1, positions: 2 });
    assert_eq!(decode(&encode(&message(less))), error);
}

#[test]
fn a_team_is_in_order() {
    let mut bytes = head();
    let at = bytes.len() - 1;
    // The last of three nodes becomes the first one.
    bytes[at - 15..=at].fill(0);
    bytes.push(0);
    assert_eq!(decode(&bytes), Err(WireError::Holders));
}

#[test]
fn few_bytes_do_not_make_many_holders() {
    let names: Vec<String> = (0..70_000).map(|index| index.to_string()).collect();
    let files = names.iter().map(|name| imaginary_file(name, DType::U8, 1)).collect();
    let Message::Offer { job, spec, manifest } = offer(files) else { panic!("an offer") };
    let team: Vec<NodeId> = (0..100_u128).map(|number| NodeId(number.to_be_bytes())).collect();
    let message = |holders: usize| {
        let set: BTreeSet<NodeId> = team[..holders].iter().copied().collect();
        encode(&Message::Delegate {
            job,
            spec: spec.clone(),
            manifest: Arc::clone(&manifest),
            team: team.clone(),
            holders: Holders::PerFile(vec![set; manifest.files().len()]),
        })
    };
    assert!(decode(&message(HOLDERS_MAX / 70_000)).is_ok());
    assert_eq!(decode(&message(HOLDERS_MAX / 70_000 + 1)), Err(WireError::Holders));
}
