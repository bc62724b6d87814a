//! The shaders, without a GPU: every kernel is valid WGSL, computes with
//! integers alone, and lays out its structs as the host does.

#![cfg(feature = "gpu")]

use std::mem::{offset_of, size_of};

use adsum::gpu::kernel::{Block, FoldOp, Kernel, Kind, Params};
use adsum::op::Bins;
use adsum::{DType, Monoid, Term};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, TypeInner};

/// Workgroup memory that WebGPU promises.
const WORKGROUP_BYTES: u32 = 16 << 10;

/// Every kernel, in blocks of three sizes, of which one has windows for any sample.
fn kernels() -> Vec<Kernel> {
    let blocks = [Block::LARGE, Block::new(32, 1), Block::new(128, 3).with_window_share(0)];
    let terms = [Term::Value, Term::Magnitude, Term::Square, Term::Product];
    let others = [
        Monoid::Extremum { indexed: false },
        Monoid::Extremum { indexed: true },
        Monoid::Tally,
        Monoid::Product,
        Monoid::Bits,
        Monoid::Bins(Bins { lower: [3, 5].into(), last: 9 }),
    ];
    let monoids: Vec<Monoid> = terms.map(Monoid::Sum).into_iter().chain(others).collect();
    let mut kernels = Vec::new();
    for (dtype, block) in DType::ALL.into_iter().flat_map(|dtype| blocks.map(|b| (dtype, b))) {
        for monoid in monoids.iter().filter(|monoid| monoid.takes(dtype)) {
            kernels.push(Kernel::new(monoid, dtype, block).expect("it has a kernel"));
        }
    }
    kernels
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
            ("stride", offset_of!(Params, stride)),
            ("axes", offset_of!(Params, axes)),
            ("padding", offset_of!(Params, padding)),
            ("axis", offset_of!(Params, axis)),
        ];
        assert_eq!(members, expected.map(|(name, offset)| (name.to_owned(), offset as u32)));
        assert_eq!(bytes as usize, size_of::<Params>());

        let (name, members, bytes) = partial(&kernel);
        let (found, span) = layout(&module, name);
        let expected: Vec<(String, u32)> =
            members.into_iter().map(|(name, offset)| (name.to_owned(), offset)).collect();
        assert_eq!(found, expected, "{kernel:?}");
        assert_eq!(span, bytes, "{kernel:?}");
    }
}

/// The struct that a kernel leaves to the host, as the host reads it.
fn partial(kernel: &Kernel) -> (&'static str, Vec<(&'static str, u32)>, u32) {
    let words = |names: &[(&'static str, u32)]| {
        names.iter().map(|(name, word)| (*name, 4 * word)).collect::<Vec<_>>()
    };
    let (name, members) = match kernel.kind() {
        Kind::Digits(digits) => {
            let digits = digits.digits() as u32;
            let counts = 2 * digits;
            let members =
                [("low", 0), ("high", digits), ("special", counts), ("blocks", counts + 3)];
            ("Partial", words(&members))
        }
        Kind::Bins(_) => {
            let members = [("nan", 0), ("below", 1), ("above", 2), ("blocks", 3), ("counts", 4)];
            // Of an array without an end one element counts.
            return ("Partial", words(&members), 20);
        }
        Kind::Fold(fold) => match fold.op() {
            FoldOp::Extremum { .. } => (
                "State",
                words(&[
                    ("min_key", 0),
                    ("min_index", 2),
                    ("max_key", 4),
                    ("max_index", 6),
                    ("nan_index", 8),
                    ("elements", 10),
                    ("nan", 11),
                    ("blocks", 12),
                    ("padding", 13),
                ]),
            ),
            FoldOp::Tally => {
                ("State", words(&[("elements", 0), ("nan", 1), ("nonzero", 2), ("blocks", 3)]))
            }
            FoldOp::Product => (
                "State",
                words(&[
                    ("magnitude", 0),
                    ("elements", 2),
                    ("zeros", 3),
                    ("negative", 4),
                    ("overflowed", 5),
                    ("blocks", 6),
                    ("padding", 7),
                ]),
            ),
            FoldOp::Bits => (
                "State",
                words(&[
                    ("conjunction", 0),
                    ("disjunction", 2),
                    ("difference", 4),
                    ("elements", 6),
                    ("blocks", 7),
                ]),
            ),
        },
    };
    (name, members, kernel.partial_bytes())
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
    }
}
