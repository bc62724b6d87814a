//! Arrays whose totals are known by integers: no code of the library adds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use num_bigint::{BigInt, Sign};
use serde_json::Value as Json;

use crate::chance::Chance;
use crate::program::write_array;

/// A file is 8 MiB of `float64` in so many rows and columns.
const ROWS: usize = 1 << 13;
const COLUMNS: usize = 1 << 7;

/// Every element is an integer of up to 53 bits times a power of two from 2^-20 to
/// 2^20, so that no square and no total is exact in a float.
const SCALE: i32 = -20;
const POWERS: usize = 41;

/// Different contents; names above that share them.
const CONTENTS: usize = 12;

/// What files hold.
pub struct Numbers {
    contents: Vec<Content>,
}

struct Content {
    path: PathBuf,
    /// In units of 2^SCALE.
    sum: BigInt,
    /// Of each column, in units of 2^(2 SCALE).
    squares: Vec<BigInt>,
}

/// What is asked of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Of all elements, which is soon done.
    Sum,
    /// The sum of squares of each column, which takes its time.
    Columns,
}

impl Op {
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Op::Sum => &["sum", "--json"],
            Op::Columns => &["sumsq", "--axis", "0", "--json"],
        }
    }
}

impl Numbers {
    /// Contents for so many names, in files of `folder`.
    pub fn new(folder: &Path, names: usize) -> Numbers {
        let contents = (0..names.min(CONTENTS)).map(|content| Content::new(folder, content));
        Numbers { contents: contents.collect() }
    }

    /// Puts a file where a node looks for it. It is the same on disk under all of
    /// its names, at all nodes.
    pub fn place(&self, name: usize, path: &Path) {
        fs::hard_link(&self.of(name).path, path).unwrap();
    }

    /// As [`Numbers::place`], with bytes of its own that can be changed.
    pub fn copy(&self, name: usize, path: &Path) {
        fs::copy(&self.of(name).path, path).unwrap();
        age(path);
    }

    /// The bits of the right answer over these names.
    pub fn bits(&self, op: Op, names: impl IntoIterator<Item = usize>) -> Json {
        let contents: Vec<&Content> = names.into_iter().map(|name| self.of(name)).collect();
        match op {
            Op::Sum => bits(&contents.iter().map(|content| &content.sum).sum(), SCALE),
            Op::Columns => (0..COLUMNS)
                .map(|column| {
                    let squares = contents.iter().map(|content| &content.squares[column]);
                    bits(&squares.sum(), 2 * SCALE)
                })
                .collect(),
        }
    }

    fn of(&self, name: usize) -> &Content {
        &self.contents[name % self.contents.len()]
    }
}

impl Content {
    fn new(folder: &Path, number: usize) -> Content {
        let mut chance = Chance(number as u64);
        // By power of two. 2^13 squares of 106 bits fit.
        let mut sums = [0i128; POWERS];
        let mut squares = vec![[0u128; POWERS]; COLUMNS];
        let mut bytes = Vec::with_capacity(8 * ROWS * COLUMNS);
        for element in 0..ROWS * COLUMNS {
            let integer = chance.below(1 << 54) as i64 - (1 << 53);
            let power = chance.below(POWERS);
            sums[power] += i128::from(integer);
            squares[element % COLUMNS][power] += u128::from(integer.unsigned_abs()).pow(2);
            bytes.extend((integer as f64 * 2f64.powi(power as i32 + SCALE)).to_le_bytes());
        }
        let sum = sums.iter().enumerate().map(|(power, &sum)| BigInt::from(sum) << power).sum();
        let of_column = |column: &[u128; POWERS]| {
            let parts = column.iter().enumerate();
            parts.map(|(power, &sum)| BigInt::from(sum) << (2 * power)).sum()
        };
        let squares = squares.iter().map(of_column).collect();
        let path = folder.join(format!("{number}.bin"));
        write_array(&path, "<f8", &format!("({ROWS}, {COLUMNS})"), &bytes);
        age(&path);
        Content { path, sum, squares }
    }
}

/// The bits of an integer times a power of two, which changes no digit.
fn bits(integer: &BigInt, scale: i32) -> Json {
    format!("{:#018x}", (nearest(integer) * 2f64.powi(scale)).to_bits()).into()
}

/// The float nearest to an integer, of two the one that is even.
fn nearest(integer: &BigInt) -> f64 {
    let size = integer.magnitude();
    let over = size.bits().saturating_sub(64);
    // What is shifted out only has to be seen.
    let high = size >> over;
    let is_exact = &high << over == *size;
    let digits = high.iter_u64_digits().next().unwrap_or(0) | u64::from(!is_exact);
    let sign = if integer.sign() == Sign::Minus { -1.0 } else { 1.0 };
    sign * digits as f64 * 2f64.powi(over as i32)
}

/// A node waits with a file that may still be written; this one is an hour old.
pub fn age(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
}
