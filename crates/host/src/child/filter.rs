//! The system calls that a confined child may not make: a small BPF program, made before the fork, entered after it.
//!
//! Made by `enter`. A list of what is closed, not of what is open: servers are written in anything, and what they may touch is
//! Landlock's to say. Closed are the ways around Landlock (mounts, other processes' memory, io_uring, sockets that it does
//! not know) and the parts of the kernel that no server needs. `connect` and `listen` are put before the gateway
//! (`connects`). Rules are tried in order; the first that fits decides; what fits none is allowed.

use libc::sock_filter;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const DENY: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
/// The C library then takes the older call, whose flags and modes can be looked at.
const ABSENT: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCH: u32 = 0;

/// Whether there is a filter for this processor.
pub(super) const KNOWN: bool = ARCH != 0;

/// What an argument must be like (its lower half: none of those looked at has more).
enum If {
    Is(u32, u32),
    /// Argument, mask, value.
    Masked(u32, u32, u32),
    /// Any of these bits.
    Has(u32, u32),
}
use If::{Has, Is, Masked};

const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32
    | 0x80; // CLONE_NEWTIME

// Numbers that both processors share; younger than some versions of libc.
const OPEN_TREE_ATTR: libc::c_long = 467;
const FANOTIFY_INIT: libc::c_long = libc::SYS_fanotify_init;

const CLOSED: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_process_mrelease,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    FANOTIFY_INIT,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_open_by_handle_at,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
];

const STREAM: If = Masked(1, 0xf, libc::SOCK_STREAM as u32);
const SEQPACKET: If = Masked(1, 0xf, libc::SOCK_SEQPACKET as u32);
const ANY_PROTOCOL: If = Is(2, 0);
const TCP: If = Is(2, libc::IPPROTO_TCP as u32);

const fn family(number: libc::c_int) -> If {
    Is(0, number as u32)
}

/// Sockets: TCP and streams between processes; routes may be asked for. Not UDP, raw packets, MPTCP or SCTP, which no
/// one would judge, and not datagrams between processes, which need no `connect`: a pair of them takes any path too.
const SOCKETS: &[(libc::c_long, &[If], u32)] = &[
    (libc::SYS_socket, &[family(libc::AF_UNIX), STREAM], ALLOW),
    (libc::SYS_socket, &[family(libc::AF_UNIX), SEQPACKET], ALLOW),
    (libc::SYS_socket, &[family(libc::AF_INET), STREAM, ANY_PROTOCOL], ALLOW),
    (libc::SYS_socket, &[family(libc::AF_INET), STREAM, TCP], ALLOW),
    (libc::SYS_socket, &[family(libc::AF_INET6), STREAM, ANY_PROTOCOL], ALLOW),
    (libc::SYS_socket, &[family(libc::AF_INET6), STREAM, TCP], ALLOW),
    (libc::SYS_socket, &[family(libc::AF_NETLINK), Is(2, libc::NETLINK_ROUTE as u32)], ALLOW),
    (libc::SYS_socket, &[], DENY),
    (libc::SYS_socketpair, &[family(libc::AF_UNIX), STREAM], ALLOW),
    (libc::SYS_socketpair, &[family(libc::AF_UNIX), SEQPACKET], ALLOW),
    (libc::SYS_socketpair, &[], DENY),
    (libc::SYS_connect, &[], ASK),
    (libc::SYS_listen, &[], ASK),
    // Connects without `connect`.
    (libc::SYS_sendto, &[Has(3, libc::MSG_FASTOPEN as u32)], DENY),
    (libc::SYS_sendmsg, &[Has(2, libc::MSG_FASTOPEN as u32)], DENY),
    (libc::SYS_sendmmsg, &[Has(3, libc::MSG_FASTOPEN as u32)], DENY),
];

const SELF: If = Is(0, 0);
// Their types differ by C library.
const PRIO_PROCESS: u32 = 0;
const IOPRIO_WHO_PROCESS: u32 = 1;

