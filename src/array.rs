//! Reductions of arrays that lie in this process's memory, in any layout.
//!
//! ```
//! use adsum::array::{Reduction, View};
//! use adsum::{DType, Layout, Spec, Value};
//!
//! // Two rows of three float64; the sum of each column.
//! let rows = [[1.0_f64, 2.0, 3.0], [0.5, 0.25, 1e300]];
//! let bytes: Vec<u8> = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
//! let view = View::contiguous(Layout::little(DType::F64), &bytes, &[2, 3])?;
//! let columns = Reduction::new(&Spec::sum(DType::F64), view).along(&[0]);
//! let sums = columns.each(&|| false, |_, states| {
//!     use adsum::{Op, finish};
//!     finish::finish(Op::Sum, states, finish::Options::default(), DType::F64)
//! })?;
//! assert_eq!(sums[0].as_ref().map(|sum| sum.value), Ok(Value::float64(1.5)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An array is seen as a block of shape `(outer, reduced, inner)`: the axes that
//! are kept and lie further apart than those that are reduced, the reduced ones,
//! and the rest. Where it lies in memory like that, it is read where it is; else
//! pieces of it are gathered, at most [`UNIT_BYTES`] at a time and thread.
//!
//! ```text
//!   block  =  windows of outputs  x  parts of the reduced axis  =  units
//!              one thread takes the next unit ... merges its partial
//!              the last part of a window: its outputs are finished, and forgotten
//! ```
//!
//! So states take at most [`WINDOW_STATE_BYTES`] for each thread and unfinished
//! window, however many outputs there are.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::backend::cpu::{CpuBackend, TILE_BYTES};
use crate::backend::{Backend, BackendError, Order, Place, Run};
use crate::op::{Monoid, Spec};
use crate::partial::Partial;
use crate::reduction::State;

mod plan;
mod view;

pub use view::{View, ViewError};

use plan::{Plan, Unit};

/// Bytes of elements that a thread takes at a time.
pub const UNIT_BYTES: usize = TILE_BYTES;

/// The most bytes of the states of one window of outputs; one output at least.
pub const WINDOW_STATE_BYTES: usize = 1 << 18;

/// Why an array gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArrayError {
    /// The caller asked to stop.
    #[error("stopped before the end")]
    Stopped,
    /// A defect of this program.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// A reduction of one array, or of two side by side, that can be carried out.
#[derive(Clone, Debug)]
pub struct Reduction<'a> {
    spec: Spec,
    first: View<'a>,
    second: Option<View<'a>>,
    axes: Vec<usize>,
    first_index: u64,
    threads: usize,
    unit_bytes: usize,
    window_state_bytes: usize,
}

impl<'a> Reduction<'a> {
    /// A reduction of all elements to one output, by one thread.
    ///
    /// # Panics
    /// If the spec is of another element type than the array.
    pub fn new(spec: &Spec, view: View<'a>) -> Reduction<'a> {
        assert_eq!(spec.dtype, view.layout().dtype, "a spec of one type for an array of another");
        Reduction {
            spec: spec.clone(),
            axes: (0..view.shape().len()).collect(),
            first: view,
            second: None,
            first_index: 0,
            threads: 1,
            unit_bytes: UNIT_BYTES,
            window_state_bytes: WINDOW_STATE_BYTES,
        }
    }

    /// Reduces along these axes alone, each given once; the others are kept, and
    /// each place of theirs is an output. Without any, each element is one.
    ///
    /// # Panics
    /// If the array has no such axis, or one is given twice.
    pub fn along(mut self, axes: &[usize]) -> Reduction<'a> {
        self.axes = axes.to_vec();
        self.axes.sort_unstable();
        let is_once = self.axes.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(is_once, "an axis is given twice: {axes:?}");
        let axes_count = self.first.shape().len();
        assert!(self.axes.last().is_none_or(|&last| last < axes_count), "no axis of {axes:?}");
        self
    }

    /// Reduces each element together with that at the same place of a second array,
    /// for specs that are [paired](Spec::is_paired).
    ///
    /// # Panics
    /// If the two are not of equal shapes and types.
    pub fn with(mut self, second: View<'a>) -> Reduction<'a> {
        assert_eq!(self.first.shape(), second.shape(), "arrays of different shapes");
        assert_eq!(self.spec.dtype, second.layout().dtype, "arrays of different types");
        self.second = Some(second);
        self
    }

    /// The place of the first element along the reduced axis, where the array is a
    /// part of a longer one. It is 0 otherwise.
    pub fn from_index(self, first_index: u64) -> Reduction<'a> {
        Reduction { first_index, ..self }
    }

