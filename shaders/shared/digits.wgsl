// The workgroup's sum: a fixed-point integer of redundant signed digits.
//
// Digit j weighs 2^(8j) units and is as wide as an i32, so threads add to it
// in any order without carries; the carries are made when a block ends. Each
// digit has COPIES copies, one for each lane in turn, so that threads that add
// to the same digit seldom meet. src/gpu/kernel.rs proves that no digit
// overflows within one block, and says how many blocks a partial can hold.
//
// Workgroup memory starts as zeros, as WebGPU demands.

// What one workgroup has summed since the host last cleared it. Its sum is
// that of (low[j] + 2^16 high[j]) 2^(8j) over all j, with 0 <= low[j] < 2^16.
struct Partial {
    low: array<u32, DIGITS>,
    high: array<i32, DIGITS>,
    // NaN, +infinity, -infinity.
    special: array<u32, 3>,
    // Blocks summed: the host's evidence that every dispatch ran.
    blocks: u32,
}

@group(0) @binding(1) var<storage, read_write> partials: array<Partial>;

const NAN: u32 = 0u;
const POSITIVE_INFINITY: u32 = 1u;
const NEGATIVE_INFINITY: u32 = 2u;

var<workgroup> digits: array<atomic<i32>, DIGITS * COPIES>;
var<workgroup> special: array<atomic<u32>, 3>;

fn add_digit(digit: u32, value: i32, copy: u32) {
    atomicAdd(&digits[digit * COPIES + copy], value);
}

// Adds a half of a magnitude, 0 <= half <= 2^16, as a digit of -2^15 to 2^15 - 1
// and returns what it carries into the next half.
fn add_half(digit: u32, half: u32, negative: bool, copy: u32) -> u32 {
    let value = bitcast<i32>(half << 16u) >> 16u;
    add_digit(digit, select(value, -value, negative), copy);
    return (half + 0x8000u) >> 16u;
}

// Adds value * 2^position. A digit receives less than 2^16 + 2^8 by one call.
fn add_at(value: i32, position: u32, copy: u32) {
    let digit = position >> 3u;
    let shift = position & 7u;
    let low = (value & 0xffff) << shift;
    let high = (value >> 16u) << shift;
    add_digit(digit, low & 0xffff, copy);
    add_digit(digit + 2u, (low >> 16u) + (high & 0xffff), copy);
    add_digit(digit + 4u, high >> 16u, copy);
}

fn count_special(kind: u32) {
    atomicAdd(&special[kind], 1u);
}

// Moves the digits into the workgroup's partial and leaves zeros. Each digit
// has one thread, always the same, so the partial needs no atomics. Barriers
// stand before and after.
fn finish(slot: u32, thread: u32) {
    for (var digit = thread; digit < DIGITS; digit += THREADS) {
        var value = 0;
        for (var copy = 0u; copy < COPIES; copy += 1u) {
            value += atomicExchange(&digits[digit * COPIES + copy], 0);
        }
        let low = partials[slot].low[digit] + bitcast<u32>(value & 0xffff);
        partials[slot].low[digit] = low & 0xffffu;
        partials[slot].high[digit] += (value >> 16u) + bitcast<i32>(low >> 16u);
    }
    if (thread < 3u) {
        partials[slot].special[thread] += atomicExchange(&special[thread], 0u);
    }
    if (thread == 0u) {
        partials[slot].blocks += 1u;
    }
}
