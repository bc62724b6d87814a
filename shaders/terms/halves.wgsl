// Terms that are 16-bit floats, or what KEEP keeps of them, as binary32.

fn sample(x: vec4<u32>, y: vec4<u32>) -> u32 {
    return exponent(widen_lower(x));
}

fn take(state: ptr<function, State>, x: Batch, y: Batch, copy: u32) {
    let a = x.a & KEEP;
    let b = x.b & KEEP;
    let c = x.c & KEEP;
    let d = x.d & KEEP;
    lift(state, widen_lower(a), widen_upper(a), widen_lower(b), widen_upper(b), copy);
    lift(state, widen_lower(c), widen_upper(c), widen_lower(d), widen_upper(d), copy);
}
