//! An array in memory, as its owner describes it.

use crate::dtype::Layout;

/// Elements in memory, at any strides: an array as NumPy has them.
#[derive(Clone, Debug)]
pub struct View<'a> {
    layout: Layout,
    bytes: &'a [u8],
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<isize>,
}

/// A description that the memory does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// Not a stride for each axis.
    #[error("{axes} axes with {strides} strides; each axis has one")]
    Strides {
        /// Number of axes.
        axes: usize,
        /// Number of strides.
        strides: usize,
    },
    /// Elements outside of the memory.
    #[error("the array reaches over the bytes {low}..{high} of {bytes}")]
    Extent {
        /// Where its lowest element starts.
        low: i128,
        /// Where its highest element ends.
        high: i128,
        /// The bytes that there are.
        bytes: usize,
    },
}

impl<'a> View<'a> {
    /// An array whose first element starts at byte `offset`, and where a step along
    /// each axis goes over so many bytes, forward or back, or none at all. Elements
    /// have no particular alignment.
    ///
    /// # Errors
    /// Elements that do not lie within `bytes`.
    pub fn new(
        layout: Layout,
        bytes: &'a [u8],
        offset: usize,
        shape: &[usize],
        strides: &[isize],
    ) -> Result<View<'a>, ViewError> {
        if shape.len() != strides.len() {
            return Err(ViewError::Strides { axes: shape.len(), strides: strides.len() });
        }
        let (mut low, mut high) = (offset as i128, offset as i128);
        high += layout.dtype.size_bytes() as i128;
        for (&length, &stride) in shape.iter().zip(strides) {
            // Saturating: what is that far away is outside, whatever the rest says.
            let reach = (length as i128 - 1).saturating_mul(stride as i128);
            low = low.saturating_add(reach.min(0));
            high = high.saturating_add(reach.max(0));
        }
        if !shape.contains(&0) && (low < 0 || high > bytes.len() as i128) {
            return Err(ViewError::Extent { low, high, bytes: bytes.len() });
        }
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        Ok(View { layout, bytes, offset, shape, strides })
    }

    /// An array in C order without gaps.
    ///
    /// # Errors
    /// More elements than `bytes` holds.
    pub fn contiguous(
        layout: Layout,
        bytes: &'a [u8],
        shape: &[usize],
    ) -> Result<View<'a>, ViewError> {
        let mut strides = vec![0; shape.len()];
        let mut step = layout.dtype.size_bytes() as isize;
        for (stride, &length) in strides.iter_mut().zip(shape).rev() {
            *stride = step;
            step = step.saturating_mul(length.max(1) as isize);
        }
        View::new(layout, bytes, 0, shape, &strides)
    }

    /// Type and byte order of the elements.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// Whether the elements lie in Fortran order without gaps, and not in C order.
    pub(super) fn is_fortran(&self) -> bool {
        let long = self.shape.iter().zip(&self.strides).filter(|(length, _)| **length > 1);
        let mut step = self.layout.dtype.size_bytes() as isize;
        let mut axes = 0;
        for (&length, &stride) in long {
            if stride != step {
                return false;
            }
            step *= length as isize;
            axes += 1;
        }
        axes > 1
    }
}