/// Limits, priorities and memory of processes, which may be named by number: only the caller's own, as 0. Landlock does not
/// judge these, and the kernel lets anyone of the same user set them: the gateway's too, where there are no namespaces.
const OWN: &[(libc::c_long, &[If], u32)] = &[
    (libc::SYS_prlimit64, &[SELF], ALLOW),
    (libc::SYS_prlimit64, &[], DENY),
    (libc::SYS_sched_setaffinity, &[SELF], ALLOW),
    (libc::SYS_sched_setaffinity, &[], DENY),
    (libc::SYS_sched_setparam, &[SELF], ALLOW),
    (libc::SYS_sched_setparam, &[], DENY),
    (libc::SYS_sched_setscheduler, &[SELF], ALLOW),
    (libc::SYS_sched_setscheduler, &[], DENY),
    (libc::SYS_sched_setattr, &[SELF], ALLOW),
    (libc::SYS_sched_setattr, &[], DENY),
    // Of a group or a user is of others too, with 0 as well.
    (libc::SYS_setpriority, &[Is(0, PRIO_PROCESS), Is(1, 0)], ALLOW),
    (libc::SYS_setpriority, &[], DENY),
    (libc::SYS_ioprio_set, &[Is(0, IOPRIO_WHO_PROCESS), Is(1, 0)], ALLOW),
    (libc::SYS_ioprio_set, &[], DENY),
    (libc::SYS_migrate_pages, &[SELF], ALLOW),
    (libc::SYS_migrate_pages, &[], DENY),
    (libc::SYS_move_pages, &[SELF], ALLOW),
    (libc::SYS_move_pages, &[], DENY),
    (libc::SYS_get_robust_list, &[SELF], ALLOW),
    (libc::SYS_get_robust_list, &[], DENY),
];

const PARTLY: &[(libc::c_long, &[If], u32)] = &[
    (libc::SYS_clone3, &[], ABSENT),
    (libc::SYS_clone, &[Has(0, NAMESPACES & !0x80)], DENY),
    (libc::SYS_ioctl, &[Is(1, libc::TIOCSTI as u32)], DENY),
    (libc::SYS_ioctl, &[Is(1, 0x541C)], DENY), // TIOCLINUX
    (libc::SYS_personality, &[Is(0, 0)], ALLOW),
    (libc::SYS_personality, &[Is(0, u32::MAX)], ALLOW),
    (libc::SYS_personality, &[], DENY),
];

const SETUID: u32 = libc::S_ISUID;
const EITHER_ID: u32 = libc::S_ISUID | libc::S_ISGID;
/// Of `open`: only then a mode is given.
const MAKES: u32 = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;
const FCHMODAT2: libc::c_long = 452;

/// Files that run as their owner: without new privileges they are nothing to a child, but where a gateway runs as root, and
/// others may enter what a child may write, they would be root for them. Directories are given the group's bit by some.
const MODES: &[(libc::c_long, &[If], u32)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, &[Has(1, SETUID)], DENY),
    (libc::SYS_fchmod, &[Has(1, SETUID)], DENY),
    (libc::SYS_fchmodat, &[Has(2, SETUID)], DENY),
    (FCHMODAT2, &[Has(2, SETUID)], DENY),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, &[Has(1, EITHER_ID)], DENY),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, &[Has(1, MAKES), Has(2, EITHER_ID)], DENY),
    (libc::SYS_openat, &[Has(2, MAKES), Has(3, EITHER_ID)], DENY),
    // Its mode lies in memory.
    (libc::SYS_openat2, &[], ABSENT),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, &[Has(1, EITHER_ID)], DENY),
    (libc::SYS_mknodat, &[Has(2, EITHER_ID)], DENY),
];

