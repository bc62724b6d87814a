//! Integers that are hard to reduce.

use adsum::DType;

use super::Random;

/// Integer or bool data as little-endian bytes: random bits, the smallest, the
/// largest, and these two in turns; small numbers around zero; mostly zeros;
/// factors whose product stays within 64 bits; and powers of two whose product
/// passes 64 bits by the last one alone.
pub fn integer_kinds(
    dtype: DType,
    elements: usize,
    seed: u64,
) -> impl Iterator<Item = (String, Vec<u8>)> {
    let size = dtype.size_bytes();
    let (least, most) = if dtype.is_signed() { (1u64 << (8 * size - 1), 1) } else { (0, 0) };
    let (least, most) = (least, u64::MAX >> most >> (64 - 8 * size));
    let minus = move |magnitude: u64, negative: bool| match negative && dtype.is_signed() {
        true => magnitude.wrapping_neg(),
        false => magnitude,
    };
    let run = move |name: &str, value: &mut dyn FnMut(usize) -> u64| {
        let bytes = (0..elements).flat_map(|i| value(i).to_le_bytes().into_iter().take(size));
        (name.to_owned(), bytes.collect::<Vec<u8>>())
    };
    let mut random = Random(seed);
    // So few of the elements are not one that a product of them is small.
    let some = move |i: usize, count: usize| i.is_multiple_of((elements / count).max(1)) && i > 0;
    [
        run("random", &mut |_| random.next()),
        run("least", &mut |_| least),
        run("most", &mut |_| most),
        run("alternating", &mut |i| if i % 2 == 0 { most } else { least }),
        run("small", &mut |_| minus(random.next() % 4, random.below(2) == 1)),
        run("sparse", &mut |_| if random.below(97) == 0 { random.next() } else { 0 }),
        run("factors", &mut |i| {
            let negative = random.below(2) == 1;
            minus(if some(i, 30) { 3 } else { 1 }, negative)
        }),
        run("powers", &mut |i| match i {
            _ if i + 1 == elements => 2,
            _ if some(i, 30) => 4,
            _ => 1,
        }),
    ]
    .into_iter()
}
