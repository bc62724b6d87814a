//! One adapter as a [`Backend`].

use std::fmt;
use std::time::Duration;

use super::cache::Cache;
use super::device::{Adapter, Device, failed_before};
use super::dispatch::Dispatch;
use super::gather::Bound;
use super::kernel::{Block, Kernel};
use super::partials::{self, Evidence, InvalidPartials};
use super::piece::{Piece, elements_max};
use super::pipeline::Pipelines;
use super::plan::{Bounds, Load, Plan};
use super::self_test::Examination;
use super::stream::Stream;
use crate::backend::cpu::{self, CpuBackend};
use crate::backend::{Backend, BackendError, DeviceInfo, Run, Takes};
use crate::op::Spec;
use crate::partial::Partial;

/// How an adapter is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bytes that the backend would like in one `add`: the size of its
    /// staging buffers, if memory allows.
    pub tile_bytes: usize,
    /// Bound of all its buffers together, on the host and on the device.
    pub memory_bytes: usize,
    /// Lowers the part of a tile that one dispatch sums below what the adapter
    /// allows. Rounded down to a multiple of 256, never below it.
    pub window_bytes_max: Option<u64>,
    /// The most workgroups of one dispatch.
    pub workgroups_max: u32,
    /// The longest wait for the device before it counts as failed.
    pub timeout: Duration,
    /// The size of a workgroup's block.
    #[doc(hidden)]
    pub block: Block,
    /// For tests: reduces along an axis on the device however short the axis is.
    #[doc(hidden)]
    pub short_axes: bool,
    /// For tests: destroys the device just before the tile of this number,
    /// counted from 1, is sent, so that the loss takes the path of a real one.
    #[doc(hidden)]
    pub destroy_at_tile: Option<u64>,
}

impl Default for Options {
    /// Tiles of 16 MiB, which hide the cost of a submission, and so 64 MiB of
    /// buffers and the partials beside them; half a minute is longer than any
    /// living device needs for two tiles.
    fn default() -> Options {
        Options {
            tile_bytes: 16 << 20,
            memory_bytes: 72 << 20,
            window_bytes_max: None,
            workgroups_max: 256,
            timeout: Duration::from_secs(30),
            block: Block::LARGE,
            short_axes: false,
            destroy_at_tile: None,
        }
    }
}

impl Options {
    /// What fits where on an adapter.
    pub(super) fn plan(&self, adapter: &Adapter) -> Result<Plan, BackendError> {
        let limits = adapter.limits();
        let refuse = |message| BackendError { device: adapter.info().id.clone(), message };
        if limits.workgroup_threads_max < 256 || limits.workgroup_bytes_max < 16 << 10 {
            return Err(refuse("its workgroups are smaller than WebGPU's defaults".into()));
        }
        let binding = limits.binding_bytes_max;
        Plan::new(Bounds {
            tile_bytes: self.tile_bytes as u64,
            memory_bytes: self.memory_bytes as u64,
            buffer_bytes_max: limits.buffer_bytes_max,
            binding_bytes_max: self.window_bytes_max.map_or(binding, |max| max.min(binding)),
            workgroups_max: self.workgroups_max.min(limits.workgroups_max),
        })
        .map_err(|error| refuse(error.to_string()))
    }
}

/// A graphics adapter that reduces.
pub struct GpuBackend {
    info: DeviceInfo,
    plan: Plan,
    tiles: u64,
    destroy_at_tile: Option<u64>,
    block: Block,
    short_axes: bool,
    /// Takes what is not worth sending.
    host: CpuBackend,
    /// Present where kernels are examined before they are used.
    examination: Option<Examination>,
    /// What was added since the last flush.
    pending: Option<Pending>,
    /// Absent once the device has failed.
    open: Option<Open>,
}

/// What dies with the device.
#[derive(Debug)]
struct Open {
    device: Device,
    pipelines: Pipelines,
    stream: Stream,
    /// The kernels of the spec that was added last.
    bound: Option<(Spec, Bound)>,
}

