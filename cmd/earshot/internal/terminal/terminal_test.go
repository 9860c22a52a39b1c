package terminal

import (
	"os"
	"testing"
)

func TestKnown(t *testing.T) {
	for _, tt := range []struct {
		w, h           int
		columns, lines string
		wantW, wantH   int
	}{
		{100, 30, "", "", 100, 30},
		{100, 30, "70", "20", 100, 30},
		{0, 0, "", "", 80, 24},
		{0, 30, "", "", 80, 30},
		{100, 0, "", "", 100, 24},
		{0, 0, "132", "50", 132, 50},
		{0, 0, "0", "-3", 80, 24},
		{0, 0, "many", "99999999", 80, 24},
		{-1, -1, "", "", 80, 24},
		{1, 1, "", "", 1, 1},
	} {
		t.Setenv("COLUMNS", tt.columns)
		t.Setenv("LINES", tt.lines)
		if w, h := Known(tt.w, tt.h); w != tt.wantW || h != tt.wantH {
			t.Errorf("%dx%d with COLUMNS=%s LINES=%s is taken for %dx%d", tt.w, tt.h, tt.columns, tt.lines, w, h)
		}
	}
	r, _, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	t.Setenv("COLUMNS", "")
	t.Setenv("LINES", "")
	if w, h := Size(r); w != 80 || h != 24 {
		t.Errorf("what can't be asked is taken for %dx%d", w, h)
	}
}
