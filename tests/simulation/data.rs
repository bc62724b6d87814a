//! Small arrays full of hard values, and what they reduce to by an oracle that
//! shares no code with the library: big integers, and the standard library's
//! parser for the one rounding.

use std::sync::Arc;

use adsum::finish::{self, Options};
use adsum::manifest::{Cut, Entry, File, Manifest, axis_outputs, imaginary_file};
use adsum::reduction::{Element, State};
use adsum::{DType, MemoryOrder, Op, Partial, Spec};
use num_bigint::BigInt;

use crate::chance::Chance;

/// A data set, its manifest, and what it must reduce to.
#[derive(Debug)]
pub struct Data {
    pub spec: Spec,
    /// What is asked of the states.
    pub ops: Vec<Op>,
    pub manifest: Arc<Manifest>,
    /// The bytes of each file.
    files: Vec<Vec<u8>>,
    pub expected: Expected,
}

/// What the oracle says.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    pub elements: u64,
    /// The bits of each operation's result as the library prints them, for each
    /// output; none where there is no result.
    pub bits: Vec<Vec<Option<String>>>,
}

/// What is wrong with a partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    None,
    /// It misses an element.
    Short,
    /// The last element is in the first output, if there are several.
    Misplaced,
}

impl Data {
    /// `files` files of up to `entries_max` entries of up to three elements.
    pub fn random(chance: &mut Chance, dtype: DType, files: usize, entries_max: u64) -> Data {
        let elements_per_entry = chance.number(1..=3);
        let name = chance.word();
        let along_axis = chance.per_mille(150);
        // Files of several columns are joined, so their rows are whole.
        let columns = if along_axis { chance.number(1..=3) } else { 1 };
        let rows_max = entries_max * elements_per_entry / columns;
        let lengths: Vec<u64> = (0..files).map(|_| chance.number(0..=rows_max) * columns).collect();
        let tame = chance.per_mille(500);
        let files: Vec<Vec<u8>> = lengths
            .iter()
            .map(|&length| (0..length).flat_map(|_| element(chance, dtype, tame)).collect())
            .collect();
        let entry_bytes = elements_per_entry * dtype.size_bytes() as u64;
        let ops = random_ops(chance, dtype, along_axis);
        if !along_axis {
            let listed = list(dtype, name, &files, None);
            return Data::new(dtype, &ops, listed, Cut::Runs { entry_bytes }, files);
        }
        let order = chance.pick(&[MemoryOrder::C, MemoryOrder::Fortran]);
        let listed = list(dtype, name, &files, Some((columns, order)));
        let axis = chance.number(0..=1) as u8;
        let all = axis_outputs(&listed, axis.into()).expect("files that join");
        // Some jobs have but a part of the outputs.
        let first = if chance.per_mille(200) { chance.number(0..=all) } else { 0 };
        let outputs_max = chance.number(1..=3);
        let cut = Cut::Axis { entry_bytes, axis, outputs: first..all, outputs_max };
        Data::new(dtype, &ops, listed, cut, files)
    }

    /// One element per entry: the bytes 0, 1, 2, ... over and over.
    pub fn counting(files: usize, entries_per_file: usize) -> Data {
        let file: Vec<u8> = (0..entries_per_file).map(|index| index as u8).collect();
        let files = vec![file; files];
        let listed = list(DType::U8, 0, &files, None);
        Data::new(DType::U8, &[Op::Sum], listed, Cut::Runs { entry_bytes: 1 }, files)
    }

    /// As [`Data::counting`], but all bytes are 1, so that all partials are of
    /// one length.
    pub fn ones(files: usize, entries_per_file: usize) -> Data {
        let files = vec![vec![1; entries_per_file]; files];
        let listed = list(DType::U8, 0, &files, None);
        Data::new(DType::U8, &[Op::Sum], listed, Cut::Runs { entry_bytes: 1 }, files)
    }

