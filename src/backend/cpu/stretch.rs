//! Elements of one output, as lines take them: little endian.

use std::ops::Range;

use crate::backend::Place;
use crate::backend::reference::element_bits;
use crate::dtype::{ByteOrder, DType, Layout};
use crate::op::Term;
use crate::reduction::Element;

/// Elements of one output.
#[derive(Clone, Copy)]
pub struct Stretch<'a> {
    pub dtype: DType,
    /// Little endian.
    pub bytes: &'a [u8],
    /// The elements at the same places of a second data set.
    pub second: Option<&'a [u8]>,
    /// Where the elements belong, along the one axis that there is.
    pub place: Place<'a>,
    /// The number in the place of the first element.
    pub start: u64,
}

impl<'a> Stretch<'a> {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.bytes.len() / self.dtype.size_bytes()
    }

    /// The factors of a product, which those of a square are twice the same.
    pub fn factors(&self, term: Term) -> (&'a [u8], &'a [u8]) {
        match term {
            Term::Product => (self.bytes, self.second.unwrap_or_default()),
            Term::Value | Term::Magnitude | Term::Square => (self.bytes, self.bytes),
        }
    }

    /// The place of one of the elements.
    pub fn index(&self, number: usize) -> u64 {
        self.place.index(self.start + number as u64)
    }

    /// Each element with all that a state may want to know of it.
    pub fn each(&self) -> impl Iterator<Item = Element> {
        let size = self.dtype.size_bytes();
        let layout = Layout::little(self.dtype);
        self.bytes.chunks_exact(size).enumerate().map(move |(number, bytes)| Element {
            bits: element_bits(layout, bytes),
            second: self
                .second
                .map_or(0, |second| element_bits(layout, &second[number * size..][..size])),
            index: self.index(number),
        })
    }
}

/// Memory for elements in another byte order or sequence than they came in.
#[derive(Default)]
pub struct Scratch(Vec<u8>);

impl Scratch {
    /// The elements in little-endian order, copied if they are not.
    pub fn little<'a>(&'a mut self, layout: Layout, bytes: &'a [u8]) -> &'a [u8] {
        if layout.byte_order == ByteOrder::Little || layout.dtype.size_bytes() == 1 {
            return bytes;
        }
        let to = self.room(bytes.len());
        match layout.dtype.size_bytes() {
            2 => reverse::<2>(bytes, to),
            4 => reverse::<4>(bytes, to),
            _ => reverse::<8>(bytes, to),
        }
        to
    }

    /// Some columns of little-endian elements of shape `(reduced, inner)`, each
    /// as a row.
    pub fn columns(
        &mut self,
        size: usize,
        bytes: &[u8],
        inner: usize,
        columns: Range<usize>,
    ) -> &[u8] {
        let to = self.room(bytes.len() / inner * columns.len());
        match size {
            1 => turn::<1>(bytes, inner, columns, to),
            2 => turn::<2>(bytes, inner, columns, to),
            4 => turn::<4>(bytes, inner, columns, to),
            _ => turn::<8>(bytes, inner, columns, to),
        }
        to
    }

    fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.0.len() < bytes {
            self.0.resize(bytes, 0);
        }
        &mut self.0[..bytes]
    }
}

fn reverse<const N: usize>(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.as_chunks_mut::<N>().0.iter_mut().zip(from.as_chunks::<N>().0) {
        *to = *from;
        to.reverse();
    }
}

/// Elements of one side of a square that is turned at once, so that lines of
/// the cache are read and written whole.
const SIDE: usize = 16;

fn turn<const N: usize>(from: &[u8], inner: usize, columns: Range<usize>, to: &mut [u8]) {
    let (from, to) = (from.as_chunks::<N>().0, to.as_chunks_mut::<N>().0);
    let reduced = from.len() / inner;
    for (number, rows) in from.chunks(SIDE * inner).enumerate() {
        let place = number * SIDE;
        let height = rows.len() / inner;
        for first in columns.clone().step_by(SIDE) {
            let width = SIDE.min(columns.end - first);
            let mut square = [[[0; N]; SIDE]; SIDE];
            for (k, row) in rows.chunks_exact(inner).enumerate() {
                let row = &row[first..first + width];
                match row.first_chunk::<SIDE>() {
                    Some(row) => (0..SIDE).for_each(|i| square[i][k] = row[i]),
                    None => (0..width).for_each(|i| square[i][k] = row[i]),
                }
            }
            for (i, row) in square.iter().take(width).enumerate() {
                let start = (first - columns.start + i) * reduced + place;
                to[start..start + height].copy_from_slice(&row[..height]);
            }
        }
    }
}
