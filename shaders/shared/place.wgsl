// The place of an element, from its number in its output.
//
// Arrays in Fortran order lie with their first axis fastest, and their places
// are those of C order, which has it slowest. A number is split into its digits
// along the axes, and each moves the place by the stride of its axis. Elements
// that lie as their places go have no axes. All sums wrap around 2^64, which no
// place reaches.

fn place(number: u32) -> vec2<u32> {
    var index = params.first_index;
    var rest = number;
    var carry = 0u;
    for (var axis = 0u; axis < params.axes; axis += 1u) {
        let length = params.axis[axis].x;
        // Below twice the length, which is below 2^31.
        var digit = rest % length + params.axis[axis].y + carry;
        rest = rest / length;
        carry = select(0u, 1u, digit >= length);
        digit -= select(0u, length, digit >= length);
        index = plus(index, times(digit, params.axis[axis].zw));
    }
    return plus(index, times(rest + carry, params.stride));
}

fn plus(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < b.x));
}

// The product of a number of 32 bits and one of 64.
fn times(a: u32, b: vec2<u32>) -> vec2<u32> {
    let lower = (a & 0xffffu) * (b.x & 0xffffu);
    let cross = (a >> 16u) * (b.x & 0xffffu) + (lower >> 16u);
    let middle = (a & 0xffffu) * (b.x >> 16u) + (cross & 0xffffu);
    let upper = (a >> 16u) * (b.x >> 16u) + (cross >> 16u) + (middle >> 16u);
    return vec2<u32>(a * b.x, upper + a * b.y);
}
