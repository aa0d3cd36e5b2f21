//! The `sallyport` binary: an allocator, the command line, an exit code.

use std::process::ExitCode;

/// Small pages of its own for each thread: less waiting and less memory than the system's under load.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sallyport::cli::run()
}
