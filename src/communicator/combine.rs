//! How the contributions of ranks become one.

use std::sync::Arc;

use super::element::Element;
use crate::fold::{self, Operator};
use crate::group::{Fold, GroupError, OwnFold};

/// An operator, or a function of two elements.
pub enum Combine<T> {
    /// One of the operators.
    By(Operator),
    /// A function, applied to elements in rank order.
    Own {
        /// Folds the second into the first. It runs on a thread that the communicator
        /// has for its functions, and while it does all else goes on. If it panics, the
        /// call fails at all ranks ([`GroupError::Panicked`]); if it takes longer than
        /// the call may, that ends without it.
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
    /// As the group takes it, whether it is commutative, and the function over bytes.
    pub(super) fn into_fold(self) -> (Fold, bool, Option<OwnFold>) {
        let (function, commutative) = match self {
            Combine::By(operator) => return (Fold::By(operator), false, None),
            Combine::Own { function, commutative } => (function, commutative),
        };
        let own = move |all: &[&[u8]]| {
            let size = size_of::<T::Stored>();
            let (first, others) = all.split_first().expect("at least one");
            let mut folded = first.to_vec();
            for other in others {
                for (a, b) in folded.chunks_exact_mut(size).zip(other.chunks_exact(size)) {
                    let of = |bytes: &[u8]| T::of(bytemuck::pod_read_unaligned(bytes));
                    let element = function(of(a), of(b)).stored();
                    a.copy_from_slice(bytemuck::bytes_of(&element));
                }
            }
            Ok(folded)
        };
        (Fold::Own, commutative, Some(Arc::new(own)))
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
