use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::backend::reference;
use crate::backend::{DeviceInfo, DeviceKind};
use crate::dtype::{ByteOrder, DType};
use crate::manifest::{AXES_MAX, Cut, File, Manifest, PATH_BYTES_MAX, imaginary_file};
use crate::op::{BINS_MAX, Bins, MONOIDS_MAX, Monoid, Term};
use crate::partial::{ENCODED_BYTES_MAX, Partial};
use crate::placement::NodeId;
use crate::shard::{ShardError, ShardErrorKind};

mod cluster;
mod team;

const JOB: JobId = JobId([7; 32]);

fn device(name: &str) -> DeviceInfo {
    DeviceInfo {
        id: "gpu:0".into(),
        name: name.into(),
        kind: DeviceKind::DiscreteGpu,
        backend: "vulkan".into(),
        driver: "1.2".into(),
    }
}

fn hello(devices: usize) -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        node: NodeId([3; 16]),
        name: "salt".into(),
        devices: vec![device("A GPU"); devices],
        workers: 12,
        addrs: vec![([192, 0, 2, 7], 7386).into()],
    }
}

fn offer(files: Vec<File>) -> Message {
    let spec = Spec::sum(files[0].layout.dtype);
    offer_of(files, Cut::Runs { entry_bytes: 100 }, spec)
}

fn offer_of(files: Vec<File>, cut: Cut, spec: Spec) -> Message {
    let manifest = Manifest::cut(files, cut).expect("valid files");
    Message::Offer { job: manifest.job_id(&spec), spec, manifest: Arc::new(manifest) }
}

fn result(partial: Partial, devices: usize) -> EntryResult {
    let usage = (0..devices as u16).map(|device| Usage { device, ..Usage::default() }).collect();
    EntryResult { position: 5, partial, usage }
}

fn results(count: usize) -> Message {
    let partial = Partial::identity(&Spec::sum(DType::F64), 1);
    Message::Results { job: JOB, results: vec![result(partial, 1); count], want: 3 }
}

#[track_caller]
fn assert_returns(message: Message) {
    assert_eq!(decode(&encode(&message)).as_ref(), Ok(&message));
}

/// The bytes of a message whose list of one item, the first byte `1` after
/// `before` bytes, claims to have `count` items.
fn claim(message: &Message, before: usize, count: u64) -> Vec<u8> {
    let bytes = encode(message);
    assert_eq!(bytes[before], 1, "the length of the list");
    let count = postcard::to_stdvec(&count).expect("to memory");
    [&bytes[..before], &count, &bytes[before + 1..]].concat()
}

/// Tag and job.
const HEAD_BYTES: usize = 1 + 32;

/// One monoid of each kind that takes the type.
fn monoids(dtype: DType) -> Vec<Monoid> {
    let bins = Bins { lower: [0, 7, 7, 99].into(), last: 1 << 40 };
    let all = [
        Monoid::Sum(Term::Value),
        Monoid::Sum(Term::Square),
        Monoid::Extremum { indexed: true },
        Monoid::Tally,
        Monoid::Product,
        Monoid::Tree,
        Monoid::Bits,
        Monoid::Bins(bins),
    ];
    all.into_iter().filter(|monoid| monoid.takes(dtype)).collect()
}

fn any_spec() -> impl Strategy<Value = Spec> {
    prop::sample::select(DType::ALL.to_vec()).prop_flat_map(|dtype| {
        let monoid = prop::sample::select(monoids(dtype));
        prop::collection::vec(monoid, 1..4).prop_map(move |monoids| Spec { dtype, monoids })
    })
}

fn any_partial() -> impl Strategy<Value = Partial> {
    (any_spec(), 1..4_usize, prop::collection::vec(any::<u8>(), 0..64)).prop_map(
        |(spec, outputs, bytes)| {
            let whole = bytes.len() / spec.dtype.size_bytes() * spec.dtype.size_bytes();
            let one = reference::reduce_line(&spec, ByteOrder::Little, &bytes[..whole]);
            let mut partial = Partial::identity(&spec, outputs);
            partial.merge_at(outputs - 1, &one).expect("room for one");
            partial
        },
    )
}