    fn new(dtype: DType, ops: &[Op], listed: Vec<File>, cut: Cut, files: Vec<Vec<u8>>) -> Data {
        let mut monoids = Vec::new();
        for monoid in ops.iter().flat_map(|op| op.monoids(dtype)) {
            if !monoids.contains(&monoid) {
                monoids.push(monoid);
            }
        }
        let spec = Spec { dtype, monoids };
        let outputs = outputs(&listed, &cut, &files);
        let elements = outputs.iter().map(|bytes| bytes.len() / dtype.size_bytes()).sum::<usize>();
        let of_output = |bytes: &Vec<u8>| {
            ops.iter().map(|&op| oracle(op, dtype, bytes)).collect::<Vec<Option<String>>>()
        };
        let expected =
            Expected { elements: elements as u64, bits: outputs.iter().map(of_output).collect() };
        let manifest = Manifest::cut(listed, cut).expect("files of a data set");
        assert!(manifest.suits(&spec), "{spec:?}");
        Data { spec, ops: ops.to_vec(), manifest: Arc::new(manifest), files, expected }
    }

    /// The partial of an entry, true or not.
    pub fn reduce(&self, entry: &Entry, lie: Lie) -> Partial {
        let size = self.spec.dtype.size_bytes();
        let file = &self.files[entry.file as usize];
        let block = entry.block;
        let mut partial = Partial::identity(&self.spec, entry.outputs() as usize);
        let last = entry.len() - 1;
        for number in 0..entry.len() {
            let (run, i) = (number / block.inner, number % block.inner);
            let (o, k) = (run / block.reduced, run % block.reduced);
            let at = (entry.elements.start + run * block.stride + i) as usize * size;
            let mut index = entry.first_index + k;
            let mut output = o * block.inner + i;
            if number == last && lie == Lie::Short {
                break;
            }
            if number == last && lie == Lie::Misplaced && partial.outputs() > 1 {
                // A place of its own, which comes after all others.
                (output, index) = (0, index + 2 * u64::from(u32::MAX));
            }
            let element = Element { bits: bits(&file[at..at + size]), second: 0, index };
            let states = partial.states_mut(output as usize);
            states.iter_mut().for_each(|state| state.add(element));
        }
        partial
    }
}

/// The bits of one element of this machine's byte order.
fn bits(element: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..element.len()].copy_from_slice(element);
    if cfg!(target_endian = "big") {
        bytes[..element.len()].reverse();
    }
    u64::from_le_bytes(bytes)
}

/// Mostly the sum alone.
fn random_ops(chance: &mut Chance, dtype: DType, along_axis: bool) -> Vec<Op> {
    if chance.per_mille(if along_axis { 300 } else { 850 }) {
        return vec![Op::Sum];
    }
    let mut all = vec![Op::Sum, Op::ArgMax, Op::CountNonzero, Op::Prod];
    if !dtype.is_float() {
        all.push(Op::Xor);
    }
    while all.len() > 4 || (all.len() > 1 && chance.per_mille(400)) {
        all.remove(chance.index(all.len()));
    }
    all
}

/// The files of a data set, of one axis, or of two with so many columns.
fn list(
    dtype: DType,
    name: u64,
    files: &[Vec<u8>],
    table: Option<(u64, MemoryOrder)>,
) -> Vec<File> {
    let numbers = files.iter().enumerate();
    let listed = numbers.map(|(index, bytes)| {
        let elements = (bytes.len() / dtype.size_bytes()) as u64;
        let file = imaginary_file(&format!("{name:x}/{index}.npy"), dtype, elements);
        match table {
            None => file,
            Some((columns, memory_order)) => {
                File { shape: vec![elements / columns, columns], memory_order, ..file }
            }
        }
    });
    listed.collect()
}

