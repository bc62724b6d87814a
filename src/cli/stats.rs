//! `adsum stats`: a summary of a data set.
//!
//! One pass gives all but the quartiles, which take the rounds of a quantile.

use std::sync::Arc;
use std::time::Instant;

use super::args::ReduceArgs;
use super::asker::Asker;
use super::exit::Failure;
use super::input;
use super::quantile;
use super::reduce::output_dtype;
use super::remarks::Remarks;
use super::report::Report;
use super::shown::Shown;
use super::table::Table;
use super::talk::Talk;
use crate::dtype::DType;
use crate::finish::{self, Options, special};
use crate::op::{Op, Spec};
use crate::partial::Partial;
use crate::rounds::Method;
use crate::rounds::quantile::Search;
use crate::value::Value;

/// The quartiles by their names.
const QUARTILES: [(&str, f64); 3] = [("25 %", 0.25), ("50 %", 0.5), ("75 %", 0.75)];

/// Summarises, and prints the table.
pub fn run(args: &ReduceArgs) -> Result<(), Failure> {
    input::refuse_standard_input(&args.source, "stats passes over the data several times")?;
    let start = Instant::now();
    let mut talk = Talk::new(&args.output);
    let manifest =
        Arc::new(input::open(Op::Stats, &args.source.files, &args.source, &args.run, &mut talk)?);
    let dtype = manifest.dtype();
    output_dtype(Op::Stats, dtype, &args.output)?;
    let settings = input::settings(&args.run, Some(manifest.bytes()))?;
    talk.start(None);
    let mut asker = Asker::start(&args.run, &settings, args.output.is_quiet(), start, &mut talk)?;
    let spec = Spec { dtype, monoids: Op::Stats.monoids(dtype) };
    let total = asker.reduce(&manifest, &spec, &mut talk)?;
    let options = Options { skip_nan: args.nan.skip_nan, ddof: 0 };
    let shares = QUARTILES.map(|(_, share)| share);
    let search = Search::new(dtype, &shares, Method::Linear, options.skip_nan, None)?;
    let (quartiles, _) =
        quantile::search_for(search, &mut asker, &manifest, &args.output, &mut talk)?;
    let mut remarks = Remarks::default();
    let rows = rows(&total, dtype, options, &quartiles.values, args, &mut remarks)?;
    remarks.tell(Op::Stats, &args.output, options, &mut talk)?;
    let special = special(total.states(0));
    let table = Table::of_pairs(rows.iter().map(|(name, value)| (*name, value.to_string())));
    let shown = Shown::named(&rows, table.to_text());
    let work = asker.work(&manifest);
    Report { op: Op::Stats, dtype, elements: total.elements(), special, work, shown }
        .tell(&args.output, talk)
}

/// The lines of the table. Extremes of nothing are left out.
fn rows(
    total: &Partial,
    dtype: DType,
    options: Options,
    quartiles: &[Value],
    args: &ReduceArgs,
    remarks: &mut Remarks,
) -> Result<Vec<(&'static str, Value)>, Failure> {
    let states = total.states(0);
    let nan = special(states).nan;
    let count = total.elements() - if options.skip_nan { nan } else { 0 };
    let mut rows = vec![("count", Value::int64(count as i64)), ("nan", Value::int64(nan as i64))];
    let mut of = |op| -> Result<Value, Failure> {
        let output = output_dtype(op, dtype, &args.output)?;
        let finished = finish::finish(op, states, options, output)?;
        remarks.add(&[finished]);
        Ok(finished.value)
    };
    let extreme = |op| finish::finish(op, states, options, dtype).ok().map(|one| one.value);
    rows.extend(extreme(Op::Min).map(|value| ("min", value)));
    rows.extend(QUARTILES.iter().map(|(name, _)| *name).zip(quartiles.iter().copied()));
    rows.extend(extreme(Op::Max).map(|value| ("max", value)));
    for (name, op) in [("mean", Op::Mean), ("std", Op::Std), ("sum", Op::Sum), ("l2", Op::L2)] {
        rows.push((name, of(op)?));
    }
    Ok(rows)
}
