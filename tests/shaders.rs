//! The shaders, without a GPU: every kernel is valid WGSL, computes with
//! integers alone, and lays out its structs as the host does.

#![cfg(feature = "gpu")]

mod data_kinds;

use std::mem::{offset_of, size_of};

use adsum::DType;
use adsum::gpu::kernel::{Block, Kernel, Kind, Params};
use data_kinds::all_monoids;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, TypeInner};

/// Workgroup memory that WebGPU promises.
const WORKGROUP_BYTES: u32 = 16 << 10;

/// Every kernel that there is, in blocks of several sizes.
fn kernels() -> impl Iterator<Item = Kernel> {
    let blocks = [Block::LARGE, Block::new(32, 1), Block::new(128, 3)];
    DType::ALL.into_iter().flat_map(move |dtype| {
        all_monoids(dtype).into_iter().flat_map(move |monoid| {
            blocks.into_iter().filter_map(move |block| Kernel::new(&monoid, dtype, block))
        })
    })
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
            ("along_axis", offset_of!(Params, along_axis)),
            ("outputs", offset_of!(Params, outputs)),
            ("first_output", offset_of!(Params, first_output)),
            ("reduced", offset_of!(Params, reduced)),
            ("inner", offset_of!(Params, inner)),
            ("first_index", offset_of!(Params, first_index)),
            ("second", offset_of!(Params, second)),
            ("bins", offset_of!(Params, bins)),
        ];
        assert_eq!(members, expected.map(|(name, offset)| (name.to_owned(), offset as u32)));
        assert_eq!(bytes as usize, size_of::<Params>());
        match kernel.kind() {
            Kind::Digits(digits) => {
                let digits = 4 * digits.digits() as u32;
                let (members, bytes) = layout(&module, "Partial");
                let expected = [
                    ("low", 0),
                    ("high", digits),
                    ("special", 2 * digits),
                    ("blocks", 2 * digits + 12),
                ];
                assert_eq!(members, expected.map(|(name, offset)| (name.to_owned(), offset)));
                assert_eq!(bytes, kernel.partial_bytes());
            }
            // Every state counts its blocks.
            Kind::Fold(_) => {
                let (members, bytes) = layout(&module, "State");
                assert!(members.iter().any(|(name, _)| name == "blocks"), "{kernel:?}");
                assert_eq!(bytes, kernel.partial_bytes(), "{kernel:?}");
            }
            // Counters in an array whose length the host gives.
            Kind::Bins(_) => {}
        }
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
        assert!(bytes <= WORKGROUP_BYTES, "{kernel:?}: {bytes} bytes");
        let has_none = matches!(kernel.kind(), Kind::Bins(_));
        assert_eq!(bytes == 0, has_none, "{kernel:?}: {bytes} bytes");
    }
}
