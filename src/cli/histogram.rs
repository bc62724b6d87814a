//! `adsum histogram`.
//!
//! Without a range a first round finds the extremes; one more counts.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::args::HistogramArgs;
use super::asker::Asker;
use super::bars::{Bars, Ink, terminal_columns};
use super::exit::{Blame, Failure};
use super::input;
use super::plot::Plot;
use super::reduce::{output_dtype, strictly};
use super::report::Report;
use super::shown::{self, Shown};
use super::talk::Talk;
use crate::dtype::DType;
use crate::finish::special;
use crate::manifest::Manifest;
use crate::op::{Monoid, Op, Spec};
use crate::reduction::State;
use crate::reduction::extremum::Extremum;
use crate::rounds::edges::{Edges, Histogram, Range};
use crate::sink::NewFile;
use crate::value::Value;

/// Counts, and draws the bars.
pub fn run(args: &HistogramArgs) -> Result<(), Failure> {
    input::refuse_standard_input(&args.source, "histogram passes over the data several times")?;
    let start = Instant::now();
    let mut talk = Talk::new(&args.output);
    let manifest = Arc::new(input::open(
        Op::Histogram,
        &args.source.files,
        &args.source,
        &args.run,
        &mut talk,
    )?);
    let dtype = manifest.dtype();
    output_dtype(Op::Histogram, dtype, &args.output)?;
    let wanted = Wanted::of(args, dtype)?;
    // What cannot be written is told before the work starts.
    let plot = args.plot.as_ref().map(|path| NewFile::create(path, args.force)).transpose()?;
    let settings = input::settings(&args.run, Some(manifest.bytes()))?;
    talk.start(None);
    let mut asker = Asker::start(&args.run, &settings, args.output.is_quiet(), start, &mut talk)?;
    let edges = match wanted {
        Wanted::Edges(edges) => edges,
        Wanted::Bins(bins) => {
            let extremum = Spec::of(dtype, Monoid::Extremum { indexed: false });
            let total = asker.reduce(&manifest, &extremum, &mut talk)?;
            match total.states(0) {
                [State::Extremum(extremum)] => over_data(args, &manifest, extremum, bins)?,
                _ => return Err(wrong_state()),
            }
        }
    };
    let spec = strictly(Spec::of(dtype, Monoid::Bins(edges.bins())), &args.output);
    let total = asker.reduce(&manifest, &spec, &mut talk)?;
    let histogram = match total.states(0) {
        [State::Bins(counts), ..] => {
            edges.histogram(counts).map_err(|error| Failure::new(Blame::Internal, error))?
        }
        _ => return Err(wrong_state()),
    };
    if let Some(mut file) = plot {
        let data = format!("{} ({dtype})", name(&manifest));
        let numbers: Vec<f64> = edges.values().iter().filter_map(Value::as_f64).collect();
        let title = title(&histogram);
        let picture =
            Plot { title: &title, data: &data, edges: &numbers, counts: &histogram.counts };
        file.write_at(picture.to_svg().as_bytes(), 0)?;
        file.finish()?;
    }
    let special = special(total.states(0));
    let shown = show(&edges, &histogram, args.plot.as_deref());
    let (elements, work) = (manifest.elements(), asker.work(&manifest));
    Report { op: Op::Histogram, dtype, elements, special, work, shown }.tell(&args.output, talk)
}

/// What the arguments say of the edges.
enum Wanted {
    /// All of them.
    Edges(Edges),
    /// So many bins over the range of the data.
    Bins(usize),
}

impl Wanted {
    fn of(args: &HistogramArgs, dtype: DType) -> Result<Wanted, Failure> {
        let bins = args.bins as usize;
        match (&args.edges, args.range.as_deref()) {
            (Some(edges), _) => Ok(Wanted::Edges(Edges::explicit(dtype, edges)?)),
            (None, Some(&[low, high])) => {
                Ok(Wanted::Edges(Edges::linear(dtype, Range::Given { low, high }, bins)?))
            }
            (None, Some(ends)) => Err(Failure::new(
                Blame::Usage,
                format!("'--range' has {} ends; give two, as 0,1", ends.len()),
            )),
            (None, None) => Ok(Wanted::Bins(bins)),
        }
    }
}

/// Edges from the smallest to the largest element.
fn over_data(
    args: &HistogramArgs,
    manifest: &Manifest,
    extremum: &Extremum,
    bins: usize,
) -> Result<Edges, Failure> {
    let numbers = if args.nan.skip_nan { extremum.without_nan() } else { *extremum };
    if numbers.nan() > 0 {
        return Err(Failure::new(
            Blame::Input,
            format!(
                "'{}': {} of {} elements are NaN, so there is no range of all; use '--skip-nan', '--range' or '--edges'",
                name(manifest),
                numbers.nan(),
                numbers.elements()
            ),
        ));
    }
    Edges::linear(manifest.dtype(), Range::of(&numbers), bins).map_err(|error| {
        let Failure { blame, message } = Failure::from(error);
        Failure::new(blame, format!("'{}': {message}", name(manifest)))
    })
}

/// How many elements are in bins, and how many are not.
fn title(histogram: &Histogram) -> String {
    let Histogram { counts, below, above, nan } = histogram;
    let mut title = format!("{} elements in {} bins", counts.iter().sum::<u64>(), counts.len());
    for (count, name) in [(below, "below"), (above, "above"), (nan, "NaN")] {
        if *count > 0 {
            title.push_str(&format!(", {count} {name}"));
        }
    }
    title
}

fn wrong_state() -> Failure {
    Failure::new(Blame::Internal, "a round gave other states than its own")
}

/// The data by name: the first file, and how many more.
fn name(manifest: &Manifest) -> String {
    let first = manifest.files().first().map(|file| file.name()).unwrap_or_default();
    let first = Path::new(&first).file_name().map(|name| name.to_string_lossy().into_owned());
    match manifest.files().len() {
        1 => first.unwrap_or_default(),
        files => format!("{} and {} more files", first.unwrap_or_default(), files - 1),
    }
}

fn show(edges: &Edges, histogram: &Histogram, plot: Option<&Path>) -> Shown {
    let texts: Vec<String> = edges.values().iter().map(Value::to_string).collect();
    let Histogram { counts, below, above, nan } = histogram;
    let bars = Bars { edges: &texts, counts, below: *below, above: *above, nan: *nan };
    let ink = if std::io::stdout().is_terminal() { Ink::Blocks } else { Ink::Ascii };
    let values: Vec<Value> = counts.iter().map(|&count| Value::int64(count as i64)).collect();
    let mut shown = Shown::list(DType::I64, &values);
    shown.text = bars.to_text(terminal_columns(), ink);
    let all = |show: fn(&Value) -> serde_json::Value| {
        json!(edges.values().iter().map(show).collect::<Vec<_>>())
    };
    let fields = [
        ("edges", all(shown::to_json)),
        ("edges_bits", all(|edge| json!(edge.bits()))),
        ("below", json!(below)),
        ("above", json!(above)),
        ("plot", json!(plot.map(|path| path.to_string_lossy()))),
    ];
    shown.fields.extend(fields.map(|(name, value)| (name.to_owned(), value)));
    shown
}
