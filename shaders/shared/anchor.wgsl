// Where the window of a block's exponents ends: so that it holds as much of a
// sample as it can. The window decides which terms take the fast path, and
// nothing else.
//
// Sampled exponents are counted in classes of eight. Of all windows that end at
// the end of a class, the one with most of the sample is taken, of several the
// highest; but none ends more than two above the largest exponent. If the best
// holds less than WINDOW_SHARE sixteenths of the sample, the block has no window:
// where most neighbours of a thread have a term outside, all of them wait for it,
// and the way of those inside is only longer.

const CLASS_BITS: u32 = 3u;

var<workgroup> classes: array<atomic<u32>, CLASSES>;
var<workgroup> largest: atomic<u32>;
var<workgroup> sampled: atomic<u32>;
// The sample's part in the best window, and in the lower half that window's end.
var<workgroup> best: atomic<u32>;

// Whether a window may hold terms of this exponent: zeros, subnormal numbers,
// NaN and infinities are in none.
fn is_normal(exponent: u32) -> bool {
    return exponent != 0u && exponent <= EXPONENT_MAX;
}

fn first_normal(a: u32, b: u32) -> u32 {
    return select(b, a, is_normal(a));
}

// Takes the exponent of a term into the sample.
fn observe(exponent: u32) {
    if (is_normal(exponent)) {
        atomicAdd(&classes[exponent >> CLASS_BITS], 1u);
        atomicMax(&largest, exponent);
        atomicAdd(&sampled, 1u);
    }
}

// Finds the window, between two barriers. Windows of fewer exponents than three
// classes have are short of the lowest of them.
fn choose(thread: u32) {
    let limit = atomicLoad(&largest) + 2u;
    for (var c = thread; c < CLASSES; c += THREADS) {
        var count = atomicLoad(&classes[c]);
        if (c >= 1u) { count += atomicLoad(&classes[c - 1u]); }
        if (c >= 2u) { count += atomicLoad(&classes[c - 2u]); }
        let end = min(((c + 1u) << CLASS_BITS) + 1u, limit);
        if (count != 0u) {
            atomicMax(&best, (count << 16u) | end);
        }
    }
}

// The exponent at which the window ends, zero if the block has none.
fn window_end() -> u32 {
    let found = atomicLoad(&best);
    let is_worth_it = 16u * (found >> 16u) >= WINDOW_SHARE * atomicLoad(&sampled);
    return select(0u, found & 0xffffu, is_worth_it);
}

// Empties the sample, between two barriers.
fn forget(thread: u32) {
    for (var c = thread; c < CLASSES; c += THREADS) {
        atomicStore(&classes[c], 0u);
    }
    if (thread == 0u) {
        atomicStore(&largest, 0u);
        atomicStore(&sampled, 0u);
        atomicStore(&best, 0u);
    }
}