#[derive(Debug)]
struct Pending {
    spec: Spec,
    /// Elements of one output in the device's partials.
    elements: u64,
    /// What was read from them before the flush.
    partial: Partial,
    /// Whether the host has reduced some of it.
    on_host: bool,
}

impl GpuBackend {
    /// Opens the adapter and takes all the memory it will need. Each kernel is
    /// examined before the first reduction that needs it, unless it passed in
    /// an earlier run.
    ///
    /// A kernel that fails makes the backend fail: [`Backend::add`] says so.
    ///
    /// # Errors
    /// As [`GpuBackend::open`].
    pub fn open_examined(
        adapter: &Adapter,
        options: &Options,
        cache: &Cache,
    ) -> Result<GpuBackend, BackendError> {
        let mut backend = GpuBackend::open(adapter, options)?;
        backend.examination = Some(Examination::new(adapter, cache));
        Ok(backend)
    }

    /// Opens the adapter and takes all the memory it will need, and trusts its
    /// driver.
    ///
    /// # Errors
    /// The adapter cannot be opened, is below what WebGPU promises, or may not
    /// have the memory it needs.
    pub fn open(adapter: &Adapter, options: &Options) -> Result<GpuBackend, BackendError> {
        let info = adapter.info().clone();
        let plan = options.plan(adapter)?;
        let device = Device::open(adapter, options.timeout)?;
        let pipelines = Pipelines::new(&device, options.block);
        let stream = Stream::new(&device, plan)?;
        Ok(GpuBackend {
            info,
            plan,
            tiles: 0,
            destroy_at_tile: options.destroy_at_tile,
            block: options.block,
            short_axes: options.short_axes,
            host: CpuBackend::new(cpu::TILE_BYTES),
            examination: None,
            pending: None,
            open: Some(Open { device, pipelines, stream, bound: None }),
        })
    }

    /// All memory of its buffers, on the host and on the device together.
    pub fn memory_bytes(&self) -> usize {
        self.plan.memory_bytes() as usize
    }

    /// Does something with the open device. After an error it is open no more.
    fn with_open<T>(
        &mut self,
        spec: &Spec,
        outputs: usize,
        act: impl FnOnce(&mut Open, &mut Pending) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let Some(open) = &mut self.open else { return Err(failed_before(&self.info)) };
        let pending = self.pending.get_or_insert_with(|| Pending {
            spec: spec.clone(),
            elements: 0,
            partial: Partial::identity(spec, outputs),
            on_host: false,
        });
        let same = (&pending.spec, pending.partial.outputs()) == (spec, outputs);
        assert!(same, "all runs between two flushes have one spec and number of outputs");
        let result = act(open, pending);
        if result.is_err() {
            self.abandon();
        }
        result
    }

    /// Examines the kernels of a spec that have not been.
    fn examine(&mut self, spec: &Spec) -> Result<(), BackendError> {
        if self.pending.is_some() {
            return Ok(());
        }
        // While the examination is out, what it adds is not examined in turn.
        let Some(mut examination) = self.examination.take() else { return Ok(()) };
        let block = self.block;
        let examined = match examination.passed(spec, block) {
            true => Ok(()),
            false => examination.examine(self, spec, block),
        };
        self.examination = Some(examination);
        if examined.is_err() {
            self.abandon();
        }
        examined
    }

    /// Leaves a failed device behind. Dropping its queue would wait, without
    /// limit, for it to be idle, which a hung device never is.
    fn abandon(&mut self) {
        std::mem::forget(self.open.take());
    }
}

impl fmt::Debug for GpuBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuBackend").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Drop for GpuBackend {
    fn drop(&mut self) {
        if let Some(open) = &mut self.open
            && open.stream.settle(&open.device).is_err()
        {
            self.abandon();
        }
    }
}

impl Backend for GpuBackend {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn tile_bytes(&self) -> usize {
        self.plan.tile_bytes as usize
    }

    fn takes(&self) -> Takes {
        super::takes
    }

