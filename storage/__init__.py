"""Files that survive a crash: folders on this machine and on object stores, locks, checksums."""
