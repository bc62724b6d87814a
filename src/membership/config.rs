//! The membership's policy, as values.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::PeriodicParams;

use super::PACKET_BYTES_MAX;

/// How many others are asked to probe who did not answer, and how many hear
/// news at once: 3, as in the paper's experiments and in most implementations.
const FANOUT: usize = 3;

/// How often a node passes on a piece of news: a few times the logarithm of
/// the number of nodes, here for a thousand.
const TRANSMISSIONS: u8 = 12;

/// How often news are passed on, when there are any. A piece of news reaches
/// all of n nodes in about log(n)/log(4) such periods.
const GOSSIP_PERIOD: Duration = Duration::from_millis(100);

/// How often one peer is asked for all that it knows, which closes the gaps
/// that lost packets and full ones leave.
const EXCHANGE_PERIOD: Duration = Duration::from_secs(2);

/// How long it is known that a member is down. Old news that it is alive die
/// out in seconds; the rest is for nodes that were paused.
pub(super) const DOWN_KEPT: Duration = Duration::from_secs(600);

/// How often a membership asks, and how patient it is. All nodes of a cluster
/// should have the same. The defaults suit a LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// One member is probed per period: 500 ms. At least 2 ms.
    pub probe_period: Duration,
    /// How long a probe waits for an answer before others are asked to probe
    /// too: 200 ms, far above the round trip of a LAN. Must leave time for
    /// that within the period; what is over three quarters of it counts as that.
    pub probe_timeout: Duration,
    /// How long a suspected member has to object: 1 s, in clusters of at most
    /// ten. In larger ones, where news take longer, it is multiplied by the
    /// decimal logarithm of the number of nodes. At least 1 ms.
    pub suspect: Duration,
    /// The most other nodes that are known, with those that were declared down
    /// in the last ten minutes: 1024.
    pub members_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            probe_period: Duration::from_millis(500),
            probe_timeout: Duration::from_millis(200),
            suspect: Duration::from_secs(1),
            members_max: 1024,
        }
    }
}

impl Config {
    /// The nearest that makes sense.
    pub(super) fn sane(mut self) -> Config {
        let tick = Duration::from_millis(1);
        self.probe_period = self.probe_period.max(2 * tick);
        self.probe_timeout = self.probe_timeout.clamp(tick, self.probe_period * 3 / 4);
        self.suspect = self.suspect.max(tick);
        self
    }

    /// The suspicion in a cluster of `others` and this node.
    pub(super) fn suspect_among(&self, others: usize) -> Duration {
        self.suspect.mul_f64(((others + 1) as f64).log10().max(1.0))
    }

    /// The same for the protocol, in a cluster of `others` and this node.
    pub(super) fn protocol(&self, others: usize) -> foca::Config {
        let every = |frequency, num_members| Some(PeriodicParams { frequency, num_members });
        foca::Config {
            probe_period: self.probe_period,
            probe_rtt: self.probe_timeout,
            num_indirect_probes: non_zero(FANOUT),
            max_transmissions: NonZeroU8::new(TRANSMISSIONS).unwrap_or(NonZeroU8::MIN),
            suspect_to_down_after: self.suspect_among(others),
            remove_down_after: Some(DOWN_KEPT),
            max_packet_size: non_zero(PACKET_BYTES_MAX),
            // Else a node that was declared down by mistake never knows.
            notify_down_members: true,
            periodic_announce: every(EXCHANGE_PERIOD, NonZeroUsize::MIN),
            // Those who have a link are greeted here, the others not reached.
            periodic_announce_to_down_members: None,
            periodic_gossip: every(GOSSIP_PERIOD, non_zero(FANOUT)),
        }
    }
}

/// At least one.
pub(super) fn non_zero(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}
