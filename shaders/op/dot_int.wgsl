// The exact sum of products, squares or magnitudes of integers and bool, of
// ELEMENT_BITS bits, SIGNED or not.
//
// A product of magnitudes is made of products of pieces of 16 bits, and their
// halves are summed, with the product's sign, each by itself. To one sum an
// element of 64 bits adds at most seven halves, and one of 8 bits a single one
// where a vector has sixteen: 32 vectors keep the sums below 2^26.

struct State {
    // Sums of the halves that weigh 2^0, 2^16, 2^32 and 2^48, then of those
    // that weigh 2^64, 2^80, 2^96 and 2^112.
    lower: vec4<i32>,
    upper: vec4<i32>,
}

// The magnitude of an element in pieces of 16 bits, and its sign.
struct Magnitude {
    pieces: vec4<u32>,
    negative: bool,
}

fn identity(window_end: u32) -> State {
    return State(vec4<i32>(0), vec4<i32>(0));
}

fn sample(x: vec4<u32>, y: vec4<u32>) -> u32 {
    return 0u;
}

fn take(state: ptr<function, State>, x: Batch, y: Batch, copy: u32) {
    take_vector(state, x.a, y.a);
    take_vector(state, x.b, y.b);
    take_vector(state, x.c, y.c);
    take_vector(state, x.d, y.d);
}

fn merge(state: ptr<function, State>, copy: u32) {
    for (var k = 0u; k < 4u; k += 1u) {
        add_at((*state).lower[k], 16u * k, copy);
        add_at((*state).upper[k], 64u + 16u * k, copy);
    }
}

fn take_vector(state: ptr<function, State>, x: vec4<u32>, y: vec4<u32>) {
    if (ELEMENT_BITS == 64u) {
        add_product(state, magnitude(x.x, x.y), magnitude(y.x, y.y));
        add_product(state, magnitude(x.z, x.w), magnitude(y.z, y.w));
        return;
    }
    for (var word = 0u; word < 4u; word += 1u) {
        for (var bit = 0u; bit < 32u; bit += FIELD_BITS) {
            let a = extractBits(x[word], bit, FIELD_BITS);
            let b = extractBits(y[word], bit, FIELD_BITS);
            add_product(state, magnitude(a, 0u), magnitude(b, 0u));
        }
    }
}

// The magnitude of an element given by its bits, as low and high words.
fn magnitude(low: u32, high: u32) -> Magnitude {
    if (BOOLEAN) {
        return Magnitude(vec4<u32>(min(low, 1u), 0u, 0u, 0u), false);
    }
    let top = select(low, high, ELEMENT_BITS == 64u);
    let negative = SIGNED && ((top >> (FIELD_BITS - 1u)) & 1u) != 0u;
    var words = vec2<u32>(low, high);
    if (negative) {
        words = ~words + vec2<u32>(1u, select(0u, 1u, low == 0u));
    }
    if (ELEMENT_BITS < 64u) {
        words = vec2<u32>(extractBits(words.x, 0u, FIELD_BITS), 0u);
    }
    return Magnitude(
        vec4<u32>(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u),
        negative,
    );
}

fn add_product(state: ptr<function, State>, x: Magnitude, y: Magnitude) {
    if (MAGNITUDE) {
        (*state).lower += bitcast<vec4<i32>>(x.pieces);
        return;
    }
    // The pieces of x times one piece of y at a time. Of narrow elements, all
    // pieces but the first one or two are zeros.
    let negative = x.negative != y.negative;
    var lower = vec4<u32>(0u);
    var upper = vec4<u32>(0u);
    let p0 = x.pieces * y.pieces.x;
    lower += p0 & vec4<u32>(0xffffu);
    let q0 = p0 >> vec4<u32>(16u);
    lower += vec4<u32>(0u, q0.xyz);
    upper.x += q0.w;
    if (ELEMENT_BITS >= 32u) {
        let p1 = x.pieces * y.pieces.y;
        let l1 = p1 & vec4<u32>(0xffffu);
        let q1 = p1 >> vec4<u32>(16u);
        lower += vec4<u32>(0u, l1.xyz) + vec4<u32>(0u, 0u, q1.xy);
        upper += vec4<u32>(l1.w + q1.z, q1.w, 0u, 0u);
    }
    if (ELEMENT_BITS == 64u) {
        let p2 = x.pieces * y.pieces.z;
        let l2 = p2 & vec4<u32>(0xffffu);
        let q2 = p2 >> vec4<u32>(16u);
        lower += vec4<u32>(0u, 0u, l2.xy) + vec4<u32>(0u, 0u, 0u, q2.x);
        upper += vec4<u32>(l2.z + q2.y, l2.w + q2.z, q2.w, 0u);
        let p3 = x.pieces * y.pieces.w;
        let l3 = p3 & vec4<u32>(0xffffu);
        let q3 = p3 >> vec4<u32>(16u);
        lower += vec4<u32>(0u, 0u, 0u, l3.x);
        upper += vec4<u32>(l3.y + q3.x, l3.z + q3.y, l3.w + q3.z, q3.w);
    }
    let sign = select(1, -1, negative);
    (*state).lower += bitcast<vec4<i32>>(lower) * sign;
    (*state).upper += bitcast<vec4<i32>>(upper) * sign;
}
