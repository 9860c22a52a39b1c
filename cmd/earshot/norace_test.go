//go:build !race

package main_test

const slack = 1
