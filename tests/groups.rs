//! Groups of threads: every call against a model that computes it in one place, and
//! what happens when ranks differ, die, or leave.

#[path = "oracle/mod.rs"]
mod oracle;

#[path = "groups/bits.rs"]
mod bits;
#[expect(dead_code, reason = "worlds of nodes need more of it")]
#[path = "simulation/chance.rs"]
mod chance;
#[path = "groups/counts.rs"]
mod counts;
#[expect(dead_code, reason = "processes need more of it")]
#[path = "groups/every.rs"]
mod every;
#[path = "groups/exact.rs"]
mod exact;
#[path = "groups/failing.rs"]
mod failing;
#[path = "groups/faults.rs"]
mod faults;
#[path = "groups/forms.rs"]
mod forms;
#[path = "groups/functions.rs"]
mod functions;
#[path = "groups/limits.rs"]
mod limits;
#[path = "group/marks.rs"]
mod marks;
#[path = "groups/messages.rs"]
mod messages;
#[path = "groups/mixed.rs"]
mod mixed;
#[path = "groups/model.rs"]
mod model;
#[path = "groups/properties.rs"]
mod properties;
#[path = "groups/semantics.rs"]
mod semantics;
#[path = "groups/sequence.rs"]
mod sequence;
#[path = "groups/single.rs"]
mod single;
#[path = "groups/threads.rs"]
mod threads;