fn any_node() -> impl Strategy<Value = NodeId> {
    any::<[u8; 16]>().prop_map(NodeId)
}

fn any_usage() -> impl Strategy<Value = Usage> {
    (0..DEVICES_MAX as u16, any::<u32>(), any::<u64>(), any::<u64>())
        .prop_map(|(device, tiles, bytes, busy_ns)| Usage { device, tiles, bytes, busy_ns })
}

fn any_result() -> impl Strategy<Value = EntryResult> {
    (any::<u32>(), any_partial(), prop::collection::vec(any_usage(), 0..3))
        .prop_map(|(position, partial, usage)| EntryResult { position, partial, usage })
}

fn any_hello() -> impl Strategy<Value = Hello> {
    (any::<[u8; 16]>(), ".{0,20}", prop::collection::vec(".{0,20}", 0..3), any::<u32>()).prop_map(
        |(node, name, devices, workers)| Hello {
            version: PROTOCOL_VERSION,
            node: NodeId(node),
            name,
            devices: devices.iter().map(|name| device(name)).collect(),
            workers,
            addrs: Vec::new(),
        },
    )
}

fn any_offer() -> impl Strategy<Value = Message> {
    let rows = prop::collection::vec(("[a-z/]{0,20}", 0_u64..60), 1..4);
    (any_spec(), rows, 0..3_u8, 0_u64..300, 0..9_u64).prop_map(
        |(spec, rows, kind, entry_bytes, outputs_max)| {
            let dtype = spec.dtype;
            let line = |(name, count): &(String, u64)| imaginary_file(name, dtype, *count);
            let lines: Vec<File> = rows.iter().map(line).collect();
            match kind {
                0 => offer_of(lines, Cut::Runs { entry_bytes }, spec),
                1 => {
                    let second = lines.len() as u32;
                    let cut = Cut::Pairs { entry_bytes, second };
                    let dot = Spec::of(dtype, Monoid::Sum(Term::Product));
                    offer_of([lines.clone(), lines].concat(), cut, dot)
                }
                _ => {
                    let table = |(name, count): &(String, u64)| {
                        let file = imaginary_file(name, dtype, count * 6);
                        File { shape: vec![*count, 3, 2], ..file }
                    };
                    let axis = (outputs_max % 3) as u8;
                    let outputs = outputs_max..4 * outputs_max;
                    let cut = Cut::Axis { entry_bytes, axis, outputs, outputs_max };
                    offer_of(rows.iter().map(table).collect(), cut, spec)
                }
            }
        },
    )
}

fn any_message() -> impl Strategy<Value = Message> {
    let job = || any::<[u8; 32]>().prop_map(JobId);
    let kinds = vec![
        ShardErrorKind::Unreadable,
        ShardErrorKind::Changed,
        ShardErrorKind::NoBackend,
        ShardErrorKind::Internal,
    ];
    let refusals = vec![Refusal::NoWorkers, Refusal::Busy, Refusal::Unknown];
    prop_oneof![
        cluster::any_message(),
        any_hello().prop_map(Message::Hello),
        any_hello().prop_map(Message::Welcome),
        any_offer(),
        (job(), any::<u32>()).prop_map(|(job, want)| Message::Pull { job, want }),
        team::any_message(),
        (job(), prop::collection::vec(any::<u32>(), 0..9), any::<bool>())
            .prop_map(|(job, positions, alone)| Message::Assign { job, positions, alone }),
        (job(), prop::collection::vec(any_result(), 0..4), any::<u32>())
            .prop_map(|(job, results, want)| Message::Results { job, results, want }),
        (job(), any::<u32>(), any_node(), prop::sample::select(kinds), ".{0,40}").prop_map(
            |(job, position, node, kind, message)| Message::Failed {
                job,
                position,
                node,
                error: ShardError { kind, message }
            }
        ),
        (job(), prop::sample::select(refusals))
            .prop_map(|(job, refusal)| Message::Refused { job, refusal }),
        job().prop_map(|job| Message::Cancel { job }),
    ]
}

