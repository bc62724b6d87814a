//! How files are cut into entries.
//!
//! Entries depend on the data and on what is reduced, never on nodes or
//! devices. A reduction to one number takes runs of storage. Along an axis, an
//! array that lies as `(outer, reduced, inner)`, the last fastest, is cut into
//! blocks, so that the states of a block's outputs stay small:
//!
//! ```text
//!   whole slabs, where they fit           columns and ranges of rows, else
//!   +-----------------+                   +------+------+---+
//!   | outer 0         |  \                |      |      |   |  reduced
//!   |   reduced x     |   one entry       |  0   |  2   | 4 |
//!   |   inner         |  /                +------+------+---+
//!   +-----------------+                   |      |      |   |
//!   | outer 1         |                   |  1   |  3   | 5 |
//!   +-----------------+                   +------+------+---+
//!                                           inner, cut by outputs
//! ```

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{ENTRIES_MAX, Entry, File, ManifestError, element_count};
use crate::dtype::DType;

/// Which elements of a file an entry has: `outer * reduced` runs of `inner`
/// elements, each `stride` elements after the one before.
///
/// Elements of an entry are numbered run after run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// Length of the slowest axis.
    pub outer: u64,
    /// Length of the axis that is reduced.
    pub reduced: u64,
    /// Length of the fastest axis.
    pub inner: u64,
    /// Elements from the start of one run to that of the next.
    pub stride: u64,
}

impl Block {
    /// A run of storage, reduced to one output.
    pub fn line(elements: u64) -> Block {
        Block { outer: 1, reduced: elements, inner: 1, stride: 1 }
    }

    /// Whether its elements lie without gaps.
    pub fn is_contiguous(&self) -> bool {
        self.stride == self.inner || self.outer * self.reduced <= 1
    }

    /// Elements of storage from its first to its last.
    pub fn span(&self) -> u64 {
        match self.outer * self.reduced {
            0 => 0,
            runs => (runs - 1) * self.stride + self.inner,
        }
    }
}

/// How files are cut into entries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cut {
    /// Runs of storage, for a reduction to one number.
    Runs {
        /// Bytes of elements in a whole entry; it has one element at least.
        entry_bytes: u64,
    },
    /// Runs of storage of two data sets at once, element by element.
    Pairs {
        /// As for runs, of the first data set.
        entry_bytes: u64,
        /// The first file of the second data set.
        second: u32,
    },
    /// Blocks along an axis of arrays that are joined along their first axis.
    Axis {
        /// As for runs.
        entry_bytes: u64,
        /// The axis that is reduced.
        axis: u8,
        /// The outputs of this job, of all that there are: those of the files
        /// in turn, each in the order in which it lies. Along axis 0 all files
        /// have the same ones.
        outputs: Range<u64>,
        /// The most outputs of one entry.
        outputs_max: u64,
    },
}

impl Cut {
    /// The entries, and the number of outputs. What the cut says beyond what
    /// there is, is taken from it, so that equal entries have equal cuts.
    pub(super) fn entries(
        &mut self,
        files: &[File],
        dtype: DType,
    ) -> Result<(Vec<Entry>, u64), ManifestError> {
        let size = dtype.size_bytes() as u64;
        let step = |entry_bytes: &mut u64| {
            let step = (*entry_bytes / size).max(1);
            *entry_bytes = step * size;
            step
        };
        let mut list = List::default();
        let outputs = match self {
            Cut::Runs { entry_bytes } => {
                list.add_runs(files, step(entry_bytes))?;
                1
            }
            Cut::Pairs { entry_bytes, second } => {
                let step = step(entry_bytes);
                let (first, second) =
                    files.split_at_checked(*second as usize).ok_or(ManifestError::Empty)?;
                if first.is_empty() || second.is_empty() {
                    return Err(ManifestError::Empty);
                }
                list.add_pairs(first, second, step)?;
                1
            }
            Cut::Axis { entry_bytes, axis, outputs, outputs_max } => {
                let axis = usize::from(*axis);
                check_axis(files, axis)?;
                let mut spaces = Spaces::new(files, axis);
                let end = outputs.end.min(spaces.total);
                *outputs = outputs.start.min(end)..end;
                *outputs_max = (*outputs_max).max(1);
                let step = step(entry_bytes);
                for (index, file) in (0..).zip(files) {
                    let shape = AxisShape::of(file, axis);
                    let (first_output, first_index) = spaces.next(shape);
                    let cutter = Cutter {
                        file: index,
                        shape,
                        first_output,
                        first_index,
                        window: outputs.clone(),
                        step,
                        outputs_max: *outputs_max,
                    };
                    cutter.cut(&mut list)?;
                }
                outputs.end - outputs.start
            }
        };
        Ok((list.entries, outputs))
    }
}

