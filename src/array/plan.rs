//! In which order and in which pieces an array is read.

use std::ops::Range;

use super::view::View;

/// How the places of reduced elements are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// No state keeps places: the elements come as they are read best.
    Free,
    /// The last axis fastest.
    C,
    /// The first axis fastest.
    Fortran,
}

/// An axis longer than 1, of one array or of two.
#[derive(Clone, Copy, Debug)]
struct Axis {
    length: usize,
    /// Bytes from one element to the next, in either array.
    strides: [isize; 2],
    /// Outputs from one element to the next, in C order, of an axis that is kept.
    outputs: usize,
}

/// An array as a block of shape `(outer, reduced, inner)`, cut into units.
pub struct Plan {
    outer: usize,
    reduced: usize,
    inner: usize,
    outer_step: usize,
    reduced_step: usize,
    inner_step: usize,
    /// The axes that are kept, those of `outer` first.
    kept: Vec<Axis>,
    walks: [Option<Walk>; 2],
}

/// A part of the block, and the window of outputs that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub window: usize,
    pub outer: Range<usize>,
    pub reduced: Range<usize>,
    pub inner: Range<usize>,
}

impl Unit {
    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.outer.len() * self.inner.len()
    }
}

impl Plan {
    /// A plan for arrays that have elements.
    pub fn new(
        first: &View<'_>,
        second: Option<&View<'_>>,
        reduced_axes: &[usize],
        order: Order,
        unit_bytes: usize,
        window_outputs_max: usize,
    ) -> Plan {
        let mut offsets = [first.offset(), second.map_or(0, View::offset)];
        let (mut kept, mut reduced) = (Vec::new(), Vec::new());
        let mut outputs = 1;
        for (axis, &length) in first.shape().iter().enumerate().rev() {
            let strides = [first.strides()[axis], second.map_or(0, |view| view.strides()[axis])];
            let is_reduced = reduced_axes.contains(&axis);
            if length > 1 {
                let axes = if is_reduced { &mut reduced } else { &mut kept };
                axes.push(Axis { length, strides, outputs });
            }
            outputs *= if is_reduced { 1 } else { length };
        }
        // They were gathered from the last to the first.
        kept.reverse();
        if order != Order::Fortran {
            reduced.reverse();
        }
        let distance = |axis: &Axis| std::cmp::Reverse(axis.strides[0].unsigned_abs());
        kept.sort_by_key(distance);
        if order == Order::Free {
            reduced.iter_mut().for_each(|axis| turn(axis, &mut offsets));
            reduced.sort_by_key(distance);
        }
        let nearest = reduced.iter().map(|axis| axis.strides[0].unsigned_abs()).min().unwrap_or(0);
        let outer_axes = kept.partition_point(|axis| axis.strides[0].unsigned_abs() >= nearest);
        let count = |axes: &[Axis]| axes.iter().map(|axis| axis.length).product::<usize>();
        let (outer_kept, inner_kept) = kept.split_at(outer_axes);
        let all = [outer_kept, &reduced[..], inner_kept].concat();
        let size = first.layout().dtype.size_bytes();
        let walk = |which: usize| Walk::new(&all, which, offsets[which], size);
        let (outer, reduced, inner) = (count(outer_kept), count(&reduced), count(inner_kept));
        let at_once = |bytes: usize| (unit_bytes / bytes).max(1);
        let inner_step = inner.min(window_outputs_max);
        let outer_step = match inner_step == inner {
            true => at_once(reduced * inner * size).min(window_outputs_max / inner).clamp(1, outer),
            false => 1,
        };
        let reduced_step = match outer_step {
            1 => at_once(inner_step * size).min(reduced),
            _ => reduced,
        };
        Plan {
            outer,
            reduced,
            inner,
            outer_step,
            reduced_step,
            inner_step,
            walks: [Some(walk(0)), second.map(|_| walk(1))],
            kept,
        }
    }

    /// Number of units of one window.
    pub fn parts(&self) -> usize {
        self.reduced.div_ceil(self.reduced_step)
    }

    /// Number of units of all windows.
    pub fn units(&self) -> usize {
        self.outer.div_ceil(self.outer_step) * self.inner.div_ceil(self.inner_step) * self.parts()
    }

    /// A unit by its number.
    pub fn unit(&self, number: usize) -> Unit {
        let (window, part) = (number / self.parts(), number % self.parts());
        let across = self.inner.div_ceil(self.inner_step);
        let cut = |step: usize, number: usize, end: usize| {
            let start = number * step;
            start..end.min(start + step)
        };
        Unit {
            window,
            outer: cut(self.outer_step, window / across, self.outer),
            reduced: cut(self.reduced_step, part, self.reduced),
            inner: cut(self.inner_step, window % across, self.inner),
        }
    }

