// The exact sum of binary64, by integers alone, on pairs of words. One unit is
// 2^-1074.
//
// As for binary32, a thread sums the elements whose exponents lie in a window,
// here of 23. With base its lowest exponent, s = exponent - base and m the
// significand of 53 bits, an element's magnitude m 2^s has at most 75 bits. A
// positive element enters as v = m 2^s and a negative one as v = -m 2^s - 1,
// which is the one's complement and needs no carry; the ones are added back by
// the count of negatives. Of each v an octet of elements sums
//   w0 = v modulo 2^32
//   w1 = floor(v / 2^27) modulo 2^32
//   w2 = floor(v / 2^54), within -2^21 .. 2^21 - 1
// all modulo 2^32. The sum of w2 is exact. The rests
//   v - 2^27 floor(v / 2^27)  and  floor(v / 2^27) - 2^27 floor(v / 2^54)
// lie in 0 .. 2^27 - 1, so eight of them are below 2^30, and their sums are
// w0 - 2^27 w1 and w1 - 2^27 w2, modulo 2^32. After each octet they join the
// thread's state, in halves so that a block's worth of them fits.
//
// All other elements go to the workgroup's digits one by one, and so do all of
// a block without a window.

const WINDOW: u32 = 22u;

struct State {
    windowed: bool,
    base: u32,
    // Sums of rests, as sums of their low and high halves.
    rest0: vec2<i32>,
    rest1: vec2<i32>,
    top: i32,
}

struct Octet {
    w0: u32,
    w1: u32,
    w2: u32,
    negatives: u32,
}

fn exponent(x: vec4<u32>) -> u32 {
    let e = (x.yw << vec2<u32>(1u)) >> vec2<u32>(21u);
    return first_normal(e.x, e.y);
}

// The window lies within 1 .. 2046.
fn identity(window_end: u32) -> State {
    let base = min(max(window_end, WINDOW + 1u) - WINDOW, EXPONENT_MAX - WINDOW);
    return State(window_end != 0u, base, vec2<i32>(0), vec2<i32>(0), 0);
}

fn lift(
    state: ptr<function, State>,
    x0: vec4<u32>,
    x1: vec4<u32>,
    x2: vec4<u32>,
    x3: vec4<u32>,
    copy: u32,
) {
    let windowed = (*state).windowed;
    let base = (*state).base;
    let s0 = shift_in_window(x0, base);
    let s1 = shift_in_window(x1, base);
    let s2 = shift_in_window(x2, base);
    let s3 = shift_in_window(x3, base);
    var octet = Octet(0u, 0u, 0u, 0u);
    if (windowed && all(max(max(s0, s1), max(s2, s3)) <= vec2<u32>(WINDOW))) {
        add(&octet, x0.xz, significand_high(x0), signs(x0), s0);
        add(&octet, x1.xz, significand_high(x1), signs(x1), s1);
        add(&octet, x2.xz, significand_high(x2), signs(x2), s2);
        add(&octet, x3.xz, significand_high(x3), signs(x3), s3);
    } else {
        lift_mixed(windowed, &octet, x0, s0, copy);
        lift_mixed(windowed, &octet, x1, s1, copy);
        lift_mixed(windowed, &octet, x2, s2, copy);
        lift_mixed(windowed, &octet, x3, s3, copy);
    }
    (*state).rest0 += halves(octet.w0 - (octet.w1 << 27u) + octet.negatives);
    (*state).rest1 += halves(octet.w1 - (octet.w2 << 27u));
    (*state).top += bitcast<i32>(octet.w2);
}

fn merge(state: ptr<function, State>, copy: u32) {
    let position = (*state).base - 1u;
    add_at((*state).rest0.x, position, copy);
    add_at((*state).rest0.y, position + 16u, copy);
    add_at((*state).rest1.x, position + 27u, copy);
    add_at((*state).rest1.y, position + 43u, copy);
    add_at((*state).top, position + 54u, copy);
}

