// The product of integers, of ELEMENT_BITS bits, SIGNED or not: the sign and
// the magnitude modulo 2^64 of all that are not zero, and whether the true
// magnitude is 2^64 or more.

struct State {
    magnitude: vec2<u32>,
    elements: u32,
    zeros: u32,
    // Negative elements, of which only the lowest bit counts.
    negative: u32,
    // Zero, or anything else if the magnitude is too large.
    overflowed: u32,
    blocks: u32,
    // Makes the size a multiple of eight bytes, which it has to be.
    padding: u32,
}

fn identity() -> State {
    return State(vec2<u32>(1u, 0u), 0u, 0u, 0u, 0u, 0u, 0u);
}

fn lift(state: ptr<function, State>, bits: vec2<u32>, number: u32) {
    (*state).elements += 1u;
    if ((bits.x | bits.y) == 0u) {
        (*state).zeros += 1u;
    } else if (!BOOLEAN) {
        let negative = SIGNED && ((bits.x & SIGN.x) | (bits.y & SIGN.y)) != 0u;
        // The negative of a two's complement number, in the type's own bits.
        let inverse = (bits ^ MASK) + vec2<u32>(1u, select(0u, 1u, (bits.x ^ MASK.x) == 0xffffffffu));
        multiply(state, select(bits, inverse & MASK, negative));
        (*state).negative ^= select(0u, 1u, negative);
    }
}

fn merge(state: ptr<function, State>, other: State) {
    multiply(state, other.magnitude);
    (*state).elements += other.elements;
    (*state).zeros += other.zeros;
    (*state).negative ^= other.negative;
    (*state).overflowed |= other.overflowed;
    (*state).blocks += other.blocks;
}

// Once the product of nonzero integers is 2^64 or more it stays so, though its
// lower bits may become zero: what overflowed is never asked again.
fn multiply(state: ptr<function, State>, factor: vec2<u32>) {
    let m = (*state).magnitude;
    let low = wide_product(m.x, factor.x);
    let left = wide_product(m.y, factor.x);
    let right = wide_product(m.x, factor.y);
    let partly = low.y + left.x;
    let high = partly + right.x;
    let carries = partly < low.y || high < partly;
    let above = left.y | right.y | select(0u, 1u, m.y != 0u && factor.y != 0u);
    (*state).magnitude = vec2<u32>(low.x, high);
    (*state).overflowed |= above | select(0u, 1u, carries);
}

// The 64 bits of the product of two words, as low and high words.
fn wide_product(a: u32, b: u32) -> vec2<u32> {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    // Each at most (2^16 - 1)^2 + 2 (2^16 - 1) = 2^32 - 1.
    let middle = a1 * b0 + ((a0 * b0) >> 16u);
    let upper = a0 * b1 + (middle & 0xffffu);
    return vec2<u32>(a * b, a1 * b1 + (middle >> 16u) + (upper >> 16u));
}