    /// The elements of a unit in order, where they lie or gathered in `block`.
    pub fn read<'b>(
        &self,
        which: usize,
        bytes: &'b [u8],
        unit: &Unit,
        block: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        let walk = self.walks[which].as_ref().expect("a second array where one is read");
        let row = |o: usize, k: usize| (o * self.reduced + k) * self.inner;
        let is_run = unit.inner.len() == self.inner;
        let (outer, reduced) = (&unit.outer, &unit.reduced);
        // More than one of `outer` have the whole of the others.
        let run = row(outer.start, reduced.start)..row(outer.end - 1, reduced.end - 1) + self.inner;
        if is_run && let Some(run) = walk.lies_at(run.clone()) {
            return &bytes[run];
        }
        block.clear();
        if is_run {
            walk.gather(bytes, run, block);
        } else {
            for k in reduced.clone() {
                let start = row(outer.start, k);
                walk.gather(bytes, start + unit.inner.start..start + unit.inner.end, block);
            }
        }
        block
    }

    /// Where in C order an output of a unit belongs.
    pub fn position(&self, unit: &Unit, output: usize) -> usize {
        let (o, i) = (output / unit.inner.len(), output % unit.inner.len());
        let mut rest = (unit.outer.start + o) * self.inner + unit.inner.start + i;
        let mut position = 0;
        for axis in self.kept.iter().rev() {
            position += rest % axis.length * axis.outputs;
            rest /= axis.length;
        }
        position
    }
}

/// Reads an axis from its other end if it goes back.
fn turn(axis: &mut Axis, offsets: &mut [usize; 2]) {
    if axis.strides[0] < 0 {
        for (offset, stride) in offsets.iter_mut().zip(&mut axis.strides) {
            *offset = offset.wrapping_add_signed((axis.length as isize - 1) * *stride);
            *stride = -*stride;
        }
    }
}

/// The way through the memory of one array.
struct Walk {
    offset: usize,
    size: usize,
    /// Lengths and strides, of which neighbours that are one run are one.
    axes: Vec<(usize, isize)>,
}

impl Walk {
    fn new(all: &[Axis], which: usize, offset: usize, size: usize) -> Walk {
        let mut axes: Vec<(usize, isize)> = Vec::new();
        for axis in all {
            let (length, stride) = (axis.length, axis.strides[which]);
            match axes.last_mut() {
                Some(last) if last.1 == stride * length as isize => {
                    *last = (last.0 * length, stride);
                }
                _ => axes.push((length, stride)),
            }
        }
        Walk { offset, size, axes }
    }

    /// The bytes of a run of elements, if they lie in order and without gaps.
    fn lies_at(&self, run: Range<usize>) -> Option<Range<usize>> {
        let is_line = match self.axes[..] {
            [] => true,
            [(_, stride)] => stride == self.size as isize,
            _ => false,
        };
        is_line.then(|| self.offset + run.start * self.size..self.offset + run.end * self.size)
    }

    /// Appends the bytes of a run of elements.
    fn gather(&self, bytes: &[u8], run: Range<usize>, into: &mut Vec<u8>) {
        let (&(length, stride), outside) = self.axes.split_last().unwrap_or((&(1, 0), &[]));
        into.reserve(run.len() * self.size);
        let mut number = run.start;
        while number < run.end {
            let (mut rest, within) = (number / length, number % length);
            let mut at = self.offset as isize + within as isize * stride;
            for &(length, stride) in outside.iter().rev() {
                at += (rest % length) as isize * stride;
                rest /= length;
            }
            let count = (length - within).min(run.end - number);
            let at = at as usize;
            if stride == self.size as isize {
                into.extend_from_slice(&bytes[at..at + count * self.size]);
            } else {
                match self.size {
                    1 => line::<1>(bytes, at, stride, count, into),
                    2 => line::<2>(bytes, at, stride, count, into),
                    4 => line::<4>(bytes, at, stride, count, into),
                    _ => line::<8>(bytes, at, stride, count, into),
                }
            }
            number += count;
        }
    }
}

/// Appends elements of one size that lie at equal distances.
fn line<const SIZE: usize>(
    bytes: &[u8],
    at: usize,
    stride: isize,
    count: usize,
    into: &mut Vec<u8>,
) {
    for number in 0..count as isize {
        let at = at.wrapping_add_signed(number * stride);
        into.extend_from_slice(&bytes[at..at + SIZE]);
    }
}
