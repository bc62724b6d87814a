//! The shaders, without a GPU: every kernel is valid WGSL, computes with
//! integers alone, and lays out its structs as the host does.

#![cfg(feature = "gpu")]

use std::mem::{offset_of, size_of};

use adsum::DType;
use adsum::gpu::kernel::{Block, Kernel, Params};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, TypeInner};

/// Workgroup memory that WebGPU promises.
const WORKGROUP_BYTES: u32 = 16 << 10;

fn kernels() -> impl Iterator<Item = Kernel> {
    let blocks = [Block::LARGE, Block::new(32, 1), Block::new(128, 3)];
    DType::ALL
        .into_iter()
        .flat_map(move |dtype| blocks.into_iter().map(move |block| Kernel::sum(dtype, block)))
}

fn module(kernel: &Kernel) -> Module {
    let source = kernel.source();
    naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{kernel:?}: {}", error.emit_to_string(&source)))
}

#[test]
fn every_kernel_is_valid_with_no_capability_at_all() {
    for kernel in kernels() {
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
        if let Err(error) = validator.validate(&module(&kernel)) {
            panic!("{kernel:?}: {}", error.emit_to_string(&kernel.source()));
        }
    }
}

#[test]
fn every_kernel_translates_to_metal_and_directx_without_a_float() {
    for kernel in kernels() {
        let module = module(&kernel);
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
        let info = validator.validate(&module).expect("valid");

        let options = naga::back::msl::Options { lang_version: (2, 4), ..Default::default() };
        let (metal, translation) =
            naga::back::msl::write_string(&module, &info, &options, &Default::default())
                .unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
        assert!(translation.entry_point_names.iter().all(Result::is_ok), "{kernel:?}");
        assert!(!metal.contains("float"), "{kernel:?}: {metal}");

        let mut directx = String::new();
        let options = naga::back::hlsl::Options::default();
        let translation =
            naga::back::hlsl::Writer::new(&mut directx, &options, &Default::default())
                .write(&module, &info, None)
                .unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
        assert!(translation.entry_point_names.iter().all(Result::is_ok), "{kernel:?}");
        assert!(!directx.contains("float"), "{kernel:?}: {directx}");
    }
}

#[test]
fn no_kernel_knows_a_float() {
    for kernel in kernels() {
        let module = module(&kernel);
        for (_, ty) in module.types.iter() {
            let kind = match ty.inner {
                TypeInner::Scalar(scalar)
                | TypeInner::Vector { scalar, .. }
                | TypeInner::Matrix { scalar, .. }
                | TypeInner::Atomic(scalar)
                | TypeInner::ValuePointer { scalar, .. } => scalar.kind,
                TypeInner::Pointer { .. } | TypeInner::Array { .. } | TypeInner::Struct { .. } => {
                    continue;
                }
                ref other => panic!("{kernel:?} uses {other:?}"),
            };
            assert!(
                matches!(kind, ScalarKind::Sint | ScalarKind::Uint | ScalarKind::Bool),
                "{kernel:?} uses {kind:?}"
            );
        }
        // Literals and casts carry scalars of their own.
        let functions = module.functions.iter().map(|(_, function)| function);
        let entries = module.entry_points.iter().map(|entry| &entry.function);
        let arenas = functions.chain(entries).map(|function| &function.expressions);
        for arena in arenas.chain([&module.global_expressions]) {
            for (_, expression) in arena.iter() {
                let scalar = match expression {
                    naga::Expression::Literal(literal) => Some(literal.scalar()),
                    naga::Expression::As { kind, .. } => {
                        Some(naga::Scalar { kind: *kind, width: 4 })
                    }
                    _ => None,
                };
                let kind = scalar.map(|scalar| scalar.kind);
                assert!(
                    !matches!(kind, Some(ScalarKind::Float | ScalarKind::AbstractFloat)),
                    "{kernel:?}: {expression:?}"
                );
            }
        }
    }
}

/// The offset of each member of a struct, and its size.
fn layout(module: &Module, name: &str) -> (Vec<(String, u32)>, u32) {
    let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name));
    match &found.unwrap_or_else(|| panic!("no struct {name}")).1.inner {
        TypeInner::Struct { members, span } => {
            let offset = |member: &naga::StructMember| {
                (member.name.clone().unwrap_or_default(), member.offset)
            };
            (members.iter().map(offset).collect(), *span)
        }
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn structs_lie_in_memory_as_the_host_lays_them_out() {
    for kernel in kernels() {
        let module = module(&kernel);
        let (members, bytes) = layout(&module, "Params");
        let expected = [
            ("bytes", offset_of!(Params, bytes)),
            ("blocks", offset_of!(Params, blocks)),
            ("workgroups", offset_of!(Params, workgroups)),
            ("padding", offset_of!(Params, padding)),
        ];
        assert_eq!(members, expected.map(|(name, offset)| (name.to_owned(), offset as u32)));
        assert_eq!(bytes as usize, size_of::<Params>());

        let digits = 4 * kernel.digits() as u32;
        let (members, bytes) = layout(&module, "Partial");
        let expected =
            [("low", 0), ("high", digits), ("special", 2 * digits), ("blocks", 2 * digits + 12)];
        assert_eq!(members, expected.map(|(name, offset)| (name.to_owned(), offset)));
        assert_eq!(bytes, kernel.partial_bytes());
    }
}

#[test]
fn workgroup_memory_is_within_what_every_adapter_has() {
    for kernel in kernels() {
        let module = module(&kernel);
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).expect("a valid module has a layout");
        let bytes: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
            .map(|(_, variable)| layouter[variable.ty].to_stride())
            .sum();
        assert!(0 < bytes && bytes <= WORKGROUP_BYTES, "{kernel:?}: {bytes} bytes");
    }
}
