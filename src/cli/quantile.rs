//! `adsum quantile` and `adsum median`.

use std::sync::Arc;
use std::time::Instant;

use super::along::Along;
use super::args::{OutputArgs, QuantileArgs, ReduceArgs};
use super::asker::Asker;
use super::exit::{Blame, Failure};
use super::input;
use super::reduce::strictly;
use super::report::Report;
use super::shown::Shown;
use super::talk::Talk;
use crate::finish::{Options, Special, special};
use crate::local::Observer;
use crate::manifest::Manifest;
use crate::op::{Monoid, Op, Spec};
use crate::reduction::State;
use crate::rounds::Method;
use crate::rounds::quantile::{Quantiles, Search};

/// The quantiles that were asked for.
pub fn run(args: &QuantileArgs) -> Result<(), Failure> {
    let QuantileArgs { shares, method, reduce } = args;
    if let Some(axis) = reduce.axis.axis {
        let ReduceArgs { source, nan, axis: along, run, output } = reduce;
        let options = Options { skip_nan: nan.skip_nan, ddof: 0 };
        let quantiles = Some((&shares[..], *method));
        let op = Op::Quantile;
        return Along { op, source, axis: along, run, output, options, quantiles }.answer(axis);
    }
    Question { op: Op::Quantile, shares, method: *method }.answer(reduce)
}

/// The quantile at one half.
pub fn median(args: &ReduceArgs) -> Result<(), Failure> {
    Question { op: Op::Median, shares: &[0.5], method: Method::Linear }.answer(args)
}

struct Question<'a> {
    op: Op,
    shares: &'a [f64],
    method: Method,
}

impl Question<'_> {
    fn answer(&self, args: &ReduceArgs) -> Result<(), Failure> {
        let ReduceArgs { source, run, output, .. } = args;
        let skip_nan = args.nan.skip_nan;
        let what = format!("{} passes over the data several times", self.op);
        input::refuse_standard_input(source, &what)?;
        let start = Instant::now();
        let mut talk = Talk::new(output);
        let manifest = Arc::new(input::open(self.op, &source.files, source, run, &mut talk)?);
        let dtype = manifest.dtype();
        let search = Search::new(dtype, self.shares, self.method, skip_nan, output.out_dtype)?;
        let out = search.output();
        let settings = input::settings(run, Some(manifest.bytes()))?;
        // Nobody knows how many rounds there will be.
        talk.start(None);
        let mut asker = Asker::start(run, &settings, output.is_quiet(), start, &mut talk)?;
        let (Quantiles { values, elements, .. }, special) =
            search_for(search, &mut asker, &manifest, output, &mut talk)?;
        let nan = special.nan;
        if elements == 0 || (skip_nan && nan == elements) {
            let why = if elements == 0 { "there are no elements" } else { "all elements are NaN" };
            talk.warning(&format!("the {} is NaN: {why}", self.op));
        }
        let shown = match &values[..] {
            [one] => Shown::one(self.op, *one),
            several => Shown::list(out, several),
        };
        let work = asker.work(&manifest);
        Report { op: self.op, dtype, elements, special, work, shown }.tell(output, talk)
    }
}

/// Makes the rounds of a search, and says what they met.
pub fn search_for(
    mut search: Search,
    asker: &mut Asker<'_>,
    manifest: &Arc<Manifest>,
    output: &OutputArgs,
    talk: &mut Talk,
) -> Result<(Quantiles, Special), Failure> {
    let mut met = Special::default();
    while let Some(bins) = search.next() {
        let spec = strictly(Spec::of(manifest.dtype(), Monoid::Bins(bins)), output);
        let total = asker.reduce(manifest, &spec, talk)?;
        met = special(total.states(0));
        let [State::Bins(counts), ..] = total.states(0) else {
            return Err(Failure::new(Blame::Internal, "a round gave other states than its own"));
        };
        search.absorb(counts).map_err(|error| Failure::new(Blame::Input, error))?;
    }
    Ok((search.finish()?, met))
}
