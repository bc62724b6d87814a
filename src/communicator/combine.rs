//! How the contributions of ranks become one.

use std::sync::Arc;

use super::element::Element;
use crate::fold::{self, Operator};
use crate::group::{Fold, GroupError};

/// An operator, or a function of two elements.
pub enum Combine<T> {
    /// One of the operators.
    By(Operator),
    /// A function, applied to elements in rank order.
    Own {
        /// Folds the second into the first. It runs on threads of the group and must
        /// not call it; if it panics, the call fails at all ranks.
        function: Arc<dyn Fn(T, T) -> T + Send + Sync>,
        /// Whether it may also be applied to folds of neighbouring ranks.
        commutative: bool,
    },
}

impl<T> Combine<T> {
    /// A function of two elements that all ranks give alike.
    pub fn own(
        commutative: bool,
        function: impl Fn(T, T) -> T + Send + Sync + 'static,
    ) -> Combine<T> {
        Combine::Own { function: Arc::new(function), commutative }
    }
}

impl<T> From<Operator> for Combine<T> {
    fn from(operator: Operator) -> Combine<T> {
        Combine::By(operator)
    }
}

impl<T: Element> Combine<T> {
    /// As the group takes it: over bytes.
    pub(super) fn into_fold(self) -> (Fold, bool) {
        match self {
            Combine::By(operator) => (Fold::By(operator), false),
            Combine::Own { function, commutative } => {
                let own = move |into: &mut [u8], other: &[u8]| {
                    let size = size_of::<T::Stored>();
                    for (a, b) in into.chunks_exact_mut(size).zip(other.chunks_exact(size)) {
                        let (x, y) =
                            (bytemuck::pod_read_unaligned(a), bytemuck::pod_read_unaligned(b));
                        let folded = function(T::of(x), T::of(y)).stored();
                        a.copy_from_slice(bytemuck::bytes_of(&folded));
                    }
                };
                (Fold::Own(Arc::new(own)), commutative)
            }
        }
    }

    /// Folds `other` into `into`, here.
    pub(super) fn apply(&self, into: &mut [T], other: &[T]) -> Result<(), GroupError> {
        if into.len() != other.len() {
            return Err(GroupError::Length {
                what: "the second array of reduce_local".to_owned(),
                expected: into.len() as u64,
                got: other.len() as u64,
            });
        }
        match self {
            Combine::By(operator) if operator.takes(T::DTYPE) && !operator.is_located() => {
                let (first, second) = (T::store(into), T::store(other));
                let mut out = first.clone();
                let contributions = [bytemuck::cast_slice(&first), bytemuck::cast_slice(&second)];
                fold::fold(*operator, T::DTYPE, &contributions, bytemuck::cast_slice_mut(&mut out));
                into.copy_from_slice(&T::load(out));
            }
            Combine::By(operator) => {
                return Err(GroupError::Operator { operator: *operator, dtype: T::DTYPE });
            }
            Combine::Own { function, .. } => {
                into.iter_mut().zip(other).for_each(|(a, b)| *a = function(*a, *b));
            }
        }
        Ok(())
    }
}
