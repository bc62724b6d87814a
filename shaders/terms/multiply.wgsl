// Products of binary32 as binary64, exactly: significands of 24 bits make one
// of 48, and exponents from 2^-298 up to 2^256 are far from either end.

// The products of two pairs, as a vector of binary64.
fn multiply_pairs(x: vec2<u32>, y: vec2<u32>) -> vec4<u32> {
    return vec4<u32>(multiply(x.x, y.x), multiply(x.y, y.y));
}

fn multiply(x: u32, y: u32) -> vec2<u32> {
    let sign = (x ^ y) & 0x80000000u;
    let x_magnitude = x & 0x7fffffffu;
    let y_magnitude = y & 0x7fffffffu;
    let larger = max(x_magnitude, y_magnitude);
    let smaller = min(x_magnitude, y_magnitude);
    if (larger >= 0x7f800000u) {
        // Infinity times zero is NaN, too.
        let nan = larger > 0x7f800000u || smaller == 0u;
        return vec2<u32>(0u, sign | select(0x7ff00000u, 0x7ff80000u, nan));
    }
    if (smaller == 0u) {
        return vec2<u32>(0u);
    }
    let a = significand_32(x_magnitude);
    let b = significand_32(y_magnitude);
    // The product in three parts of 24, 25 and 24 bits.
    let lower = (a & 0xfffu) * (b & 0xfffu);
    let middle = (a & 0xfffu) * (b >> 12u) + (a >> 12u) * (b & 0xfffu);
    let upper = (a >> 12u) * (b >> 12u);
    let low = a * b;
    let high = (upper + ((middle + (lower >> 12u)) >> 12u)) >> 8u;
    // Its leading one, at p, becomes the implicit one at 52.
    let p = select(firstLeadingBit(low), 32u + firstLeadingBit(high), high != 0u);
    let shift = 52u - p;
    var fraction = vec2<u32>(0u, low << (shift & 31u));
    if (shift < 32u) {
        fraction = vec2<u32>(low << shift, (high << shift) | ((low >> 1u) >> (31u - shift)));
    }
    // Binary32 is m 2^(e - 150); binary64 with a leading one has the exponent
    // of it plus 1023.
    let e = max(x_magnitude >> 23u, 1u) + max(y_magnitude >> 23u, 1u);
    let exponent = p + e + 1023u - 300u;
    return vec2<u32>(fraction.x, sign | (exponent << 20u) | (fraction.y & 0xfffffu));
}

fn significand_32(magnitude: u32) -> u32 {
    return (magnitude & 0x7fffffu) | select(0u, 0x800000u, magnitude >= 0x800000u);
}
