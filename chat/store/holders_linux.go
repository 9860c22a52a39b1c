package store

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockHolders returns the ids of the processes that hold a lock on these files, as far
// as the kernel tells. See proc_locks(5).
func lockHolders(paths []string) map[string]int {
	if len(paths) == 0 {
		return nil
	}
	files := map[string]string{} // as the kernel names them
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			files[fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)] = path
		}
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return nil
	}
	defer f.Close()
	pids := map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 708 08:02:131074 0 EOF
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] != "FLOCK" {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 && files[fields[5]] != "" {
			pids[files[fields[5]]] = pid
		}
	}
	return pids
}
