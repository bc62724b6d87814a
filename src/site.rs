//! Where elements belong: to which output, and at which place.
//!
//! A [`Site`] says it of all elements of an entry, a [`Place`] of a run of them
//! that is a block again.

use std::ops::Range;
use std::sync::Arc;

use crate::manifest::{Block, Entry, Manifest, fortran_to_c};
use crate::op::{Monoid, Spec};

/// Where the elements of one entry belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The shape in which the entry's elements are numbered.
    pub block: Block,
    /// Place of the first element along the reduced axis.
    pub first_index: u64,
    /// The array that the elements lie in, where it lies in Fortran order and
    /// that matters.
    pub fortran: Option<Fortran>,
}

/// An array in Fortran order whose elements have their places in C order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fortran {
    /// Lengths of the axes.
    pub shape: Arc<[u64]>,
    /// Where in the array, as it lies, the entry starts.
    pub start: u64,
    /// The place of the array's first element.
    pub offset: u64,
}

impl Site {
    /// A run of elements that are reduced to one output.
    pub fn line(elements: u64, first_index: u64) -> Site {
        Site { block: Block::line(elements), first_index, fortran: None }
    }

    /// Where the elements of a run belong, whose places go up by one.
    pub fn of_run(place: &Place<'_>) -> Site {
        let [outer, reduced, inner] =
            [place.outer, place.reduced, place.inner].map(|length| length as u64);
        let block = Block { outer, reduced, inner, stride: inner };
        Site { block, first_index: place.first_index, fortran: None }
    }

    /// Where the elements of an entry belong in a reduction by `spec`.
    pub fn of(manifest: &Manifest, entry: &Entry, spec: &Spec) -> Site {
        let file = manifest.file(entry);
        let start = entry.elements.start;
        // Trees take elements as they lie, and along an axis they lie in order.
        let fortran = (is_placed_in_c_order(spec)
            && !manifest.is_along_axis()
            && file.is_fortran())
        .then(|| Fortran {
            shape: file.shape.clone().into(),
            start,
            offset: entry.first_index - start,
        });
        Site { block: entry.block, first_index: entry.first_index, fortran }
    }

    /// The same with places that are counted from there on.
    pub fn from_index(self, first_index: u64) -> Site {
        let fortran = self.fortran.map(|it| Fortran { offset: it.offset + first_index, ..it });
        Site { first_index: self.first_index + first_index, fortran, ..self }
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        (self.block.outer * self.block.inner) as usize
    }

    /// The longest block of at most `count_max` elements, but at least one, that
    /// starts with the first of `run` and ends within it.
    pub fn block_at(&self, run: Range<u64>, count_max: u64) -> u64 {
        let Block { reduced, inner, .. } = self.block;
        let room = (run.end - run.start).min(count_max.max(1));
        let slab = reduced * inner;
        let (column, row) = (run.start % inner, run.start % slab / inner);
        if column > 0 || room < inner {
            return room.min(inner - column);
        }
        if row > 0 || room < slab {
            return (room / inner).min(reduced - row) * inner;
        }
        room / slab * slab
    }

    /// Where a block that [`Site::block_at`] gave belongs.
    pub fn place(&self, run: Range<u64>) -> Place<'_> {
        let Block { reduced, inner, .. } = self.block;
        let (slab, length) = (reduced * inner, run.end - run.start);
        let (outer, row, column) = (run.start / slab, run.start % slab / inner, run.start % inner);
        let (outer_count, reduced_count, inner_count) = match length {
            _ if length >= slab => (length / slab, reduced, inner),
            _ if length >= inner => (1, length / inner, inner),
            _ => (1, 1, length),
        };
        Place {
            outer: outer_count as usize,
            reduced: reduced_count as usize,
            inner: inner_count as usize,
            first_output: (outer * inner + column) as usize,
            first_index: self.first_index + row,
            order: match &self.fortran {
                Some(Fortran { shape, start, offset }) => {
                    Order::Fortran { shape, start: start + run.start, offset: *offset }
                }
                None => Order::Linear,
            },
        }
    }
}

/// Whether a state of the spec needs the places of an array in C order.
fn is_placed_in_c_order(spec: &Spec) -> bool {
    spec.monoids.contains(&Monoid::Extremum { indexed: true })
}

/// Where the elements of a run belong: the run is a block of shape `(outer,
/// reduced, inner)`, the last axis fastest, and its element `(o, k, i)` belongs
/// to the output `first_output + o * inner + i` and has the place `first_index
/// + k`. A reduction to one number has `outer` and `inner` 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Length of the slowest axis.
    pub outer: usize,
    /// Length of the axis that is reduced.
    pub reduced: usize,
    /// Length of the fastest axis.
    pub inner: usize,
    /// The output of the run's first element.
    pub first_output: usize,
    /// The place of the run's first element along the reduced axis.
    pub first_index: u64,
    /// How places are numbered.
    pub order: Order<'a>,
}

/// How the place of an element follows from that of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order<'a> {
    /// Places go up by one.
    Linear,
    /// The elements lie in Fortran order and are numbered in C order: an
    /// element that lies at `start + k` of an array of this shape has the place
    /// `offset` and its index in C order. `first_index` is not used.
    Fortran {
        /// Lengths of the array's axes.
        shape: &'a [u64],
        /// Where in the array, as it lies, the run starts.
        start: u64,
        /// The place of the array's first element.
        offset: u64,
    },
}

impl Order<'_> {
    /// How the elements after the first few of a run are numbered.
    pub fn after(self, elements: u64) -> Self {
        match self {
            Order::Linear => Order::Linear,
            Order::Fortran { shape, start, offset } => {
                Order::Fortran { shape, start: start + elements, offset }
            }
        }
    }
}

