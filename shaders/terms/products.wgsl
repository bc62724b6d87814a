// Terms that are products of binary32, as binary64.

fn sample(x: vec4<u32>, y: vec4<u32>) -> u32 {
    return exponent(multiply_pairs(x.xy, y.xy));
}

fn take(state: ptr<function, State>, x: Batch, y: Batch, copy: u32) {
    take_half(state, x.a, y.a, x.b, y.b, copy);
    take_half(state, x.c, y.c, x.d, y.d, copy);
}

fn take_half(
    state: ptr<function, State>,
    x0: vec4<u32>,
    y0: vec4<u32>,
    x1: vec4<u32>,
    y1: vec4<u32>,
    copy: u32,
) {
    lift(
        state,
        multiply_pairs(x0.xy, y0.xy),
        multiply_pairs(x0.zw, y0.zw),
        multiply_pairs(x1.xy, y1.xy),
        multiply_pairs(x1.zw, y1.zw),
        copy,
    );
}