/// The bytes of the elements of each output, in the order of their places.
fn outputs(listed: &[File], cut: &Cut, files: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let Cut::Axis { axis, outputs: window, .. } = cut else {
        return vec![files.concat()];
    };
    let mut outputs: Vec<Vec<u8>> = Vec::new();
    let mut first = 0;
    for (file, bytes) in listed.iter().zip(files) {
        let (rows, columns) = (file.shape[0] as usize, file.shape[1] as usize);
        let size = file.layout.dtype.size_bytes();
        let own = if *axis == 0 { columns } else { rows };
        outputs.resize(outputs.len().max(first + own), Vec::new());
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |c| (row, c))) {
            let at = match file.memory_order {
                MemoryOrder::C => row * columns + column,
                MemoryOrder::Fortran => column * rows + row,
            };
            let output = if *axis == 0 { column } else { first + row };
            outputs[output].extend_from_slice(&bytes[at * size..(at + 1) * size]);
        }
        if *axis == 1 {
            first += rows;
        }
    }
    outputs.drain(window.start as usize..window.end as usize).collect()
}

/// The bytes of one element: cancelling, tiny, huge; now and then special.
fn element(chance: &mut Chance, dtype: DType, tame: bool) -> Vec<u8> {
    let sign = |chance: &mut Chance| chance.word() << 63;
    match dtype {
        DType::F64 => {
            let magnitude = match chance.index(if tame { 6 } else { 40 }) {
                0 => 0.0_f64.to_bits(),
                1 => f64::MAX.to_bits(),
                2 => chance.number(1..=9),
                3 => 1.0_f64.to_bits() + chance.number(0..=1),
                36 => f64::INFINITY.to_bits(),
                37 => f64::NAN.to_bits(),
                _ => chance.number(0..=f64::MAX.to_bits()),
            };
            (magnitude | sign(chance)).to_ne_bytes().to_vec()
        }
        DType::F32 => {
            let magnitude = match chance.index(if tame { 6 } else { 40 }) {
                0 => 0.0_f32.to_bits(),
                1 => f32::MAX.to_bits(),
                2 => chance.number(1..=9) as u32,
                3 => 1.0_f32.to_bits() + chance.number(0..=1) as u32,
                36 => f32::INFINITY.to_bits(),
                37 => f32::NAN.to_bits(),
                _ => chance.number(0..=u64::from(f32::MAX.to_bits())) as u32,
            };
            (magnitude | (sign(chance) >> 32) as u32).to_ne_bytes().to_vec()
        }
        DType::I64 => {
            let value = match chance.index(4) {
                0 => i64::MIN,
                1 => i64::MAX,
                2 => chance.number(0..=9) as i64 - 5,
                _ => chance.word() as i64,
            };
            value.to_ne_bytes().to_vec()
        }
        _ => vec![chance.word() as u8; dtype.size_bytes()],
    }
}

/// The bits of a result, if there is one, over elements in order of their
/// places.
fn oracle(op: Op, dtype: DType, bytes: &[u8]) -> Option<String> {
    let elements = bytes.chunks_exact(dtype.size_bytes());
    match op {
        Op::Sum => Some(sum(dtype, bytes)),
        Op::CountNonzero => {
            let zero = |element: &&[u8]| value(dtype, element).is_zero();
            Some(format!("{:#018x}", elements.len() - elements.filter(zero).count()))
        }
        Op::ArgMax => {
            let mut best: Option<(usize, Number)> = None;
            for (place, element) in elements.enumerate() {
                let number = value(dtype, element);
                if best.as_ref().is_none_or(|(_, best)| number.beats(best)) {
                    best = Some((place, number));
                }
            }
            best.map(|(place, _)| format!("{place:#018x}"))
        }
        Op::Xor => Some(format!("{:#018x}", elements.map(bits).fold(0, |all, one| all ^ one))),
        Op::Prod if !dtype.is_float() => {
            Some(format!("{:#018x}", elements.map(bits).fold(1, u64::wrapping_mul)))
        }
        Op::Prod => {
            // The tree has an oracle of its own; here its merging matters.
            let monoids = op.monoids(dtype);
            let mut state = State::identity(&monoids[0], dtype);
            for (index, element) in (0..).zip(elements) {
                state.add(Element { bits: bits(element), second: 0, index });
            }
            let product = finish::finish(op, &[state], Options::default(), dtype);
            Some(product.expect("every product has a value").value.bits())
        }
        other => panic!("the oracle does not know {other}"),
    }
}

