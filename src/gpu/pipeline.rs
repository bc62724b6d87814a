//! Kernels compiled for one device.

use wgpu::{BindGroupLayout, BindingType, BufferBindingType, ComputePipeline};

use super::device::Device;
use super::kernel::{Block, Kernel};
use crate::backend::BackendError;
use crate::dtype::DType;

/// The binding of a window's words.
pub const DATA_BINDING: u32 = 0;
/// The binding of the workgroups' partials.
pub const PARTIALS_BINDING: u32 = 1;
/// The binding of a window's parameters.
pub const PARAMS_BINDING: u32 = 2;

/// The kernels of one device, each compiled when it is first needed. All have
/// the same bindings, so one bind group serves any of them.
#[derive(Debug)]
pub(super) struct Pipelines {
    block: Block,
    bindings: BindGroupLayout,
    layout: wgpu::PipelineLayout,
    compiled: [Option<ComputePipeline>; DType::ALL.len()],
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
            ],
        });
        let layout = device.inner.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("window"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Pipelines { block, bindings, layout, compiled: Default::default() }
    }

    /// The bindings that all kernels share.
    pub fn bindings(&self) -> &BindGroupLayout {
        &self.bindings
    }

    /// The kernel that sums elements of `dtype`.
    pub fn kernel(&self, dtype: DType) -> Kernel {
        Kernel::sum(dtype, self.block)
    }

    /// The kernel compiled for this device.
    pub fn get(&mut self, device: &Device, dtype: DType) -> Result<&ComputePipeline, BackendError> {
        let slot = &mut self.compiled[usize::from(dtype.code())];
        if slot.is_none() {
            let source = Kernel::sum(dtype, self.block).source();
            let module = device.inner.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(dtype.name()),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            });
            let pipeline = device.inner.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(dtype.name()),
                layout: Some(&self.layout),
                module: &module,
                entry_point: None,
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
            device.check()?;
            *slot = Some(pipeline);
        }
        Ok(slot.as_ref().expect("compiled above"))
    }
}
