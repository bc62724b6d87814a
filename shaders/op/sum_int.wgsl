// The exact sum of integers and bool, of ELEMENT_BITS bits, SIGNED or not.
//
// Elements are cut into fields of at most 16 bits, each of which is summed by
// itself. Only the topmost field of a signed element has a sign. A block gives
// a thread at most 32 vectors of eight fields, so a sum of fields is below
// 2^24.

struct State {
    // Sums of the fields that weigh 2^0, 2^16, 2^32 and 2^48.
    fields: vec4<i32>,
}

fn exponent(x: vec4<u32>) -> u32 {
    return 0u;
}

fn identity(window_end: u32) -> State {
    return State(vec4<i32>(0));
}

fn lift(
    state: ptr<function, State>,
    x0: vec4<u32>,
    x1: vec4<u32>,
    x2: vec4<u32>,
    x3: vec4<u32>,
    copy: u32,
) {
    (*state).fields += fields(x0) + fields(x1) + fields(x2) + fields(x3);
}

fn merge(state: ptr<function, State>, copy: u32) {
    add_at((*state).fields.x, 0u, copy);
    add_at((*state).fields.y, 16u, copy);
    add_at((*state).fields.z, 32u, copy);
    add_at((*state).fields.w, 48u, copy);
}

fn fields(x: vec4<u32>) -> vec4<i32> {
    if (ELEMENT_BITS == 64u) {
        let low = lower(x);
        let high = vec4<i32>(upper_unsigned(x).xz, top(x, 16u, 16u).yw);
        return vec4<i32>(low.x + low.z, high.x + high.y, low.y + low.w, high.z + high.w);
    }
    if (ELEMENT_BITS == 32u) {
        return vec4<i32>(total(lower(x)), total(top(x, 16u, 16u)), 0, 0);
    }
    if (ELEMENT_BITS == 16u) {
        return vec4<i32>(total(top(x, 0u, 16u)) + total(top(x, 16u, 16u)), 0, 0, 0);
    }
    let bytes = top(x, 0u, 8u) + top(x, 8u, 8u) + top(x, 16u, 8u) + top(x, 24u, 8u);
    return vec4<i32>(total(bytes), 0, 0, 0);
}

fn lower(x: vec4<u32>) -> vec4<i32> {
    return bitcast<vec4<i32>>(x & vec4<u32>(0xffffu));
}

fn upper_unsigned(x: vec4<u32>) -> vec4<i32> {
    return bitcast<vec4<i32>>(x >> vec4<u32>(16u));
}

// The topmost field of an element: with its sign, or for bool whether it is
// anything but zero.
fn top(x: vec4<u32>, offset: u32, bits: u32) -> vec4<i32> {
    if (SIGNED) {
        return extractBits(bitcast<vec4<i32>>(x), offset, bits);
    }
    let field = extractBits(x, offset, bits);
    if (BOOLEAN) {
        return bitcast<vec4<i32>>(min(field, vec4<u32>(1u)));
    }
    return bitcast<vec4<i32>>(field);
}

fn total(x: vec4<i32>) -> i32 {
    return x.x + x.y + x.z + x.w;
}
