use crate::cli::args::BenchGpuArgs;
use crate::cli::exit::Failure;
pub fn run(_args: &BenchGpuArgs) -> Result<(), Failure> {
    unimplemented!()
}
