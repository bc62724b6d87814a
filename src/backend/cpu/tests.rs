//! The thread's bookkeeping. What it sums is compared with big integers in
//! `tests/cpu.rs`.

use super::*;
use crate::backend::reference;
use crate::dtype::{ByteOrder, DType};

fn run(layout: Layout, bytes: &[u8]) -> Run<'_> {
    let elements = bytes.len() / layout.dtype.size_bytes();
    Run { layout, bytes, second: None, place: Place::line(elements, 0) }
}

fn bytes(count: u32) -> Vec<u8> {
    (0..count).flat_map(|i| (i as f32 * 0.37).to_le_bytes()).collect()
}

#[test]
fn a_flush_returns_what_was_added_since_the_last_one() {
    let (spec, layout) = (Spec::sum(DType::F32), Layout::little(DType::F32));
    let mut backend = CpuBackend::new(TILE_BYTES);
    for count in [3, 1000, 70_000] {
        let data = bytes(count);
        let (first, second) = data.split_at(4 * (count as usize / 3));
        backend.add(&spec, 1, &run(layout, first)).unwrap();
        backend.add(&spec, 1, &run(layout, second)).unwrap();
        let expected = reference::reduce_line(&spec, ByteOrder::Little, &data);
        assert_eq!(backend.flush(&spec, 1), Ok(expected));
    }
    assert_eq!(backend.flush(&spec, 1), Ok(Partial::identity(&spec, 1)));
}

#[test]
fn a_thread_turns_from_one_type_to_another() {
    let mut backend = CpuBackend::new(TILE_BYTES);
    for dtype in [DType::F32, DType::F64, DType::I16, DType::F32] {
        let spec = Spec::sum(dtype);
        let data = bytes(4096);
        backend.add(&spec, 1, &run(Layout::little(dtype), &data)).unwrap();
        let expected = reference::reduce_line(&spec, ByteOrder::Little, &data);
        assert_eq!(backend.flush(&spec, 1), Ok(expected), "{dtype}");
    }
}