/// How an array lies around one of its axes.
#[derive(Clone, Copy, Debug)]
struct AxisShape {
    outer: u64,
    reduced: u64,
    inner: u64,
}

impl AxisShape {
    fn of(file: &File, axis: usize) -> AxisShape {
        let count = |lengths: &[u64]| element_count(lengths).expect("no more than all elements");
        let (before, after) = (count(&file.shape[..axis]), count(&file.shape[axis + 1..]));
        let (outer, inner) = if file.is_fortran() { (after, before) } else { (before, after) };
        AxisShape { outer, reduced: file.shape[axis], inner }
    }

    fn outputs(&self) -> u64 {
        self.outer * self.inner
    }
}

/// Number of outputs of all files together along `axis`.
///
/// # Errors
/// Arrays without this axis, or that do not join.
pub fn axis_outputs(files: &[File], axis: usize) -> Result<u64, ManifestError> {
    check_axis(files, axis)?;
    Ok(Spaces::new(files, axis).total)
}

/// The shape of all files together, joined along their first axis; of one alone its own.
///
/// # Errors
/// Arrays that do not join.
pub fn joined_shape(files: &[File]) -> Result<Vec<u64>, ManifestError> {
    let mut shape = files[0].shape.clone();
    if files.len() > 1 {
        check_axis(files, 0)?;
        shape[0] = files.iter().map(|file| file.shape[0]).fold(0, u64::saturating_add);
    }
    Ok(shape)
}

/// Where the outputs of a job along an axis lie in its result, an array in C
/// order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOrder {
    shape: Vec<u64>,
    /// One array after the other, where outputs are not numbered in C order.
    arrays: Vec<OutputArray>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OutputArray {
    /// Its first output.
    first: u64,
    /// The shape of its part of the result.
    shape: Vec<u64>,
    /// Where its part starts in the result.
    offset: u64,
}

impl OutputOrder {
    /// The outputs of `files`, joined along their first axis and reduced along
    /// `axis`.
    ///
    /// # Errors
    /// Arrays without this axis, or that do not join.
    pub fn new(files: &[File], axis: usize) -> Result<OutputOrder, ManifestError> {
        check_axis(files, axis)?;
        let without_axis = |file: &File| {
            let lengths = file.shape.iter().enumerate().filter(|&(index, _)| index != axis);
            lengths.map(|(_, &length)| length).collect::<Vec<u64>>()
        };
        let mut shape = without_axis(&files[0]);
        let joined = if axis == 0 { &files[..1] } else { files };
        if axis > 0 {
            let lengths = files.iter().map(|file| file.shape[0]);
            shape[0] = lengths.fold(0, u64::saturating_add);
        }
        let mut arrays = Vec::new();
        let mut first = 0;
        for file in joined {
            let part = without_axis(file);
            let outputs = AxisShape::of(file, axis).outputs();
            // Along the joined axis parts follow one another in C order.
            arrays.push(OutputArray { first, shape: part, offset: first });
            first += outputs;
        }
        if !files.iter().any(File::is_fortran) {
            arrays.clear();
        }
        Ok(OutputOrder { shape, arrays })
    }

    /// The shape of the result.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Whether outputs are numbered as they lie in the result.
    pub fn is_linear(&self) -> bool {
        self.arrays.is_empty()
    }

    /// Where an output lies in the result.
    pub fn position(&self, output: u64) -> u64 {
        let after = self.arrays.partition_point(|array| array.first <= output);
        match after.checked_sub(1).map(|index| &self.arrays[index]) {
            None => output,
            Some(array) => array.offset + fortran_to_c(&array.shape, output - array.first),
        }
    }
}

/// The index in C order of the element that lies at `position` in Fortran order.
pub fn fortran_to_c(shape: &[u64], mut position: u64) -> u64 {
    let mut step = shape.iter().product::<u64>();
    let mut index = 0;
    for &length in shape {
        step /= length;
        index += position % length * step;
        position /= length;
    }
    index
}

