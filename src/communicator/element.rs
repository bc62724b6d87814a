//! The types of which arrays may be, as the group holds them.

use crate::dtype::DType;
use half::{bf16, f16};

mod sealed {
    pub trait Sealed {}
}

/// An element of an array: every type of [`DType`], and no other.
pub trait Element: sealed::Sealed + Copy + Default + Send + Sync + 'static {
    /// Its type.
    const DTYPE: DType;

    /// What lies in memory as it does on the wire: itself on little-endian machines.
    #[doc(hidden)]
    type Stored: bytemuck::Pod + Send;

    #[doc(hidden)]
    fn store(values: &[Self]) -> Vec<Self::Stored>;

    /// The memory of elements, where they lie as on the wire, and may be any bytes.
    #[doc(hidden)]
    fn memory(values: &mut [Self]) -> Option<&mut [u8]>;

    #[doc(hidden)]
    fn load(stored: Vec<Self::Stored>) -> Vec<Self>;

    #[doc(hidden)]
    fn of(stored: Self::Stored) -> Self;

    #[doc(hidden)]
    fn stored(self) -> Self::Stored;
}

macro_rules! element {
    ($($element:ty, $dtype:ident, $swap:expr;)*) => {$(
        impl sealed::Sealed for $element {}

        impl Element for $element {
            const DTYPE: DType = DType::$dtype;
            type Stored = $element;

            fn store(values: &[$element]) -> Vec<$element> {
                match cfg!(target_endian = "little") {
                    true => values.to_vec(),
                    false => values.iter().map(|&value| $swap(value)).collect(),
                }
            }

            fn memory(values: &mut [$element]) -> Option<&mut [u8]> {
                cfg!(target_endian = "little").then(|| bytemuck::cast_slice_mut(values))
            }

            fn load(stored: Vec<$element>) -> Vec<$element> {
                match cfg!(target_endian = "little") {
                    true => stored,
                    false => stored.into_iter().map($swap).collect(),
                }
            }

            #[inline(always)]
            fn of(stored: $element) -> $element {
                $swap(stored)
            }

            #[inline(always)]
            fn stored(self) -> $element {
                $swap(self)
            }
        }
    )*};
}

element! {
    i8, I8, i8::to_le;
    i16, I16, i16::to_le;
    i32, I32, i32::to_le;
    i64, I64, i64::to_le;
    u8, U8, u8::to_le;
    u16, U16, u16::to_le;
    u32, U32, u32::to_le;
    u64, U64, u64::to_le;
    f32, F32, |x: f32| f32::from_bits(x.to_bits().to_le());
    f64, F64, |x: f64| f64::from_bits(x.to_bits().to_le());
    f16, F16, |x: f16| f16::from_bits(x.to_bits().to_le());
    bf16, BF16, |x: bf16| bf16::from_bits(x.to_bits().to_le());
}

impl sealed::Sealed for bool {}

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    type Stored = u8;

    fn store(values: &[bool]) -> Vec<u8> {
        values.iter().map(|&value| value.into()).collect()
    }

    fn memory(_values: &mut [bool]) -> Option<&mut [u8]> {
        // Not every byte is a bool.
        None
    }

    fn load(stored: Vec<u8>) -> Vec<bool> {
        stored.into_iter().map(|value| value != 0).collect()
    }

    fn of(stored: u8) -> bool {
        stored != 0
    }

    fn stored(self) -> u8 {
        self.into()
    }
}

/// The elements that little-endian bytes of any alignment are.
pub(super) fn from_bytes<T: Element>(bytes: &[u8]) -> Vec<T> {
    let elements = bytes.chunks_exact(size_of::<T::Stored>());
    elements.map(|element| T::of(bytemuck::pod_read_unaligned(element))).collect()
}

/// The little-endian bytes of elements.
pub(super) fn to_bytes<T: Element>(values: &[T]) -> Vec<u8> {
    bytemuck::cast_slice(&T::store(values)).to_vec()
}
