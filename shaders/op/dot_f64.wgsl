// The exact sum of products of binary64, by integers alone. One unit is
// 2^-2148.
//
// A product of two significands has 106 bits, and positions from 0 to 4090:
// each goes to the workgroup's digits by itself, as halves of 16 bits.

// Threads keep nothing.
struct State {
    unused: u32,
}

fn identity(window_end: u32) -> State {
    return State(0u);
}

fn sample(x: vec4<u32>, y: vec4<u32>) -> u32 {
    return 0u;
}

fn take(state: ptr<function, State>, x: Batch, y: Batch, copy: u32) {
    take_vector(x.a, y.a, copy);
    take_vector(x.b, y.b, copy);
    take_vector(x.c, y.c, copy);
    take_vector(x.d, y.d, copy);
}

fn merge(state: ptr<function, State>, copy: u32) {}

fn take_vector(x: vec4<u32>, y: vec4<u32>, copy: u32) {
    add_product(x.xy, y.xy, copy);
    add_product(x.zw, y.zw, copy);
}

fn add_product(x: vec2<u32>, y: vec2<u32>, copy: u32) {
    let negative = ((x.y ^ y.y) >> 31u) != 0u;
    let x_zero = ((x.y << 1u) | x.x) == 0u;
    let y_zero = ((y.y << 1u) | y.x) == 0u;
    let x_exponent = (x.y << 1u) >> 21u;
    let y_exponent = (y.y << 1u) >> 21u;
    if (max(x_exponent, y_exponent) > EXPONENT_MAX) {
        let infinity = select(POSITIVE_INFINITY, NEGATIVE_INFINITY, negative);
        // Infinity times zero is NaN, too.
        let nan = is_nan(x) || is_nan(y) || x_zero || y_zero;
        count_special(select(infinity, NAN, nan));
        return;
    }
    if (x_zero || y_zero) {
        return;
    }
    let position = max(x_exponent, 1u) + max(y_exponent, 1u) - 2u;
    add_halves(pieces(x), pieces(y), position, negative, copy);
}

fn is_nan(x: vec2<u32>) -> bool {
    return (x.y << 1u) > 0xffe00000u || ((x.y << 1u) == 0xffe00000u && x.x != 0u);
}

// The significand in pieces of 16 bits, the lowest first.
fn pieces(x: vec2<u32>) -> vec4<u32> {
    let implicit = select(0u, 0x100000u, ((x.y << 1u) >> 21u) != 0u);
    let high = (x.y & 0xfffffu) | implicit;
    return vec4<u32>(x.x & 0xffffu, x.x >> 16u, high & 0xffffu, high >> 16u);
}

// Adds a b 2^position. Columns of the schoolbook product are made one after
// the other, each with what the one before carries: at most four products of
// two pieces, (2^16 - 1)^2 each, as sums of halves below 2^19.
fn add_halves(a: vec4<u32>, b: vec4<u32>, position: u32, negative: bool, copy: u32) {
    let digit = position >> 3u;
    let shift = position & 7u;
    // The product's halves, shifted. `column` is what the next half is made of,
    // `left` the bits that were shifted out of the last, and `carry` what
    // signed digits carry.
    var column = 0u;
    var left = 0u;
    var carry = 0u;
    for (var k = 0u; k < 8u; k += 1u) {
        var lower = column;
        var upper = 0u;
        for (var i = 0u; i < 4u; i += 1u) {
            let j = k - i;
            if (j < 4u) {
                let product = a[i] * b[j];
                lower += product & 0xffffu;
                upper += product >> 16u;
            }
        }
        let half = lower & 0xffffu;
        column = upper + (lower >> 16u);
        let shifted = (half << shift) | left;
        left = shifted >> 16u;
        carry = add_half(digit + 2u * k, (shifted & 0xffffu) + carry, negative, copy);
    }
}
