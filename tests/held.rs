//! Arrays in memory that a node's processors reduce, against the threads that read them
//! where they lie.

use std::sync::Arc;

use adsum::array::{Reduction, View};
use adsum::executor::Settings;
use adsum::local::{LocalError, LocalNode, Observer};
use adsum::manifest::{Cut, Manifest};
use adsum::source::{Held, Memory};
use adsum::{ByteOrder, DType, Layout, MemoryOrder, Op, Partial, Spec};

struct Silent;

impl Observer for Silent {
    fn progress(&mut self, _bytes_done: u64) {}

    fn warning(&mut self, text: &str) {
        panic!("{text}");
    }
}

fn node() -> LocalNode {
    let settings = Settings {
        devices: vec!["cpu".parse().unwrap()],
        threads: 2,
        memory_bytes: 512 << 20,
        tile_bytes: Some(4096),
        map_files: false,
        input_bytes: None,
        remember_bytes: 0,
    };
    LocalNode::start(&settings).unwrap()
}

/// Elements whose order matters, in this byte order.
fn elements(count: usize, order: ByteOrder) -> Vec<u8> {
    let element = |number: usize| ((number * 7919 % 1009) as f64 - 500.0) / 64.0;
    let bytes = |number: usize| match order {
        ByteOrder::Little => element(number).to_le_bytes(),
        ByteOrder::Big => element(number).to_be_bytes(),
    };
    (0..count).flat_map(bytes).collect()
}

/// What threads make of the array where it lies.
fn expected(spec: &Spec, held: &Lying, first_index: u64, axis: Option<usize>) -> Partial {
    let shape = held.shape.map(|length| length as usize);
    let mut strides = [0; 3];
    let mut step = 8;
    let mut axes = [2, 1, 0];
    if held.order == MemoryOrder::Fortran {
        axes.reverse();
    }
    for axis in axes {
        strides[axis] = step;
        step *= shape[axis] as isize;
    }
    let view = View::new(held.layout, &held.bytes, 0, &shape, &strides).unwrap();
    let axes = axis.map_or(vec![0, 1, 2], |axis| vec![axis]);
    let reduction = Reduction::new(spec, view).along(&axes).from_index(first_index);
    reduction.partial(&|| false).unwrap()
}

struct Lying {
    layout: Layout,
    order: MemoryOrder,
    shape: [u64; 3],
    bytes: Vec<u8>,
}

#[test]
fn a_node_gives_what_threads_give() {
    let shape = [40, 30, 11];
    for order in [MemoryOrder::C, MemoryOrder::Fortran] {
        for byte_order in [ByteOrder::Little, ByteOrder::Big] {
            let layout = Layout { dtype: DType::F64, byte_order };
            let bytes = elements(40 * 30 * 11, byte_order);
            let lying = Lying { layout, order, shape, bytes };
            let memory: Memory = Arc::new(lying.bytes.clone());
            let held = Held::new("array", layout, order, shape.to_vec(), memory);
            for op in [Op::Sum, Op::Var, Op::ArgMin, Op::ArgMax, Op::Prod] {
                let spec = Spec { dtype: DType::F64, monoids: op.monoids(DType::F64) };
                for first_index in [0, 12_345] {
                    let files = vec![held.file().clone()];
                    let manifest = Arc::new(Manifest::with_entry_bytes(files, 10_000).unwrap());
                    let mut node = node().holding(vec![held.clone()], first_index);
                    let all = 0..manifest.entries().len() as u32;
                    let got = node.reduce_part(&manifest, all, &spec, &mut Silent).unwrap();
                    let wanted = expected(&spec, &lying, first_index, None);
                    assert_eq!(got.to_bytes(), wanted.to_bytes(), "{op} {order:?} {byte_order:?}");
                }
                for axis in 0..3 {
                    let outputs = shape.iter().product::<u64>() / shape[axis];
                    let cut = Cut::Axis {
                        entry_bytes: 10_000,
                        axis: axis as u8,
                        outputs: 0..outputs,
                        outputs_max: 50,
                    };
                    let files = vec![held.file().clone()];
                    let manifest = Arc::new(Manifest::cut(files, cut).unwrap());
                    let mut node = node().holding(vec![held.clone()], 77);
                    let all = 0..manifest.entries().len() as u32;
                    let got = node.reduce_part(&manifest, all, &spec, &mut Silent).unwrap();
                    let wanted = expected(&spec, &lying, 77, Some(axis));
                    let order_of =
                        adsum::manifest::OutputOrder::new(manifest.files(), axis).unwrap();
                    for output in 0..outputs {
                        let place = order_of.position(output) as usize;
                        assert_eq!(
                            got.states(output as usize),
                            wanted.states(place),
                            "{op} {order:?} along {axis}, output {output}"
                        );
                    }
                }
            }
        }
    }
}

/// One that gives up when it has heard of progress.
struct Impatient(bool);

impl Observer for Impatient {
    fn progress(&mut self, bytes_done: u64) {
        self.0 |= bytes_done > 0;
    }

    fn warning(&mut self, text: &str) {
        panic!("{text}");
    }

    fn stops(&mut self) -> bool {
        self.0
    }
}

#[test]
fn nobody_reads_memory_after_a_reduction_that_was_stopped() {
    let layout = Layout::little(DType::F64);
    let memory: Memory = Arc::new(elements(4 << 20, ByteOrder::Little));
    let watch = Arc::downgrade(&memory);
    let held = Held::new("array", layout, MemoryOrder::C, vec![4 << 20], memory);
    let manifest = Arc::new(Manifest::with_entry_bytes(vec![held.file().clone()], 4096).unwrap());
    let spec = Spec { dtype: DType::F64, monoids: Op::Var.monoids(DType::F64) };
    let mut node = node().holding(vec![held], 0);
    let stopped = node.reduce(manifest, spec, None, &mut Impatient(false));
    assert!(matches!(stopped, Err(LocalError::Stopped)), "{stopped:?}");
    drop(node);
    assert!(watch.upgrade().is_none());
}

#[test]
#[should_panic(expected = "[3, 4]")]
fn memory_of_another_size_is_refused() {
    let memory: Memory = Arc::new(vec![0; 95]);
    Held::new("array", Layout::little(DType::F64), MemoryOrder::C, vec![3, 4], memory);
}