    /// Works with up to so many threads, the caller's among them. Their number
    /// changes no bit of the result.
    pub fn threads(self, threads: usize) -> Reduction<'a> {
        Reduction { threads: threads.max(1), ..self }
    }

    /// Units and windows of another size. Tests use it to have many of little data.
    #[doc(hidden)]
    pub fn in_units(self, unit_bytes: usize, window_state_bytes: usize) -> Reduction<'a> {
        Reduction { unit_bytes, window_state_bytes, ..self }
    }

    /// Number of outputs: the product of the lengths of the axes that are kept.
    pub fn outputs(&self) -> usize {
        let kept = self.first.shape().iter().enumerate();
        kept.filter(|(axis, _)| !self.axes.contains(axis)).map(|(_, &length)| length).product()
    }

    /// The partial of the whole array, its outputs in C order of the axes that are
    /// kept. For many outputs [`Reduction::each`] needs far less memory.
    ///
    /// # Errors
    /// As [`Reduction::each`].
    pub fn partial(&self, stop: &dyn Fn() -> bool) -> Result<Partial, ArrayError> {
        let states = self.each(stop, |_, states| states.to_vec())?;
        Ok(Partial::from_states(&self.spec, states.into_iter().flatten().collect()))
    }

    /// What `finish` makes of the position and the states of each output, in C order of
    /// the axes that are kept. Elements that are reduced have their places in C order.
    ///
    /// `stop` is asked now and then on the caller's thread, at least once for each
    /// [`UNIT_BYTES`] that it reduces, and ends the work if it says so.
    ///
    /// One exception to C order: the product of floats of a whole array that lies in
    /// Fortran order is that of the elements as they lie, as of a file of it.
    ///
    /// # Errors
    /// [`ArrayError::Stopped`].
    ///
    /// # Panics
    /// If the spec needs two arrays and there is one, or the other way round.
    pub fn each<T: Send>(
        &self,
        stop: &dyn Fn() -> bool,
        finish: impl Fn(usize, &[State]) -> T + Sync,
    ) -> Result<Vec<T>, ArrayError> {
        assert_eq!(self.spec.is_paired(), self.second.is_some(), "one array, or two");
        let outputs = self.outputs();
        if self.first.elements() == 0 {
            let nothing = Partial::identity(&self.spec, 1);
            return Ok((0..outputs).map(|output| finish(output, nothing.states(0))).collect());
        }
        let monoids = self.spec.monoids.iter();
        let output_bytes = monoids.map(|monoid| monoid.state_bytes(self.spec.dtype)).sum::<u64>();
        let plan = Plan::new(
            &self.first,
            self.second.as_ref(),
            &self.axes,
            self.order(),
            self.unit_bytes,
            (self.window_state_bytes / output_bytes as usize).max(1),
        );
        let work = Work {
            reduction: self,
            plan: &plan,
            finish: &finish,
            next: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            done: Mutex::new(Done {
                results: (0..outputs).map(|_| None).collect(),
                windows: HashMap::new(),
                error: None,
            }),
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.min(plan.units()) {
                let work = &work;
                scope.spawn(move || work.run(&mut CpuBackend::new(TILE_BYTES), &|| false));
            }
            HERE.with_borrow_mut(|backend| work.run(backend, stop));
        });
        let done = work.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        match done.error {
            Some(error) => Err(error),
            None => Ok(done.results.into_iter().map(|one| one.expect("all units")).collect()),
        }
    }

    /// In which order the reduced elements have their places.
    fn order(&self) -> plan::Order {
        let whole = self.axes.len() == self.first.shape().len();
        if !self.spec.is_indexed() {
            plan::Order::Free
        } else if whole && self.spec.monoids.contains(&Monoid::Tree) && self.first.is_fortran() {
            plan::Order::Fortran
        } else {
            plan::Order::C
        }
    }
}

thread_local! {
    /// What a caller reduces with: made once, for that takes longer than a small array.
    static HERE: RefCell<CpuBackend> = RefCell::new(CpuBackend::new(TILE_BYTES));
}

