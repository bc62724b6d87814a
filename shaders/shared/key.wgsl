// The order of elements, from their bits alone.
//
// SIGN is the sign bit of a signed type and zero otherwise, MASK all bits of
// the type, INFINITY those of +infinity of a float type; each as low and high
// words.

fn less(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y < b.y || (a.y == b.y && a.x < b.x);
}

fn is_nan(bits: vec2<u32>) -> bool {
    return FLOAT && less(INFINITY, bits & ~SIGN);
}

// -0.0 is zero.
fn is_zero(bits: vec2<u32>) -> bool {
    let magnitude = select(bits, bits & ~SIGN, FLOAT);
    return (magnitude.x | magnitude.y) == 0u;
}

// An unsigned integer whose order is that of the elements; -0.0 comes before
// 0.0. Meaningless for NaN.
fn key(bits: vec2<u32>) -> vec2<u32> {
    if (BOOLEAN) {
        return vec2<u32>(min(bits.x, 1u), 0u);
    }
    let negative = ((bits.x & SIGN.x) | (bits.y & SIGN.y)) != 0u;
    return bits ^ select(SIGN, MASK, vec2<bool>(FLOAT && negative));
}