    fn add(&mut self, spec: &Spec, outputs: usize, run: &Run<'_>) -> Result<(), BackendError> {
        assert_eq!(spec.dtype, run.layout.dtype, "a run has the spec's element type");
        let second = run.second.filter(|_| spec.is_paired());
        assert_eq!(spec.is_paired(), second.is_some(), "products take two runs");
        let run = &Run { second, ..*run };
        assert_eq!(run.bytes.len() % spec.dtype.size_bytes(), 0, "bytes end inside an element");
        if super::is_sorted(spec) {
            return self.host.add(spec, outputs, run);
        }
        self.examine(spec)?;
        let (plan, short_axes) = (self.plan, self.short_axes);
        let (most, on_host) = self.with_open(spec, outputs, |open, pending| {
            let bound = open.bound(spec)?;
            let kernels = &bound.program.kernels;
            let shared = kernels.iter().any(Kernel::is_shared);
            assert!(outputs == 1 || !shared, "intervals are counted for one output");
            let most = elements_max(&plan, bound, run, outputs == 1);
            let on_host = outputs != 1 && !short_axes && is_short(kernels, run, most);
            pending.on_host |= on_host;
            Ok((most, on_host))
        })?;
        if on_host {
            return self.host.add(spec, outputs, run);
        }
        for piece in Piece::all_of(run, most) {
            self.tiles += 1;
            let destroy = self.destroy_at_tile == Some(self.tiles);
            self.with_open(spec, outputs, |open, pending| {
                if destroy {
                    open.device.inner.destroy();
                }
                match outputs {
                    1 => open.add_line(&plan, pending, &piece),
                    _ => open.add_along_axis(&plan, pending, &piece),
                }
            })?;
        }
        Ok(())
    }

    fn flush(&mut self, spec: &Spec, outputs: usize) -> Result<Partial, BackendError> {
        if super::is_sorted(spec) {
            return self.host.flush(spec, outputs);
        }
        self.with_open(spec, outputs, |open, pending| {
            open.bound(spec)?;
            open.read_line(pending)
        })?;
        let mut pending = self.pending.take().expect("kept until here");
        if pending.on_host {
            let error = |message: String| BackendError { device: self.info.id.clone(), message };
            let more = self.host.flush(spec, outputs)?;
            pending.partial.merge(&more).map_err(|too_many| error(too_many.to_string()))?;
        }
        Ok(pending.partial)
    }
}

impl Open {
    /// The kernels of a spec, bound anew if the last spec was another.
    fn bound(&mut self, spec: &Spec) -> Result<&Bound, BackendError> {
        if self.bound.as_ref().is_none_or(|(bound, _)| bound != spec) {
            let program = self.pipelines.program(&self.device, spec)?;
            let bound = self.stream.bind(&self.device, &self.pipelines, program)?;
            self.bound = Some((spec.clone(), bound));
        }
        let (_, bound) = self.bound.as_ref().expect("bound above");
        Ok(bound)
    }

    /// Reduces a piece to the one output, on the device as long as there is
    /// room in its partials.
    fn add_line(
        &mut self,
        plan: &Plan,
        pending: &mut Pending,
        piece: &Piece<'_>,
    ) -> Result<(), BackendError> {
        let bound = self.bound(&pending.spec)?;
        let dispatches = Dispatch::of_line(plan, bound, piece);
        if !self.send(piece, &dispatches)? {
            self.read_line(pending)?;
            if !self.send(piece, &dispatches)? {
                return Err(self.device.error("a tile has more blocks than a partial holds"));
            }
        }
        pending.elements += piece.elements();
        Ok(())
    }

