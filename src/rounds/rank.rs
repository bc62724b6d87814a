//! Which elements in order make a quantile, and with which weights.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::reduction::float::{BINARY64, Float};

/// What a quantile is that lies between two elements, as NumPy names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// The point on the line between them.
    #[default]
    Linear,
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
    /// The middle between them.
    Midpoint,
    /// The nearer one; of two as near, the one of an even rank, counted from 0.
    Nearest,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 5] =
        [Method::Linear, Method::Lower, Method::Higher, Method::Midpoint, Method::Nearest];

    /// NumPy's name.
    pub fn name(self) -> &'static str {
        match self {
            Method::Linear => "linear",
            Method::Lower => "lower",
            Method::Higher => "higher",
            Method::Midpoint => "midpoint",
            Method::Nearest => "nearest",
        }
    }

    /// Whether every quantile is one of the elements.
    pub fn is_element(self) -> bool {
        !matches!(self, Method::Linear | Method::Midpoint)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no method.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown method '{name}'; use linear, lower, higher, midpoint or nearest")]
pub struct UnknownMethod {
    /// The name as it was given.
    pub name: String,
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(name: &str) -> Result<Method, UnknownMethod> {
        let known = Method::ALL.into_iter().find(|method| method.name() == name);
        known.ok_or_else(|| UnknownMethod { name: name.to_owned() })
    }
}

/// A point between two neighbours in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Rank of the lower one, from 0.
    pub low: u64,
    /// Rank of the higher one: the same, or the next.
    pub high: u64,
    /// How much of the way from the lower to the higher one it lies.
    pub way: Fraction,
}

/// `numerator / 2^exponent`, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    /// The numerator.
    pub numerator: u128,
    /// The exponent of the denominator.
    pub exponent: u32,
}

impl Place {
    /// The place of a share, from 0 to 1, of `elements`, which are more than
    /// none: share * (elements - 1), exactly.
    pub fn of(share: f64, method: Method, elements: u64) -> Place {
        let Float::Finite { significand, shift, .. } = BINARY64.decode(share.to_bits()) else {
            unreachable!("a share is a finite number");
        };
        // At most 1, so the significand of 53 bits has 52 of them below the point.
        let exponent = (-BINARY64.exponent_min) as u32 - shift;
        // Below 2^117.
        let product = u128::from(significand) * u128::from(elements - 1);
        let whole = product.checked_shr(exponent).unwrap_or(0);
        let rest = product - whole.checked_shl(exponent).unwrap_or(0);
        let low = whole as u64;
        let high = low + u64::from(rest != 0);
        let at = |rank| {
            let way = Fraction { numerator: 0, exponent: 0 };
            Place { low: rank, high: rank, way }
        };
        match method {
            _ if low == high => at(low),
            Method::Lower => at(low),
            Method::Higher => at(high),
            Method::Nearest => {
                // Past 127 bits, half is more than any product.
                let half = 1_u128.checked_shl(exponent - 1).unwrap_or(u128::MAX);
                match rest.cmp(&half) {
                    Ordering::Less => at(low),
                    Ordering::Greater => at(high),
                    Ordering::Equal => at(low + low % 2),
                }
            }
            Method::Midpoint => Place { low, high, way: Fraction { numerator: 1, exponent: 1 } },
            Method::Linear => Place { low, high, way: Fraction { numerator: rest, exponent } },
        }
    }
}
