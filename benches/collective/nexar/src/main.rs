//! What `examples/all_reduce.rs` does, by nexar as it is without settings: the same sizes,
//! data, rules and columns.
//!
//! `adsum run` starts the ranks and says in the environment who is which, and where rank 0
//! may listen.

use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};
use std::{env, error, net::SocketAddr, sync::Arc};

use nexar::{ClusterConfig, CpuAdapter, DataType, NexarClient, ReduceOp, Result};

const SIZES: [usize; 9] = [8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 1 << 20, 8 << 20, 64 << 20];
const LEAST: Duration = Duration::from_millis(400);
const CALLS_MAX: usize = 2000;
const COLD: usize = 3;

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn error::Error>> {
    let rank: u32 = env::var("ADSUM_RANK")?.parse()?;
    let root: SocketAddr = env::var("ADSUM_ROOT")?.parse()?;
    if let Ok(number) = env::var("ADSUM_ROOT_FD") {
        // nexar binds rank 0's port by itself.
        // SAFETY: `adsum run` opened this for rank 0 alone, and nothing else here owns it.
        drop(unsafe { OwnedFd::from_raw_fd(number.parse()?) });
    }
    let config = ClusterConfig::new(env::var("ADSUM_SIZE")?.parse()?)
        .with_bind_addr(SocketAddr::new(root.ip(), 0))
        .with_requested_rank(rank);
    let adapter = Arc::new(CpuAdapter::new());
    let group = match rank {
        0 => NexarClient::bootstrap_seed(root, &config, adapter).await?,
        _ => NexarClient::bootstrap_join(root, &config, adapter).await?,
    };
    if rank == 0 {
        println!("bytes us algbw_gb_per_s busbw_gb_per_s wrong");
    }
    for bytes in SIZES {
        measure(&group, bytes).await?;
    }
    Ok(group.shutdown().await?)
}

async fn measure(group: &NexarClient, bytes: usize) -> Result<()> {
    let (rank, size) = (group.rank() as usize, group.world_size() as usize);
    let count = bytes / size_of::<f32>();
    let value = |rank: usize, index: usize| ((index * 7 + rank * 13) % 1000) as f32;
    let own: Vec<f32> = (0..count).map(|index| value(rank, index)).collect();
    let right: Vec<f32> =
        (0..count).map(|index| (0..size).map(|rank| value(rank, index)).sum()).collect();
    let mut data = own.clone();
    let (mut times, mut wrong) = (Vec::new(), [0_u64]);
    let begun = Instant::now();
    // All ranks stop at the same call.
    loop {
        data.copy_from_slice(&own);
        group.barrier().await?;
        let start = Instant::now();
        all_reduce(group, &mut data, DataType::F32, ReduceOp::Sum).await?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        wrong[0] += data.iter().zip(&right).filter(|(a, b)| a != b).count() as u64;
        let enough =
            times.len() >= 2 * COLD && (begun.elapsed() > LEAST || times.len() >= CALLS_MAX);
        let mut enough = [u8::from(enough)];
        // SAFETY: nexar writes one byte at the address of a byte that outlives the call.
        unsafe { group.broadcast(enough.as_mut_ptr() as u64, 1, DataType::U8, 0).await? };
        if enough == [1] {
            break;
        }
    }
    let mut slowest = times.split_off(COLD);
    all_reduce(group, &mut slowest, DataType::F64, ReduceOp::Max).await?;
    all_reduce(group, &mut wrong, DataType::U64, ReduceOp::Sum).await?;
    slowest.sort_by(f64::total_cmp);
    if rank == 0 {
        let us = slowest[slowest.len() / 2];
        let rate = bytes as f64 / us / 1e3;
        let bus = rate * 2.0 * (size as f64 - 1.0) / size as f64;
        println!("{bytes} {us:.1} {rate:.3} {bus:.3} {}", wrong[0]);
    }
    Ok(())
}

async fn all_reduce<T>(
    group: &NexarClient,
    data: &mut [T],
    dtype: DataType,
    op: ReduceOp,
) -> Result<()> {
    assert_eq!(size_of::<T>(), dtype.size_in_bytes());
    // SAFETY: the address is that of so many elements, which stay borrowed until the end.
    unsafe { group.all_reduce(data.as_mut_ptr() as u64, data.len(), dtype, op).await }
}