/// Where the outputs and places of one file after the other begin.
struct Spaces {
    total: u64,
    along_first: bool,
    outputs: u64,
    index: u64,
}

impl Spaces {
    fn new(files: &[File], axis: usize) -> Spaces {
        let each = files.iter().map(|file| AxisShape::of(file, axis).outputs());
        let total = if axis == 0 { each.take(1).sum() } else { each.fold(0, u64::saturating_add) };
        Spaces { total, along_first: axis == 0, outputs: 0, index: 0 }
    }

    /// The first output and the first place of the next file.
    fn next(&mut self, shape: AxisShape) -> (u64, u64) {
        let start = (self.outputs, self.index);
        match self.along_first {
            true => self.index = self.index.saturating_add(shape.reduced),
            false => self.outputs = self.outputs.saturating_add(shape.outputs()),
        }
        start
    }
}

fn check_axis(files: &[File], axis: usize) -> Result<(), ManifestError> {
    let first = &files[0];
    for file in files {
        let (name, axes) = (file.name(), file.shape.len());
        if axis >= axes {
            return Err(ManifestError::Axis { name, axis, axes });
        }
        if file.shape.get(1..) != first.shape.get(1..) {
            let (expected, got) = (first.shape.clone(), file.shape.clone());
            return Err(ManifestError::Shapes { name, expected, got });
        }
        // The lengths of axes beside an axis of length zero may be anything.
        let lengths = file.shape.iter().filter(|&&length| length > 0).copied();
        if element_count(&lengths.collect::<Vec<u64>>()).is_none() {
            return Err(ManifestError::TooLarge);
        }
    }
    // Arrays without elements, or of one long axis, lie in any order.
    let long = files.iter().filter(|file| {
        !file.shape.contains(&0) && file.shape.iter().filter(|&&n| n > 1).count() > 1
    });
    let (fortran, c): (Vec<&File>, Vec<&File>) = long.partition(|file| file.is_fortran());
    match (fortran.first(), c.first()) {
        (Some(fortran), Some(c)) => {
            Err(ManifestError::Orders { fortran: fortran.name(), c: c.name() })
        }
        _ => Ok(()),
    }
}

/// Entries as they are made, at most [`ENTRIES_MAX`].
#[derive(Default)]
struct List {
    entries: Vec<Entry>,
}

impl List {
    fn push(&mut self, entry: Entry) -> Result<(), ManifestError> {
        if self.entries.len() == ENTRIES_MAX {
            return Err(ManifestError::Entries { max: ENTRIES_MAX });
        }
        let position = self.entries.len() as u32;
        self.entries.push(Entry { position, ..entry });
        Ok(())
    }

    fn add_runs(&mut self, files: &[File], step: u64) -> Result<(), ManifestError> {
        let mut offset = 0_u64;
        for (index, file) in (0..).zip(files) {
            let length = file.elements().expect("checked before");
            if length.div_ceil(step) > (ENTRIES_MAX - self.entries.len()) as u64 {
                return Err(ManifestError::Entries { max: ENTRIES_MAX });
            }
            let mut start = 0;
            while start < length {
                let end = start.saturating_add(step).min(length);
                self.push(run(index, start..end, offset + start, None))?;
                start = end;
            }
            offset += length;
        }
        Ok(())
    }

    /// Cuts two data sets at the same places: at the ends of the files of both.
    fn add_pairs(
        &mut self,
        first: &[File],
        second: &[File],
        step: u64,
    ) -> Result<(), ManifestError> {
        let count = |files: &[File]| -> u64 {
            files.iter().map(|file| file.elements().expect("checked before")).sum()
        };
        let shape = |files: &[File]| match files {
            [file] => format!("'{}' of shape {:?}", file.name(), file.shape),
            files => format!("{} files of {} elements", files.len(), count(files)),
        };
        let unequal = || ManifestError::Pair { first: shape(first), second: shape(second) };
        let single = first.len() == 1 && second.len() == 1;
        if count(first) != count(second) || (single && first[0].shape != second[0].shape) {
            return Err(unequal());
        }
        let (mut left, mut right) = (Cursor::new(first, 0), Cursor::new(second, first.len()));
        let mut offset = 0;
        while let (Some((a, a_start, a_left)), Some((b, b_start, b_left))) =
            (left.here(), right.here())
        {
            let (a_file, b_file) = (&first[a], &second[b - first.len()]);
            // In Fortran order only equal arrays have their elements side by side.
            if (a_file.is_fortran() || b_file.is_fortran())
                && (a_file.shape != b_file.shape
                    || a_file.is_fortran() != b_file.is_fortran()
                    || a_start != b_start)
            {
                let (fortran, c) =
                    if a_file.is_fortran() { (a_file, b_file) } else { (b_file, a_file) };
                return Err(ManifestError::Orders { fortran: fortran.name(), c: c.name() });
            }
            let length = a_left.min(b_left).min(step);
            let elements = a_start..a_start + length;
            self.push(run(a as u32, elements, offset, Some((b as u32, b_start))))?;
            left.advance(length);
            right.advance(length);
            offset += length;
        }
        Ok(())
    }
}

