//! Elements that are left out of arrays, whatever they hold.

use std::ops::Range;
use std::sync::Arc;

use crate::dtype::{ByteOrder, Layout};
use crate::manifest::{Entry, File};
use crate::shard::{Shard, ShardError};

/// Which elements of arrays that are joined along their first axis count, and what
/// is read in the place of the others.
#[derive(Debug)]
pub struct Mask {
    flags: Vec<bool>,
    files: Vec<Axes>,
    neutral: u64,
}

/// How the flags of one array lie beside its elements.
#[derive(Debug)]
struct Axes {
    /// The flag of the first element.
    start: usize,
    /// Lengths, the fastest axis of the elements first, and flags from one element to
    /// the next: none along an axis that has one flag for all.
    axes: Vec<(u64, usize)>,
}

impl Mask {
    /// A mask over `files`: `flags` is an array in C order of this shape, which has
    /// the lengths of the joined arrays, or 1 where one flag is for a whole axis.
    /// `neutral` has the bits of the element that stands for those without a flag.
    ///
    /// It takes the memory of the flags.
    ///
    /// # Panics
    /// If the shape is none of the arrays, or not that of the flags.
    pub fn new(files: &[File], shape: &[u64], flags: Vec<bool>, neutral: u64) -> Mask {
        assert_eq!(flags.len() as u64, shape.iter().product::<u64>(), "flags of another shape");
        let rows: u64 = files.iter().filter_map(|file| file.shape.first()).sum();
        let mut row = 0;
        let axes = files.iter().map(|file| {
            let mut joined = file.shape.clone();
            joined.iter_mut().take(1).for_each(|length| *length = rows);
            assert_eq!(shape.len(), joined.len(), "a mask of other axes than an array");
            let mut step = 1;
            let mut axes = Vec::new();
            for ((&flags, &length), &whole) in shape.iter().zip(&file.shape).zip(&joined).rev() {
                assert!(flags == whole || flags == 1, "{flags} flags along an axis of {whole}");
                axes.push((length, if flags == 1 { 0 } else { step }));
                step *= flags as usize;
            }
            let start = row as usize * axes.last().map_or(0, |&(_, step)| step);
            row += file.shape.first().unwrap_or(&0);
            if file.is_fortran() {
                axes.reverse();
            }
            Axes { start, axes: merged(axes) }
        });
        Mask { files: axes.collect(), flags, neutral }
    }

    /// The bytes of the neutral element.
    fn neutral(&self, layout: Layout) -> Vec<u8> {
        let mut bytes = self.neutral.to_le_bytes()[..layout.dtype.size_bytes()].to_vec();
        if layout.byte_order == ByteOrder::Big {
            bytes.reverse();
        }
        bytes
    }
}

/// The same axes, of which neighbours that are one are one.
fn merged(axes: Vec<(u64, usize)>) -> Vec<(u64, usize)> {
    let mut merged: Vec<(u64, usize)> = Vec::new();
    for (length, step) in axes.into_iter().filter(|&(length, _)| length != 1) {
        match merged.last_mut() {
            Some(last) if step == last.1 * last.0 as usize => last.0 *= length,
            _ => merged.push((length, step)),
        }
    }
    merged
}

/// The elements of an entry, with a neutral one in the place of each that is left out.
pub struct MaskedShard {
    shard: Arc<dyn Shard>,
    mask: Arc<Mask>,
    /// Which array of the mask it is from.
    file: usize,
    /// The place of its first element in the array, as it lies.
    start: u64,
    /// Elements of one run, and from the start of one to that of the next.
    inner: u64,
    stride: u64,
}

impl MaskedShard {
    /// The shard of `entry`, without what `mask` leaves out.
    pub(super) fn new(shard: Arc<dyn Shard>, mask: Arc<Mask>, entry: &Entry) -> MaskedShard {
        let (file, start) = (entry.file as usize, entry.elements.start);
        let (inner, stride) = match entry.block.is_contiguous() {
            true => (entry.len(), entry.len()),
            false => (entry.block.inner, entry.block.stride),
        };
        MaskedShard { shard, mask, file, start, inner, stride }
    }
}

impl Shard for MaskedShard {
    fn layout(&self) -> Layout {
        self.shard.layout()
    }

    fn elements(&self) -> u64 {
        self.shard.elements()
    }

    fn read<'a>(
        &'a self,
        elements: Range<u64>,
        block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError> {
        let mut read = Vec::new();
        let bytes = self.shard.read(elements.clone(), &mut read)?;
        block.clear();
        block.extend_from_slice(bytes);
        let neutral = self.mask.neutral(self.layout());
        let Axes { start, axes } = &self.mask.files[self.file];
        let (&(length, step), slower) = axes.split_first().unwrap_or((&(1, 0), &[]));
        let mut next = elements.start;
        while next < elements.end {
            let column = next % self.inner;
            let place = self.start + next / self.inner * self.stride + column;
            let (mut rest, within) = (place / length, place % length);
            let count = (elements.end - next).min(self.inner - column).min(length - within);
            let mut flag = start + within as usize * step;
            for &(length, step) in slower {
                flag += (rest % length) as usize * step;
                rest /= length;
            }
            let first = (next - elements.start) as usize * neutral.len();
            let run = &mut block[first..first + count as usize * neutral.len()];
            for element in run.chunks_exact_mut(neutral.len()) {
                if !self.mask.flags[flag] {
                    element.copy_from_slice(&neutral);
                }
                flag += step;
            }
            next += count;
        }
        Ok(block)
    }

    fn verify(&self) -> Result<(), ShardError> {
        self.shard.verify()
    }
}