impl Place<'_> {
    /// One output, and places from `first_index` on.
    pub fn line(elements: usize, first_index: u64) -> Place<'static> {
        Place {
            outer: 1,
            reduced: elements,
            inner: 1,
            first_output: 0,
            first_index,
            order: Order::Linear,
        }
    }

    /// The place of `elements` elements of a line, after the first few of it.
    pub fn after(&self, skipped: u64, elements: u64) -> Self {
        Place {
            reduced: elements as usize,
            first_index: self.first_index + skipped,
            order: self.order.after(skipped),
            ..*self
        }
    }

    /// The place of the element at `k` along the reduced axis.
    pub fn index(&self, k: u64) -> u64 {
        match self.order {
            Order::Linear => self.first_index + k,
            Order::Fortran { shape, start, offset } => offset + fortran_to_c(shape, start + k),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dtype::{DType, MemoryOrder};
    use crate::manifest::{Cut, File, element_count, imaginary_file};

    #[test]
    fn fortran_places_are_those_of_the_same_element_in_c_order() {
        let shape = [3, 1, 4, 2];
        let mut seen = Vec::new();
        for (l, k, i) in
            (0..2).flat_map(|l| (0..4).flat_map(move |k| (0..3).map(move |i| (l, k, i))))
        {
            let (fortran, c) = ((l * 4 + k) * 3 + i, (i * 4 + k) * 2 + l);
            assert_eq!(fortran_to_c(&shape, fortran), c);
            seen.push(c);
        }
        seen.sort_unstable();
        assert_eq!(seen, Vec::from_iter(0..24));
    }

    fn array(name: &str, shape: &[u64], memory_order: MemoryOrder) -> File {
        let elements = element_count(shape).expect("a small array");
        File { shape: shape.to_vec(), memory_order, ..imaginary_file(name, DType::U8, elements) }
    }

    /// Places over all files in C order, for states that keep places, and as
    /// the elements lie, for those that do not and for trees.
    #[test]
    fn only_states_that_keep_places_see_fortran_arrays_in_c_order() {
        let shapes = [(vec![2, 3, 4], false), (vec![3, 5], true), (vec![7, 1], true)];
        let order = |fortran| if fortran { MemoryOrder::Fortran } else { MemoryOrder::C };
        let files = shapes.iter().map(|(shape, fortran)| array("a", shape, order(*fortran)));
        let manifest = Manifest::with_entry_bytes(files.collect(), 4).expect("valid files");
        let extremum = |indexed| Spec::of(DType::U8, Monoid::Extremum { indexed });
        let several = Spec { dtype: DType::U8, ..extremum(true) };
        let both = Spec { monoids: vec![Monoid::Tally, several.monoids[0].clone()], ..several };
        for (spec, in_c_order) in [(extremum(false), false), (extremum(true), true), (both, true)] {
            let mut places = Vec::new();
            for entry in manifest.entries() {
                let site = Site::of(&manifest, entry, &spec);
                let mut start = 0;
                while start < entry.len() {
                    let end = start + site.block_at(start..entry.len(), 3);
                    let place = site.place(start..end);
                    places.extend((0..place.reduced as u64).map(|k| place.index(k)));
                    start = end;
                }
            }
            let mut expected = Vec::from_iter(0..24);
            // A table of three rows, column after column.
            let columns = (0..5).flat_map(|column| (0..3).map(move |row| 24 + row * 5 + column));
            expected.extend(columns);
            expected.extend(39..46);
            let lying = Vec::from_iter(0..46);
            assert_eq!(places, if in_c_order { expected } else { lying }, "{spec:?}");
        }
    }

    #[test]
    fn along_an_axis_places_are_those_of_the_axis() {
        let table = array("a", &[4, 6], MemoryOrder::Fortran);
        let cut = Cut::Axis { entry_bytes: 6, axis: 1, outputs: 0..4, outputs_max: 2 };
        let manifest = Manifest::cut(vec![table], cut).expect("a valid file");
        let spec = Spec::of(DType::U8, Monoid::Extremum { indexed: true });
        for entry in manifest.entries() {
            let site = Site::of(&manifest, entry, &spec);
            assert_eq!(site.fortran, None);
            assert_eq!((site.block, site.first_index), (entry.block, entry.first_index));
            assert_eq!(site.outputs() as u64, entry.outputs());
        }
    }

    proptest! {
        /// Blocks of any size cover an entry in order, and each element's output
        /// and place follow from its number alone.
        #[test]
        fn blocks_cover_an_entry_and_agree_with_its_numbering(
            outer in 1..4_u64, reduced in 1..6_u64, inner in 1..5_u64, count_max in 1..40_u64,
        ) {
            let block = Block { outer, reduced, inner, stride: inner };
            let site = Site { block, first_index: 100, fortran: None };
            let all = outer * reduced * inner;
            let mut start = 0;
            while start < all {
                let length = site.block_at(start..all, count_max);
                prop_assert!(0 < length && length <= count_max && start + length <= all);
                let place = site.place(start..start + length);
                prop_assert_eq!((place.outer * place.reduced * place.inner) as u64, length);
                for number in 0..length as usize {
                    let (o, rest) = (number / (place.reduced * place.inner), number % (place.reduced * place.inner));
                    let (k, i) = (rest / place.inner, rest % place.inner);
                    let element = start + number as u64;
                    let output = element / (reduced * inner) * inner + element % inner;
                    prop_assert_eq!((place.first_output + o * place.inner + i) as u64, output);
                    prop_assert_eq!(place.index(k as u64), 100 + element / inner % reduced);
                }
                start += length;
            }
        }
    }
}
