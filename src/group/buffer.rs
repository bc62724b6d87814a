//! Arrays as the group holds them: bytes that become elements again.

use std::any::Any;

/// An array that a call takes and gives back. In memory it is what it is on the
/// wire: little-endian.
pub trait Buffer: Send {
    /// Its bytes.
    fn bytes(&self) -> &[u8];

    /// Its bytes, to be written.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Another one of the same kind, of so many bytes, all zero.
    fn zeros(&self, bytes: usize) -> Box<dyn Buffer>;

    /// Itself, to be taken for what it is.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

impl<T: bytemuck::Pod + Send> Buffer for Vec<T> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(self)
    }

    fn zeros(&self, bytes: usize) -> Box<dyn Buffer> {
        Box::new(bytemuck::zeroed_vec::<T>(bytes / size_of::<T>()))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