/// The program. `strict` closes `unshare` whatever it is asked for.
pub(super) fn program(strict: bool) -> Vec<sock_filter> {
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    let mut out = vec![
        load(ARCHITECTURE),
        jump(libc::BPF_JEQ, ARCH, 1, 0),
        give(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
        // The x32 calls of an x86_64 kernel.
        jump(libc::BPF_JGE, 0x4000_0000, 0, 1),
        give(DENY),
    ];
    let unshare: &[If] = if strict { &[] } else { &[Has(0, NAMESPACES)] };
    let closed = CLOSED.iter().map(|number| (*number, &[][..], DENY));
    let partly = SOCKETS
        .iter()
        .chain(OWN)
        .chain(PARTLY)
        .chain(MODES)
        .map(|(number, conditions, then)| (*number, *conditions, *then));
    for (number, conditions, then) in closed.chain(partly).chain([(libc::SYS_unshare, unshare, DENY)]) {
        rule(&mut out, number as u32, conditions, then);
    }
    out.push(give(ALLOW));
    out
}

// Falls through with the number loaded when it does not fit.
fn rule(out: &mut Vec<sock_filter>, number: u32, conditions: &[If], then: u32) {
    let mut body = Vec::new();
    for condition in conditions {
        let (argument, mask) = match *condition {
            Is(argument, _) | Has(argument, _) => (argument, None),
            Masked(argument, mask, _) => (argument, Some(mask)),
        };
        body.push(load(16 + 8 * argument));
        body.extend(mask.map(|mask| statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask)));
        body.push(match *condition {
            Is(_, value) | Masked(_, _, value) => jump(libc::BPF_JEQ, value, 0, 0),
            Has(_, bits) => jump(libc::BPF_JSET, bits, 0, 0),
        });
    }
    body.push(give(then));
    // What does not hold goes behind the last instruction.
    let length = body.len();
    for (at, instruction) in body.iter_mut().enumerate() {
        if u32::from(instruction.code) & 0x07 == libc::BPF_JMP {
            instruction.jf = (length - at - 1) as u8;
        }
    }
    out.push(jump(libc::BPF_JEQ, number, 0, length as u8));
    out.append(&mut body);
    if length > 1 {
        out.push(load(0));
    }
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn jump(how: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | how | libc::BPF_K) as u16, jt, jf, k }
}

