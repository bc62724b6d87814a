//! Which file systems a file may be mapped from.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

/// Whether `file` lies on a file system that is known to be local.
///
/// A mapped page of a network file system may be fetched at any time, may fail
/// at any time, and may hang in a way that no read error reports. So a file
/// system is mapped only when it is on the list of local ones; NFS, SMB, FUSE,
/// 9p, Ceph, AFS, Lustre and whatever comes later are read instead. Being wrong
/// about an unknown one costs speed and nothing else.
#[cfg(target_os = "linux")]
pub fn is_local(file: &File) -> bool {
    const LOCAL: [u32; 20] = [
        0x0000_EF53, // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683E, // btrfs
        0x2FC1_2FC1, // zfs
        0xCA45_1A4E, // bcachefs
        0xF2F5_2010, // f2fs
        0x0102_1994, // tmpfs
        0x8584_58F6, // ramfs
        0x794C_7630, // overlayfs
        0x5265_4973, // reiserfs
        0x3153_464A, // jfs
        0x0000_3434, // nilfs
        0x0000_4D44, // fat
        0x2011_BAB0, // exfat
        0x7366_746E, // ntfs3
        0x0000_482B, // hfs+
        0x7371_7368, // squashfs
        0xE0F5_E1E2, // erofs
        0x0000_9660, // iso9660
        0x1501_3346, // udf
    ];
    let mut status = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open as long as `file` is, and `status` has
    // room for the struct that the call writes.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), status.as_mut_ptr()) };
    if result != 0 {
        return false;
    }
    // SAFETY: the call succeeded, so it has written the whole struct.
    let status = unsafe { status.assume_init() };
    // The field's width and sign differ between architectures; the numbers
    // have 32 bits.
    LOCAL.contains(&(status.f_type as u32))
}

/// Whether `file` lies on a file system that is known to be local: the kernel
/// says so of each, and a FUSE one is not believed.
#[cfg(target_vendor = "apple")]
pub fn is_local(file: &File) -> bool {
    let mut status = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open as long as `file` is, and `status` has
    // room for the struct that the call writes.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), status.as_mut_ptr()) };
    if result != 0 {
        return false;
    }
    // SAFETY: the call succeeded, so it has written the whole struct.
    let status = unsafe { status.assume_init() };
    let name = status.f_fstypename.map(|byte| byte as u8);
    let is_fuse = name.windows(4).any(|part| part == b"fuse");
    status.f_flags & libc::MNT_LOCAL as u32 != 0 && !is_fuse
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_is_not_listed_is_not_local() {
        let file = File::open("/proc/self/status").expect("every process has a status");
        assert!(!is_local(&file));
    }
}
