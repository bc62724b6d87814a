//! What should be known about results beside their values.

use std::collections::BTreeMap;

use super::args::OutputArgs;
use super::exit::{Blame, Failure};
use super::talk::Talk;
use crate::finish::{Finished, Options, Remark};
use crate::local::Observer;
use crate::op::Op;
use crate::value::Value;

/// Remarks about any number of results, each kind told once.
#[derive(Default)]
pub struct Remarks {
    /// How many results have a remark, and the first of them.
    counts: BTreeMap<Remark, (u64, Option<Value>)>,
    /// Number of all results.
    results: u64,
}

impl Remarks {
    /// Takes in more results.
    pub fn add(&mut self, finished: &[Finished]) {
        self.results += finished.len() as u64;
        for Finished { value, remark } in finished {
            if let Some(remark) = remark {
                let (count, first) = self.counts.entry(*remark).or_default();
                *count += 1;
                first.get_or_insert(*value);
            }
        }
    }

    /// Tells them, or refuses integers past 64 bits if `--strict`.
    pub fn tell(
        &self,
        op: Op,
        output: &OutputArgs,
        options: Options,
        talk: &mut Talk,
    ) -> Result<(), Failure> {
        for (remark, (count, value)) in &self.counts {
            let which = match self.results {
                1 => format!("the {op}"),
                // Of a table, whose lines are no outputs.
                _ if op == Op::Stats => "a number of the table".to_owned(),
                all => format!("{op} of {count} of {all} outputs"),
            };
            let text = match remark {
                Remark::Empty => format!("{which} is NaN: there are no elements"),
                Remark::AllNan => format!("{which} is NaN: all elements are NaN"),
                Remark::Freedom => format!(
                    "{which} is NaN: there are no more elements than '--ddof {}'",
                    options.ddof
                ),
                Remark::Wide | Remark::Wrapped if output.strict => {
                    let alone = *count == 1 && *remark == Remark::Wide;
                    let value = value.filter(|_| alone);
                    let value = value.map_or_else(String::new, |value| format!(", {value},"));
                    // A product of integers is an integer.
                    let more = match op {
                        Op::Prod => "",
                        _ => ", or use '--out-dtype float64'",
                    };
                    return Err(Failure::new(
                        Blame::Numeric,
                        format!(
                            "{which}{value} does not fit into 64 bits; leave '--strict' out{more}"
                        ),
                    ));
                }
                Remark::Wide => {
                    talk.note(&format!("{which} does not fit into 64 bits; it is printed in full"));
                    continue;
                }
                Remark::Wrapped => format!(
                    "{which} does not fit into 64 bits; its lowest 64 bits are given, as NumPy does"
                ),
            };
            talk.warning(&text);
        }
        Ok(())
    }
}