proptest! {
    #[test]
    fn every_message_returns(message in any_message()) {
        prop_assert_eq!(decode(&encode(&message)), Ok(message));
    }

    #[test]
    fn a_message_cut_short_is_an_error(message in any_message(), cut in any::<prop::sample::Index>()) {
        let bytes = encode(&message);
        prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_message_with_more_bytes_is_an_error(message in any_message(), more in 1_usize..9) {
        let mut bytes = encode(&message);
        bytes.extend(vec![0; more]);
        prop_assert_eq!(decode(&bytes), Err(WireError::Trailing { bytes: more }));
    }

    #[test]
    fn changed_bytes_never_panic(
        message in any_message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encode(&message);
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        // What decodes is well formed, and so encodes.
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&message)), Ok(message));
        }
    }

    #[test]
    fn random_bytes_never_panic(tag in 0_u8..18, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        let _ = decode(&[&[tag], &bytes[..]].concat());
        let _ = decode(&[&MAGIC[..], &[0], &PROTOCOL_VERSION.to_le_bytes(), &bytes].concat());
    }
}

#[test]
fn another_version_is_named_with_ours_whatever_follows() {
    let mut bytes = encode(&Message::Hello(hello(1)));
    bytes[6..10].copy_from_slice(&77_u32.to_le_bytes());
    let error = WireError::Version { ours: PROTOCOL_VERSION, theirs: 77 };
    assert_eq!(decode(&bytes), Err(error.clone()));
    // The rest of the message, and its kind, are the other version's own.
    assert_eq!(decode(&bytes[..10]), Err(error.clone()));
    bytes[5] = 200;
    assert_eq!(decode(&bytes), Err(error.clone()));
    let ours = format!("speaks {PROTOCOL_VERSION}");
    assert!(error.to_string().contains("version 77") && error.to_string().contains(&ours));
}

#[test]
fn the_first_bytes_of_a_handshake_never_change() {
    let bytes = encode(&Message::Welcome(hello(0)));
    assert_eq!(bytes[..6], [b'a', b'd', b's', b'u', b'm', 1]);
    assert_eq!(bytes[6..10], PROTOCOL_VERSION.to_le_bytes());
}

#[test]
fn lists_are_read_up_to_their_limits() {
    assert_returns(Message::Hello(hello(DEVICES_MAX)));
    assert_returns(Message::Assign {
        job: JOB,
        positions: vec![u32::MAX; POSITIONS_MAX],
        alone: false,
    });
    assert_returns(results(RESULTS_MAX));
    let partial = Partial::identity(&Spec::sum(DType::F64), 1);
    let results = vec![result(partial, DEVICES_MAX)];
    assert_returns(Message::Results { job: JOB, results, want: 0 });
}

#[test]
fn longer_lists_are_refused_before_they_are_read() {
    let limit = |what, max: usize| Err(WireError::Limit { what, max, got: max as u64 + 1 });
    let assign = Message::Assign { job: JOB, positions: vec![0], alone: false };
    let too_many = claim(&assign, HEAD_BYTES + 1, POSITIONS_MAX as u64 + 1);
    assert_eq!(decode(&too_many), limit("positions", POSITIONS_MAX));

    let too_many = claim(&results(1), HEAD_BYTES + 1, RESULTS_MAX as u64 + 1);
    assert_eq!(decode(&too_many), limit("results", RESULTS_MAX));

    let partial_bytes = Partial::identity(&Spec::sum(DType::F64), 1).to_bytes().len();
    let usage_at = HEAD_BYTES + 1 + 1 + 1 + 1 + partial_bytes;
    let too_many = claim(&results(1), usage_at, DEVICES_MAX as u64 + 1);
    assert_eq!(decode(&too_many), limit("devices", DEVICES_MAX));

    let devices_at = 10 + 16 + 1 + 1 + "salt".len();
    let too_many = claim(&Message::Hello(hello(1)), devices_at, DEVICES_MAX as u64 + 1);
    assert_eq!(decode(&too_many), limit("devices", DEVICES_MAX));

    // Type, one monoid, its term; the kind of cut and its bytes.
    let files_at = HEAD_BYTES + 4 + 2;
    let one = offer(vec![imaginary_file("a", DType::U8, 3)]);
    let too_many = claim(&one, files_at, FILES_MAX as u64 + 1);
    assert_eq!(decode(&too_many), limit("files", FILES_MAX));
    // As many as there may be are not refused for that, but they are not there.
    let claimed = claim(&one, files_at, FILES_MAX as u64);
    assert!(matches!(decode(&claimed), Err(WireError::Malformed { what: "file", .. })));
}

