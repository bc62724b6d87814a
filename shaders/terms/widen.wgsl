// 16-bit floats as binary32, exactly: bfloat16 if BRAIN, else binary16.

// The elements in the lower and in the upper halves of a vector's words.
fn widen_lower(x: vec4<u32>) -> vec4<u32> {
    return widen(x << vec4<u32>(16u));
}

fn widen_upper(x: vec4<u32>) -> vec4<u32> {
    return widen(x & vec4<u32>(0xffff0000u));
}

// Elements given in the upper halves.
fn widen(x: vec4<u32>) -> vec4<u32> {
    if (BRAIN) {
        return x;
    }
    let sign = x & vec4<u32>(0x80000000u);
    // Exponent and fraction where binary32 has them, but for the bias.
    let magnitude = (x & vec4<u32>(0x7fff0000u)) >> vec4<u32>(3u);
    let e = magnitude >> vec4<u32>(23u);
    // 112 = 127 - 15; NaN and infinities go from exponent 31 to 255.
    let bias = select(vec4<u32>(112u << 23u), vec4<u32>(224u << 23u), e == vec4<u32>(31u));
    // A subnormal number is f 2^-24 with a fraction f of ten bits, its leading
    // one at p; that becomes the implicit one of exponent p - 24 + 127.
    let f = magnitude >> vec4<u32>(13u);
    let p = firstLeadingBit(max(f, vec4<u32>(1u)));
    let fraction = (f << (vec4<u32>(23u) - p)) & vec4<u32>(0x7fffffu);
    let subnormal = select(((p + vec4<u32>(103u)) << vec4<u32>(23u)) | fraction, f, f == vec4<u32>(0u));
    return sign | select(magnitude + bias, subnormal, e == vec4<u32>(0u));
}