fn give(action: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, action)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do, for the instructions used here.
    fn run(program: &[sock_filter], arch: u32, number: u32, args: [u32; 6]) -> u32 {
        let (mut at, mut a) = (0, 0u32);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let code = u32::from(code);
            let go = |yes: bool| usize::from(if yes { jt } else { jf });
            match code & 0x07 {
                libc::BPF_LD => {
                    a = match k {
                        0 => number,
                        4 => arch,
                        _ => args[(k as usize - 16) / 8],
                    }
                }
                libc::BPF_ALU => a &= k,
                libc::BPF_RET => return k,
                _ => {
                    at += match code & 0xf0 {
                        libc::BPF_JEQ => go(a == k),
                        libc::BPF_JGE => go(a >= k),
                        _ => go(a & k != 0),
                    }
                }
            }
        }
    }

    #[test]
    fn decides_by_number_and_arguments() {
        let program = program(false);
        assert!(program.len() < 4096);
        let does = |number: libc::c_long, args: [u32; 6]| run(&program, ARCH, number as u32, args);
        let tcp = libc::SOCK_STREAM as u32 | libc::SOCK_NONBLOCK as u32;
        let udp = libc::SOCK_DGRAM as u32;
        for (number, args, expected) in [
            (libc::SYS_read, [0; 6], ALLOW),
            (libc::SYS_mount, [0; 6], DENY),
            (libc::SYS_ptrace, [0; 6], DENY),
            (libc::SYS_clone3, [0; 6], ABSENT),
            (libc::SYS_clone, [libc::SIGCHLD as u32, 0, 0, 0, 0, 0], ALLOW),
            (libc::SYS_clone, [libc::CLONE_NEWUSER as u32, 0, 0, 0, 0, 0], DENY),
            (libc::SYS_socket, [libc::AF_INET as u32, tcp, 0, 0, 0, 0], ALLOW),
            (libc::SYS_socket, [libc::AF_INET6 as u32, tcp, 6, 0, 0, 0], ALLOW),
            (libc::SYS_socket, [libc::AF_INET as u32, tcp, 262, 0, 0, 0], DENY),
            (libc::SYS_socket, [libc::AF_INET as u32, udp, 0, 0, 0, 0], DENY),
            (libc::SYS_socket, [libc::AF_UNIX as u32, udp, 0, 0, 0, 0], DENY),
            (libc::SYS_socket, [libc::AF_PACKET as u32, 3, 0, 0, 0, 0], DENY),
            (libc::SYS_socket, [libc::AF_NETLINK as u32, 3, 0, 0, 0, 0], ALLOW),
            (libc::SYS_socket, [libc::AF_NETLINK as u32, 3, 12, 0, 0, 0], DENY),
            (libc::SYS_socket, [libc::AF_VSOCK as u32, 1, 0, 0, 0, 0], DENY),
            (libc::SYS_socketpair, [libc::AF_UNIX as u32, tcp, 0, 0, 0, 0], ALLOW),
            (libc::SYS_socketpair, [libc::AF_UNIX as u32, libc::SOCK_SEQPACKET as u32, 0, 0, 0, 0], ALLOW),
            (libc::SYS_socketpair, [libc::AF_UNIX as u32, udp, 0, 0, 0, 0], DENY),
            (libc::SYS_socketpair, [libc::AF_UNIX as u32, libc::SOCK_RAW as u32, 0, 0, 0, 0], DENY),
            (libc::SYS_connect, [0; 6], ASK),
            (libc::SYS_sendto, [0, 0, 0, libc::MSG_NOSIGNAL as u32, 0, 0], ALLOW),
            (libc::SYS_sendto, [0, 0, 0, libc::MSG_FASTOPEN as u32, 0, 0], DENY),
            (libc::SYS_ioctl, [0, libc::TIOCSTI as u32, 0, 0, 0, 0], DENY),
            (libc::SYS_ioctl, [0, libc::TCGETS as u32, 0, 0, 0, 0], ALLOW),
            (libc::SYS_personality, [u32::MAX, 0, 0, 0, 0, 0], ALLOW),
            (libc::SYS_personality, [0x0040_0000, 0, 0, 0, 0, 0], DENY),
            (libc::SYS_prlimit64, [0, 7, 0, 1, 0, 0], ALLOW),
            (libc::SYS_prlimit64, [4321, 0, 1, 0, 0, 0], DENY),
            (libc::SYS_sched_setaffinity, [4321, 8, 1, 0, 0, 0], DENY),
            (libc::SYS_sched_setscheduler, [0; 6], ALLOW),
            (libc::SYS_sched_setscheduler, [4321, 0, 0, 0, 0, 0], DENY),
            (libc::SYS_sched_setparam, [4321, 0, 0, 0, 0, 0], DENY),
            (libc::SYS_sched_setattr, [4321, 0, 0, 0, 0, 0], DENY),
            (libc::SYS_setpriority, [0, 0, 19, 0, 0, 0], ALLOW),
            (libc::SYS_setpriority, [0, 4321, 19, 0, 0, 0], DENY),
            (libc::SYS_setpriority, [2, 0, 19, 0, 0, 0], DENY),
            (libc::SYS_ioprio_set, [1, 0, 0, 0, 0, 0], ALLOW),
            (libc::SYS_ioprio_set, [1, 4321, 0, 0, 0, 0], DENY),
            (libc::SYS_ioprio_set, [3, 0, 0, 0, 0, 0], DENY),
            (libc::SYS_migrate_pages, [4321, 0, 0, 0, 0, 0], DENY),
            (libc::SYS_move_pages, [4321, 0, 0, 0, 0, 0], DENY),
            (libc::SYS_get_robust_list, [4321, 0, 0, 0, 0, 0], DENY),
            (libc::SYS_process_mrelease, [0; 6], DENY),
            (libc::SYS_unshare, [libc::CLONE_FS as u32, 0, 0, 0, 0, 0], ALLOW),
            (libc::SYS_unshare, [libc::CLONE_NEWNET as u32, 0, 0, 0, 0, 0], DENY),
        ] {
            assert_eq!(does(number, args), expected, "{number} {args:?}");
        }
        assert_eq!(
            run(&program, 0x4000_0003, 0, [0; 6]),
            libc::SECCOMP_RET_KILL_PROCESS,
            "another processor's calls"
        );
        assert_eq!(does(0x4000_0000, [0; 6]), DENY, "x32");
        let strict = super::program(true);
        let files = [libc::CLONE_FS as u32, 0, 0, 0, 0, 0];
        assert_eq!(run(&strict, ARCH, libc::SYS_unshare as u32, files), DENY);
    }
}
