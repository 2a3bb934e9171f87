//! What a directory's file system says of itself: room, and whether we may write there.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes that this user may still write there; `None` when the path does not exist.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let path = c_path(path)?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero byte, and the struct is filled in when 0 is returned.
    let found = unsafe {
        if libc::statvfs(path.as_ptr(), found.as_mut_ptr()) != 0 {
            return None;
        }
        found.assume_init()
    };
    // The fields are of other widths on other systems.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    let (blocks, size) = (u64::from(found.f_bavail), found.f_frsize as u64);
    Some(blocks.saturating_mul(size))
}

/// Whether this user may make files in the directory. Nothing is made to find out.
pub fn is_writable(directory: &Path) -> bool {
    // SAFETY: the path ends with a zero byte and lives for the call.
    c_path(directory)
        .is_some_and(|path| unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) == 0 })
}

fn c_path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_room_and_what_is_not_there_has_none() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(free_bytes(directory.path()).expect("it exists") > 0);
        assert!(is_writable(directory.path()));
        let gone = directory.path().join("gone");
        assert!(free_bytes(&gone).is_none() && !is_writable(&gone));
    }
}
