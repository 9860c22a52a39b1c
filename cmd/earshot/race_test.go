//go:build race

package main_test

// slack is how many times as long things may take under the race detector, beside the tests of other packages.
const slack = 5