fn run(file: u32, elements: Range<u64>, first_index: u64, second: Option<(u32, u64)>) -> Entry {
    Entry { file, first_index, second, ..Entry::line(0, elements) }
}

/// A walk over the elements of several files.
struct Cursor<'a> {
    files: &'a [File],
    /// Position of the first file in the manifest.
    base: usize,
    file: usize,
    start: u64,
}

impl Cursor<'_> {
    fn new(files: &[File], base: usize) -> Cursor<'_> {
        Cursor { files, base, file: 0, start: 0 }
    }

    /// The file, the element in it, and how many follow from there.
    fn here(&mut self) -> Option<(usize, u64, u64)> {
        loop {
            let length = self.files.get(self.file)?.elements().expect("checked before");
            if self.start < length {
                return Some((self.base + self.file, self.start, length - self.start));
            }
            (self.file, self.start) = (self.file + 1, 0);
        }
    }

    fn advance(&mut self, elements: u64) {
        self.start += elements;
    }
}

/// Cuts one file along an axis.
struct Cutter {
    file: u32,
    shape: AxisShape,
    first_output: u64,
    first_index: u64,
    /// The job's outputs, of all.
    window: Range<u64>,
    step: u64,
    outputs_max: u64,
}

impl Cutter {
    fn cut(&self, list: &mut List) -> Result<(), ManifestError> {
        let AxisShape { reduced, inner, .. } = self.shape;
        let outputs = self.shape.outputs();
        // The file's own outputs that are in the window.
        let local = |output: u64| output.saturating_sub(self.first_output).min(outputs);
        let (start, end) = (local(self.window.start), local(self.window.end));
        if reduced == 0 || start >= end {
            return Ok(());
        }
        let slab = reduced * inner;
        let slabs_max = (self.step / slab).min(self.outputs_max / inner);
        let mut output = start;
        while output < end {
            let (outer, column) = (output / inner, output % inner);
            let whole = (end - output) / inner;
            if column == 0 && whole > 0 && slabs_max > 0 {
                let count = whole.min(slabs_max);
                let block = Block { outer: count, reduced, inner, stride: inner };
                self.push(list, outer * slab, block, output, 0)?;
                output += count * inner;
            } else {
                let width = (inner - column).min(end - output).min(self.outputs_max).min(self.step);
                self.cut_columns(list, outer * slab + column, width, output)?;
                output += width;
            }
        }
        Ok(())
    }

    /// Cuts `width` columns from `start` on into ranges of rows.
    fn cut_columns(
        &self,
        list: &mut List,
        start: u64,
        width: u64,
        output: u64,
    ) -> Result<(), ManifestError> {
        let AxisShape { reduced, inner, .. } = self.shape;
        let rows = (self.step / width).max(1);
        let mut row = 0;
        while row < reduced {
            let count = rows.min(reduced - row);
            let block = Block { outer: 1, reduced: count, inner: width, stride: inner };
            self.push(list, start + row * inner, block, output, row)?;
            row += count;
        }
        Ok(())
    }

    fn push(
        &self,
        list: &mut List,
        start: u64,
        block: Block,
        output: u64,
        index: u64,
    ) -> Result<(), ManifestError> {
        list.push(Entry {
            position: 0,
            file: self.file,
            elements: start..start + block.span(),
            block,
            first_output: self.first_output + output - self.window.start,
            first_index: self.first_index + index,
            second: None,
        })
    }
}
