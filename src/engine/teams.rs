//! Teams: how a job of many nodes is shared out among collectors.
//!
//! A collector that would have to speak to more nodes than
//! [`Config::fan_in`](super::Config::fan_in) makes teams of them. One node of
//! each is the deputy: it collects from its team, itself included, what the
//! collector asks of it, and reports it merged. A deputy does the same with a
//! team that is large. So nobody speaks to many, and what comes to the collector
//! does not grow with the entries:
//!
//! ```text
//!                      collector                      fan_in 3, 9 nodes and the collector
//!            _____________/|\_____________
//!           /              |              \
//!        deputy          deputy          deputy       Delegate, Assign; Pull, Report
//!        /    \          /    \          /    \
//!     node    node    node    node    node    node    Offer, Assign; Pull, Results
//! ```

use super::config::FAN_IN_MIN;
use crate::placement::NodeId;

/// Nodes that one of them collects from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Team {
    pub(super) deputy: NodeId,
    /// All but the deputy.
    pub(super) others: Vec<NodeId>,
}

/// Teams of as equal size as can be, for all of `nodes`, which are in order; none
/// if they are no more than `fan_in`. The deputy of each follows from `salt`, so
/// that different jobs have different ones.
pub(super) fn form(nodes: &[NodeId], fan_in: usize, salt: u64) -> Vec<Team> {
    let fan_in = fan_in.max(FAN_IN_MIN);
    if nodes.len() <= fan_in {
        return Vec::new();
    }
    let count = nodes.len().div_ceil(fan_in).min(fan_in);
    let start = |team: usize| team * nodes.len() / count;
    let teams = (0..count).map(|team| &nodes[start(team)..start(team + 1)]);
    teams
        .map(|team| {
            let mut others = team.to_vec();
            let deputy = others.remove((salt % team.len() as u64) as usize);
            Team { deputy, others }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn nodes(count: usize) -> Vec<NodeId> {
        (0..count as u128).map(|index| NodeId(index.to_be_bytes())).collect()
    }

    #[test]
    fn every_node_is_in_one_team_and_none_is_large() {
        for count in 0..200 {
            for fan_in in 2..20 {
                let teams = form(&nodes(count), fan_in, 7 * count as u64);
                let all: Vec<NodeId> = teams
                    .iter()
                    .flat_map(|team| team.others.iter().copied().chain([team.deputy]))
                    .collect();
                if count <= fan_in {
                    assert_eq!(teams, []);
                    continue;
                }
                assert_eq!(all.len(), count);
                assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), count);
                assert!(teams.len() <= fan_in);
                let sizes = teams.iter().map(|team| team.others.len() + 1);
                let (least, most) = (sizes.clone().min(), sizes.max());
                assert!(most.unwrap() - least.unwrap() <= 1);
                assert!(most.unwrap() <= fan_in || count > fan_in * fan_in);
            }
        }
    }

    #[test]
    fn deputies_differ_from_job_to_job() {
        let deputy = |salt| form(&nodes(40), 10, salt)[0].deputy;
        assert_eq!(deputy(3), deputy(3));
        assert_eq!((0..10).map(deputy).collect::<BTreeSet<_>>().len(), 10);
    }
}
