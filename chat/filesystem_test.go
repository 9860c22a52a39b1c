package chat

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Each lack of a file system is named, and nothing is left of the file it was tried on.
func TestCheckFileSystem(t *testing.T) {
	if err := CheckFileSystem(t.TempDir()); err != nil {
		t.Fatalf("here: %v", err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	if err := CheckFileSystem(missing); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing+":") {
		t.Errorf("a missing directory: %v", err)
	}
	fails := func(err error) func(*os.File) error { return func(*os.File) error { return err } }
	for name, tt := range map[string]struct {
		change func(*fileCalls)
		lack   string
	}{
		"FAT": {func(c *fileCalls) {
			c.mode = func(*os.File) (fs.FileMode, error) { return 0o755, nil }
		}, lacksModes},
		"FAT with a umask":          {func(c *fileCalls) { c.mode = func(*os.File) (fs.FileMode, error) { return 0o700, nil } }, ""},
		"NFS without its lock":      {func(c *fileCalls) { c.lock = fails(syscall.ENOLCK) }, lacksLocks},
		"no locks at all":           {func(c *fileCalls) { c.lock = fails(syscall.ENOSYS) }, lacksLocks},
		"no locks of whole files":   {func(c *fileCalls) { c.flock = func(string) (bool, error) { return false, syscall.EOPNOTSUPP } }, lacksLocks},
		"locks that all get":        {func(c *fileCalls) { c.flock = func(string) (bool, error) { return false, nil } }, lacksLocks},
		"no maps":                   {func(c *fileCalls) { c.share = fails(syscall.ENODEV) }, lacksMaps},
		"only private maps":         {func(c *fileCalls) { c.share = fails(syscall.EINVAL) }, lacksMaps},
		"no renaming":               {func(c *fileCalls) { c.rename = func(string, string) error { return syscall.ENOSYS } }, lacksRename},
		"no memory to map into":     {func(c *fileCalls) { c.share = fails(syscall.ENOMEM) }, ""},
		"too many files to lock":    {func(c *fileCalls) { c.flock = func(string) (bool, error) { return false, syscall.EMFILE } }, ""},
		"a disk that fails":         {func(c *fileCalls) { c.lock = fails(syscall.EIO) }, ""},
		"a disk that fails to name": {func(c *fileCalls) { c.rename = func(string, string) error { return syscall.EIO } }, ""},
	} {
		if !modesCount && tt.lack == lacksModes {
			continue
		}
		dir := t.TempDir()
		c := systemCalls
		tt.change(&c)
		err := c.check(dir)
		lacks, is := errors.AsType[*FileSystemError](err)
		switch {
		case is != (tt.lack != ""):
			t.Errorf("%s: %v", name, err)
		case is && (lacks.Lack != tt.lack || !strings.HasPrefix(err.Error(), dir+": this file system can't keep earshot's data (") || !strings.Contains(lacks.Remedy(), "--dir")):
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
}