/// A reduction that is carried out.
struct Work<'a, F, T> {
    reduction: &'a Reduction<'a>,
    plan: &'a Plan,
    finish: &'a F,
    /// The next unit that nobody has taken.
    next: AtomicUsize,
    /// Whether the work ends early.
    ended: AtomicBool,
    done: Mutex<Done<T>>,
}

/// Units of one window that a backend holds: the last of them, and how many.
struct Held {
    unit: Unit,
    parts: usize,
}

struct Done<T> {
    /// By the position of outputs in C order.
    results: Vec<Option<T>>,
    /// Windows with some of their parts, and how many.
    windows: HashMap<usize, (Partial, usize)>,
    error: Option<ArrayError>,
}

impl<F: Fn(usize, &[State]) -> T + Sync, T: Send> Work<'_, F, T> {
    /// Takes units until there are none.
    fn run(&self, backend: &mut CpuBackend, stop: &dyn Fn() -> bool) {
        let mut blocks = [Vec::new(), Vec::new()];
        let mut held = None;
        let mut first = true;
        let ended = loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.plan.units() || self.ended.load(Ordering::Relaxed) {
                break Ok(());
            }
            // What takes no time need not be stopped.
            if !std::mem::take(&mut first) && stop() {
                break Err(ArrayError::Stopped);
            }
            if let Err(error) = self.reduce(backend, number, &mut blocks, &mut held) {
                break Err(error);
            }
        };
        // Whatever has happened, nothing stays for the backend's next reduction.
        if let Err(error) = self.flush(backend, held).and(ended) {
            self.ended.store(true, Ordering::Relaxed);
            self.lock().error.get_or_insert(error);
        }
    }

    /// Adds a unit to those of the same window that the backend holds.
    fn reduce(
        &self,
        backend: &mut CpuBackend,
        number: usize,
        blocks: &mut [Vec<u8>; 2],
        held: &mut Option<Held>,
    ) -> Result<(), ArrayError> {
        let Reduction { spec, first, second, first_index, .. } = self.reduction;
        let unit = self.plan.unit(number);
        // States with places grow where units between them are another thread's.
        if held.as_ref().is_some_and(|held| held.unit.window != unit.window || spec.is_indexed()) {
            self.flush(backend, held.take())?;
        }
        let [block, second_block] = blocks;
        let place = Place {
            outer: unit.outer.len(),
            reduced: unit.reduced.len(),
            inner: unit.inner.len(),
            first_output: 0,
            first_index: first_index + unit.reduced.start as u64,
            order: Order::Linear,
        };
        let second = second
            .as_ref()
            .map(|view| (view.layout(), self.plan.read(1, view.bytes(), &unit, second_block)));
        let bytes = self.plan.read(0, first.bytes(), &unit, block);
        let run = Run { layout: first.layout(), bytes, second, place };
        let outputs = unit.outputs();
        let held = held.get_or_insert(Held { unit, parts: 0 });
        held.parts += 1;
        Ok(backend.add(spec, outputs, &run)?)
    }

    /// Takes what the backend holds.
    fn flush(&self, backend: &mut CpuBackend, held: Option<Held>) -> Result<(), ArrayError> {
        if let Some(Held { unit, parts }) = held {
            let partial = backend.flush(&self.reduction.spec, unit.outputs())?;
            self.merge(&unit, partial, parts);
        }
        Ok(())
    }

    /// Merges so many parts of a window, and finishes it if they are the last ones.
    fn merge(&self, unit: &Unit, partial: Partial, mut parts: usize) {
        let mut whole = partial;
        if self.plan.parts() > parts {
            let mut done = self.lock();
            if let Some((others, merged)) = done.windows.remove(&unit.window) {
                whole.merge(&others).expect("parts of one window of one reduction");
                parts += merged;
            }
            if parts < self.plan.parts() {
                done.windows.insert(unit.window, (whole, parts));
                return;
            }
        }
        let finish = |output| {
            let position = self.plan.position(unit, output);
            (position, (self.finish)(position, whole.states(output)))
        };
        let finished: Vec<(usize, T)> = (0..whole.outputs()).map(finish).collect();
        let mut done = self.lock();
        for (position, one) in finished {
            done.results[position] = Some(one);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Done<T>> {
        // It is consistent between any two statements that can panic.
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
