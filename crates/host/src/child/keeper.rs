//! Where there is no namespace of processes: the process that stays between the gateway and a program, to which everything the program
//! leaves behind falls, however often it forked (a child subreaper).
//!
//! Used by `enter`, between fork and exec: system calls only. It ends all of them when the program has ended, when the gateway
//! says so, and when the gateway is gone: the last two by the end of the channel. Where the kernel does not list children
//! (CONFIG_PROC_CHILDREN), only the program itself is ended here.

use super::channel;
use super::spaces::{block_signals, forget};
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Fork. Returns in the process that becomes the program; the other never returns.
#[allow(unsafe_code)]
pub(super) fn stay(channel: BorrowedFd<'_>) -> io::Result<()> {
    let before = block_signals()?;
    // SAFETY: takes integers.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let keeper = rustix::process::getpid();
    // SAFETY: this process has one thread, and what runs in the new one makes system calls only.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        program => keep(program, channel),
    }
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    if rustix::process::getppid() != Some(keeper) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    // SAFETY: restores the set that was read before.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    Ok(())
}

fn keep(program: libc::pid_t, channel: BorrowedFd<'_>) -> ! {
    forget(Some(channel));
    // The end of the channel says it, and leaves time to clear up.
    let _ = rustix::process::set_parent_process_death_signal(None);
    let status = until_ended(program, channel);
    let status = clear_up(program, status);
    if let Some(status) = status {
        channel::send_ended(channel, status);
    }
    leave()
}

#[allow(unsafe_code)]
fn leave() -> ! {
    // SAFETY: runs nothing of ours.
    unsafe { libc::_exit(0) }
}

/// Its status; `None` when the gateway is gone, or wants it to end.
#[allow(unsafe_code)]
fn until_ended(program: libc::pid_t, channel: BorrowedFd<'_>) -> Option<i32> {
    // SAFETY: the sets and structures are initialised by what is given them, and outlive the calls.
    unsafe {
        let mut children: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut children);
        libc::sigaddset(&raw mut children, libc::SIGCHLD);
        let signals = libc::signalfd(-1, &raw const children, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        loop {
            let mut status = 0;
            loop {
                let ended = libc::waitpid(-1, &raw mut status, libc::WNOHANG);
                if ended == program {
                    return Some(status);
                }
                if ended <= 0 {
                    break;
                }
            }
            let watch = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            let mut ready = [watch(channel.as_raw_fd()), watch(signals)];
            // Without the signal's descriptor, look from time to time.
            let patience = if signals < 0 { 100 } else { -1 };
            libc::poll(ready.as_mut_ptr(), 2, patience);
            if ready[0].revents != 0 {
                return None;
            }
            let mut taken = [0u8; std::mem::size_of::<libc::signalfd_siginfo>()];
            while libc::read(signals, taken.as_mut_ptr().cast(), taken.len()) > 0 {}
        }
    }
}

/// End what is left, the program too; the program's status.
#[allow(unsafe_code)]
fn clear_up(program: libc::pid_t, mut told: Option<i32>) -> Option<i32> {
    loop {
        if told.is_none() {
            // SAFETY: takes integers; the number is the program's as long as it was not waited for.
            unsafe { libc::kill(program, libc::SIGKILL) };
        }
        kill_children();
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        let ended = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        if ended == program {
            told = Some(status);
        }
        if ended == -1 && io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return told;
        }
    }
}

/// All that are ours now; those of the dead become ours as well, for the next time.
fn kill_children() {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(list) = rustix::fs::open(c"/proc/thread-self/children", flags, Mode::empty()) else { return };
    let mut bytes = [0u8; 4096];
    let Ok(read) = rustix::io::read(&list, &mut bytes[..]) else { return };
    let mut number: i32 = 0;
    for byte in &bytes[..read] {
        if byte.is_ascii_digit() {
            number = number.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
            continue;
        }
        // The number behind the last space may be cut, and is left for the next time.
        if let Some(pid) = rustix::process::Pid::from_raw(number).filter(|_| number > 1) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        number = 0;
    }
}