#[test]
fn a_longer_partial_is_refused_before_it_is_read() {
    let mut bytes = encode(&results(1));
    let length_at = HEAD_BYTES + 1 + 1 + 1;
    let long = postcard::to_stdvec(&(ENCODED_BYTES_MAX as u64 + 1)).expect("to memory");
    bytes.splice(length_at..length_at + 1, long);
    let (what, max) = ("bytes of a partial", ENCODED_BYTES_MAX);
    assert_eq!(decode(&bytes), Err(WireError::Limit { what, max, got: max as u64 + 1 }));
}

#[test]
fn texts_are_clipped_when_sent_and_limited_when_read() {
    let failed = |message: String| Message::Failed {
        job: JOB,
        position: 0,
        node: NodeId([3; 16]),
        error: ShardError::unreadable(message),
    };
    assert_returns(failed("x".repeat(TEXT_BYTES_MAX)));
    // Two bytes per letter, and one letter straddles the limit.
    let long = format!("x{}", "é".repeat(TEXT_BYTES_MAX));
    let clipped = format!("x{}", "é".repeat((TEXT_BYTES_MAX - 1) / 2));
    assert_eq!(decode(&encode(&failed(long))), Ok(failed(clipped)));

    let mut bytes = encode(&failed("x".repeat(TEXT_BYTES_MAX)));
    let length_at = HEAD_BYTES + 1 + 16 + 1;
    let long = postcard::to_stdvec(&(TEXT_BYTES_MAX as u64 + 1)).expect("to memory");
    bytes[length_at..length_at + 2].copy_from_slice(&long);
    let (max, got) = (TEXT_BYTES_MAX, TEXT_BYTES_MAX as u64 + 1);
    assert_eq!(decode(&bytes), Err(WireError::Limit { what: "error", max, got }));

    let last = bytes.len() - 1;
    let mut bytes = encode(&failed("x".repeat(TEXT_BYTES_MAX)));
    bytes[last] = 0xff;
    assert_eq!(decode(&bytes), Err(WireError::Text { what: "error" }));
}

#[test]
fn more_devices_than_a_node_has_are_left_out() {
    let told = decode(&encode(&Message::Hello(hello(DEVICES_MAX + 1))));
    assert_eq!(told, Ok(Message::Hello(hello(DEVICES_MAX))));
}

#[test]
fn a_device_number_has_a_limit() {
    let max = DEVICES_MAX as u16 - 1;
    let message = |device| {
        let partial = Partial::identity(&Spec::sum(DType::U8), 1);
        let usage = vec![Usage { device, ..Usage::default() }];
        let results = vec![EntryResult { position: 0, partial, usage }];
        Message::Results { job: JOB, results, want: 1 }
    };
    assert_returns(message(max));
    let error = WireError::Device { max, got: max + 1 };
    assert_eq!(decode(&encode(&message(max + 1))), Err(error));
}

#[test]
#[should_panic(expected = "a list of 4097 items, the most is 4096")]
fn a_node_makes_no_longer_list() {
    encode(&Message::Assign { job: JOB, positions: vec![0; POSITIONS_MAX + 1], alone: false });
}

#[test]
fn a_partial_must_mean_something() {
    let mut bytes = encode(&results(1));
    // Version, spec and number of outputs go before the counts.
    let counts_at = HEAD_BYTES + 1 + 1 + 1 + 1 + 6;
    // One NaN among no elements.
    bytes[counts_at + 1] = 1;
    assert!(matches!(decode(&bytes), Err(WireError::Partial(DecodeError::State(_)))));
}

