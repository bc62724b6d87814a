// Terms that are products of 16-bit floats, as binary64.

fn sample(x: vec4<u32>, y: vec4<u32>) -> u32 {
    let a = widen_lower(x);
    let b = widen_lower(y);
    return exponent(multiply_pairs(a.xy, b.xy));
}

fn take(state: ptr<function, State>, x: Batch, y: Batch, copy: u32) {
    take_vector(state, x.a, y.a, copy);
    take_vector(state, x.b, y.b, copy);
    take_vector(state, x.c, y.c, copy);
    take_vector(state, x.d, y.d, copy);
}

fn take_vector(state: ptr<function, State>, x: vec4<u32>, y: vec4<u32>, copy: u32) {
    let a0 = widen_lower(x);
    let b0 = widen_lower(y);
    let a1 = widen_upper(x);
    let b1 = widen_upper(y);
    lift(
        state,
        multiply_pairs(a0.xy, b0.xy),
        multiply_pairs(a0.zw, b0.zw),
        multiply_pairs(a1.xy, b1.xy),
        multiply_pairs(a1.zw, b1.zw),
        copy,
    );
}
