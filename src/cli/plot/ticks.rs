//! Round numbers along an axis.
//!
//! A tick is an integer times a power of ten, so its label is exact whatever
//! the size of the numbers, and its place is found without leaving the range
//! of `f64`: both ends of the axis are divided by that power first.

/// The most that ends of an axis are multiples of its step. Past it, `f64` has
/// no fractions left to tell neighbouring ticks apart.
const MULTIPLE_MAX: f64 = 9e15;

/// A labelled place on an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// From 0 at the low end of the axis to 1 at the high end.
    pub place: f64,
    /// The number at this place.
    pub label: String,
}

/// The finite range of an axis: `low < high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    /// An axis from `low` to `high`, two finite numbers in this order, with
    /// some room around them if they are the same.
    pub fn new(low: f64, high: f64) -> Axis {
        if low < high {
            return Axis { low, high };
        }
        let room = if low == 0.0 { 1.0 } else { (low.abs() / 2.0).max(f64::MIN_POSITIVE) };
        Axis { low: (low - room).max(f64::MIN), high: (low + room).min(f64::MAX) }
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end, never outside.
    pub fn place(&self, value: f64) -> f64 {
        let unit = self.unit();
        ((value / unit - self.low / unit) / self.span()).clamp(0.0, 1.0)
    }

    /// The ends, in the fewest digits that tell them from other `f64`.
    fn ends(&self) -> Vec<Tick> {
        let label = |end: f64| {
            let (plain, scientific) = (format!("{end}"), format!("{end:e}"));
            if plain.len() <= scientific.len() { plain } else { scientific }
        };
        [(0.0, self.low), (1.0, self.high)]
            .map(|(place, end)| Tick { place, label: label(end) })
            .to_vec()
    }

    /// The span of the axis in its unit.
    fn span(&self) -> f64 {
        self.high / self.unit() - self.low / self.unit()
    }

    /// 2 where the span is past the largest number, else 1.
    fn unit(&self) -> f64 {
        if (self.high - self.low).is_finite() { 1.0 } else { 2.0 }
    }

    /// Ticks that cut the axis into at most `wanted` steps, 1, 2 or 5 times a
    /// power of ten and if `whole` a whole number. An axis of few neighbouring
    /// `f64` has only its ends.
    pub fn ticks(&self, wanted: usize, whole: bool) -> Vec<Tick> {
        let span_log10 = self.span().log10() + self.unit().log10();
        let step_log10 = span_log10 - (wanted.max(1) as f64).log10();
        let mut exponent = step_log10.floor() as i32;
        // The first of 1, 2, 5 and 10 that is no smaller than the step wanted.
        let fraction = 10.0_f64.powf(step_log10 - f64::from(exponent));
        let mut step = match fraction {
            ..1.001 => 1,
            ..2.001 => 2,
            ..5.001 => 5,
            _ => {
                exponent += 1;
                1
            }
        };
        if whole && exponent < 0 {
            (step, exponent) = (1, 0);
        }
        let (low, high) = (scaled(self.low, exponent), scaled(self.high, exponent));
        if low.abs().max(high.abs()) > MULTIPLE_MAX {
            return self.ends();
        }
        // An end of the axis is a tick also if dividing it was not exact.
        const SLACK: f64 = 1e-9;
        let first = (low / f64::from(step) - SLACK).ceil() as i64;
        let last = (high / f64::from(step) + SLACK).floor() as i64;
        let numbers: Vec<i64> = (first..=last).map(|index| index * i64::from(step)).collect();
        let labels = labels(&numbers, exponent);
        let tick = |(number, label): (&i64, String)| Tick {
            place: ((*number as f64 - low) / (high - low)).clamp(0.0, 1.0),
            label,
        };
        numbers.iter().zip(labels).map(tick).collect()
    }
}

/// `value / 10^exponent`, without a power that is no `f64` on the way.
fn scaled(value: f64, exponent: i32) -> f64 {
    let half = exponent / 2;
    value / 10.0_f64.powi(half) / 10.0_f64.powi(exponent - half)
}