#[test]
fn a_manifest_must_mean_something() {
    let mut file = imaginary_file("a", DType::U8, 100);
    file.identity.size_bytes = 99;
    assert!(matches!(
        decode(&offer_bytes(&Spec::sum(DType::U8), &[file])),
        Err(WireError::Manifest(ManifestError::Extent { .. }))
    ));
    assert_eq!(
        decode(&offer_bytes(&Spec::sum(DType::U8), &[])),
        Err(WireError::Manifest(ManifestError::Empty))
    );
    let files = [imaginary_file("a", DType::U8, 100)];
    let error = WireError::Spec { spec: Spec::sum(DType::I8), manifest: DType::U8 };
    assert_eq!(decode(&offer_bytes(&Spec::sum(DType::I8), &files)), Err(error));
    assert!(matches!(
        decode(&offer_bytes(&Spec::sum(DType::U8), &files)),
        Err(WireError::Job { got: JOB, .. })
    ));
    // A spec that is none, or not of one data set, as this manifest is.
    let none = Spec { dtype: DType::U8, monoids: Vec::new() };
    let many = Spec { dtype: DType::U8, monoids: vec![Monoid::Tally; MONOIDS_MAX + 1] };
    let unordered = Bins { lower: [2, 1].into(), last: 3 };
    let of = |monoid| Spec::of(DType::U8, monoid);
    let dot = of(Monoid::Sum(Term::Product));
    for spec in [none, many, of(Monoid::Tree), of(Monoid::Bins(unordered)), dot] {
        let error = WireError::Spec { spec: spec.clone(), manifest: DType::U8 };
        assert_eq!(decode(&offer_bytes(&spec, &files)), Err(error));
    }
    // Two files of 2^63 bytes: more than 64 bits count, and few entries.
    let huge = imaginary_file("a", DType::U8, 1 << 63);
    let cut = Cut::Runs { entry_bytes: u64::MAX };
    let offer = (0_u8, JOB, Spec::sum(DType::U8), cut, vec![&huge, &huge]);
    let bytes = postcard::to_stdvec(&offer).expect("to memory");
    assert_eq!(decode(&bytes), Err(WireError::Manifest(ManifestError::TooLarge)));
}

/// An offer of `files` in entries of one byte, under the wrong name.
fn offer_bytes(spec: &Spec, files: &[File]) -> Vec<u8> {
    offer_cut(spec, files, &Cut::Runs { entry_bytes: 1 })
}

/// An offer of `files`, cut as told, under the wrong name.
fn offer_cut(spec: &Spec, files: &[File], cut: &Cut) -> Vec<u8> {
    postcard::to_stdvec(&(0_u8, JOB, spec, cut, files)).expect("to memory")
}

#[test]
fn a_cut_must_mean_something() {
    let sum = Spec::sum(DType::U8);
    let line = imaginary_file("a", DType::U8, 100);
    let table = File { shape: vec![10, 10], ..line.clone() };
    let along = |axis, outputs_max| {
        let outputs = 0..u64::MAX;
        Cut::Axis { entry_bytes: u64::MAX, axis, outputs, outputs_max }
    };
    let missing = decode(&offer_cut(&sum, std::slice::from_ref(&table), &along(2, 9)));
    assert!(matches!(missing, Err(WireError::Manifest(ManifestError::Axis { .. }))));
    let unlike = decode(&offer_cut(&sum, &[table.clone(), line.clone()], &along(0, 9)));
    assert!(matches!(unlike, Err(WireError::Manifest(ManifestError::Shapes { .. }))));
    let pairs = |second| Cut::Pairs { entry_bytes: 10, second };
    let alone = decode(&offer_cut(&sum, std::slice::from_ref(&line), &pairs(1)));
    assert_eq!(alone, Err(WireError::Manifest(ManifestError::Empty)));
    let uneven = decode(&offer_cut(&sum, &[table, line.clone()], &pairs(1)));
    assert!(matches!(uneven, Err(WireError::Manifest(ManifestError::Pair { .. }))));
    // A spec of one data set over two.
    let one = decode(&offer_cut(&sum, &[line.clone(), line], &pairs(1)));
    assert!(matches!(one, Err(WireError::Spec { .. })));
    // Outputs of one entry whose partial would be too large to travel.
    let wide = imaginary_file("a", DType::U8, 1 << 22);
    let wide = [File { shape: vec![2, 1 << 21], ..wide }];
    let large = decode(&offer_cut(&sum, &wide, &along(0, u64::MAX)));
    assert!(matches!(large, Err(WireError::Spec { .. })));
    let small = decode(&offer_cut(&sum, &wide, &along(0, 1 << 10)));
    assert!(matches!(small, Err(WireError::Job { .. })), "only its name is wrong");
}

