//! Edges of a histogram as NumPy makes them, and the bins of order keys that
//! compare every element with them exactly.
//!
//! A bin holds the elements from its lower edge up to, but not including, its
//! upper one; the last bin its upper edge, too. Comparisons are those of real
//! numbers: 2^53 + 1 of int64 lies above an edge at 2^53, and both zeros lie at
//! an edge at 0. NaN is in no bin.

use crate::dtype::DType;
use crate::op::{BINS_MAX, Bins};
use crate::reduction::bins::BinCounts;
use crate::reduction::extremum::{End, Extremum};
use crate::reduction::float::{BINARY64, FloatFormat};
use crate::reduction::key;
use crate::value::Value;

use super::linspace::{linspace, rounded, value_in};

/// From where to where evenly spaced bins go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// From the smallest to the largest element, as bits. All elements are in a
    /// bin, also where float64 edges of 64-bit integers are not quite theirs.
    Data {
        /// Bits of the smallest element.
        low: u64,
        /// Bits of the largest element.
        high: u64,
    },
    /// As somebody asks for it.
    Given {
        /// The lowest edge.
        low: f64,
        /// The highest edge.
        high: f64,
    },
}

impl Range {
    /// The range of data whose extremes are known; from 0 to 1 for no elements.
    pub fn of(extremum: &Extremum) -> Range {
        match (extremum.finish(End::Min), extremum.finish(End::Max)) {
            (Some((low, _)), Some((high, _))) => Range::Data { low, high },
            _ => Range::Given { low: 0.0, high: 1.0 },
        }
    }
}

/// Why there are no such edges.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum EdgesError {
    /// Too few or too many bins.
    #[error("a histogram of {bins} bins cannot be made; give 1 to {BINS_MAX} bins")]
    Bins {
        /// The number of bins.
        bins: usize,
    },
    /// NaN or an infinity at an end of the range that was asked for.
    #[error("the range from {low} to {high} is not finite; give finite ends")]
    NotFinite {
        /// The lower end.
        low: f64,
        /// The higher end.
        high: f64,
    },
    /// NaN or an infinity among the data whose range was to be taken.
    #[error(
        "the elements go from {low} to {high}, which makes no finite bins; give a range or edges"
    )]
    DataNotFinite {
        /// The smallest element.
        low: f64,
        /// The largest element.
        high: f64,
    },
    /// The range ends before it begins.
    #[error("the range from {low} to {high} falls; give the lower end first")]
    Falling {
        /// The lower end.
        low: f64,
        /// The higher end.
        high: f64,
    },
    /// Neighbouring edges would be the same number, or not finite.
    #[error(
        "{bins} bins from {low} to {high} are too narrow or too wide for {dtype} edges; give fewer bins, another range, or the edges"
    )]
    Spacing {
        /// The number of bins.
        bins: usize,
        /// The lower end.
        low: f64,
        /// The higher end.
        high: f64,
        /// The type of the edges.
        dtype: DType,
    },
    /// Too few or too many edges.
    #[error("{edges} edges make no histogram; give 2 to {} edges", BINS_MAX + 1)]
    Edges {
        /// The number of edges.
        edges: usize,
    },
    /// An edge that is not a number.
    #[error("edge {index} is nan; give numbers")]
    Nan {
        /// Its place, from 0.
        index: usize,
    },
    /// An edge below the one before it.
    #[error("edge {index} is {edge}, below the one before it, {before}; give edges in order")]
    Unordered {
        /// Its place, from 0.
        index: usize,
        /// The edge.
        edge: f64,
        /// The edge before it.
        before: f64,
    },
}

/// Counts that were not made with the bins of these edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the counts are those of other bins; count with the bins of the edges")]
pub struct OtherBins;

/// The edges of a histogram of elements of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edges {
    dtype: DType,
    values: Vec<Value>,
    bins: Bins,
    reach: Reach,
}

/// Which bins any element can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The first so many; all elements are below the other ones.
    First(usize),
    /// None: all elements are below. There is one bin, of all keys.
    Below,
    /// None: all elements are above. There is one bin, of all keys.
    Above,
}

/// A finished histogram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Elements in each bin.
    pub counts: Vec<u64>,
    /// Elements below the first edge.
    pub below: u64,
    /// Elements above the last edge.
    pub above: u64,
    /// Elements that are NaN.
    pub nan: u64,
}

impl Edges {
    /// The edges of `bins` bins of the same width: those of
    /// `np.histogram_bin_edges(a, bins, range)`, bit for bit.
    ///
    /// They have the type of float elements, and are float64 for integers and
    /// bool. As in NumPy, edges over the range of the data are computed in the
    /// type of the data, those of a given range in float64; and a range of one
    /// number is widened by 0.5 to both sides. bfloat16, which NumPy lacks, is
    /// computed in float64, and each edge rounded once.
    ///
    /// # Errors
    /// A number of bins or a range of which there are no rising, finite edges.
    pub fn linear(dtype: DType, range: Range, bins: usize) -> Result<Edges, EdgesError> {
        if !(1..=BINS_MAX).contains(&bins) {
            return Err(EdgesError::Bins { bins });
        }
        let (low, high, working) = match range {
            Range::Given { low, high } => (low, high, BINARY64),
            Range::Data { low, high } => {
                let working = match dtype {
                    DType::F16 | DType::F32 => FloatFormat::of(dtype),
                    _ => None,
                };
                (number(dtype, low), number(dtype, high), working.unwrap_or(BINARY64))
            }
        };
        if !low.is_finite() || !high.is_finite() {
            return Err(match range {
                Range::Given { .. } => EdgesError::NotFinite { low, high },
                Range::Data { .. } => EdgesError::DataNotFinite { low, high },
            });
        }
        if low > high {
            return Err(EdgesError::Falling { low, high });
        }
        let (first, last) = match low == high {
            true => (rounded(low - 0.5, working), rounded(high + 0.5, working)),
            false => (low, high),
        };
        let values: Vec<Value> = linspace(first, last, bins, working)
            .into_iter()
            .map(|edge| value_in(edge, dtype))
            .collect();
        let edges: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
        let rising = edges.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || edges.iter().any(|edge| !edge.is_finite()) {
            let dtype = if dtype.is_float() { dtype } else { DType::F64 };
            return Err(EdgesError::Spacing { bins, low, high, dtype });
        }
        let ends = match range {
            Range::Data { low, high } => key::key(dtype, low).zip(key::key(dtype, high)),
            Range::Given { .. } => None,
        };
        Ok(Edges::new(dtype, values, &edges, ends))
    }