/// The numbers times `10^exponent` as text: in scientific notation if they are
/// large or small and that is shorter, else all with the same decimals.
fn labels(numbers: &[i64], exponent: i32) -> Vec<String> {
    let all = |label: fn(i64, i32) -> String| -> Vec<String> {
        numbers.iter().map(|number| label(*number, exponent)).collect()
    };
    let longest = |labels: &[String]| labels.iter().map(String::len).max().unwrap_or(0);
    let largest = numbers.iter().map(|number| number.unsigned_abs()).max().unwrap_or(0);
    let leading_exponent = largest.to_string().len() as i32 - 1 + exponent;
    let (plain, scientific) = (all(plain), all(scientific));
    let is_handy = (-4..6).contains(&leading_exponent);
    if is_handy || longest(&plain) <= longest(&scientific) { plain } else { scientific }
}

/// As 0.25, 100 or -1500.
fn plain(number: i64, exponent: i32) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let digits = number.unsigned_abs();
    if exponent >= 0 {
        let zeros = if digits == 0 { 0 } else { exponent as usize };
        return format!("{sign}{digits}{}", "0".repeat(zeros));
    }
    let decimals = exponent.unsigned_abs() as usize;
    let text = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = text.split_at(text.len() - decimals);
    format!("{sign}{whole}.{fraction}")
}

/// As 2.5e-300 or -1e6.
fn scientific(number: i64, exponent: i32) -> String {
    if number == 0 {
        return "0".to_owned();
    }
    let sign = if number < 0 { "-" } else { "" };
    let text = number.unsigned_abs().to_string();
    let exponent = exponent + text.len() as i32 - 1;
    let (first, rest) = text.split_at(1);
    match rest.trim_end_matches('0') {
        "" => format!("{sign}{first}e{exponent}"),
        rest => format!("{sign}{first}.{rest}e{exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels_of(low: f64, high: f64, wanted: usize) -> Vec<String> {
        let ticks = Axis::new(low, high).ticks(wanted, false);
        ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn steps_are_round_and_labels_exact() {
        assert_eq!(labels_of(0.0, 1.0, 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels_of(-1.5, 3.2, 5), ["-1", "0", "1", "2", "3"]);
        assert_eq!(labels_of(0.1, 0.3, 4), ["0.10", "0.15", "0.20", "0.25", "0.30"]);
        assert_eq!(labels_of(0.0, 1e6, 2), ["0", "5e5", "1e6"]);
        assert_eq!(labels_of(2e-300, 4e-300, 2), ["2e-300", "3e-300", "4e-300"]);
        assert_eq!(labels_of(-1.7e308, 1.7e308, 4), ["-1e308", "0", "1e308"]);
        assert_eq!(labels_of(0.0, 1.5e-323, 2), ["0", "1e-323"]);
        assert_eq!(labels_of(1e9, 1e9 + 2.0, 2), ["1000000000", "1000000001", "1000000002"]);
    }

    #[test]
    fn places_go_from_end_to_end() {
        let ticks = Axis::new(-1e308, 1e308).ticks(2, false);
        let places: Vec<f64> = ticks.iter().map(|tick| tick.place).collect();
        assert_eq!(places, [0.0, 0.5, 1.0]);
        let axis = Axis::new(f64::MIN, f64::MAX);
        let values = [f64::NEG_INFINITY, f64::MIN, 0.0, f64::MAX, f64::INFINITY];
        assert_eq!(values.map(|value| axis.place(value)), [0.0, 0.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn whole_axes_have_whole_ticks() {
        let labels = |high: f64| -> Vec<String> {
            Axis::new(0.0, high).ticks(5, true).into_iter().map(|tick| tick.label).collect()
        };
        assert_eq!(labels(1.0), ["0", "1"]);
        assert_eq!(labels(3.0), ["0", "1", "2", "3"]);
        assert_eq!(labels(u64::MAX as f64), ["0", "5e18", "1e19", "1.5e19"]);
    }

    #[test]
    fn one_number_is_an_axis_and_the_closest_two_as_well() {
        for number in [0.0, 1.0, -3.5, 5e-324, -5e-324, f64::MAX, f64::MIN] {
            let axis = Axis::new(number, number);
            assert!(axis.low < axis.high, "{number}");
            assert!(axis.low <= number && number <= axis.high);
            assert!(!axis.ticks(6, false).is_empty(), "{number}");
        }
        for low in [1.0, 1e300, 1e-300, 5e-324, 123_456_789.0] {
            let axis = Axis::new(low, f64::next_up(low));
            for wanted in 1..20 {
                let ticks = axis.ticks(wanted, false);
                assert!(ticks.len() <= wanted + 2, "{low}: {} of {wanted}", ticks.len());
                assert!(ticks.iter().all(|tick| (0.0..=1.0).contains(&tick.place)));
            }
        }
    }
}