/// An element by value.
enum Number {
    Float(f64),
    Integer(i64),
}

impl Number {
    fn is_zero(&self) -> bool {
        matches!(self, Number::Float(0.0) | Number::Integer(0))
    }

    /// Whether this is larger, where NaN is larger than all numbers, but no NaN
    /// than another.
    fn beats(&self, other: &Number) -> bool {
        match (self, other) {
            (Number::Float(ours), Number::Float(theirs)) => {
                !theirs.is_nan() && (ours.is_nan() || ours.total_cmp(theirs).is_gt())
            }
            (Number::Integer(ours), Number::Integer(theirs)) => ours > theirs,
            _ => unreachable!("elements of one type"),
        }
    }
}

fn value(dtype: DType, element: &[u8]) -> Number {
    match dtype {
        DType::F64 => Number::Float(f64::from_bits(bits(element))),
        DType::F32 => Number::Float(f32::from_bits(bits(element) as u32).into()),
        DType::I64 => Number::Integer(bits(element) as i64),
        DType::U8 => Number::Integer(bits(element) as i64),
        other => panic!("the oracle does not know {other}"),
    }
}

fn sum(dtype: DType, bytes: &[u8]) -> String {
    match dtype {
        DType::F64 => {
            let values = bytes.as_chunks().0.iter().map(|value| f64::from_ne_bytes(*value));
            let sum = match float_sum(values) {
                FloatSum::NaN => f64::from_bits(0x7ff8_0000_0000_0000),
                FloatSum::Infinite(infinity) => infinity,
                FloatSum::Digits(digits) => digits.parse().expect("decimal digits"),
            };
            format!("{:#018x}", sum.to_bits())
        }
        DType::F32 => {
            let values = bytes.as_chunks().0.iter().map(|value| f32::from_ne_bytes(*value));
            let sum = match float_sum(values.map(f64::from)) {
                FloatSum::NaN => f32::from_bits(0x7fc0_0000),
                FloatSum::Infinite(infinity) => infinity as f32,
                FloatSum::Digits(digits) => digits.parse().expect("decimal digits"),
            };
            format!("{:#010x}", sum.to_bits())
        }
        DType::I64 => {
            let values = bytes.as_chunks().0.iter().map(|value| i64::from_ne_bytes(*value));
            let sum: BigInt = values.map(BigInt::from).sum();
            match i64::try_from(&sum) {
                Ok(sum) => format!("{sum:#018x}"),
                Err(_) => format!("{:#034x}", i128::try_from(&sum).expect("few elements")),
            }
        }
        DType::U8 => format!("{:#018x}", bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>()),
        other => panic!("the oracle does not know {other}"),
    }
}

/// An exact sum of floats.
enum FloatSum {
    NaN,
    Infinite(f64),
    /// All decimal digits of a finite sum.
    Digits(String),
}

fn float_sum(values: impl Iterator<Item = f64>) -> FloatSum {
    // In units of 2^-1074: an f64 is an integer there.
    let mut sum = BigInt::from(0);
    let (mut nan, mut infinite) = (false, Vec::new());
    for value in values {
        nan |= value.is_nan();
        if value.is_infinite() {
            infinite.push(value);
        } else if !value.is_nan() {
            let exponent = (value.to_bits() >> 52 & 0x7ff) as u32;
            let fraction = value.to_bits() & ((1 << 52) - 1);
            let significand = if exponent == 0 { fraction } else { fraction | 1 << 52 };
            let magnitude = BigInt::from(significand) << exponent.saturating_sub(1);
            sum += if value.is_sign_negative() { -magnitude } else { magnitude };
        }
    }
    if nan || infinite.windows(2).any(|pair| pair[0] != pair[1]) {
        FloatSum::NaN
    } else if let Some(&infinity) = infinite.first() {
        FloatSum::Infinite(infinity)
    } else {
        // n / 2^1074 = n * 5^1074 / 10^1074, and zero has no sign here.
        FloatSum::Digits(format!("{}e-1074", sum * BigInt::from(5).pow(1074)))
    }
}