    /// The edges as given, which are float64.
    ///
    /// Equal edges make a bin that only the last one of its kind can fill, and
    /// infinite ones are allowed, as in NumPy.
    ///
    /// # Errors
    /// NaN, edges out of order, fewer than two or more than `BINS_MAX + 1`.
    pub fn explicit(dtype: DType, edges: &[f64]) -> Result<Edges, EdgesError> {
        if !(2..=BINS_MAX + 1).contains(&edges.len()) {
            return Err(EdgesError::Edges { edges: edges.len() });
        }
        if let Some(index) = edges.iter().position(|edge| edge.is_nan()) {
            return Err(EdgesError::Nan { index });
        }
        if let Some(before) = edges.windows(2).position(|pair| pair[0] > pair[1]) {
            let index = before + 1;
            return Err(EdgesError::Unordered { index, edge: edges[index], before: edges[before] });
        }
        let values = edges.iter().map(|&edge| Value::float64(edge)).collect();
        Ok(Edges::new(dtype, values, edges, None))
    }

    /// `ends` are keys that the first and the last bin hold in any case.
    fn new(dtype: DType, values: Vec<Value>, edges: &[f64], ends: Option<(u64, u64)>) -> Edges {
        let (lowest, highest) = (key::smallest(dtype), key::largest(dtype));
        let (last_edge, lower_edges) = edges.split_last().expect("at least two edges");
        let mut lower: Vec<u64> = lower_edges
            .iter()
            .map_while(|&edge| first_key(dtype, |element| element.at_least(edge)))
            .collect();
        let mut last = match first_key(dtype, |element| element.above(*last_edge)) {
            Some(above) => above.checked_sub(1).filter(|&last| last >= lowest),
            None => Some(highest),
        };
        if let (Some((low, high)), Some(first), Some(last)) = (ends, lower.first_mut(), &mut last) {
            *first = low.min(*first);
            *last = high.max(*last);
        }
        let (bins, reach) = match last {
            Some(last) if !lower.is_empty() => {
                let reach = Reach::First(lower.len());
                (Bins { lower: lower.into(), last }, reach)
            }
            _ => {
                let reach = if lower.is_empty() { Reach::Below } else { Reach::Above };
                (Bins { lower: [lowest].into(), last: highest }, reach)
            }
        };
        Edges { dtype, values, bins, reach }
    }

    /// The edges, one more than bins.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// What to count.
    pub fn bins(&self) -> Bins {
        self.bins.clone()
    }

    /// The histogram from the counts in [`Edges::bins`].
    ///
    /// # Errors
    /// Counts of other elements or bins.
    pub fn histogram(&self, counted: &BinCounts) -> Result<Histogram, OtherBins> {
        if !counted.is_of(self.dtype, &self.bins) {
            return Err(OtherBins);
        }
        let (mut below, counts, mut above) = counted.finish();
        let mut all = vec![0; self.values.len() - 1];
        match self.reach {
            Reach::First(bins) => all[..bins].copy_from_slice(counts),
            Reach::Below => below += counts[0],
            Reach::Above => above += counts[0],
        }
        Ok(Histogram { counts: all, below, above, nan: counted.nan() })
    }
}

/// An element that is compared with edges.
enum Element {
    Float(f64),
    Integer(i128),
}

impl Element {
    fn at_least(&self, edge: f64) -> bool {
        match self {
            Element::Float(value) => *value >= edge,
            // An edge past all integers becomes the last of i128, which is.
            Element::Integer(value) => *value >= edge.ceil() as i128,
        }
    }

    fn above(&self, edge: f64) -> bool {
        match self {
            Element::Float(value) => *value > edge,
            Element::Integer(value) => *value > edge.floor() as i128,
        }
    }
}

fn element(dtype: DType, bits: u64) -> Element {
    let value = Value::of(dtype, bits);
    match value.as_i128() {
        Some(integer) => Element::Integer(integer),
        None => Element::Float(value.as_f64().expect("an element is an integer or a float")),
    }
}

/// An element as the nearest float64.
fn number(dtype: DType, bits: u64) -> f64 {
    match element(dtype, bits) {
        Element::Float(value) => value,
        Element::Integer(value) => value as f64,
    }
}

/// The smallest key of which a condition holds that, once it holds, holds for
/// all larger ones.
fn first_key(dtype: DType, holds: impl Fn(&Element) -> bool) -> Option<u64> {
    let holds = |key| holds(&element(dtype, key::bits(dtype, key)));
    let (mut low, mut high) = (key::smallest(dtype), key::largest(dtype));
    if !holds(high) {
        return None;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        match holds(middle) {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Some(low)
}
