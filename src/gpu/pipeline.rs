//! Kernels compiled for one device.

use std::collections::HashMap;

use wgpu::{BindGroupLayout, BindingType, BufferBindingType, ComputePipeline};

use super::device::Device;
use super::kernel::{Block, Kernel};
use crate::backend::BackendError;
use crate::op::{Monoid, Spec};

/// The binding of a window's words.
pub const DATA_BINDING: u32 = 0;
/// The binding of the workgroups' partials.
pub const PARTIALS_BINDING: u32 = 1;
/// The binding of a window's parameters.
pub const PARAMS_BINDING: u32 = 2;

/// The binding of the boundaries of intervals.
pub const BOUNDARIES_BINDING: u32 = 3;

/// The kernels of one device, each compiled when it is first needed. All have
/// the same bindings.
#[derive(Debug)]
pub(super) struct Pipelines {
    block: Block,
    bindings: BindGroupLayout,
    layout: wgpu::PipelineLayout,
    /// By their sources.
    compiled: HashMap<String, ComputePipeline>,
}

impl Pipelines {
    pub fn new(device: &Device, block: Block) -> Pipelines {
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let bindings = device.inner.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("window"),
            entries: &[
                entry(DATA_BINDING, BufferBindingType::Storage { read_only: true }),
                entry(PARTIALS_BINDING, BufferBindingType::Storage { read_only: false }),
                entry(PARAMS_BINDING, BufferBindingType::Uniform),
                entry(BOUNDARIES_BINDING, BufferBindingType::Storage { read_only: true }),
            ],
        });
        let layout = device.inner.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("window"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Pipelines { block, bindings, layout, compiled: HashMap::new() }
    }

    /// The bindings that all kernels share.
    pub fn bindings(&self) -> &BindGroupLayout {
        &self.bindings
    }

    /// The kernels of a spec, compiled for this device.
    ///
    /// # Panics
    /// If there is none for one of its states, or more than one counts.
    pub fn program(&mut self, device: &Device, spec: &Spec) -> Result<Program, BackendError> {
        let mut program = Program::default();
        for monoid in &spec.monoids {
            let kernel = Kernel::new(monoid, spec.dtype, self.block);
            let kernel = kernel.expect("only specs that have kernels are given to an adapter");
            program.pipelines.push(self.get(device, &kernel)?);
            program.kernels.push(kernel);
            if let Monoid::Bins(bins) = monoid {
                program.boundaries.extend_from_slice(&bins.lower);
                program.boundaries.push(bins.last);
            }
        }
        let counting = program.kernels.iter().filter(|kernel| kernel.is_shared()).count();
        assert!(counting <= 1, "the boundaries of one kernel are bound");
        Ok(program)
    }

    fn get(&mut self, device: &Device, kernel: &Kernel) -> Result<ComputePipeline, BackendError> {
        let source = kernel.source();
        if let Some(pipeline) = self.compiled.get(&source) {
            return Ok(pipeline.clone());
        }
        let label = format!("{kernel:?}");
        let module = device.inner.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(source.as_str().into()),
        });
        let pipeline = device.inner.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&self.layout),
            module: &module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        device.check()?;
        self.compiled.insert(source, pipeline.clone());
        Ok(pipeline)
    }
}

/// The kernels of one spec, one for each of its states.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub kernels: Vec<Kernel>,
    pub pipelines: Vec<ComputePipeline>,
    /// The smallest key of each interval, then the largest of the last.
    pub boundaries: Vec<u64>,
}
