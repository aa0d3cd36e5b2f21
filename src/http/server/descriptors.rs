//! File descriptors: every connection needs one, and so do the stores and the files of the process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that connections leave to everything else.
const RESERVE: usize = 256;

/// Raises the soft limit to the hard one, and tells how many connections of those wished for there can be.
pub(super) fn connections(wished: usize) -> usize {
    let Some(limit) = raise() else {
        return wished;
    };
    let possible = affordable(wished, limit);
    if possible < wished {
        tracing::warn!(
            wished,
            possible,
            descriptors = limit,
            "fewer connections than MAX_CONNECTIONS: raise the limit of open files (ulimit -n)"
        );
    }
    possible
}

/// The soft limit as it then is. `None` when the system does not say.
fn raise() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft >= hard {
        return Some(soft);
    }
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => Some(hard),
        Err(error) => {
            tracing::warn!(%error, soft, hard, "cannot raise the limit of open files");
            Some(soft)
        }
    }
}

fn affordable(wished: usize, limit: u64) -> usize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Half is better than nothing where even the reserve is too much.
    let most = limit.saturating_sub(RESERVE).max(limit / 2).max(1);
    wished.min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        assert_eq!(affordable(16_384, 1024), 768);
        assert_eq!(affordable(100, 1024), 100);
        assert_eq!(affordable(16_384, u64::MAX), 16_384);
        assert_eq!(affordable(16_384, 300), 150);
        assert_eq!(affordable(16_384, 0), 1);
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(512), hard).expect("may be lowered");
        assert_eq!(connections(1), 1);
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        assert_eq!(soft, hard);
    }
}
