package chat

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Identity holds a person's private key. It is safe for concurrent use.
type Identity struct{ private *ecdh.PrivateKey }

// IdentityError says why an identity file can't be used. The file is left as it is.
type IdentityError struct {
	Path string
	Err  error
}

// Error names the file and the reason.
func (e *IdentityError) Error() string { return fmt.Sprintf("identity file %s: %v", e.Path, e.Err) }

// Unwrap returns the reason.
func (e *IdentityError) Unwrap() error { return e.Err }

const pemType = "EARSHOT IDENTITY"

// NewIdentity makes an identity that is stored nowhere.
func NewIdentity() (*Identity, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &Identity{private}, nil
}

// LoadIdentity reads the identity at path, or makes one there when there is none
// (SPEC §2). The file is made whole or not at all, also when two processes make it
// at once: both then use the same one. Every error is an *IdentityError.
func LoadIdentity(path string) (*Identity, error) {
	id, err := readIdentity(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createIdentity(path); err == nil || errors.Is(err, fs.ErrExist) {
			id, err = readIdentity(path)
		}
	}
	if err != nil {
		return nil, &IdentityError{path, err}
	}
	return id, nil
}

func readIdentity(path string) (*Identity, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("can be read by others (mode %04o)", info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemType || len(rest) != 0 {
		return nil, errors.New("does not hold an earshot identity")
	}
	private, err := ecdh.X25519().NewPrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("holds a damaged key")
	}
	return &Identity{private}, nil
}

// createIdentity writes a new identity beside path and links it into place, which
// fails with fs.ErrExist when another process was faster.
func createIdentity(path string) error {
	id, err := NewIdentity()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".identity-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = pem.Encode(f, &pem.Block{Type: pemType, Bytes: id.private.Bytes()})
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err = os.Link(f.Name(), path); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// Some file systems have no links. What is lost there is only the case of two
	// processes that both start for the first time at the same instant.
	if _, exists := os.Lstat(path); exists == nil {
		return fs.ErrExist
	}
	return os.Rename(f.Name(), path)
}

// Key returns the public half.
func (id *Identity) Key() Key { return Key(id.private.PublicKey().Bytes()) }
