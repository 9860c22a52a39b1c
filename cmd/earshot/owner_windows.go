package main

// owner returns the user whose file it is.
func owner(string) (uid int, known bool) { return 0, false }