    /// Reduces a piece to many outputs, as many at a time as there is room for
    /// in the device's partials.
    fn add_along_axis(
        &mut self,
        plan: &Plan,
        pending: &mut Pending,
        piece: &Piece<'_>,
    ) -> Result<(), BackendError> {
        let outputs = (piece.place.outer * piece.place.inner) as u32;
        let most = outputs_max(plan, self.bound(&pending.spec)?, piece);
        for first in (0..outputs).step_by(most as usize) {
            let count = most.min(outputs - first);
            let bound = self.bound(&pending.spec)?;
            let dispatches = Dispatch::along_axis(plan, bound, piece, first..first + count);
            let sent = match first {
                0 => self.send(piece, &dispatches)?,
                _ => self.again(&dispatches)?,
            };
            if !sent {
                return Err(self.device.error("a tile has more blocks than a partial holds"));
            }
            let elements = piece.place.reduced as u64;
            self.read(|kernel, number, words, load| {
                let sent = Evidence { blocks: load.blocks / u64::from(count), elements };
                let partials = words.chunks_exact(kernel.partial_bytes() as usize / 4);
                let output = piece.place.first_output + first as usize;
                for (output, words) in (output..).zip(partials) {
                    merge(&mut pending.partial, output, number, kernel, words, sent)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Moves what the device holds of the one output into the pending state.
    fn read_line(&mut self, pending: &mut Pending) -> Result<(), BackendError> {
        let elements = std::mem::take(&mut pending.elements);
        self.read(|kernel, number, words, load| {
            let sent = Evidence { blocks: load.blocks, elements };
            merge(&mut pending.partial, 0, number, kernel, words, sent)
        })
    }

    fn send(&mut self, piece: &Piece<'_>, work: &[Dispatch]) -> Result<bool, BackendError> {
        let (_, bound) = self.bound.as_ref().expect("bound before anything is sent");
        let bytes = piece.tile_bytes();
        self.stream.send(&self.device, bound, work, bytes, |tile| piece.write(tile))
    }

    fn again(&mut self, work: &[Dispatch]) -> Result<bool, BackendError> {
        let (_, bound) = self.bound.as_ref().expect("bound before anything is sent");
        self.stream.again(&self.device, bound, work)
    }

    /// Passes each kernel, its number and the words of its partials to `read`.
    fn read(
        &mut self,
        mut read: impl FnMut(&Kernel, usize, &[u32], Load) -> Result<(), InvalidPartials>,
    ) -> Result<(), BackendError> {
        let (_, bound) = self.bound.as_ref().expect("bound before anything is read");
        let device = &self.device;
        self.stream.read(device, bound, |number, words, load| {
            read(&bound.program.kernels[number], number, words, load)
                .map_err(|error| device.error(error))
        })
    }
}

/// Whether the pieces of a run along an axis have so few elements of each output
/// that its partials would be more to read than its elements are to send. The
/// host then has the states sooner by itself.
fn is_short(kernels: &[Kernel], run: &Run<'_>, elements_max: u64) -> bool {
    let partials: usize = kernels.iter().map(|kernel| kernel.partial_bytes() as usize).sum();
    let size = run.layout.dtype.size_bytes();
    let first = Piece::all_of(run, elements_max).next();
    first.is_some_and(|piece| piece.place.reduced * size < partials)
}

/// The most outputs of a piece in one dispatch: those that have partials, and no
/// more than the workgroups' threads may take steps for.
fn outputs_max(plan: &Plan, bound: &Bound, piece: &Piece<'_>) -> u32 {
    let in_turn = |kernel: &Kernel| {
        let blocks = (piece.place.reduced as u32).div_ceil(kernel.block_elements());
        (kernel.blocks_per_dispatch() / blocks).max(1)
    };
    let in_turn = bound.program.kernels.iter().map(in_turn).min().unwrap_or(1);
    bound.regions.slots.min(plan.workgroups.saturating_mul(in_turn))
}

/// Merges the partials of a kernel into its state of an output.
fn merge(
    partial: &mut Partial,
    output: usize,
    number: usize,
    kernel: &Kernel,
    words: &[u32],
    sent: Evidence,
) -> Result<(), InvalidPartials> {
    let monoid = &partial.spec().monoids[number];
    let state = partials::state(monoid, kernel, words, sent)?;
    Ok(partial.states_mut(output)[number].merge(&state)?)
}