/// The largest partials that a spec can have fit into a message, and a longer
/// one is not taken for any.
#[test]
fn the_largest_partial_travels() {
    let lower: Vec<u64> = (0..BINS_MAX as u64).map(|bin| u64::MAX - bin).rev().collect();
    let bins = Monoid::Bins(Bins { lower: lower.into(), last: u64::MAX });
    let spec = Spec { dtype: DType::U64, monoids: vec![bins] };
    let partial = Partial::identity(&spec, 1);
    assert!(partial.encoded_bytes_max() <= ENCODED_BYTES_MAX as u64);
    assert_returns(Message::Results { job: JOB, results: vec![result(partial, 0)], want: 1 });
}

#[test]
fn a_file_has_limits() {
    let mut file = imaginary_file("a", DType::U8, 1);
    file.path = vec![b'a'; PATH_BYTES_MAX];
    file.shape = vec![1; AXES_MAX];
    assert_returns(offer(vec![file.clone()]));
    let limit = |file: File| {
        let decoded = decode(&offer_bytes(&Spec::sum(DType::U8), &[file]));
        assert!(matches!(decoded, Err(WireError::Manifest(ManifestError::Limit { .. }))));
    };
    limit(File { path: vec![b'a'; PATH_BYTES_MAX + 1], ..file.clone() });
    limit(File { shape: vec![1; AXES_MAX + 1], ..file });
}

#[test]
fn an_offer_has_as_many_entries_as_a_job() {
    let file = |elements| [imaginary_file("a", DType::U8, elements)];
    let most = decode(&offer_bytes(&Spec::sum(DType::U8), &file(ENTRIES_MAX as u64)));
    assert!(matches!(most, Err(WireError::Job { .. })), "only its name is wrong");
    assert_eq!(
        decode(&offer_bytes(&Spec::sum(DType::U8), &file(ENTRIES_MAX as u64 + 1))),
        Err(WireError::Manifest(ManifestError::Entries { max: ENTRIES_MAX }))
    );
}

#[test]
fn pieces_travel_up_to_their_limit() {
    let piece = |bytes: usize| {
        let bytes = Bytes((0..bytes).map(|at| at as u8).collect());
        let question = Question::Piece { place: PlaceId(7), offset: u64::MAX, bytes };
        Message::Ask { ask: 300, question: Box::new(question) }
    };
    for bytes in [0, 1, 127, 128, PIECE_BYTES_MAX] {
        assert_returns(piece(bytes));
    }
    let error = decode(&encode(&piece(PIECE_BYTES_MAX + 1)));
    assert!(matches!(error, Err(WireError::Malformed { what: "question", .. })), "{error:?}");
    let mut cut_off = encode(&piece(100));
    cut_off.pop();
    assert!(matches!(decode(&cut_off), Err(WireError::Malformed { .. })));
    // The bytes lie in the message as they are.
    let length = encode(&piece(PIECE_BYTES_MAX)).len();
    assert!(length < PIECE_BYTES_MAX + 32, "{length} bytes");
    for reply in [Reply::Placing(PlaceId(u64::MAX)), Reply::Taken, Reply::Placed] {
        assert_returns(Message::Reply { ask: 0, reply: Box::new(reply) });
    }
}
