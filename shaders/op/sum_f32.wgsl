// The exact sum of binary32, by integers alone. One unit is 2^-149.
//
// A thread sums the elements whose exponents lie in a window of 25 into two
// words. With base the lowest exponent of the window, s = exponent - base and
// m the signed significand of 24 bits, an element is v = m 2^s units of
// 2^(base - 1), and
//   low  = sum of m << s, modulo 2^32
//   high = sum of m >> (24 - s), that is of floor(v / 2^24)
// The rest v - 2^24 floor(v / 2^24) lies in 0 .. 2^24 - 1, so the sum of at
// most 256 rests is below 2^32 and is (low - 2^24 high) modulo 2^32: the two
// words hold the sum exactly. High takes 128 elements, 128 (2^24 - 1) < 2^31.
//
// All other elements go to the workgroup's digits one by one, and NaN and
// infinities are counted there. So the window must never contain exponent 255.
// All elements go there in a block without a window.

const WINDOW: u32 = 24u;

struct State {
    windowed: bool,
    base: u32,
    low: u32,
    high: i32,
}

fn exponent(x: vec4<u32>) -> u32 {
    let e = (x << vec4<u32>(1u)) >> vec4<u32>(24u);
    return first_normal(first_normal(e.x, e.y), first_normal(e.z, e.w));
}

// The window lies within 1 .. 254.
fn identity(window_end: u32) -> State {
    let base = min(max(window_end, WINDOW + 1u) - WINDOW, EXPONENT_MAX - WINDOW);
    return State(window_end != 0u, base, 0u, 0);
}

fn lift(
    state: ptr<function, State>,
    x0: vec4<u32>,
    x1: vec4<u32>,
    x2: vec4<u32>,
    x3: vec4<u32>,
    copy: u32,
) {
    let base = (*state).base;
    let s0 = shift_in_window(x0, base);
    let s1 = shift_in_window(x1, base);
    let s2 = shift_in_window(x2, base);
    let s3 = shift_in_window(x3, base);
    if ((*state).windowed && all(max(max(s0, s1), max(s2, s3)) <= vec4<u32>(WINDOW))) {
        add(state, significand(x0), s0);
        add(state, significand(x1), s1);
        add(state, significand(x2), s2);
        add(state, significand(x3), s3);
    } else {
        lift_mixed(state, x0, s0, copy);
        lift_mixed(state, x1, s1, copy);
        lift_mixed(state, x2, s2, copy);
        lift_mixed(state, x3, s3, copy);
    }
}

// Low is split into halves, since add_at takes a signed word.
fn merge(state: ptr<function, State>, copy: u32) {
    let high = (*state).high;
    let rest = (*state).low - (bitcast<u32>(high) << 24u);
    let position = (*state).base - 1u;
    add_at(bitcast<i32>(rest & 0xffffu), position, copy);
    add_at(bitcast<i32>(rest >> 16u), position + 16u, copy);
    add_at(high, position + 24u, copy);
}

// Exponent - base; below the window it wraps to a large number.
fn shift_in_window(x: vec4<u32>, base: u32) -> vec4<u32> {
    return ((x << vec4<u32>(1u)) >> vec4<u32>(24u)) - vec4<u32>(base);
}

// The signed significand of a normal number.
fn significand(x: vec4<u32>) -> vec4<i32> {
    let magnitude = bitcast<vec4<i32>>((x & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u));
    let sign = bitcast<vec4<i32>>(x) >> vec4<u32>(31u);
    return (magnitude ^ sign) - sign;
}

fn add(state: ptr<function, State>, m: vec4<i32>, s: vec4<u32>) {
    let low = bitcast<vec4<u32>>(m) << s;
    let high = m >> (vec4<u32>(WINDOW) - s);
    (*state).low += low.x + low.y + low.z + low.w;
    (*state).high += high.x + high.y + high.z + high.w;
}

fn lift_mixed(state: ptr<function, State>, x: vec4<u32>, s: vec4<u32>, copy: u32) {
    let windowed = (*state).windowed;
    let inside = vec4<bool>(windowed) & (s <= vec4<u32>(WINDOW));
    if (windowed) {
        let m = select(vec4<i32>(0), significand(x), inside);
        add(state, m, select(vec4<u32>(0u), s, inside));
    }
    if (any(!inside & ((x << vec4<u32>(1u)) != vec4<u32>(0u)))) {
        if (!inside.x) { lift_outside(x.x, copy); }
        if (!inside.y) { lift_outside(x.y, copy); }
        if (!inside.z) { lift_outside(x.z, copy); }
        if (!inside.w) { lift_outside(x.w, copy); }
    }
}

fn lift_outside(x: u32, copy: u32) {
    if ((x << 1u) == 0u) {
        return;
    }
    let e = (x << 1u) >> 24u;
    let fraction = x & 0x7fffffu;
    let sign = bitcast<i32>(x) >> 31u;
    if (e > EXPONENT_MAX) {
        let infinity = select(POSITIVE_INFINITY, NEGATIVE_INFINITY, sign != 0);
        count_special(select(infinity, NAN, fraction != 0u));
        return;
    }
    // Subnormal numbers have the smallest exponent and no implicit one.
    let implicit = min(e, 1u);
    let position = e - implicit;
    let magnitude = bitcast<i32>((fraction | (implicit << 23u)) << (position & 7u));
    // At most 2^31 - 2^7 from zero, so no half is more than 2^15 from it.
    let value = (magnitude ^ sign) - sign;
    let digit = position >> 3u;
    add_digit(digit, extractBits(value, 0u, 16u), copy);
    // The bit that is the sign of the lower half, as 0 or -1.
    add_digit(digit + 2u, (value >> 16u) - extractBits(value, 15u, 1u), copy);
}
