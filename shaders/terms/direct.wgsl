// Terms that are the elements, or what KEEP keeps of them.

fn sample(x: vec4<u32>, y: vec4<u32>) -> u32 {
    return exponent(x);
}

fn take(state: ptr<function, State>, x: Batch, y: Batch, copy: u32) {
    lift(state, x.a & KEEP, x.b & KEEP, x.c & KEEP, x.d & KEEP, copy);
}