// Exponent - base; below the window it wraps to a large number.
fn shift_in_window(x: vec4<u32>, base: u32) -> vec2<u32> {
    return ((x.yw << vec2<u32>(1u)) >> vec2<u32>(21u)) - vec2<u32>(base);
}

// The upper 21 bits of a normal number's significand.
fn significand_high(x: vec4<u32>) -> vec2<u32> {
    return (x.yw & vec2<u32>(0xfffffu)) | vec2<u32>(0x100000u);
}

// All ones for a negative number.
fn signs(x: vec4<u32>) -> vec2<u32> {
    return bitcast<vec2<u32>>(bitcast<vec2<i32>>(x.yw) >> vec2<u32>(31u));
}

fn halves(value: u32) -> vec2<i32> {
    return vec2<i32>(bitcast<i32>(value & 0xffffu), bitcast<i32>(value >> 16u));
}

// Adds two elements, s <= 22.
fn add(
    octet: ptr<function, Octet>,
    low: vec2<u32>,
    high: vec2<u32>,
    sign: vec2<u32>,
    s: vec2<u32>,
) {
    let w0 = (low << s) ^ sign;
    let w1 = ((low >> (vec2<u32>(27u) - s)) | (high << (s + vec2<u32>(5u)))) ^ sign;
    let w2 = (high >> (vec2<u32>(WINDOW) - s)) ^ sign;
    (*octet).w0 += w0.x + w0.y;
    (*octet).w1 += w1.x + w1.y;
    (*octet).w2 += w2.x + w2.y;
    (*octet).negatives -= sign.x + sign.y;
}

fn lift_mixed(
    windowed: bool,
    octet: ptr<function, Octet>,
    x: vec4<u32>,
    s: vec2<u32>,
    copy: u32,
) {
    let inside = vec2<bool>(windowed) & (s <= vec2<u32>(WINDOW));
    let zero = vec2<u32>(0u);
    if (windowed) {
        let low = select(zero, x.xz, inside);
        let high = select(zero, significand_high(x), inside);
        add(octet, low, high, signs(x), select(zero, s, inside));
    }
    if (any(!inside & (((x.yw << vec2<u32>(1u)) | x.xz) != zero))) {
        if (!inside.x) { lift_outside(x.x, x.y, copy); }
        if (!inside.y) { lift_outside(x.z, x.w, copy); }
    }
}

fn lift_outside(low: u32, high: u32, copy: u32) {
    if (((high << 1u) | low) == 0u) {
        return;
    }
    let e = (high << 1u) >> 21u;
    let fraction_high = high & 0xfffffu;
    let sign = bitcast<u32>(bitcast<i32>(high) >> 31u);
    if (e > EXPONENT_MAX) {
        let infinity = select(POSITIVE_INFINITY, NEGATIVE_INFINITY, sign != 0u);
        count_special(select(infinity, NAN, (fraction_high | low) != 0u));
        return;
    }
    // Subnormal numbers have the smallest exponent and no implicit one.
    let implicit = min(e, 1u);
    let position = e - implicit;
    let m = fraction_high | (implicit << 20u);
    let shift = position & 7u;
    // Sixty bits. The shift by 32 - shift is made in two, since 32 is none.
    let w0 = low << shift;
    let w1 = (m << shift) | ((low >> 1u) >> (31u - shift));
    // The two's complement of a negative number; then 2^15 is added to each half
    // but the topmost, and taken from it again once they are apart.
    let v0 = (w0 ^ sign) - sign;
    let v1 = (w1 ^ sign) + (sign & select(0u, 1u, w0 == 0u));
    let u0 = v0 + 0x80008000u;
    let u1 = v1 + 0x8000u + select(0u, 1u, u0 < 0x80008000u);
    let digit = position >> 3u;
    add_digit(digit, bitcast<i32>(u0 & 0xffffu) - 0x8000, copy);
    add_digit(digit + 2u, bitcast<i32>(u0 >> 16u) - 0x8000, copy);
    add_digit(digit + 4u, bitcast<i32>(u1 & 0xffffu) - 0x8000, copy);
    add_digit(digit + 6u, bitcast<i32>(u1) >> 16u, copy);
}
