//go:build unix

package app

import "syscall"

// takeIPv4 has an IPv6 socket take IPv4 too.
func takeIPv4(fd uintptr) error {
	return syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0)
}
